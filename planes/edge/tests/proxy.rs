//! Goal: requests take the right way, and what the load balancer adds or refuses is AWS's.
//! Method: the edge in this process, real sockets on loopback addresses, raw bytes.

mod support;

use honmaru_contract::edge::{Action, Condition, Rule};
use honmaru_edge::{Edge, run_fixed};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const OWN: Ipv4Addr = Ipv4Addr::new(127, 0, 91, 1);

async fn start(config: honmaru_contract::edge::EdgeConfig) -> (Arc<Edge>, SocketAddr) {
    let (edge, address) = run_fixed(config, Some("127.0.0.1:0".parse().unwrap())).await.unwrap();
    (edge, address.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forwards_by_own_address_and_by_host_name() {
    let backend = Backend::start("a").await;
    let port = free_port(OWN);
    let mut config = config(1, OWN, port, &[backend.address]);
    config.host_names.insert("hello.localhost".into(), BALANCER.into());
    let (edge, shared) = start(config).await;
    until_health(&edge, "healthy").await;

    let own = get((OWN, port).into(), "x", "/p?q=1").await;
    assert_eq!((own.status, own.body.as_str()), (200, "a 0 /p?q=1"));
    let head = backend.last.lock().unwrap().clone();
    assert_eq!(header(&head, "x-forwarded-proto"), Some("http"));
    assert_eq!(header(&head, "x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(header(&head, "x-forwarded-port"), Some(port.to_string().as_str()));
    assert_eq!(
        header(&head, "host"),
        Some(format!("x:{port}").as_str()),
        "the listener's port is appended"
    );
    assert!(
        header(&head, "x-amzn-trace-id").is_some_and(|id| id.starts_with("Root=1-")),
        "{head}"
    );

    for host in ["web.localhost:8080", "WEB-1.us-east-1.elb.localhost", "hello.localhost"] {
        assert_eq!(get(shared, host, "/").await.status, 200, "{host}");
    }
    let unknown = get(shared, "other.localhost", "/").await;
    assert_eq!(unknown.status, 404);
    assert!(unknown.body.contains("http://web.localhost:"), "{}", unknown.body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_stream_both_ways_on_kept_connections() {
    let backend = Backend::start("a").await;
    let (edge, shared) = start(config(1, OWN, free_port(OWN), &[backend.address])).await;
    until_health(&edge, "healthy").await;
    let mut client = Client::connect(shared).await;
    for _ in 0..3 {
        assert_eq!(client.get("web.localhost", "/big").await.unwrap().body.len(), 300_000);
        let chunked = client.get("web.localhost", "/chunked").await.unwrap();
        assert!(chunked.body.contains("hello") && chunked.header("transfer-encoding") == Some("chunked"));
        let upload = "y".repeat(200_000);
        let request = format!("POST /up HTTP/1.1\r\nHost: web.localhost\r\nContent-Length: 200000\r\n\r\n{upload}");
        client.send(request.as_bytes()).await;
        assert_eq!(client.answer().await.unwrap().body, "a 200000 /up");
    }
    client.send(b"HEAD /big HTTP/1.1\r\nHost: web.localhost\r\n\r\n").await;
    let (mut head, mut part) = (Vec::new(), [0; 4096]);
    while !head.ends_with(b"\r\n\r\n") {
        let read = client.stream().read(&mut part).await.unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&head));
        head.extend_from_slice(&part[..read]);
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    assert!(
        head.starts_with("http/1.1 200") && head.contains("content-length: 300000"),
        "{head}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refuses_what_a_load_balancer_refuses() {
    let backend = Backend::start("a").await;
    let port = free_port(OWN);
    let (edge, _) = start(config(1, OWN, port, &[backend.address])).await;
    until_health(&edge, "healthy").await;
    let own: SocketAddr = (OWN, port).into();
    let long = "x".repeat(17_000);
    let part = "x".repeat(15_000);
    let many = vec!["10.0.0.1"; 31].join(", ");
    let table: Vec<(&str, String, u16)> = vec![
        ("plain", "GET / HTTP/1.1\r\nHost: a\r\n\r\n".into(), 200),
        ("no Host", "GET / HTTP/1.1\r\n\r\n".into(), 400),
        ("two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".into(), 400),
        (
            "URI and Host differ",
            "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n".into(),
            400,
        ),
        ("TRACE", "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n".into(), 405),
        (
            "long header",
            format!("GET / HTTP/1.1\r\nHost: a\r\nx: {long}\r\n\r\n"),
            400,
        ),
        ("long URI", format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), 414),
        (
            "70 KB of headers",
            format!(
                "GET / HTTP/1.1\r\nHost: a\r\na: {part}\r\nb: {part}\r\nc: {part}\r\nd: {part}\r\ne: {part}\r\n\r\n"
            ),
            400,
        ),
        (
            "31 forwarders",
            format!("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {many}\r\n\r\n"),
            463,
        ),
        (
            "two lengths",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx".into(),
            400,
        ),
        (
            "bad coding",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n".into(),
            400,
        ),
        (
            "signed length",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello".into(),
            400,
        ),
        ("space before colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n".into(), 400),
        (
            "folded header",
            "GET / HTTP/1.1\r\nHost: a\r\nx: 1\r\n 2\r\n\r\n".into(),
            400,
        ),
        ("NUL", "GET / HTTP/1.1\r\nHost: a\r\nx: \0\r\n\r\n".into(), 400),
    ];
    for (what, bytes, expected) in table {
        let answer = raw(own, bytes.as_bytes()).await;
        assert_eq!(
            answer.as_ref().map(|answer| answer.status),
            Some(expected),
            "{what}: {answer:?}"
        );
    }
    let refused = raw(own, b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert_eq!(refused.header("server"), Some("awselb/2.0"));
    assert!(
        refused.body.contains("<title>400 Bad Request</title>"),
        "{}",
        refused.body
    );
    assert_eq!(backend.requests(), 1, "only the plain request reached the target");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn length_and_coding_together_do_not_smuggle() {
    let backend = Backend::start("a").await;
    let (edge, shared) = start(config(1, OWN, free_port(OWN), &[backend.address])).await;
    until_health(&edge, "healthy").await;
    let bytes =
        b"POST /x HTTP/1.1\r\nHost: web.localhost\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG";
    raw(shared, bytes).await;
    let head = backend.last.lock().unwrap().to_ascii_lowercase();
    let (has_length, has_coding) = (head.contains("content-length"), head.contains("transfer-encoding"));
    assert!(!(has_length && has_coding), "the target saw only one of both: {head}");
    assert_eq!(backend.requests(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_redirects_and_fixed_answers() {
    let (a, b) = (Backend::start("a").await, Backend::start("b").await);
    let mut config = config(1, OWN, free_port(OWN), &[a.address]);
    config.target_groups.insert(GROUP_B.into(), group(&[b.address]));
    let rules = vec![
        Rule {
            arn: "1".into(),
            conditions: vec![Condition::PathPattern(vec!["/b/*".into()])],
            actions: vec![forward(&[(GROUP_B, 1)])],
        },
        Rule {
            arn: "2".into(),
            conditions: vec![Condition::PathPattern(vec!["/old/*".into()])],
            actions: vec![Action::Redirect {
                status: 301,
                protocol: "HTTPS".into(),
                host: "new.#{host}".into(),
                port: "443".into(),
                path: "/#{path}".into(),
                query: "#{query}".into(),
            }],
        },
        Rule {
            arn: "3".into(),
            conditions: vec![Condition::HttpHeader {
                name: "X-Teapot".into(),
                values: vec!["*".into()],
            }],
            actions: vec![Action::FixedResponse {
                status: 418,
                content_type: Some("text/plain".into()),
                body: Some("short and stout".into()),
            }],
        },
    ];
    let listener = &mut config.load_balancers.get_mut(BALANCER).unwrap().listeners[0];
    listener.rules.splice(0..0, rules);
    let (edge, shared) = start(config).await;
    until_health(&edge, "healthy").await;
    assert!(get(shared, "web.localhost", "/").await.body.starts_with("a "));
    assert!(get(shared, "web.localhost", "/b/x").await.body.starts_with("b "));
    let redirect = get(shared, "web.localhost", "/old/p?x=1").await;
    assert_eq!(redirect.status, 301);
    assert_eq!(
        redirect.header("location"),
        Some("https://new.web.localhost:443/old/p?x=1")
    );
    let mut client = Client::connect(shared).await;
    let teapot = client.get_with("web.localhost", "/", "X-Teapot: 1\r\n").await.unwrap();
    assert_eq!((teapot.status, teapot.body.as_str()), (418, "short and stout"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_target_and_bad_targets() {
    let dead = std::net::SocketAddrV4::new(Ipv4Addr::LOCALHOST, free_port(Ipv4Addr::LOCALHOST));
    let mut none = config(1, OWN, free_port(OWN), &[]);
    none.load_balancers.get_mut(BALANCER).unwrap().attributes =
        BTreeMap::from([("idle_timeout.timeout_seconds".to_owned(), "1".to_owned())]);
    let (edge, shared) = start(none.clone()).await;
    let answer = get(shared, "web.localhost", "/").await;
    assert_eq!(answer.status, 503);
    assert!(
        answer
            .body
            .contains("<title>503 Service Temporarily Unavailable</title>")
    );
    drop(edge);

    none.target_groups.insert(GROUP.into(), group(&[dead]));
    none.generation = 2;
    let (_edge, shared) = start(none.clone()).await;
    assert_eq!(get(shared, "web.localhost", "/").await.status, 502, "refused");

    let backend = Backend::start("a").await;
    none.target_groups.insert(GROUP.into(), group(&[backend.address]));
    let (edge, shared) = start(none).await;
    until_health(&edge, "healthy").await;
    assert_eq!(
        get(shared, "web.localhost", "/cut").await.status,
        502,
        "closed before an answer"
    );
    assert_eq!(
        get(shared, "web.localhost", "/never").await.status,
        504,
        "no answer within the idle timeout"
    );
    assert_eq!(edge.counters().load_balancers[BALANCER].elb_5xx, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_died_is_not_seen() {
    let backends = [Backend::start("a").await, Backend::start("b").await];
    let addresses: Vec<_> = backends.iter().map(|backend| backend.address).collect();
    let (edge, shared) = start(config(1, OWN, free_port(OWN), &addresses)).await;
    until_health(&edge, "healthy").await;
    let mut client = Client::connect(shared).await;
    for _ in 0..10 {
        assert_eq!(client.get("web.localhost", "/").await.unwrap().status, 200);
    }
    assert!(
        backends.iter().all(|backend| backend.requests() > 0),
        "both targets are used"
    );
    // An upload that reaches a target which then dies is answered 502, rightly: it may have been acted on.
    backends[0].is_dead().await;
    for round in 0..40 {
        let answer = client.get("web.localhost", "/").await.expect("an answer");
        assert_eq!(answer.status, 200, "request {round} after the death");
        client
            .send(b"POST /p HTTP/1.1\r\nHost: web.localhost\r\nContent-Length: 3\r\n\r\nabc")
            .await;
        assert_eq!(
            client.answer().await.unwrap().status,
            200,
            "upload {round} after the death"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sticky_by_the_balancers_cookie() {
    let backends = [Backend::start("a").await, Backend::start("b").await];
    let addresses: Vec<_> = backends.iter().map(|backend| backend.address).collect();
    let mut config = config(1, OWN, free_port(OWN), &addresses);
    let sticky = &mut config.target_groups.get_mut(GROUP).unwrap().attributes;
    sticky.insert("stickiness.enabled".into(), "true".into());
    sticky.insert("stickiness.type".into(), "lb_cookie".into());
    let (edge, shared) = start(config).await;
    until_health(&edge, "healthy").await;
    let first = get(shared, "web.localhost", "/").await;
    let cookie = first.header("set-cookie").unwrap().to_owned();
    assert!(cookie.starts_with("AWSALB=") && cookie.contains("Expires="), "{cookie}");
    assert!(first.head.contains("AWSALBCORS="), "{}", first.head);
    let pair = cookie.split(';').next().unwrap();
    let name = first.body.split(' ').next().unwrap().to_owned();
    for _ in 0..10 {
        let mut client = Client::connect(shared).await;
        let answer = client
            .get_with("web.localhost", "/", &format!("Cookie: x=1; {pair}\r\n"))
            .await
            .unwrap();
        assert!(answer.body.starts_with(&name), "{} went elsewhere", answer.body);
    }
    backends[if name == "a" { 0 } else { 1 }].die();
    let mut client = Client::connect(shared).await;
    let moved = client
        .get_with("web.localhost", "/", &format!("Cookie: {pair}\r\n"))
        .await
        .unwrap();
    assert_eq!(moved.status, 200);
    assert!(
        !moved.body.starts_with(&name) && moved.header("set-cookie").is_some(),
        "{moved:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sticky_by_the_applications_cookie() {
    let backends = [Backend::start("a").await, Backend::start("b").await];
    let addresses: Vec<_> = backends.iter().map(|backend| backend.address).collect();
    let mut config = config(1, OWN, free_port(OWN), &addresses);
    let sticky = &mut config.target_groups.get_mut(GROUP).unwrap().attributes;
    sticky.insert("stickiness.enabled".into(), "true".into());
    sticky.insert("stickiness.type".into(), "app_cookie".into());
    sticky.insert("stickiness.app_cookie.cookie_name".into(), "app".into());
    let (edge, shared) = start(config).await;
    until_health(&edge, "healthy").await;
    assert!(get(shared, "web.localhost", "/").await.header("set-cookie").is_none());
    let login = get(shared, "web.localhost", "/login").await;
    let ours = login
        .head
        .lines()
        .find_map(|line| line.to_owned().split_once("AWSALBAPP-0=").map(|(_, v)| v.to_owned()));
    let ours = ours.unwrap().split(';').next().unwrap().to_owned();
    let name = login.body.split(' ').next().unwrap().to_owned();
    for _ in 0..6 {
        let mut client = Client::connect(shared).await;
        let cookies = format!("Cookie: app=1; AWSALBAPP-0={ours}\r\n");
        assert!(
            client
                .get_with("web.localhost", "/", &cookies)
                .await
                .unwrap()
                .body
                .starts_with(&name)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn websockets_are_joined() {
    let backend = Backend::start("a").await;
    let (edge, shared) = start(config(1, OWN, free_port(OWN), &[backend.address])).await;
    until_health(&edge, "healthy").await;
    let mut client = Client::connect(shared).await;
    client
        .send(
            b"GET /ws HTTP/1.1\r\nHost: web.localhost\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n",
        )
        .await;
    let answer = client.answer().await.unwrap();
    assert_eq!(answer.status, 101);
    assert_eq!(answer.header("upgrade"), Some("websocket"));
    for text in [&b"hello"[..], b"again"] {
        client.stream().write_all(text).await.unwrap();
        let mut echo = vec![0; text.len()];
        client.stream().read_exact(&mut echo).await.unwrap();
        assert_eq!(echo, text);
    }
    assert_eq!(edge.connections(), 1);
    drop(client);
    until("the tunnel is closed", || edge.connections() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn weights_and_algorithms() {
    let (a, b) = (Backend::start("a").await, Backend::start("b").await);
    let mut config = config(1, OWN, free_port(OWN), &[a.address]);
    config.target_groups.insert(GROUP_B.into(), group(&[b.address]));
    let listener = &mut config.load_balancers.get_mut(BALANCER).unwrap().listeners[0];
    listener.rules = vec![rule(Action::Forward {
        groups: vec![(GROUP.into(), 1), (GROUP_B.into(), 0)],
        stickiness_s: Some(60),
    })];
    for (group, algorithm) in [(GROUP, "least_outstanding_requests"), (GROUP_B, "weighted_random")] {
        let attributes = &mut config.target_groups.get_mut(group).unwrap().attributes;
        attributes.insert("load_balancing.algorithm.type".into(), algorithm.into());
    }
    let (edge, shared) = start(config.clone()).await;
    until_health(&edge, "healthy").await;
    let first = get(shared, "web.localhost", "/").await;
    let cookie = first
        .header("set-cookie")
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    assert!(cookie.starts_with("AWSALBTG="), "{cookie}");
    let mut client = Client::connect(shared).await;
    for _ in 0..20 {
        assert!(
            client.get("web.localhost", "/").await.unwrap().body.starts_with("a "),
            "weight 0 gets nothing"
        );
    }
    // With the weights turned round, the cookie leads nowhere, since its group has weight 0 now.
    let listener = &mut config.load_balancers.get_mut(BALANCER).unwrap().listeners[0];
    listener.rules = vec![rule(Action::Forward {
        groups: vec![(GROUP.into(), 1), (GROUP_B.into(), 999)],
        stickiness_s: Some(60),
    })];
    config.generation = 2;
    edge.apply_config(config).await.unwrap();
    for _ in 0..10 {
        let answer = client
            .get_with("web.localhost", "/", &format!("Cookie: {cookie}\r\n"))
            .await
            .unwrap();
        assert!(answer.body.starts_with("a "), "the cookie leads to its group");
    }
    let mut to_b = 0;
    for _ in 0..20 {
        to_b += u32::from(client.get("web.localhost", "/").await.unwrap().body.starts_with("b "));
    }
    assert!(to_b > 15, "the heavy group gets most: {to_b} of 20");
}
