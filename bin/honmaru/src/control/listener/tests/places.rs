//! Places for connections: of all addresses, and of one.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_all_places_are_taken_idle_connections_make_room() {
    let limits = Limits {
        connections_max: 4,
        idle: Duration::from_secs(3_600),
        head: Duration::from_secs(3_600),
        idle_when_full: SHORT * 2,
        ..limits()
    };
    let endpoint = Endpoint::start(limits).await;
    let mut idle = Vec::new();
    for _ in 0..4 {
        let mut client = Client::new(endpoint.connect().await);
        assert_eq!(client.ask("/").await.expect("an answer").status, 200);
        idle.push(client);
    }
    let asked = timeout(SOON, endpoint.ask("/")).await;
    assert_eq!(asked.expect("nobody made room"), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_all_places_are_busy_a_further_client_waits_and_is_answered_later() {
    let limits = Limits {
        connections_max: 4,
        idle_when_full: SHORT * 10,
        ..limits()
    };
    let endpoint = Arc::new(Endpoint::start(limits).await);
    let began = Instant::now();
    let busy: Vec<_> = (0..20)
        .map(|_| {
            let endpoint = endpoint.clone();
            tokio::spawn(async move { endpoint.ask("/slow/200").await })
        })
        .collect();
    for task in busy {
        assert_eq!(
            timeout(SOON, task).await.expect("it waits for ever").expect("no panic"),
            200
        );
    }
    assert!(endpoint.load.most.load(Ordering::SeqCst) <= 4);
    assert!(began.elapsed() >= Duration::from_millis(800), "they did not wait");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_cannot_take_all_places() {
    let limits = Limits {
        connections_per_address_max: 3,
        idle_when_full: SOON * 10,
        ..patient()
    };
    let endpoint = Endpoint::start(limits).await;
    let from = async |host: u8| {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.bind(([127, 0, 0, host], 0).into()).expect("it is loopback");
        Client::new(socket.connect(endpoint.address).await.expect("it listens"))
    };
    let mut kept = Vec::new();
    for _ in 0..3 {
        let mut client = from(2).await;
        assert_eq!(client.ask("/").await.expect("an answer").status, 200);
        kept.push(client);
    }
    assert!(from(2).await.ask("/").await.is_err(), "a fourth is answered");
    assert_eq!(from(3).await.ask("/").await.expect("another's answer").status, 200);
    kept.pop();
    let freed = async {
        while from(2).await.ask("/").await.is_err() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, freed)
        .await
        .expect("a place that is left is not given again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_make_room_for_others_of_their_address() {
    let limits = Limits {
        connections_per_address_max: 3,
        ..patient()
    };
    let endpoint = Endpoint::start(limits).await;
    let mut idle = Vec::new();
    for _ in 0..3 {
        let mut client = Client::new(endpoint.connect().await);
        assert_eq!(client.ask("/").await.expect("an answer").status, 200);
        idle.push(client);
    }
    let asked = async {
        while Client::new(endpoint.connect().await).ask("/").await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(SOON, asked).await.expect("nobody made room");
}
