//! The network on the real kernel, as root. Each test's host is a network namespace of its own.

mod lab;

use honmaru_contract::node::{HostAddress, Protocol, PublishedPort, SecurityRule, Vpc};
use honmaru_network::{Network, NetworkConfig};
use lab::*;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

// Goal: groups decide, by group, by range, in and out, and a change of a rule meets the next connection only.
#[test]
fn security_groups_are_enforced() {
    host(|lab| async move {
        let network = lab.network();
        network.adopt().await.expect("adopt");
        let anywhere = || cidr("0.0.0.0/0");
        let mut wanted = desired(&[
            (
                "sg-web",
                security_group(vec![tcp(80, anywhere())], vec![all(anywhere())]),
            ),
            (
                "sg-db",
                security_group(vec![tcp(5432, group("sg-web"))], vec![all(anywhere())]),
            ),
            ("sg-mute", security_group(vec![], vec![tcp(80, cidr("10.31.0.10/32"))])),
            ("sg-extra", security_group(vec![tcp(81, cidr("10.31.0.12/32"))], vec![])),
        ]);
        network.apply(&wanted).await.expect("apply");
        let web = network
            .attach("web", &task(10, &["sg-web", "sg-extra"]))
            .await
            .expect("attach");
        let db = network.attach("db", &task(11, &["sg-db"])).await.expect("attach");
        let other = network.attach("other", &task(12, &["sg-db"])).await.expect("attach");
        let mute = network.attach("mute", &task(13, &["sg-mute"])).await.expect("attach");
        let naked = network.attach("naked", &task(14, &[])).await.expect("attach");
        serve_in(&web, 80);
        serve_in(&web, 81);
        serve_in(&web, 82);
        serve_in(&db, 5432);
        serve_in(&naked, 80);
        allowed(&web, (address(11), 5432), "web is a member of the source group");
        blocked(&other, (address(11), 5432), "other is no member of the source group");
        allowed(&other, (address(10), 80), "port 80 is open to all");
        allowed(&other, (address(10), 81), "the second group opens port 81 to other");
        blocked(&mute, (address(10), 81), "port 81 is open to other only");
        blocked(&other, (address(10), 82), "port 82 is open to nobody");
        allowed(&mute, (address(10), 80), "mute may talk to web's port 80");
        blocked(&mute, (address(11), 5432), "mute may talk to nobody else");
        blocked(&web, (address(14), 80), "a task without groups is closed");
        blocked(&naked, (address(10), 80), "a task without groups may not speak");
        assert_eq!(
            who_in(&other, (address(10), 80), PATIENCE).expect("an answer"),
            "10.31.0.12",
            "no address is changed"
        );

        let mut open = within(&web, || TcpStream::connect((address(11), 5432)).expect("connect"))
            .join()
            .expect("a client");
        open.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        line(&mut open).expect("the greeting");
        wanted.security_groups.get_mut("sg-db").expect("the group").ingress = vec![tcp(5432, group("sg-db"))];
        network.apply(&wanted).await.expect("apply");
        blocked(&web, (address(11), 5432), "the source group was changed");
        allowed(&other, (address(11), 5432), "other is a member of the new source group");
        writeln!(open, "still here").expect("write");
        assert_eq!(
            line(&mut open).expect("the echo"),
            "still here",
            "an established connection lives on"
        );

        // A task's groups change while it runs.
        network
            .attach("web", &task(10, &["sg-db"]))
            .await
            .expect("attach again");
        blocked(&other, (address(10), 80), "web left sg-web");
        allowed(&web, (address(11), 5432), "web joined sg-db");
        network.destroy().await.expect("destroy");
    });
}

// Goal: a task can use no address but its own, and reaches nothing of the host's.
#[test]
fn forged_sources_and_the_host_are_out_of_reach() {
    host(|lab| async move {
        let network = lab.network();
        network.adopt().await.expect("adopt");
        let open = security_group(vec![all(cidr("0.0.0.0/0"))], vec![all(cidr("0.0.0.0/0"))]);
        network.apply(&desired(&[("sg", open)])).await.expect("apply");
        let a = network.attach("a", &task(10, &["sg"])).await.expect("attach");
        let b = network.attach("b", &task(11, &["sg"])).await.expect("attach");
        let receiver = within(&b, || UdpSocket::bind("0.0.0.0:9000").expect("bind"))
            .join()
            .expect("a socket");
        receiver.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        let send = |from: &'static str, text: &'static str| {
            within(&a, move || {
                let socket = UdpSocket::bind((from, 0)).expect("bind");
                socket.send_to(text.as_bytes(), (address(11), 9000)).expect("send");
            })
            .join()
            .expect("a sender");
        };
        within(&a, || ip("addr add 10.31.0.99/32 dev lo")).join().expect("ip");
        send("10.31.0.99", "forged");
        send("10.31.0.10", "honest");
        let mut buffer = [0; 16];
        let (len, from) = receiver.recv_from(&mut buffer).expect("a datagram");
        assert_eq!(
            (&buffer[..len], from.ip().to_string().as_str()),
            (&b"honest"[..], "10.31.0.10")
        );

        serve(TcpListener::bind("0.0.0.0:7000").expect("bind"));
        assert!(
            who("127.0.0.1:7000".parse().expect("an address"), PATIENCE).is_ok(),
            "the server is there"
        );
        blocked(
            &a,
            (Ipv4Addr::new(169, 254, 1, 1), 7000),
            "the gateway's address is the host",
        );
        blocked(
            &a,
            (Ipv4Addr::new(10, 31, 0, 2), 7000),
            "the resolver's address is the host",
        );
        network.destroy().await.expect("destroy");
    });
}

// Goal: load balancer addresses are members of groups: as sources, and protected like tasks.
#[test]
fn load_balancer_addresses_have_groups() {
    host(|lab| async move {
        let network = lab.network();
        network.adopt().await.expect("adopt");
        let anywhere = || cidr("0.0.0.0/0");
        let mut wanted = desired(&[
            (
                "sg-lb",
                security_group(vec![tcp(80, anywhere())], vec![all(anywhere())]),
            ),
            (
                "sg-task",
                security_group(vec![tcp(8080, group("sg-lb"))], vec![all(anywhere())]),
            ),
        ]);
        let lb = address(200);
        let owner = HostAddress {
            owner: "arn".to_owned(),
            security_groups: vec!["sg-lb".to_owned()],
        };
        wanted.host_addresses.insert(lb, owner);
        network.apply(&wanted).await.expect("apply");
        let task = network.attach("task", &task(10, &["sg-task"])).await.expect("attach");
        serve_in(&task, 8080);
        for port in [80, 81] {
            serve(TcpListener::bind((lb, port)).expect("the address is on the host"));
        }
        let target: SocketAddr = (address(10), 8080).into();
        assert_eq!(
            who_from(Some(lb), target, PATIENCE).expect("the balancer reaches its target"),
            lb.to_string()
        );
        assert!(
            who(target, BLOCKED).is_err(),
            "the host itself is no member of the group"
        );
        serve(TcpListener::bind("0.0.0.0:7000").expect("bind"));
        let own: SocketAddr = (address(2), 7000).into();
        assert!(who(own, PATIENCE).is_ok(), "the resolver's address is the host");
        assert!(
            who_from(Some(lb), own, BLOCKED).is_err(),
            "and none of a balancer's targets"
        );
        allowed(&task, (lb, 80), "the balancer's group opens port 80");
        blocked(&task, (lb, 81), "the balancer's group does not open port 81");
        assert!(
            who((lb, 80).into(), PATIENCE).is_ok(),
            "the host reaches the balancer's port 80"
        );
        assert!(who((lb, 81).into(), BLOCKED).is_err(), "but not its port 81");
        // Another account's VPC, with a task that is open to everybody in it.
        let range = Vpc {
            cidr: "10.33.0.0/16".to_owned(),
        };
        wanted.vpcs.insert("vpc-2".to_owned(), range);
        let open = security_group(vec![all(anywhere())], vec![all(anywhere())]);
        wanted.security_groups.insert("sg-open".to_owned(), open);
        let other = HostAddress {
            owner: "other".to_owned(),
            security_groups: vec!["sg-open".to_owned()],
        };
        let [near, far] = [201, 10].map(|n| Ipv4Addr::new(10, 33, 0, n));
        wanted.host_addresses.insert(near, other);
        network.apply(&wanted).await.expect("apply");
        let mut theirs = crate::lab::task(11, &["sg-open"]);
        (theirs.address, theirs.subnet_cidr) = (far, "10.33.0.0/20".to_owned());
        (theirs.vpc_id, theirs.dns) = ("vpc-2".to_owned(), Ipv4Addr::new(10, 33, 0, 2));
        let theirs = network.attach("theirs", &theirs).await.expect("attach");
        serve_in(&theirs, 8080);
        let target: SocketAddr = (far, 8080).into();
        assert!(
            who_from(Some(near), target, PATIENCE).is_ok(),
            "their own balancer reaches it"
        );
        assert!(
            who_from(Some(lb), target, BLOCKED).is_err(),
            "balancers stay in their VPC"
        );
        let resolves = |at: Ipv4Addr| {
            let connect = move || TcpStream::connect_timeout(&(at, 53).into(), BLOCKED).is_ok();
            within(&theirs, connect).join().expect("a client")
        };
        assert!(resolves(Ipv4Addr::new(10, 33, 0, 2)), "their own resolver");
        assert!(!resolves(address(2)), "and not another VPC's");
        wanted.host_addresses.clear();
        network.apply(&wanted).await.expect("apply");
        assert!(
            !run("ip", "-4 addr show dev lo").contains("10.31.0.200"),
            "the address is gone"
        );
        network.destroy().await.expect("destroy");
    });
}

// Goal: the way out is masqueraded and only for tasks that may use it; published ports lead in from 127.0.0.1.
#[test]
fn egress_and_published_ports() {
    host(|lab| async move {
        let network = lab.network();
        network.adopt().await.expect("adopt");
        let open = security_group(vec![all(cidr("0.0.0.0/0"))], vec![all(cidr("0.0.0.0/0"))]);
        network.apply(&desired(&[("sg", open)])).await.expect("apply");
        let mut with_egress = task(10, &["sg"]);
        with_egress.egress = true;
        with_egress.published = vec![PublishedPort {
            host_port: 18080,
            container_port: 80,
            protocol: Protocol::Tcp,
        }];
        let a = network.attach("a", &with_egress).await.expect("attach");
        let b = network.attach("b", &task(11, &["sg"])).await.expect("attach");

        // A second namespace plays the internet.
        let outside = lab.state.path().join("outside");
        std::fs::File::create(&outside).expect("a file");
        let target = outside.clone();
        std::thread::spawn(move || {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).expect("unshare");
            let bind = nix::mount::MsFlags::MS_BIND;
            nix::mount::mount(
                Some("/proc/thread-self/ns/net"),
                &target,
                None::<&str>,
                bind,
                None::<&str>,
            )
            .expect("mount");
        })
        .join()
        .expect("a namespace");
        ip("link add up0 type veth peer name up1");
        ip(&format!("link set up1 netns {}", outside.display()));
        ip("addr add 198.51.100.1/24 dev up0");
        ip("link set up0 up");
        within(&outside, || {
            ip("addr add 198.51.100.2/24 dev up1");
            ip("link set up1 up");
            ip("route add 10.31.0.0/16 via 198.51.100.1");
        })
        .join()
        .expect("ip");
        serve_in(&outside, 443);
        let internet = (Ipv4Addr::new(198, 51, 100, 2), 443);
        assert_eq!(
            who_in(&a, internet, PATIENCE).expect("the way out"),
            "198.51.100.1",
            "masqueraded"
        );
        blocked(&b, internet, "a task without egress stays inside");
        // Where the host is a virtual machine of a cloud, its metadata service is a hop away, and has its credentials.
        within(&outside, || ip("addr add 169.254.169.254/32 dev up1"))
            .join()
            .expect("ip");
        ip("route add 169.254.169.254/32 via 198.51.100.2");
        let metadata = (Ipv4Addr::new(169, 254, 169, 254), 443);
        assert!(who(metadata.into(), PATIENCE).is_ok(), "the host itself reaches it");
        blocked(&a, metadata, "the host's own metadata is not for tasks");
        assert_eq!(
            who_in(&a, (address(11), 1), PATIENCE).map_err(|e| e.kind()),
            Err(std::io::ErrorKind::ConnectionRefused)
        );

        serve_in(&a, 80);
        let published: SocketAddr = "127.0.0.1:18080".parse().expect("an address");
        assert_eq!(who(published, PATIENCE).expect("the published port"), "169.254.1.1");
        blocked(
            &outside,
            (Ipv4Addr::new(198, 51, 100, 1), 18080),
            "it is published on 127.0.0.1 only",
        );
        // route_localnet is on for that interface: still the task reaches nothing on the host's 127.0.0.1.
        serve(TcpListener::bind("127.0.0.1:7001").expect("bind"));
        let from_task = within(&a, || {
            ip("addr del 127.0.0.1/8 dev lo");
            ip("route add 127.0.0.1/32 via 169.254.1.1 dev eth0 src 10.31.0.10");
            std::fs::write("/proc/sys/net/ipv4/conf/eth0/route_localnet", "1").expect("a parameter");
            who("127.0.0.1:7001".parse().expect("an address"), BLOCKED)
        });
        assert!(
            from_task.join().expect("a client").is_err(),
            "the host's loopback is out of reach"
        );
        let mut rival = task(12, &["sg"]);
        rival.published = with_egress.published.clone();
        assert!(
            network.attach("c", &rival).await.is_err(),
            "a host port is published once"
        );
        nix::mount::umount(&outside).expect("umount");
        network.destroy().await.expect("destroy");
    });
}

// Goal: an address that is given back takes its flows with it: the next owner's groups decide anew. A flow that is
// merely no longer allowed lives on, as on AWS.
#[test]
fn a_new_owner_of_an_address_inherits_no_flow() {
    host(|lab| async move {
        let network = lab.network();
        network.adopt().await.expect("adopt");
        let anywhere = || cidr("0.0.0.0/0");
        let udp = SecurityRule {
            protocol: Protocol::Udp,
            ports: Some((9999, 9999)),
            peer: anywhere(),
        };
        let mut wanted = desired(&[
            (
                "open",
                security_group(vec![udp, tcp(80, anywhere())], vec![all(anywhere())]),
            ),
            ("closed", security_group(vec![], vec![all(anywhere())])),
        ]);
        network.apply(&wanted).await.expect("apply");
        let former = network.attach("former", &task(10, &["open"])).await.expect("attach");
        let peer = network.attach("peer", &task(11, &["closed"])).await.expect("attach");
        let other = network.attach("other", &task(12, &["open"])).await.expect("attach");
        serve_in(&other, 80);
        let socket = |namespace: &std::path::Path, port: u16, patience: Duration| {
            let bound = within(namespace, move || {
                UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).expect("bind")
            });
            let bound = bound.join().expect("a socket");
            bound.set_read_timeout(Some(patience)).expect("a time-out");
            bound
        };
        let server = socket(&former, 9999, PATIENCE);
        let client = socket(&peer, 5000, PATIENCE);
        let mut buffer = [0; 8];
        // Both directions: the flow is established.
        client.send_to(b"ask", (address(10), 9999)).expect("send");
        let (_, from) = server.recv_from(&mut buffer).expect("the question");
        server.send_to(b"answer", from).expect("send");
        client.recv_from(&mut buffer).expect("the answer");
        let mut kept = within(&peer, || TcpStream::connect((address(12), 80)).expect("connect"))
            .join()
            .expect("a client");
        kept.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        line(&mut kept).expect("the greeting");
        wanted
            .security_groups
            .get_mut("open")
            .expect("the group")
            .ingress
            .clear();
        network.apply(&wanted).await.expect("apply");
        client.send_to(b"again", (address(10), 9999)).expect("send");
        server
            .recv_from(&mut buffer)
            .expect("a tracked flow lives on without its rule");

        drop(server);
        network.detach("former").await.expect("detach");
        let next = network.attach("next", &task(10, &["closed"])).await.expect("attach");
        let server = socket(&next, 9999, BLOCKED);
        client.send_to(b"stale", (address(10), 9999)).expect("send");
        let met = server.recv_from(&mut buffer);
        assert!(
            met.is_err(),
            "a packet of the former owner's flow came through: {met:?}"
        );
        // What the new owner begins itself is a flow of its own.
        server.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        let open_again = SecurityRule {
            protocol: Protocol::Udp,
            ports: Some((9999, 9999)),
            peer: anywhere(),
        };
        wanted.security_groups.get_mut("closed").expect("the group").ingress = vec![open_again];
        network.apply(&wanted).await.expect("apply");
        client.send_to(b"fresh", (address(10), 9999)).expect("send");
        let (len, _) = server.recv_from(&mut buffer).expect("its own rules let it in");
        assert_eq!(&buffer[..len], b"fresh");
        writeln!(kept, "still here").expect("write");
        assert_eq!(
            line(&mut kept).expect("the echo"),
            "still here",
            "flows of others are not touched"
        );
        network.destroy().await.expect("destroy");
    });
}

// Goal: tasks reach task metadata and the resolver whatever their groups say; the server knows who asks.
#[test]
fn metadata_and_dns_are_reachable() {
    host(|lab| async move {
        let network = lab.network();
        network.adopt().await.expect("adopt");
        let mut wanted = desired(&[("sg", security_group(vec![], vec![]))]);
        wanted.dns.insert("db.shop.local".to_owned(), vec![address(77)]);
        network.apply(&wanted).await.expect("apply");
        let a = network.attach("a", &task(10, &["sg"])).await.expect("attach");
        let listener = network.take_metadata_listener().expect("the listener");
        listener.set_nonblocking(false).expect("blocking");
        serve(listener);
        let metadata = (Ipv4Addr::new(169, 254, 170, 2), 80);
        assert_eq!(who_in(&a, metadata, PATIENCE).expect("metadata"), "10.31.0.10");
        assert_eq!(network.task_of(address(10)).await.as_deref(), Some("a"));

        // A query for db.shop.local, type A, written by hand: the test shares no code with the server.
        let query = |kind: u8| {
            let mut q = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
            q.extend(b"\x02db\x04shop\x05local\x00\x00");
            q.extend([kind, 0, 1]);
            q
        };
        let ask = |query: Vec<u8>| {
            within(&a, move || {
                let socket = UdpSocket::bind("0.0.0.0:0").expect("bind");
                socket.set_read_timeout(Some(PATIENCE)).expect("a time-out");
                socket.send_to(&query, "10.31.0.2:53").expect("send");
                let mut buffer = [0; 512];
                let len = socket.recv(&mut buffer).expect("an answer");
                buffer[..len].to_vec()
            })
            .join()
            .expect("a client")
        };
        let answer = ask(query(1));
        assert_eq!(answer[..2], [0x12, 0x34]);
        assert_eq!((answer[3] & 15, answer[7]), (0, 1), "no error, one answer");
        assert!(answer.ends_with(&[0, 4, 10, 31, 0, 77]), "{answer:02x?}");
        let empty = ask(query(28));
        assert_eq!((empty[3] & 15, empty[7]), (0, 0), "no error and no AAAA");
        let over_tcp = within(&a, move || {
            let mut stream = TcpStream::connect("10.31.0.2:53").expect("connect");
            stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
            let query = query(1);
            stream
                .write_all(&[0, u8::try_from(query.len()).expect("short")])
                .expect("write");
            stream.write_all(&query).expect("write");
            let mut len = [0; 2];
            std::io::Read::read_exact(&mut stream, &mut len).expect("a length");
            let mut answer = vec![0; u16::from_be_bytes(len).into()];
            std::io::Read::read_exact(&mut stream, &mut answer).expect("an answer");
            answer
        });
        assert!(over_tcp.join().expect("a client").ends_with(&[0, 4, 10, 31, 0, 77]));
        network.destroy().await.expect("destroy");
    });
}

// Goal: a new process takes over without a lost packet, cleans up what died meanwhile, and destroy leaves nothing.
#[test]
fn adoption_and_destruction() {
    host(|lab| async move {
        let before = lab.traces();
        let open = security_group(vec![tcp(80, group("sg"))], vec![all(cidr("0.0.0.0/0"))]);
        let wanted = desired(&[("sg", open)]);
        let (a, b) = {
            let network = lab.network();
            network.adopt().await.expect("adopt");
            network.apply(&wanted).await.expect("apply");
            let a = network.attach("a", &task(10, &["sg"])).await.expect("attach");
            let b = network.attach("b", &task(11, &["sg"])).await.expect("attach");
            network.attach("dead", &task(12, &["sg"])).await.expect("attach");
            serve_in(&a, 80);
            allowed(&b, (address(10), 80), "before");
            (a, b)
        };
        // One task's interface vanishes while nobody looks.
        let dead = honmaru_network::interface_name(&honmaru_network::InstanceId::of(lab.state.path()), "dead");
        ip(&format!("link del {dead}"));
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let stopped = std::sync::Arc::clone(&stop);
        let load = within(&b, move || {
            let mut count = 0;
            // The kernel tells of lost packets; time would tell of a busy machine as well.
            let lost_before = lost_connects();
            loop {
                let is_last = stopped.load(std::sync::atomic::Ordering::Relaxed);
                if let Err(error) = who((address(10), 80).into(), PATIENCE) {
                    return Err(format!("connection {count}: {error}"));
                }
                count += 1;
                if is_last {
                    break;
                }
            }
            match lost_connects() - lost_before {
                0 => Ok(count),
                lost => Err(format!("{lost} packets were lost")),
            }
        });
        let network = lab.network();
        assert_eq!(network.adopt().await.expect("adopt"), ["a", "b"]);
        network.apply(&wanted).await.expect("apply");
        assert_eq!(network.attach("a", &task(10, &["sg"])).await.expect("attach again"), a);
        for n in 20..60 {
            let mut changed = wanted.clone();
            let group = changed.security_groups.get_mut("sg").expect("the group");
            group.ingress.push(tcp(n, cidr("10.0.0.0/8")));
            network.apply(&changed).await.expect("apply");
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        let count = load
            .join()
            .expect("the load")
            .expect("no connection fails while the rules change");
        assert!(count > 0, "there was load");
        assert_eq!(network.loads().await.1, 0, "the table was never replaced as a whole");
        network.detach("b").await.expect("detach");
        network.detach("b").await.expect("detach twice");
        assert!(!b.exists());
        network.destroy().await.expect("destroy");
        assert_eq!(lab.traces(), before);
        network.destroy().await.expect("destroy twice");
    });
}

// Goal: everything goes, though the disk of the state directory has no room for one byte, nor for one file.
#[test]
fn a_full_disk_keeps_nothing() {
    host(|lab| async move {
        let state = lab.state.path().display().to_string();
        let before = lab.traces();
        for limit in ["size=256k", "nr_inodes=64"] {
            run("mount", &format!("-t tmpfs -o {limit} tmpfs {state}"));
            let network = lab.network();
            network.adopt().await.expect("adopt");
            let open = security_group(vec![tcp(80, cidr("0.0.0.0/0"))], vec![all(cidr("0.0.0.0/0"))]);
            network.apply(&desired(&[("sg", open)])).await.expect("apply");
            network.attach("a", &task(10, &["sg"])).await.expect("attach");
            network.close().await;
            drop(network);
            let full = (0..1_000).map(|n| std::fs::write(lab.state.path().join(format!("{n}")), [1; 4_096]));
            assert!(full.into_iter().any(|written| written.is_err()), "{limit} is a limit");
            // As after a removal that ended half-way.
            let _ = std::fs::remove_file(lab.state.path().join("node/network/metadata_port.json"));
            let _ = std::fs::write(lab.state.path().join("filler"), [1; 4_096]);
            let network = Network::to_destroy(NetworkConfig {
                state_dir: lab.state.path().to_path_buf(),
            });
            network.expect("a network").destroy().await.expect("destroy");
            run("umount", &state);
            assert_eq!(lab.traces(), before, "{limit}");
        }
    });
}

// Goal: a task whose combination of groups is known costs set elements only, and leaves none behind.
#[test]
fn tasks_are_elements() {
    host(|lab| async move {
        let network = lab.network();
        network.adopt().await.expect("adopt");
        let open = security_group(vec![tcp(80, group("sg"))], vec![all(cidr("0.0.0.0/0"))]);
        network.apply(&desired(&[("sg", open)])).await.expect("apply");
        network.attach("first", &task(10, &["sg"])).await.expect("attach");
        let (loads, rules) = (network.loads().await, run("nft", "list ruleset"));
        let mut with_all = task(11, &["sg"]);
        with_all.egress = true;
        with_all.published = [(Protocol::Tcp, 1), (Protocol::Udp, 2)]
            .map(|(protocol, n)| PublishedPort {
                host_port: 18000 + n,
                container_port: n,
                protocol,
            })
            .to_vec();
        network.attach("second", &with_all).await.expect("attach");
        let text = run("nft", "list ruleset");
        for wanted in [
            "18001 : 10.31.0.11 . 1",
            "18002 : 10.31.0.11 . 2",
            "10.31.0.11 : jump ci_",
            "\" . 10.31.0.11",
        ] {
            assert!(text.contains(wanted), "{wanted} is not in {text}");
        }
        network.detach("second").await.expect("detach");
        assert_eq!(run("nft", "list ruleset"), rules);
        assert_eq!(network.loads().await, loads);
        network.destroy().await.expect("destroy");
    });
}

// Goal: two instances on one host do not touch each other.
#[test]
fn instances_live_side_by_side() {
    host(|lab| async move {
        let second = Lab {
            state: tempfile::tempdir().expect("a directory"),
        };
        let before = lab.traces();
        let (one, two) = (lab.network(), second.network());
        let open = security_group(vec![tcp(80, cidr("0.0.0.0/0"))], vec![all(cidr("0.0.0.0/0"))]);
        let wanted = desired(&[("sg", open.clone())]);
        let mut other = wanted.clone();
        other.vpcs.get_mut("vpc-1").expect("the vpc").cidr = "10.32.0.0/16".to_owned();
        one.apply(&wanted).await.expect("apply");
        two.apply(&other).await.expect("apply");
        let a = one.attach("a", &task(10, &["sg"])).await.expect("attach");
        let mut foreign = task(10, &["sg"]);
        foreign.address = Ipv4Addr::new(10, 32, 0, 10);
        let b = two.attach("a", &foreign).await.expect("attach");
        for (network, namespace) in [(&one, &a), (&two, &b)] {
            let listener = network.take_metadata_listener().expect("the listener");
            listener.set_nonblocking(false).expect("blocking");
            serve(listener);
            allowed(
                namespace,
                (Ipv4Addr::new(169, 254, 170, 2), 80),
                "each has its own metadata",
            );
        }
        two.destroy().await.expect("destroy");
        assert_eq!(
            std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward")
                .expect("a parameter")
                .trim(),
            "1"
        );
        allowed(&a, (Ipv4Addr::new(169, 254, 170, 2), 80), "the first one still works");
        one.destroy().await.expect("destroy");
        assert_eq!(lab.traces(), before);
    });
}
