//! How long a client may be silent, slow, or unwilling to read.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_asks_for_nothing_loses_its_place() {
    let endpoint = Endpoint::start(limits()).await;
    let openings: [&[u8]; 6] = [
        b"",
        b"P",
        b"PRI * HTTP/2.0\r\n\r\nS",
        b"POST / HTTP/1.1\r\nHost: loc",
        &begin_http2(),
        // Headers that never end: END_HEADERS is missing.
        &[begin_http2(), frame(HEADERS, 0, 1, &get())].concat(),
    ];
    futures_util::future::join_all(openings.map(|opening| {
        let endpoint = &endpoint;
        async move {
            let began = Instant::now();
            let mut stream = endpoint.connect().await;
            stream.write_all(opening).await.expect("it is open");
            until_closed(&mut stream).await;
            let took = began.elapsed();
            assert!(took >= SHORT / 2, "{opening:?} was closed after {took:?} already");
        }
    }))
    .await;
    assert_eq!(endpoint.load.begun.load(Ordering::SeqCst), 0, "nobody has asked yet");
    assert_eq!(endpoint.ask("/").await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_trickles_its_head_loses_its_place() {
    let endpoint = Endpoint::start(limits()).await;
    let (mut from, mut to) = endpoint.connect().await.into_split();
    let trickle = tokio::spawn(async move {
        let _ = to.write_all(b"GET / HTTP/1.1\r\n").await;
        for n in 0..10_000 {
            if to.write_all(format!("X-{n}: y\r\n").as_bytes()).await.is_err() {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    });
    let mut said = Vec::new();
    let closed = timeout(SOON, from.read_to_end(&mut said)).await;
    assert!(closed.is_ok(), "it is never done and keeps its place");
    trickle.abort();
    assert_eq!(endpoint.load.begun.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_are_closed_after_their_time() {
    let endpoint = Endpoint::start(limits()).await;
    let mut client = Client::new(endpoint.connect().await);
    let mut last = Instant::now();
    for _ in 0..3 {
        match client.ask("/").await {
            Ok(answer) => assert_eq!(answer.status, 200),
            // The machine stood still for longer than a connection may be idle.
            Err(error) => {
                assert!(last.elapsed() >= SHORT / 2, "{error}");
                client = Client::new(endpoint.connect().await);
            }
        }
        last = Instant::now();
        sleep(Duration::from_millis(100)).await;
    }
    assert!(until_closed(&mut client.stream).await.is_empty());
    // HTTP/2, with pings that are no work.
    let mut stream = endpoint.connect().await;
    stream.write_all(&begin_http2()).await.expect("it is open");
    stream
        .write_all(&frame(HEADERS, 5, 1, &get()))
        .await
        .expect("it is open");
    let (mut from, mut to) = stream.into_split();
    let pings = tokio::spawn(async move {
        while to.write_all(&frame(PING, 0, 0, &[0; 8])).await.is_ok() {
            sleep(Duration::from_millis(20)).await;
        }
    });
    let mut said = Vec::new();
    let closed = timeout(SOON, from.read_to_end(&mut said)).await;
    assert!(closed.is_ok(), "pings keep a place");
    pings.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_call_is_not_idle() {
    let endpoint = Endpoint::start(limits()).await;
    let mut client = Client::new(endpoint.connect().await);
    let answer = client.ask("/slow/2500").await.expect("an answer");
    // Its connection may stay: it is idle from here on only.
    assert!(answer.status == 200 && !answer.closes, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_nobody_takes_is_given_up_and_a_slow_reader_gets_all() {
    let limits = Limits {
        idle: Duration::from_secs(2),
        ..limits()
    };
    let endpoint = Endpoint::start(limits.clone()).await;
    let ask = b"GET /big HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let mut stuck = endpoint.connect().await;
    stuck.write_all(ask).await.expect("it is open");
    let mut slow = endpoint.connect().await;
    slow.write_all(ask).await.expect("it is open");
    let (began, mut read, mut part) = (Instant::now(), 0, vec![0; 1024 * 1024]);
    // At least 64 reads.
    while let n @ 1.. = slow.read(&mut part).await.expect("the answer goes on") {
        read += n;
        sleep(Duration::from_millis(70)).await;
    }
    assert!(read >= BIG_BYTES, "only {read} bytes came");
    assert!(
        began.elapsed() > 2 * limits.idle,
        "it was not slow enough to show anything"
    );
    // By now the other one was given up: only what the kernel had taken comes.
    sleep(Duration::from_secs(1)).await;
    assert!(until_closed(&mut stuck).await.len() < BIG_BYTES);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_nobody_takes_is_given_up_on_http2_too() {
    let endpoint = Endpoint::start(limits()).await;
    let mut stream = endpoint.connect().await;
    let path = [&[0x82, 0x86, 0x41, 9][..], b"localhost", &[0x44, 4], b"/big"].concat();
    let ask = [begin_http2(), frame(HEADERS, 5, 1, &path)].concat();
    stream.write_all(&ask).await.expect("it is open");
    // No window is ever opened beyond the first 64 KiB, though everything is read.
    let said = until_closed(&mut stream).await;
    assert!(said.len() > 60_000 && said.len() < 100_000, "{} bytes", said.len());
}
