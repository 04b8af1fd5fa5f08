//! Heads and bodies, on either version of HTTP.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_follows_a_request_in_chunks_is_no_request() {
    let endpoint = Endpoint::start(limits()).await;
    // Whoever goes by the length sees one request here, whoever goes by the chunks two.
    for length in ["Content-Length: 40\r\n", ""] {
        let head = format!("POST /body HTTP/1.1\r\nHost: a\r\n{length}Transfer-Encoding: chunked\r\n\r\n");
        let both = format!("{head}2\r\nab\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut stream = endpoint.connect().await;
        stream.write_all(both.as_bytes()).await.expect("it is open");
        let said = String::from_utf8_lossy(&until_closed(&mut stream).await).to_lowercase();
        assert!(
            said.contains("connection: close") && said.ends_with("\r\n\r\n2"),
            "{said}"
        );
        assert_eq!(said.matches("http/1.1 200").count(), 1, "{said}");
    }
    assert_eq!(endpoint.load.begun.load(Ordering::SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_have_a_limit() {
    let endpoint = Endpoint::start(limits()).await;
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX-A: {}\r\n\r\n", "a".repeat(100_000));
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X-A: a\r\n".repeat(5_000));
    for head in [long, many] {
        let mut stream = endpoint.connect().await;
        // It may be refused before everything was sent.
        let _ = stream.write_all(head.as_bytes()).await;
        let said = until_closed(&mut stream).await;
        assert!(
            said.is_empty() || said.starts_with(b"HTTP/1.1 431"),
            "{}",
            String::from_utf8_lossy(&said)
        );
    }
    let (mut sender, _driver) = http2(&endpoint).await;
    let large = Request::get("http://localhost/")
        .header("x-a", "a".repeat(100_000))
        .body(Empty::<Bytes>::new())
        .expect("a request");
    let answered = timeout(SOON, sender.send_request(large)).await.expect("an end");
    assert!(answered.map_or(true, |answer| answer.status()
        == StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
    assert_eq!(endpoint.load.begun.load(Ordering::SeqCst), 0);
    assert_eq!(endpoint.ask("/").await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_is_taken_as_it_comes() {
    let endpoint = Endpoint::start(limits()).await;
    let stream = TokioIo::new(endpoint.connect().await);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.expect("HTTP/1.1");
    let driver = tokio::spawn(connection);
    let request = Request::post("/body")
        .header(header::HOST, "localhost")
        .body(Full::new(Bytes::from(vec![b'x'; 1_000_000])))
        .expect("a request");
    let answer = sender.send_request(request).await.expect("an answer");
    let body = answer.into_body().collect().await.expect("a body").to_bytes();
    assert_eq!(body.as_ref(), b"1000000");
    driver.abort();
}
