//! The network beside other programs that touch the host's rules. Each test's host is a network namespace of its own.

mod lab;

use honmaru_contract::node::HostAddress;
use honmaru_network::{METADATA_ADDRESS, METADATA_PORT};
use lab::*;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

// Goal: what another program takes away is put back: the table, forwarding, the balancers' addresses.
#[test]
fn what_others_remove_comes_back() {
    host(|lab| async move {
        let network = Arc::new(lab.network());
        network.adopt().await.expect("adopt");
        let balancer = Ipv4Addr::new(10, 31, 0, 200);
        let mut wanted = desired(&[
            (
                "sg-web",
                security_group(vec![tcp(80, group("sg-web"))], vec![all(cidr("0.0.0.0/0"))]),
            ),
            ("sg-other", security_group(vec![], vec![all(cidr("0.0.0.0/0"))])),
        ]);
        wanted.host_addresses.insert(
            balancer,
            HostAddress {
                owner: "a balancer".to_owned(),
                security_groups: vec![],
            },
        );
        network.apply(&wanted).await.expect("apply");
        let web = network.attach("web", &task(10, &["sg-web"])).await.expect("attach");
        let friend = network.attach("friend", &task(11, &["sg-web"])).await.expect("attach");
        let other = network.attach("other", &task(12, &["sg-other"])).await.expect("attach");
        serve_in(&web, 80);
        blocked(&other, (address(10), 80), "before");
        let guard = tokio::spawn({
            let network = Arc::clone(&network);
            async move { network.guard().await }
        });
        // Chains stand in the order in which they were made, which is another one when all are made at once.
        let rules = || {
            let listed = run("nft", "list ruleset");
            let mut lines: Vec<String> = listed.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        let before = rules();
        for attempt in 0..3 {
            run("nft", "flush ruleset");
            until("the table is back", || rules() == before).await;
            blocked(&other, (address(10), 80), &format!("after flush {attempt}"));
            allowed(&friend, (address(10), 80), &format!("after flush {attempt}"));
        }
        // A saved ruleset that is loaded again, as /etc/nftables.conf may hold one: the table is there, and is stale.
        let table = before.iter().find(|line| line.starts_with("table ")).expect("a table");
        let table = table.trim_end_matches(" {");
        let saved = lab.state.path().join("saved.nft");
        std::fs::write(&saved, format!("flush ruleset\n{table} {{\nchain stale {{\n}}\n}}\n")).expect("write");
        run("nft", &format!("-f {}", saved.display()));
        until("the stale table is replaced", || rules() == before).await;
        blocked(&other, (address(10), 80), "after a stale table");

        std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").expect("a parameter");
        ip(&format!("addr del {balancer}/32 dev lo"));
        until("forwarding is on", || {
            std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").is_ok_and(|text| text.trim() == "1")
        })
        .await;
        until("the address is back", || {
            run("ip", "-br addr show lo").contains(&balancer.to_string())
        })
        .await;
        allowed(&friend, (address(10), 80), "forwarded again");

        network.destroy().await.expect("destroy");
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(rules().is_empty(), "the end of the network is not undone");
        guard.abort();
    });
}

// Goal: beside a firewall that drops by default (Docker's, ufw's, the owner's own) tasks reach what their groups allow, and
// nothing else; what its rules say about tasks counts; nothing of it is left.
#[test]
fn other_firewalls_defaults_are_excepted_from() {
    host(|lab| async move {
        // As iptables-nft has it with Docker, and as ufw denies what comes in.
        let others = "table ip filter {\nchain FORWARD {\ntype filter hook forward priority 0; policy drop;\n\
            ip daddr 10.31.0.12 tcp dport 81 drop\n}\n}\n\
            table inet mine {\nchain in {\ntype filter hook input priority 0; policy drop;\niif lo accept\n}\n}\n";
        let file = lab.state.path().join("others.nft");
        std::fs::write(&file, others).expect("write");
        let load = || run("nft", &format!("-f {}", file.display()));
        load();
        let before = run("nft", "list ruleset");
        let network = Arc::new(lab.network());
        network.adopt().await.expect("adopt");
        let listener = network.take_metadata_listener().expect("a listener");
        listener.set_nonblocking(false).expect("a parameter");
        serve(listener);
        let open = security_group(
            vec![tcp(80, group("sg")), tcp(81, group("sg"))],
            vec![all(cidr("0.0.0.0/0"))],
        );
        network.apply(&desired(&[("sg", open)])).await.expect("apply");
        let a = network.attach("a", &task(11, &["sg"])).await.expect("attach");
        let b = network.attach("b", &task(12, &["sg"])).await.expect("attach");
        for port in [80, 81, 82] {
            serve_in(&b, port);
        }
        blocked(&a, (address(12), 80), "dropped by the other firewall");
        let guard = tokio::spawn({
            let network = Arc::clone(&network);
            async move { network.guard().await }
        });
        let is_excepted = || {
            let listed = run("nft", "list ruleset");
            let is_exception = |line: &&str| {
                let mut words = line.split_whitespace();
                matches!(words.next(), Some("iifname" | "oifname"))
                    && words.next().is_some_and(|word| word.starts_with("\"hm"))
                    && words.next() == Some("accept")
            };
            listed.lines().filter(is_exception).count() == 3
        };
        until("tasks are excepted", is_excepted).await;
        for attempt in 0..2 {
            allowed(&a, (address(12), 80), "its group allows it");
            allowed(&a, (METADATA_ADDRESS, METADATA_PORT), "metadata comes in at the host");
            blocked(&a, (address(12), 81), "a rule of the other firewall says no");
            blocked(&a, (address(12), 82), "its group allows it not");
            if attempt == 0 {
                run("nft", "delete table ip filter");
                run("nft", "delete table inet mine");
                load();
                until("tasks are excepted anew", is_excepted).await;
            }
        }
        // As `ufw disable` does: the default is another one, and the exceptions go all the same.
        run("nft", "chain inet mine in { policy accept; }");
        network.destroy().await.expect("destroy");
        let before = before.replace(
            "hook input priority filter; policy drop",
            "hook input priority filter; policy accept",
        );
        assert_eq!(run("nft", "list ruleset"), before, "nothing is left");
        guard.abort();
    });
}
