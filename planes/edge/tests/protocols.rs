//! Goal: the firewall stands before targets; HTTPS, HTTP/2, gRPC-like streams and TCP listeners work.
//! Method: curl, openssl and a hyper HTTP/2 server as the other side.

mod support;

use bytes::Bytes;
use honmaru_contract::edge::{Action, Certificate, EdgeConfig, WebAcl};
use honmaru_edge::run_fixed;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const OWN: Ipv4Addr = Ipv4Addr::new(127, 0, 93, 1);
const ACL: &str = "arn:aws:wafv2:us-east-1:000000000000:regional/webacl/w/1";

fn with_acl(mut config: EdgeConfig, rules: serde_json::Value) -> EdgeConfig {
    let acl = WebAcl {
        name: "w".into(),
        account: "000000000000".into(),
        default_action: json!({"Allow": {}}),
        rules,
        custom_response_bodies: json!({}),
        visibility_config: json!({"SampledRequestsEnabled": true, "CloudWatchMetricsEnabled": false, "MetricName": "w"}),
        ip_sets: BTreeMap::new(),
        regex_pattern_sets: BTreeMap::new(),
        rule_groups: BTreeMap::new(),
    };
    config.web_acls.insert(ACL.into(), acl);
    config.load_balancers.get_mut(BALANCER).unwrap().web_acl = Some(ACL.into());
    config
}

fn contains(field: serde_json::Value, text: &str) -> serde_json::Value {
    use base64::Engine;
    let search = base64::engine::general_purpose::STANDARD.encode(text);
    json!([{
        "Name": "bad", "Priority": 1, "Action": {"Block": {}},
        "Statement": {"ByteMatchStatement": {
            "SearchString": search, "FieldToMatch": field, "PositionalConstraint": "CONTAINS",
            "TextTransformations": [{"Priority": 0, "Type": "NONE"}],
        }},
        "VisibilityConfig": {"SampledRequestsEnabled": true, "CloudWatchMetricsEnabled": false, "MetricName": "bad"},
    }])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_firewall_stands_before_targets() {
    let backend = Backend::start("a").await;
    let port = free_port(OWN);
    let body = json!({"Body": {"OversizeHandling": "CONTINUE"}});
    let (edge, _) = run_fixed(
        with_acl(config(1, OWN, port, &[backend.address]), contains(body, "attack")),
        None,
    )
    .await
    .unwrap();
    until_health(&edge, "healthy").await;
    let own: SocketAddr = (OWN, port).into();
    let mut client = Client::connect(own).await;
    client
        .send(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 16\r\n\r\nthis is an attac")
        .await;
    assert_eq!(
        client.answer().await.unwrap().body,
        "a 16 /x",
        "an inspected body reaches the target whole"
    );
    client
        .send(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 17\r\n\r\nthis is an attack")
        .await;
    let refused = client.answer().await.unwrap();
    assert_eq!(refused.status, 403);
    assert!(refused.body.contains("403 Forbidden"), "{}", refused.body);
    assert_eq!(backend.requests(), 1);
    // A body that is longer than what is inspected streams on behind it.
    let mut client = Client::connect(own).await;
    let long = "y".repeat(300_000);
    client
        .send(format!("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n{long}").as_bytes())
        .await;
    assert_eq!(client.answer().await.unwrap().body, "a 300000 /x");
    assert_eq!(edge.counters().load_balancers[BALANCER].blocked, 1);

    // Rules that cannot be used refuse everything, unless the load balancer fails open.
    let broken = json!([{"Name": "x", "Priority": 1, "Statement": {"Nonsense": {}}, "Action": {"Block": {}}}]);
    let mut closed = with_acl(config(2, OWN, port, &[backend.address]), broken);
    edge.apply_config(closed.clone()).await.unwrap();
    assert_eq!(get(own, "a", "/").await.status, 500);
    closed.generation = 3;
    let attributes = &mut closed.load_balancers.get_mut(BALANCER).unwrap().attributes;
    attributes.insert("waf.fail_open.enabled".into(), "true".into());
    edge.apply_config(closed).await.unwrap();
    assert_eq!(get(own, "a", "/").await.status, 200);
}

fn secure(mut config: EdgeConfig, certificates: Vec<Certificate>) -> EdgeConfig {
    let listener = &mut config.load_balancers.get_mut(BALANCER).unwrap().listeners[0];
    listener.protocol = "HTTPS".into();
    listener.certificates = certificates;
    config
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn https_with_names_and_both_versions() {
    let dir = tempfile::tempdir().unwrap();
    let certificates = vec![
        certificate(dir.path(), "one.example.com").await,
        certificate(dir.path(), "two.example.com").await,
    ];
    let two = dir.path().join("two.example.com.pem");
    let backend = Backend::start("a").await;
    let port = free_port(OWN);
    let mut config = secure(config(1, OWN, port, &[backend.address]), certificates);
    let balancer = config.load_balancers.get_mut(BALANCER).unwrap();
    let tls_headers = "routing.http.x_amzn_tls_version_and_cipher_suite.enabled";
    balancer.attributes.insert(tls_headers.into(), "true".into());
    let (edge, _) = run_fixed(config.clone(), None).await.unwrap();
    until_health(&edge, "healthy").await;
    let url = format!("https://two.example.com:{port}/x");
    let resolve = format!("two.example.com:{port}:{OWN}");
    // The second certificate is shown, since curl verifies the name against it alone.
    let trust = [
        "--cacert",
        two.to_str().unwrap(),
        "--resolve",
        &resolve,
        "-w",
        " %{http_version} %{http_code}",
    ];
    let over_h2 = curl(&[&trust[..], &["--http2", &url]].concat()).await;
    assert_eq!(over_h2, "a 0 /x 2 200");
    let head = backend.last.lock().unwrap().clone();
    assert_eq!(header(&head, "x-forwarded-proto"), Some("https"));
    assert_eq!(header(&head, "host"), Some(format!("two.example.com:{port}").as_str()));
    assert_eq!(header(&head, "x-amzn-tls-version"), Some("TLSv1.3"));
    let over_h1 = curl(&[&trust[..], &["--http1.1", "-d", "abc", &url]].concat()).await;
    assert_eq!(over_h1, "a 3 /x 1.1 200");
    let upload = curl(&[&trust[..], &["--http2", "-d", &"z".repeat(100_000), &url]].concat()).await;
    assert_eq!(upload, "a 100000 /x 2 200");

    // Without a certificate the listener is refused, and the others stay.
    config.generation = 2;
    config.load_balancers.get_mut(BALANCER).unwrap().listeners[0]
        .certificates
        .clear();
    let applied = edge.apply_config(config).await.unwrap();
    assert!(applied.failed[0].1.contains("no certificate"), "{applied:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_versions_that_a_listener_shall_speak() {
    let dir = tempfile::tempdir().unwrap();
    let certificates = vec![certificate(dir.path(), "one.example.com").await];
    let backend = Backend::start("a").await;
    let port = free_port(OWN);
    let mut config = secure(config(1, OWN, port, &[backend.address]), certificates);
    let (edge, _) = run_fixed(config.clone(), None).await.unwrap();
    for (versions, speaks_12, speaks_13) in [
        (vec!["TLSv1.2"], true, false),
        (vec!["TLSv1.3"], false, true),
        (vec!["TLSv1.2", "TLSv1.3"], true, true),
    ] {
        config.generation += 1;
        let listener = &mut config.load_balancers.get_mut(BALANCER).unwrap().listeners[0];
        listener.tls_versions = versions.into_iter().map(str::to_owned).collect();
        edge.apply_config(config.clone()).await.unwrap();
        let over_12 = s_client((OWN, port).into(), &["-tls1_2"]).await;
        assert_eq!(over_12.contains("Cipher is ECDHE-"), speaks_12, "{over_12}");
        let over_13 = s_client((OWN, port).into(), &["-tls1_3"]).await;
        assert_eq!(over_13.contains("Cipher is TLS_"), speaks_13, "{over_13}");
    }
    // None of AWS's policies has this suite.
    let other = s_client(
        (OWN, port).into(),
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"],
    )
    .await;
    assert!(other.contains("Cipher is (NONE)"), "{other}");
    let old = s_client((OWN, port).into(), &["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"]).await;
    assert!(old.contains("Cipher is (NONE)"), "{old}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_best_certificate_of_a_name_and_else_the_default_one() {
    let dir = tempfile::tempdir().unwrap();
    let name = "two.example.com";
    let certificates = vec![
        certificate(dir.path(), "one.example.com").await,
        certificate_of(dir.path(), name, &["rsa:2048"]).await,
        certificate(dir.path(), name).await,
        made(dir.path(), "unlisted.example.com", &["rsa:2048"]).await,
    ];
    let backend = Backend::start("a").await;
    let port = free_port(OWN);
    let _edge = run_fixed(secure(config(1, OWN, port, &[backend.address]), certificates), None)
        .await
        .unwrap();
    for (arguments, subject, key) in [
        (&["-servername", name][..], name, "id-ecPublicKey"),
        (
            &["-servername", name, "-sigalgs", "RSA-PSS+SHA256"],
            name,
            "rsaEncryption",
        ),
        (
            &["-servername", name, "-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"],
            name,
            "rsaEncryption",
        ),
        (
            &["-servername", "other.example.com"],
            "one.example.com",
            "id-ecPublicKey",
        ),
        // It says its name as the common name only: what it is chosen for is the configuration's matter.
        (
            &["-servername", "Unlisted.example.com"],
            "unlisted.example.com",
            "rsaEncryption",
        ),
        (&["-noservername"], "one.example.com", "id-ecPublicKey"),
    ] {
        let seen = s_client((OWN, port).into(), arguments).await;
        assert!(seen.contains(&format!("CN = {subject}")), "{arguments:?}: {seen}");
        assert!(seen.contains(&format!("a:PKEY: {key}")), "{arguments:?}: {seen}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_version_1_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let mut certificate = certificate(dir.path(), "one.example.com").await;
    // What openssl makes of a request when nobody names extensions.
    let (request, path) = (dir.path().join("request.pem"), dir.path().join("one.pem"));
    let key = dir.path().join("one.example.com.key");
    for arguments in [
        [
            "req",
            "-new",
            "-subj",
            "/CN=old.example.com",
            "-out",
            "REQUEST",
            "-key",
            "KEY",
        ]
        .as_slice(),
        &["x509", "-req", "-in", "REQUEST", "-signkey", "KEY", "-out", "CERT"],
    ] {
        let mut openssl = tokio::process::Command::new("openssl");
        for argument in arguments {
            match *argument {
                "REQUEST" => openssl.arg(&request),
                "KEY" => openssl.arg(&key),
                "CERT" => openssl.arg(&path),
                other => openssl.arg(other),
            };
        }
        let made = openssl.output().await.unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
    certificate.chain_pem = std::fs::read_to_string(&path).unwrap();
    let backend = Backend::start("a").await;
    let port = free_port(OWN);
    let _edge = run_fixed(
        secure(config(1, OWN, port, &[backend.address]), vec![certificate]),
        None,
    )
    .await
    .unwrap();
    let seen = s_client((OWN, port).into(), &[]).await;
    assert!(seen.contains("CN = old.example.com"), "{seen}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_are_resumed_while_the_certificate_stays() {
    let dir = tempfile::tempdir().unwrap();
    let certificates = vec![certificate(dir.path(), "one.example.com").await];
    let (backend, other) = (Backend::start("a").await, Backend::start("b").await);
    let port = free_port(OWN);
    let first = secure(config(1, OWN, port, &[backend.address]), certificates.clone());
    let (edge, _) = run_fixed(first, None).await.unwrap();
    let session = dir.path().join("session");
    let session = session.to_str().unwrap();
    let seen = s_client((OWN, port).into(), &["-tls1_2", "-sess_out", session]).await;
    assert!(seen.contains("New, TLSv1.2"), "{seen}");
    // Another target, the same certificate.
    let second = secure(config(2, OWN, port, &[backend.address, other.address]), certificates);
    edge.apply_config(second).await.unwrap();
    let seen = s_client((OWN, port).into(), &["-tls1_2", "-sess_in", session]).await;
    assert!(seen.contains("Reused, TLSv1.2"), "{seen}");
    let renewed = vec![certificate(dir.path(), "one.example.com").await];
    let third = secure(config(3, OWN, port, &[backend.address]), renewed);
    edge.apply_config(third).await.unwrap();
    let seen = s_client((OWN, port).into(), &["-tls1_2", "-sess_in", session]).await;
    assert!(seen.contains("New, TLSv1.2"), "{seen}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_listeners_offer_protocols_and_pass_on_what_is_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let certificates = vec![certificate(dir.path(), "one.example.com").await];
    let backend = Backend::start("a").await;
    let port = free_port(OWN);
    let mut config = secure(config(1, OWN, port, &[backend.address]), certificates);
    let listener = &mut config.load_balancers.get_mut(BALANCER).unwrap().listeners[0];
    listener.protocol = "TLS".into();
    listener.alpn_protocols = vec!["http/1.1".into(), "h2".into()];
    let (edge, _) = run_fixed(config, None).await.unwrap();
    until_health(&edge, "healthy").await;
    let seen = s_client((OWN, port).into(), &["-alpn", "h2,http/1.1"]).await;
    assert!(seen.contains("ALPN protocol: http/1.1"), "{seen}");
    let url = format!("https://one.example.com:{port}/x");
    let resolve = format!("one.example.com:{port}:{OWN}");
    let answer = curl(&["-k", "--resolve", &resolve, "--http1.1", &url]).await;
    assert_eq!(answer, "a 0 /x");
}

/// An HTTP/2 server without TLS that answers with the request's method, path and host.
async fn h2_backend() -> SocketAddrV4 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let SocketAddr::V4(address) = listener.local_addr().unwrap() else {
        unreachable!()
    };
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = service_fn(|request: http::Request<hyper::body::Incoming>| async move {
                let (parts, body) = request.into_parts();
                let _ = body.collect().await;
                let request = http::Request::from_parts(parts, ());
                let host = request.uri().authority().map(ToString::to_string).unwrap_or_default();
                let text = format!(
                    "{} {} {host} {:?}",
                    request.method(),
                    request.uri().path(),
                    request.version()
                );
                let response = http::Response::builder().header("grpc-status", "12");
                Ok::<_, std::convert::Infallible>(response.body(Full::new(Bytes::from(text))).unwrap())
            });
            let serve = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service);
            tokio::spawn(serve);
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http2_targets_and_protocol_mismatch() {
    let dir = tempfile::tempdir().unwrap();
    let certificates = vec![certificate(dir.path(), "one.example.com").await];
    let port = free_port(OWN);
    let mut config = secure(config(1, OWN, port, &[h2_backend().await]), certificates);
    config.target_groups.get_mut(GROUP).unwrap().protocol_version = "HTTP2".into();
    let (edge, _) = run_fixed(config.clone(), None).await.unwrap();
    until_health(&edge, "healthy").await;
    let resolve = format!("one.example.com:{port}:{OWN}");
    let url = format!("https://one.example.com:{port}/x");
    let code = ["-k", "--resolve", &resolve, "-w", " %{http_code}"];
    let answer = curl(&[&code[..], &["--http2", &url]].concat()).await;
    assert_eq!(answer, format!("GET /x one.example.com:{port} HTTP/2.0 200"));
    assert_eq!(curl(&[&code[..], &["--http1.1", &url]].concat()).await, " 464");

    config.generation = 2;
    let group = config.target_groups.get_mut(GROUP).unwrap();
    group.protocol_version = "GRPC".into();
    group.health_check.path = "/AWS.ALB/healthcheck".into();
    group.health_check.matcher = "12".into();
    edge.apply_config(config).await.unwrap();
    assert_eq!(
        curl(&[&code[..], &["--http2", &url]].concat()).await,
        " 464",
        "gRPC is POST"
    );
    assert!(
        curl(&[&code[..], &["--http2", "-d", "x", &url]].concat())
            .await
            .ends_with(" 200")
    );
    until_health(&edge, "healthy").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tcp_listeners_join_connections() {
    let backend = Backend::start("a").await;
    let dead = SocketAddrV4::new(Ipv4Addr::LOCALHOST, free_port(Ipv4Addr::LOCALHOST));
    let port = free_port(OWN);
    let mut config = config(1, OWN, port, &[backend.address, dead]);
    let listener = &mut config.load_balancers.get_mut(BALANCER).unwrap().listeners[0];
    listener.protocol = "TCP".into();
    listener.rules = vec![rule(Action::Forward {
        groups: vec![(GROUP.into(), 1)],
        stickiness_s: None,
    })];
    let group = config.target_groups.get_mut(GROUP).unwrap();
    group.protocol = "TCP".into();
    group.health_check.protocol = "TCP".into();
    group.health_check.enabled = false;
    let (_edge, _) = run_fixed(config, None).await.unwrap();
    for _ in 0..4 {
        let mut stream = tokio::net::TcpStream::connect((OWN, port)).await.unwrap();
        stream
            .write_all(b"GET /raw HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert!(text.ends_with("a 0 /raw"), "the dead target is passed over: {text}");
    }
}
