//! The end of the endpoint, while requests are worked on.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_under_load_fails_no_request() {
    // The end is what is tested: nobody loses its place before for being slow, and whoever keeps a connection has some
    // time for its next request.
    let limits = Limits {
        head: SOON,
        idle: SOON,
        linger: Duration::from_secs(3),
        ..limits()
    };
    let endpoint = Endpoint::start(limits.clone()).await;
    let (address, is_over) = (endpoint.address, Arc::new(AtomicBool::new(false)));
    let mut clients = Vec::new();
    for n in 0..12 {
        let is_over = is_over.clone();
        // Half of them keep their connections, half open one for each request.
        clients.push(tokio::spawn(async move {
            let (keeps, mut answered) = (n % 2 == 0, 0);
            let mut kept: Option<Client> = None;
            loop {
                let mut client = match kept.take() {
                    Some(client) => client,
                    None => match TcpStream::connect(address).await {
                        Ok(stream) => Client::new(stream),
                        Err(error) => {
                            assert!(is_over.load(Ordering::SeqCst), "refused too early: {error}");
                            return answered;
                        }
                    },
                };
                let answer = client.ask(&format!("/slow/{}", n * 3)).await.expect("a request failed");
                assert_eq!(answer.status, 200);
                answered += 1;
                if keeps && !answer.closes {
                    kept = Some(client);
                }
            }
        }));
    }
    let loaded = async {
        while endpoint.load.begun.load(Ordering::SeqCst) <= 100 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, loaded).await.expect("there is no load");
    let long = {
        let mut client = Client::new(endpoint.connect().await);
        tokio::spawn(async move { client.ask("/slow/1500").await.map(|answer| answer.status) })
    };
    let begun = endpoint.load.begun.load(Ordering::SeqCst);
    let more = async {
        while endpoint.load.begun.load(Ordering::SeqCst) < begun + 40 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, more).await.expect("the load goes on");
    is_over.store(true, Ordering::SeqCst);
    let load = endpoint.load.clone();
    let (all, took) = endpoint.end().await;
    assert!(all && took < limits.drain, "{all} after {took:?}");
    assert_eq!(long.await.expect("no panic").expect("the long request failed"), 200);
    let mut answered = 1;
    for client in clients {
        answered += timeout(SOON, client).await.expect("it ends").expect("no panic");
    }
    assert_eq!(
        answered,
        load.begun.load(Ordering::SeqCst),
        "whoever was heard was answered"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_comes_in_time_though_a_request_does_not() {
    let limits = Limits {
        drain: Duration::from_millis(800),
        ..limits()
    };
    let endpoint = Endpoint::start(limits).await;
    let mut client = Client::new(endpoint.connect().await);
    let hangs = tokio::spawn(async move { client.ask("/slow/60000").await.is_err() });
    while endpoint.load.begun.load(Ordering::SeqCst) == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    let (all, took) = endpoint.end().await;
    assert!(!all, "it cannot have been answered");
    assert!(
        took >= Duration::from_millis(700) && took < Duration::from_secs(40),
        "{took:?}"
    );
    hangs.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_end_http2_is_told_to_go_and_its_requests_are_answered() {
    let endpoint = Endpoint::start(limits()).await;
    let (mut sender, driver) = http2(&endpoint).await;
    let request = Request::get("http://localhost/slow/600")
        .body(Empty::new())
        .expect("a request");
    let asked = tokio::spawn(async move { sender.send_request(request).await.map(|answer| answer.status()) });
    while endpoint.load.begun.load(Ordering::SeqCst) == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    let (all, took) = endpoint.end().await;
    assert!(all && took < limits().drain, "{all} after {took:?}");
    assert_eq!(asked.await.expect("no panic").expect("an answer"), StatusCode::OK);
    timeout(SOON, driver)
        .await
        .expect("the connection ends")
        .expect("no panic");
}
