//! Goal: a Network Load Balancer's listener spreads connections over target groups by weight, and clients keep to one
//! where they shall.
//! Method: raw connections from addresses of 127.0.0.0/8, which is the client's address that stickiness looks at.

mod support;

use honmaru_contract::edge::{Action, EdgeConfig};
use honmaru_edge::{Edge, run_fixed};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

const OWN: Ipv4Addr = Ipv4Addr::new(127, 0, 94, 1);
const CLIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 94, 2);

struct World {
    edge: Arc<Edge>,
    config: EdgeConfig,
    own: SocketAddr,
    backends: [Backend; 2],
}

impl World {
    /// A TCP listener before two groups of one target each, `a` and `b`.
    async fn start(weights: [u32; 2], stickiness_s: Option<u32>) -> World {
        let backends = [Backend::start("a").await, Backend::start("b").await];
        let port = free_port(OWN);
        let mut config = config(1, OWN, port, &[backends[0].address]);
        config
            .target_groups
            .insert(GROUP_B.into(), group(&[backends[1].address]));
        for group in config.target_groups.values_mut() {
            group.protocol = "TCP".into();
            group.health_check.protocol = "TCP".into();
            group.health_check.enabled = false;
        }
        config.load_balancers.get_mut(BALANCER).unwrap().listeners[0].protocol = "TCP".into();
        weigh(&mut config, weights, stickiness_s);
        let (edge, _) = run_fixed(config.clone(), None).await.unwrap();
        let own = (OWN, port).into();
        World {
            edge,
            config,
            own,
            backends,
        }
    }

    async fn change(&mut self, weights: [u32; 2], stickiness_s: Option<u32>) {
        self.config.generation += 1;
        weigh(&mut self.config, weights, stickiness_s);
        self.edge.apply_config(self.config.clone()).await.unwrap();
    }

    /// Who answers a new connection from there.
    async fn ask(&self, from: Ipv4Addr) -> String {
        let mut stream = connect(self.own, from).await;
        said(&mut stream).await.unwrap()
    }

    async fn count_of_b(&self, connections: usize) -> usize {
        let mut count = 0;
        for _ in 0..connections {
            count += usize::from(self.ask(CLIENT).await == "b");
        }
        count
    }
}

fn weigh(config: &mut EdgeConfig, weights: [u32; 2], stickiness_s: Option<u32>) {
    let listener = &mut config.load_balancers.get_mut(BALANCER).unwrap().listeners[0];
    listener.rules = vec![rule(Action::Forward {
        groups: vec![(GROUP.into(), weights[0]), (GROUP_B.into(), weights[1])],
        stickiness_s,
    })];
}

async fn connect(own: SocketAddr, from: Ipv4Addr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    socket.connect(own).await.unwrap()
}

/// Asks over the connection who is there; nothing when it is closed.
async fn said(stream: &mut TcpStream) -> Option<String> {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.ok()?;
    let mut head = Vec::new();
    let mut byte = [0];
    loop {
        if stream.read(&mut byte).await.ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
        // The body is "a 0 /".
        if head.ends_with(b" 0 /") {
            let body = head.iter().rposition(|byte| *byte == b'\n')? + 1;
            return Some(char::from(*head.get(body)?).to_string());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_go_by_weight() {
    let mut world = World::start([3, 1], None).await;
    let count = world.count_of_b(200).await;
    assert!((25..80).contains(&count), "a quarter of 200: {count}");
    world.change([1, 1], None).await;
    let count = world.count_of_b(200).await;
    assert!((70..130).contains(&count), "a half of 200: {count}");
    world.change([0, 1], None).await;
    assert_eq!(world.count_of_b(20).await, 20);
    let [a, b] = &world.backends;
    assert_eq!(a.requests() + b.requests(), 420);

    // Nobody has weight: connections are closed.
    world.change([0, 0], None).await;
    assert_eq!(said(&mut connect(world.own, CLIENT).await).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_weights_are_for_new_connections_and_none_closes_old_ones() {
    let mut world = World::start([1, 0], None).await;
    let mut of_a = connect(world.own, CLIENT).await;
    assert_eq!(said(&mut of_a).await.as_deref(), Some("a"));
    world.change([1, 999], None).await;
    assert_eq!(said(&mut of_a).await.as_deref(), Some("a"), "it lives on");
    let mut of_b = connect(world.own, CLIENT).await;
    assert_eq!(said(&mut of_b).await.as_deref(), Some("b"));

    world.change([0, 999], None).await;
    let mut rest = Vec::new();
    // Closed with a FIN or a reset.
    let _ = of_a.read_to_end(&mut rest).await;
    assert_eq!(rest, b"");
    assert_eq!(said(&mut of_b).await.as_deref(), Some("b"), "the other one lives on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_keeps_to_its_group() {
    let mut world = World::start([1, 1], Some(3_600)).await;
    let clients: Vec<Ipv4Addr> = (2..42).map(|last| Ipv4Addr::new(127, 0, 95, last)).collect();
    let mut chosen = Vec::new();
    for client in &clients {
        let first = world.ask(*client).await;
        for _ in 0..3 {
            assert_eq!(world.ask(*client).await, first, "{client}");
        }
        chosen.push(first);
    }
    let of_b = chosen.iter().filter(|name| *name == "b").count();
    assert!((8..33).contains(&of_b), "a half of 40: {of_b}");

    world.change([3, 1], Some(3_600)).await;
    for (client, before) in clients.iter().zip(&chosen) {
        if before == "a" {
            assert_eq!(
                world.ask(*client).await,
                "a",
                "nobody leaves the group that gained weight"
            );
        }
    }
    world.change([0, 1], Some(3_600)).await;
    for client in &clients {
        assert_eq!(world.ask(*client).await, "b");
    }
}
