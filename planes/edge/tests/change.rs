//! Goal: configurations change under load without a failed request; health moves as AWS documents it; a restarted edge
//! serves what it remembers.
//! Method: the edge in this process, backends that die or change their answers, a `control` made of a unix socket.

mod support;

use honmaru_base::Time;
use honmaru_contract::edge::{EdgeConfig, FromEdge, ToEdge};
use honmaru_edge::{EdgeRunConfig, EntryAddresses, KeptSockets, NothingKept, run, run_fixed};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::*;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

const OWN: Ipv4Addr = Ipv4Addr::new(127, 0, 92, 1);

/// Clients that ask without a pause until told to stop; returns how many answers came and which were not 200.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    clients: Vec<tokio::task::JoinHandle<Vec<String>>>,
}

impl Load {
    fn start(address: SocketAddr, clients: usize) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicU64::new(0));
        let clients = (0..clients)
            .map(|_| {
                let (stop, answered) = (stop.clone(), answered.clone());
                tokio::spawn(async move {
                    let mut failures = Vec::new();
                    let mut client = Client::connect(address).await;
                    while !stop.load(Ordering::Relaxed) {
                        match client.get("web.localhost", "/").await {
                            Some(answer) if answer.status == 200 => {
                                answered.fetch_add(1, Ordering::Relaxed);
                                if answer.header("connection") == Some("close") {
                                    client = Client::connect(address).await;
                                }
                            }
                            other => {
                                failures.push(format!("{other:?}"));
                                client = Client::connect(address).await;
                            }
                        }
                    }
                    failures
                })
            })
            .collect();
        Load {
            stop,
            answered,
            clients,
        }
    }

    fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    async fn more(&self, count: u64) {
        let goal = self.answered() + count;
        until("more answers", || self.answered() >= goal).await;
    }

    async fn finish(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        let mut failures = Vec::new();
        for client in self.clients {
            failures.extend(client.await.unwrap());
        }
        failures
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_update_under_load_fails_no_request() {
    let mut backends = vec![Backend::start("1").await, Backend::start("2").await];
    let addresses = |backends: &[Backend]| backends.iter().map(|backend| backend.address).collect::<Vec<_>>();
    let port = free_port(OWN);
    let (edge, _) = run_fixed(config(1, OWN, port, &addresses(&backends)), None)
        .await
        .unwrap();
    until_health(&edge, "healthy").await;
    let load = Load::start((OWN, port).into(), 4);
    load.more(100).await;
    for round in 0..5_u64 {
        // A new target joins, an old one drains, then dies.
        backends.push(Backend::start(&format!("{}", round + 3)).await);
        edge.apply_config(config(round * 3 + 2, OWN, port, &addresses(&backends)))
            .await
            .unwrap();
        until_health(&edge, "healthy").await;
        let mut draining = config(round * 3 + 3, OWN, port, &addresses(&backends));
        let group = draining.target_groups.get_mut(GROUP).unwrap();
        group.targets[0].draining_since = Some(Time::from_ms(1));
        edge.apply_config(draining).await.unwrap();
        load.more(50).await;
        let old = backends.remove(0);
        edge.apply_config(config(round * 3 + 4, OWN, port, &addresses(&backends)))
            .await
            .unwrap();
        old.die();
        load.more(50).await;
    }
    let answered = load.answered();
    let failures = load.finish().await;
    assert!(
        failures.is_empty(),
        "{} of {answered} failed: {:?}",
        failures.len(),
        failures.first()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn targets_that_die_without_notice_fail_no_request() {
    let backends = [
        Backend::start("1").await,
        Backend::start("2").await,
        Backend::start("3").await,
    ];
    let addresses: Vec<_> = backends.iter().map(|backend| backend.address).collect();
    let port = free_port(OWN);
    let (edge, _) = run_fixed(config(1, OWN, port, &addresses), None).await.unwrap();
    until_health(&edge, "healthy").await;
    let load = Load::start((OWN, port).into(), 4);
    load.more(100).await;
    backends[0].die();
    load.more(200).await;
    backends[1].die();
    load.more(200).await;
    let failures = load.finish().await;
    assert!(failures.is_empty(), "{} failed: {:?}", failures.len(), failures.first());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listeners_come_and_go_and_requests_in_flight_finish() {
    let backend = Backend::start("a").await;
    let (first, second) = (free_port(OWN), free_port(OWN));
    let (edge, _) = run_fixed(config(1, OWN, first, &[backend.address]), None)
        .await
        .unwrap();
    until_health(&edge, "healthy").await;
    let slow = tokio::spawn(async move { get((OWN, first).into(), "x", "/held").await });
    until("the slow request is at the target", || backend.requests() == 1).await;
    let applied = edge
        .apply_config(config(2, OWN, second, &[backend.address]))
        .await
        .unwrap();
    assert!(applied.failed.is_empty(), "{applied:?}");
    assert_eq!(get((OWN, second).into(), "x", "/").await.status, 200);
    until("the old port refuses", || {
        std::net::TcpStream::connect((OWN, first)).is_err()
    })
    .await;
    backend.release();
    let answer = slow.await.unwrap();
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert!(
        edge.apply_config(config(1, OWN, first, &[])).await.is_err(),
        "an older generation is refused"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_taken_port_is_reported_and_taken_over_when_it_is_free() {
    let port = free_port(OWN);
    let squatter = std::net::TcpListener::bind((OWN, port)).unwrap();
    let backend = Backend::start("a").await;
    let (edge, _) = run_fixed(config(1, OWN, port, &[backend.address]), None).await.unwrap();
    let applied = edge
        .apply_config(config(1, OWN, port, &[backend.address]))
        .await
        .unwrap();
    assert_eq!(applied.failed.len(), 1);
    assert!(applied.failed[0].1.contains("failed to listen"), "{applied:?}");
    drop(squatter);
    until("the port is taken", || {
        std::net::TcpStream::connect_timeout(&(OWN, port).into(), Duration::from_millis(100)).is_ok()
    })
    .await;
    assert_eq!(get((OWN, port).into(), "x", "/").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_moves_with_its_reasons() {
    let backend = Backend::start("a").await;
    let port = free_port(OWN);
    let (edge, _) = run_fixed(config(1, OWN, port, &[backend.address]), None).await.unwrap();
    until_health(&edge, "healthy").await;
    backend.status.store(500, Ordering::SeqCst);
    until_health(&edge, "unhealthy").await;
    // On a busy machine a check may be too late once: what the next one says counts.
    until_reason(&edge, "Target.ResponseCodeMismatch").await;
    assert_eq!(
        edge.health()[0].description.as_deref(),
        Some("Health checks failed with these codes: [500]")
    );
    assert_eq!(
        get((OWN, port).into(), "x", "/").await.status,
        500,
        "without a healthy target it fails open"
    );
    backend.status.store(200, Ordering::SeqCst);
    until_health(&edge, "healthy").await;

    let mut draining = config(2, OWN, port, &[backend.address]);
    draining.target_groups.get_mut(GROUP).unwrap().targets[0].draining_since = Some(Time::from_ms(1));
    edge.apply_config(draining).await.unwrap();
    until_health(&edge, "draining").await;
    assert_eq!(
        edge.health()[0].reason.as_deref(),
        Some("Target.DeregistrationInProgress")
    );
    assert_eq!(
        get((OWN, port).into(), "x", "/").await.status,
        503,
        "a draining target gets no new request"
    );

    let mut unused = config(3, OWN, port, &[backend.address]);
    unused.load_balancers.clear();
    edge.apply_config(unused).await.unwrap();
    until_health(&edge, "unused").await;
    assert_eq!(edge.health()[0].reason.as_deref(), Some("Target.NotInUse"));

    edge.apply_config(config(4, OWN, port, &[backend.address]))
        .await
        .unwrap();
    until_health(&edge, "healthy").await;
    backend.die();
    until_health(&edge, "unhealthy").await;
    until_reason(&edge, "Target.FailedHealthChecks").await;
}

async fn until_reason(edge: &honmaru_edge::Edge, reason: &str) {
    until(reason, || edge.health()[0].reason.as_deref() == Some(reason)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_starter_stays_initial_and_then_is_healthy_at_once() {
    let address = std::net::SocketAddrV4::new(Ipv4Addr::LOCALHOST, free_port(Ipv4Addr::LOCALHOST));
    let mut config = config(1, OWN, free_port(OWN), &[address]);
    config.target_groups.get_mut(GROUP).unwrap().health_check.interval_s = 300;
    let (edge, _) = run_fixed(config, None).await.unwrap();
    until_health(&edge, "initial").await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(edge.health()[0].reason.as_deref(), Some("Elb.InitialHealthChecking"));
    let _backend = Backend::start_at("late", address).await;
    until_health(&edge, "healthy").await;
}

/// What `control` would say and hear.
struct Control {
    lines: tokio::io::Lines<BufReader<tokio::net::unix::OwnedReadHalf>>,
    writer: tokio::net::unix::OwnedWriteHalf,
}

impl Control {
    async fn accept(listener: &UnixListener) -> Control {
        let (stream, _): (UnixStream, _) = tokio::time::timeout(PATIENCE, listener.accept())
            .await
            .unwrap()
            .unwrap();
        let (reader, writer) = stream.into_split();
        Control {
            lines: BufReader::new(reader).lines(),
            writer,
        }
    }

    async fn say(&mut self, message: &ToEdge) {
        let mut line = serde_json::to_vec(message).unwrap();
        line.push(b'\n');
        self.writer.write_all(&line).await.unwrap();
    }

    async fn hear(&mut self) -> FromEdge {
        let line = tokio::time::timeout(PATIENCE, self.lines.next_line())
            .await
            .unwrap()
            .unwrap();
        serde_json::from_str(&line.expect("a line")).unwrap()
    }

    async fn hear_until(&mut self, mut fits: impl FnMut(&FromEdge) -> bool) -> FromEdge {
        loop {
            let message = self.hear().await;
            if fits(&message) {
                return message;
            }
        }
    }
}

fn run_config(state: &Path, http: SocketAddr, kept: Arc<dyn KeptSockets>) -> EdgeRunConfig {
    EdgeRunConfig {
        state_dir: state.to_owned(),
        planes_socket: None,
        entry: EntryAddresses {
            http: Some(http),
            https: None,
        },
        name: "test".into(),
        kept,
    }
}

fn edge(state: &Path, http: SocketAddr) -> (tokio::sync::oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let config = run_config(state, http, Arc::new(NothingKept));
    let task = tokio::spawn(async move {
        run(config, async move {
            let _ = stopped.await;
        })
        .await
        .unwrap();
    });
    (stop, task)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_follows_control_and_serves_without_it_after_a_restart() {
    let state = tempfile::tempdir().unwrap();
    std::fs::create_dir(state.path().join("run")).unwrap();
    let socket = state.path().join("run/planes.sock");
    let shared: SocketAddr = (Ipv4Addr::LOCALHOST, free_port(Ipv4Addr::LOCALHOST)).into();
    let backend = Backend::start("a").await;
    let wanted: EdgeConfig = config(7, OWN, free_port(OWN), &[backend.address]);

    // The edge is there before control is.
    let (stop, running) = edge(state.path(), shared);
    let listener = UnixListener::bind(&socket).unwrap();
    let mut control = Control::accept(&listener).await;
    assert!(matches!(control.hear().await, FromEdge::Hello(hello) if hello.role == "edge"));
    assert!(matches!(control.hear().await, FromEdge::Health(all) if all.is_empty()));
    control.say(&ToEdge::Config(Box::new(wanted.clone()))).await;
    control
        .hear_until(|m| matches!(m, FromEdge::Applied(a) if a.generation == 7 && a.failed.is_empty()))
        .await;
    control
        .hear_until(|m| matches!(m, FromEdge::HealthChanged(rows) if rows.iter().any(|row| row.state == "healthy")))
        .await;
    assert_eq!(get(shared, "web.localhost", "/").await.status, 200);
    // An older one is refused; what serves stays.
    control
        .say(&ToEdge::Config(Box::new(EdgeConfig {
            generation: 3,
            ..EdgeConfig::default()
        })))
        .await;
    control
        .hear_until(|m| matches!(m, FromEdge::Applied(a) if a.generation == 7))
        .await;
    // Control dies: traffic goes on.
    drop(control);
    drop(listener);
    std::fs::remove_file(&socket).unwrap();
    assert_eq!(get(shared, "web.localhost", "/").await.status, 200);
    stop.send(()).unwrap();
    running.await.unwrap();

    // A restarted edge serves what it remembers, before control is back.
    let (stop, running) = edge(state.path(), shared);
    until("it listens again", || std::net::TcpStream::connect(shared).is_ok()).await;
    assert_eq!(get(shared, "web.localhost", "/").await.status, 200);
    let listener = UnixListener::bind(&socket).unwrap();
    let mut control = Control::accept(&listener).await;
    control.hear().await;
    let FromEdge::Health(rows) = control.hear().await else {
        panic!("health follows hello")
    };
    assert_eq!(
        (rows.len(), rows[0].state.as_str()),
        (1, "healthy"),
        "the known health is not lost"
    );
    stop.send(()).unwrap();
    running.await.unwrap();
}

/// Holds second descriptors, as whoever starts an edge does.
#[derive(Default)]
struct Shelf {
    kept: Mutex<BTreeMap<SocketAddr, OwnedFd>>,
}

impl Shelf {
    fn addresses(&self) -> Vec<SocketAddr> {
        self.kept.lock().unwrap().keys().copied().collect()
    }
}

impl KeptSockets for Shelf {
    fn take(&self, address: SocketAddr) -> Option<OwnedFd> {
        Some(self.kept.lock().unwrap().get(&address)?.try_clone().unwrap())
    }

    fn keep(&self, address: SocketAddr, socket: BorrowedFd<'_>) {
        let socket = socket.try_clone_to_owned().unwrap();
        self.kept.lock().unwrap().insert(address, socket);
    }

    fn release(&self, address: SocketAddr) {
        self.kept.lock().unwrap().remove(&address);
    }

    fn settle(&self) {}

    fn leave(&self) {}
}

/// An edge that can be killed: nothing of it runs any more, no word is said, its descriptors are closed.
struct Mortal(tokio::runtime::Runtime);

impl Mortal {
    fn start(config: EdgeRunConfig) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        runtime.spawn(run(config, std::future::pending()));
        Self(runtime)
    }

    async fn kill(self) {
        tokio::task::spawn_blocking(move || self.0.shutdown_timeout(Duration::from_secs(10)))
            .await
            .unwrap();
    }
}

fn is_refused(address: SocketAddr) -> bool {
    std::net::TcpStream::connect(address).is_err()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_wait_for_the_next_edge() {
    let state = tempfile::tempdir().unwrap();
    std::fs::create_dir(state.path().join("edge")).unwrap();
    let remember = |config: &EdgeConfig| {
        std::fs::write(
            state.path().join("edge/config.json"),
            serde_json::to_vec(config).unwrap(),
        )
        .unwrap();
    };
    let backend = Backend::start("a").await;
    let shared: SocketAddr = (Ipv4Addr::LOCALHOST, free_port(Ipv4Addr::LOCALHOST)).into();
    let (first, second) = (free_port(OWN), free_port(OWN));
    let (own, other): (SocketAddr, SocketAddr) = ((OWN, first).into(), (OWN, second).into());
    let shelf = Arc::new(Shelf::default());
    let start = || Mortal::start(run_config(state.path(), shared, shelf.clone()));
    remember(&config(1, OWN, first, &[backend.address]));
    let mut edge = start();
    until("it listens", || !is_refused(shared) && !is_refused(own)).await;
    for address in [shared, own] {
        assert_eq!(get(address, "web.localhost", "/").await.status, 200);
    }
    for _ in 0..3 {
        edge.kill().await;
        let mut waiting = Vec::new();
        for address in [shared, own, shared, own] {
            // Nobody is refused.
            let mut client = Client::connect(address).await;
            waiting.push(tokio::spawn(async move { client.get("web.localhost", "/").await }));
        }
        edge = start();
        for client in waiting {
            assert_eq!(client.await.unwrap().expect("an answer").status, 200);
        }
    }
    edge.kill().await;
    // Meanwhile the listener was moved: nobody waits at the old address.
    assert!(!is_refused(own), "as long as nobody decided, connections wait");
    remember(&config(2, OWN, second, &[backend.address]));
    let edge = start();
    until("the new address serves", || !is_refused(other)).await;
    assert_eq!(get(other, "web.localhost", "/").await.status, 200);
    assert_eq!(get(shared, "web.localhost", "/").await.status, 200);
    let mut wanted = [shared, own, other];
    wanted.sort_unstable();
    assert_eq!(
        shelf.addresses(),
        wanted,
        "what to do with sockets nobody took is the keeper's matter"
    );
    edge.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_listener_refuses_though_its_socket_is_kept() {
    let state = tempfile::tempdir().unwrap();
    std::fs::create_dir(state.path().join("run")).unwrap();
    let shared: SocketAddr = (Ipv4Addr::LOCALHOST, free_port(Ipv4Addr::LOCALHOST)).into();
    let (first, second) = (free_port(OWN), free_port(OWN));
    let (own, other): (SocketAddr, SocketAddr) = ((OWN, first).into(), (OWN, second).into());
    let backend = Backend::start("a").await;
    let shelf = Arc::new(Shelf::default());
    let planes = UnixListener::bind(state.path().join("run/planes.sock")).unwrap();
    let edge = Mortal::start(run_config(state.path(), shared, shelf.clone()));
    let mut control = Control::accept(&planes).await;
    control
        .say(&ToEdge::Config(Box::new(config(1, OWN, first, &[backend.address]))))
        .await;
    control
        .hear_until(|m| matches!(m, FromEdge::Applied(a) if a.generation == 1 && a.failed.is_empty()))
        .await;
    assert_eq!(get(own, "web.localhost", "/").await.status, 200);
    // Somebody else has a descriptor as well, who never closes it.
    let second_descriptor = shelf.take(own).expect("it is kept");
    let slow = tokio::spawn(async move { get(own, "x", "/held").await });
    until("the slow request is at the target", || backend.requests() == 2).await;
    control
        .say(&ToEdge::Config(Box::new(config(2, OWN, second, &[backend.address]))))
        .await;
    control
        .hear_until(|m| matches!(m, FromEdge::Applied(a) if a.generation == 2 && a.failed.is_empty()))
        .await;
    assert!(is_refused(own), "at once");
    assert!(!shelf.addresses().contains(&own), "the keeper was told");
    backend.release();
    let answer = slow.await.unwrap();
    assert_eq!(
        (answer.status, answer.header("connection")),
        (200, Some("close")),
        "what was in flight is answered"
    );
    // The address is free for the next listener, whoever has what was the former one.
    control
        .say(&ToEdge::Config(Box::new(config(3, OWN, first, &[backend.address]))))
        .await;
    control
        .hear_until(|m| matches!(m, FromEdge::Applied(a) if a.generation == 3 && a.failed.is_empty()))
        .await;
    assert_eq!(get(own, "web.localhost", "/").await.status, 200);
    assert!(is_refused(other));
    drop(second_descriptor);
    edge.kill().await;
}
