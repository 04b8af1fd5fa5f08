//! Goal: TLS at the shared entry leads to the load balancer of the client's server name, and to no other; what is served
//! there is what its HTTPS listener serves.
//! Method: the edge in this process with two load balancers, real sockets, curl and openssl as clients.

mod support;

use honmaru_contract::edge::{Action, Certificate, EdgeConfig, Listener};
use honmaru_edge::{Edge, EntryAddresses, run_fixed_at};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use support::*;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

const OWN: Ipv4Addr = Ipv4Addr::new(127, 0, 92, 1);
const OTHER: &str = "arn:aws:elasticloadbalancing:us-east-1:000000000000:loadbalancer/app/other/2";
const PLAIN: &str = "arn:aws:elasticloadbalancing:us-east-1:000000000000:loadbalancer/app/plain/3";
const ONE: &str = "one.example.com";
const TWO: &str = "two.example.com";

fn listener(protocol: &str, port: u16, action: Action, certificates: &[&Certificate]) -> Listener {
    Listener {
        arn: format!("{protocol}:{port}"),
        protocol: protocol.into(),
        port,
        rules: vec![rule(action)],
        certificates: certificates.iter().copied().cloned().collect(),
        tls_versions: Vec::new(),
        alpn_protocols: Vec::new(),
    }
}

fn to_https(port: u16) -> Action {
    Action::Redirect {
        status: 301,
        protocol: "HTTPS".into(),
        host: "#{host}".into(),
        port: port.to_string(),
        path: "/#{path}".into(),
        query: "#{query}".into(),
    }
}

/// Three load balancers: `web`, which has a certificate for [`ONE`] and leads from HTTP to HTTPS; `other`, which has one
/// for [`TWO`]; `plain` without HTTPS.
struct Lab {
    dir: tempfile::TempDir,
    backends: [Backend; 2],
    config: EdgeConfig,
    edge: Arc<Edge>,
    http: SocketAddr,
    https: SocketAddr,
    /// The ports of `web`'s and `other`'s HTTPS listeners.
    own: [u16; 2],
}

impl Lab {
    async fn start() -> Lab {
        let dir = tempfile::tempdir().unwrap();
        let backends = [Backend::start("a").await, Backend::start("b").await];
        let own = [free_port(OWN), free_port(OWN)];
        let mut config = config(1, OWN, free_port(OWN), &[backends[0].address]);
        config
            .target_groups
            .insert(GROUP_B.into(), group(&[backends[1].address]));
        let one = certificate(dir.path(), ONE).await;
        let two = certificate(dir.path(), TWO).await;
        let web = config.load_balancers.get_mut(BALANCER).unwrap();
        let mut plain = web.clone();
        let mut other = web.clone();
        web.listeners[0].rules = vec![rule(to_https(own[0]))];
        web.listeners
            .push(listener("HTTPS", own[0], forward(&[(GROUP, 1)]), &[&one]));
        (other.name, other.dns_name) = ("other".into(), "other-2.us-east-1.elb.localhost".into());
        other.listeners = vec![listener("HTTPS", own[1], forward(&[(GROUP_B, 1)]), &[&two])];
        (plain.name, plain.dns_name) = ("plain".into(), "plain-3.us-east-1.elb.localhost".into());
        plain.listeners[0].arn = "plain".into();
        plain.listeners[0].port = free_port(OWN);
        config.load_balancers.insert(OTHER.into(), other);
        config.load_balancers.insert(PLAIN.into(), plain);
        for (name, arn) in [(ONE, BALANCER), (TWO, OTHER), ("*.shop.example.com", OTHER)] {
            config.host_names.insert(name.into(), arn.into());
        }
        let (edge, http, https) = run(config.clone()).await;
        until_health(&edge, "healthy").await;
        Lab {
            dir,
            backends,
            config,
            edge,
            http,
            https,
            own,
        }
    }

    /// What curl gets from the shared entry for a URL with that host: the body, the version of HTTP and the status. It
    /// believes the certificate of that name alone.
    async fn curl(&self, host: &str, path: &str, trusts: &str, more: &[&str]) -> String {
        let authority = pem(self.dir.path(), trusts);
        let port = self.https.port();
        let resolve = format!("{host}:{port}:127.0.0.1");
        let url = format!("https://{host}:{port}{path}");
        let fixed = [
            "--cacert",
            &authority,
            "--resolve",
            &resolve,
            "-w",
            " %{http_version} %{http_code}",
        ];
        curl(&[&fixed[..], more, &[&url]].concat()).await
    }

    async fn s_client(&self, arguments: &[&str]) -> String {
        s_client(self.https, arguments).await
    }

    async fn apply(&mut self, change: impl FnOnce(&mut EdgeConfig)) {
        self.config.generation += 1;
        change(&mut self.config);
        let applied = self.edge.apply_config(self.config.clone()).await.unwrap();
        assert_eq!(applied.failed, [], "everything is served");
    }
}

async fn run(config: EdgeConfig) -> (Arc<Edge>, SocketAddr, SocketAddr) {
    let any = Some((Ipv4Addr::LOCALHOST, 0).into());
    let (edge, entry) = run_fixed_at(config, EntryAddresses { http: any, https: any })
        .await
        .unwrap();
    (edge, entry.http.unwrap(), entry.https.unwrap())
}

fn pem(dir: &Path, name: &str) -> String {
    dir.join(format!("{name}.pem")).display().to_string()
}

/// A connection through TLS that stays open.
struct Open {
    _process: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Open {
    async fn connect(server: SocketAddr, name: &str) -> Open {
        let mut process = Command::new("openssl")
            .args([
                "s_client",
                "-quiet",
                "-connect",
                &server.to_string(),
                "-servername",
                name,
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Open {
            stdin: process.stdin.take().unwrap(),
            stdout: BufReader::new(process.stdout.take().unwrap()),
            _process: process,
        }
    }

    /// Sends a request and reads its answer's head, and a body of that many bytes.
    async fn ask(&mut self, request: &str, body: usize) -> (String, String) {
        self.stdin.write_all(request.as_bytes()).await.unwrap();
        self.stdin.flush().await.unwrap();
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let read = tokio::time::timeout(PATIENCE, self.stdout.read_line(&mut head)).await;
            assert!(read.unwrap().unwrap() > 0, "the connection ended after {head:?}");
        }
        let length = header(&head, "content-length").map_or(body, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        self.stdout.read_exact(&mut body).await.unwrap();
        (head, String::from_utf8(body).unwrap())
    }

    async fn get(&mut self, host: &str) -> (String, String) {
        self.ask(&format!("GET /x HTTP/1.1\r\nHost: {host}\r\n\r\n"), 0).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_servers_name_leads_to_its_load_balancer() {
    let lab = Lab::start().await;
    let port = lab.https.port();
    assert_eq!(lab.curl(ONE, "/x", ONE, &["--http2"]).await, "a 0 /x 2 200");
    let head = lab.backends[0].last.lock().unwrap().clone();
    assert_eq!(header(&head, "x-forwarded-proto"), Some("https"));
    assert_eq!(header(&head, "x-forwarded-port"), Some(port.to_string().as_str()));
    assert_eq!(header(&head, "x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(header(&head, "host"), Some(format!("{ONE}:{port}").as_str()));
    let upload = "z".repeat(100_000);
    assert_eq!(
        lab.curl(TWO, "/y", TWO, &["--http1.1", "-d", &upload]).await,
        "b 100000 /y 1.1 200"
    );
    // A pattern, an own name: whatever leads to the load balancer, its own certificate is shown.
    for (name, subject) in [
        ("www.shop.example.com", TWO),
        ("WEB.localhost", ONE),
        ("other-2.us-east-1.elb.localhost", TWO),
    ] {
        let seen = lab.s_client(&["-servername", name]).await;
        assert!(seen.contains(&format!("CN = {subject}")), "{name}: {seen}");
    }
    assert_eq!(lab.edge.counters().load_balancers[OTHER].connections, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_leads_nowhere_is_shown_no_certificate() {
    let lab = Lab::start().await;
    for arguments in [
        &["-servername", "three.example.com"][..],
        &["-servername", "a.b.shop.example.com"],
        &["-servername", "plain.localhost"],
        &["-noservername"],
        &["-noservername", "-tls1_2"],
    ] {
        let seen = lab.s_client(arguments).await;
        assert!(seen.contains("SSL alert number 112"), "{arguments:?}: {seen}");
        assert!(seen.contains("no peer certificate available"), "{arguments:?}: {seen}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_serves_the_load_balancer_that_it_was_made_for() {
    let lab = Lab::start().await;
    for (host, status) in [
        (TWO, "421"),
        ("www.shop.example.com", "421"),
        ("plain.localhost", "421"),
        ("three.example.com", "421"),
        ("web.localhost", "200"),
        ("One.Example.com:443", "200"),
    ] {
        for version in ["--http2", "--http1.1"] {
            let host_header = format!("Host: {host}");
            let seen = lab.curl(ONE, "/x", ONE, &[version, "-H", &host_header]).await;
            assert!(seen.ends_with(status), "{host} {version}: {seen}");
        }
    }
    assert_eq!(lab.backends[1].requests(), 0, "the other one answered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_leads_to_the_port_of_the_entry() {
    let mut lab = Lab::start().await;
    let port = lab.https.port();
    for host in [ONE, "web.localhost", "Web.localhost:8080"] {
        let moved = get(lab.http, host, "/p?q=1").await;
        let name = host.split(':').next().unwrap();
        let wanted = format!("https://{name}:{port}/p?q=1");
        assert_eq!((moved.status, moved.header("location")), (301, Some(wanted.as_str())));
    }
    // At the load balancer's own address it is the listener's port.
    let own = SocketAddr::from((OWN, lab.config.load_balancers[BALANCER].listeners[0].port));
    let wanted = format!("https://{ONE}:{}/", lab.own[0]);
    assert_eq!(get(own, ONE, "/").await.header("location"), Some(wanted.as_str()));
    // A port that is no listener's is not ours to change.
    lab.apply(|config| {
        config.load_balancers.get_mut(BALANCER).unwrap().listeners[0].rules = vec![rule(to_https(1_443))];
    })
    .await;
    let elsewhere = format!("https://{ONE}:1443/");
    assert_eq!(
        get(lab.http, ONE, "/").await.header("location"),
        Some(elsewhere.as_str())
    );
    let unknown = get(lab.http, TWO, "/").await;
    assert_eq!(unknown.status, 404);
    assert!(
        unknown.body.contains(&format!("https://{TWO}:{port}")),
        "{}",
        unknown.body
    );
    assert!(!get(lab.http, "none.localhost", "/").await.body.contains('*'));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_stays_through_a_renewal_and_tells_when_its_listener_is_gone() {
    let mut lab = Lab::start().await;
    let mut open = Open::connect(lab.https, TWO).await;
    assert_eq!(open.get(TWO).await.1, "b 0 /x");
    let old = std::fs::read_to_string(pem(lab.dir.path(), TWO)).unwrap();
    let renewed = certificate(lab.dir.path(), TWO).await;
    assert_ne!(renewed.chain_pem, old);
    lab.apply(|config| {
        config.load_balancers.get_mut(OTHER).unwrap().listeners[0].certificates = vec![renewed];
    })
    .await;
    assert_eq!(lab.curl(TWO, "/x", TWO, &[]).await, "b 0 /x 2 200");
    assert_eq!(open.get(TWO).await.1, "b 0 /x");
    lab.apply(|config| config.load_balancers.get_mut(OTHER).unwrap().listeners.clear())
        .await;
    let (head, _) = open.get(TWO).await;
    assert!(head.starts_with("HTTP/1.1 421"), "{head}");
    let seen = lab.s_client(&["-servername", TWO]).await;
    assert!(seen.contains("SSL alert number 112"), "{seen}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upgrades_pass_and_the_listeners_policy_holds() {
    let mut lab = Lab::start().await;
    let mut open = Open::connect(lab.https, ONE).await;
    let upgrade = format!("GET /ws HTTP/1.1\r\nHost: {ONE}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    let (head, _) = open.ask(&upgrade, 0).await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    open.stdin.write_all(b"hello\n").await.unwrap();
    open.stdin.flush().await.unwrap();
    let mut echoed = String::new();
    tokio::time::timeout(PATIENCE, open.stdout.read_line(&mut echoed))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(echoed, "hello\n");

    lab.apply(|config| {
        let web = config.load_balancers.get_mut(BALANCER).unwrap();
        web.listeners[1].tls_versions = vec!["TLSv1.3".into()];
        web.attributes.insert("routing.http2.enabled".into(), "false".into());
    })
    .await;
    let seen = lab.s_client(&["-servername", ONE, "-tls1_2"]).await;
    assert!(seen.contains("Cipher is (NONE)"), "{seen}");
    assert_eq!(lab.curl(ONE, "/x", ONE, &["--http2"]).await, "a 0 /x 1.1 200");
    let seen = lab.s_client(&["-servername", TWO, "-tls1_2"]).await;
    assert!(seen.contains("Cipher is ECDHE-"), "{seen}");
}

/// A name leads to the listener that has a certificate for it, if the load balancer has several.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_listeners_the_one_with_the_certificate_serves_a_name() {
    let mut lab = Lab::start().await;
    let third = certificate(lab.dir.path(), "third.example.com").await;
    let port = free_port(OWN);
    lab.apply(|config| {
        config.host_names.insert("third.example.com".into(), BALANCER.into());
        let web = config.load_balancers.get_mut(BALANCER).unwrap();
        web.listeners
            .push(listener("HTTPS", port, forward(&[(GROUP_B, 1)]), &[&third]));
        web.listeners[0].rules = vec![rule(to_https(port))];
    })
    .await;
    let name = "third.example.com";
    assert_eq!(lab.curl(name, "/x", name, &[]).await, "b 0 /x 2 200");
    assert_eq!(lab.curl(ONE, "/x", ONE, &[]).await, "a 0 /x 2 200");
    // A connection is its listener's, whichever of the load balancer's names is asked for.
    let host_header = format!("Host: {name}");
    assert_eq!(lab.curl(ONE, "/x", ONE, &["-H", &host_header]).await, "a 0 /x 2 200");
    let wanted = format!("https://{name}:{}/", lab.https.port());
    assert_eq!(get(lab.http, name, "/").await.header("location"), Some(wanted.as_str()));
    // The entry serves that name by the other listener: this port is at the own address only.
    let wanted = format!("https://{ONE}:{port}/");
    assert_eq!(get(lab.http, ONE, "/").await.header("location"), Some(wanted.as_str()));
}
