//! What only a client of HTTP/2 can do too much of.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_at_once_have_a_limit_and_all_are_answered() {
    let limits = Limits {
        streams_max: 8,
        ..limits()
    };
    let endpoint = Endpoint::start(limits).await;
    let (mut sender, _driver) = http2(&endpoint).await;
    // With the first answer the client knows the limit.
    let first = Request::get("http://localhost/").body(Empty::new()).expect("a request");
    sender.send_request(first).await.expect("an answer");
    let asked: Vec<_> = (0..100)
        .map(|_| {
            let mut sender = sender.clone();
            tokio::spawn(async move {
                sender.ready().await.expect("it is open");
                let request = Request::get("http://localhost/slow/20")
                    .body(Empty::new())
                    .expect("a request");
                let answer = sender.send_request(request).await.expect("an answer");
                assert_eq!(answer.version(), Version::HTTP_2);
                answer.status().as_u16()
            })
        })
        .collect();
    for task in asked {
        assert_eq!(timeout(SOON, task).await.expect("an answer").expect("no panic"), 200);
    }
    assert!(endpoint.load.most.load(Ordering::SeqCst) <= 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_are_reset_at_once_end_the_connection() {
    let endpoint = Endpoint::start(limits()).await;
    let mut frames = Vec::new();
    for n in 0..20_000 {
        let stream = 2 * n + 1;
        frames.extend(frame(HEADERS, 5, stream, &get()));
        frames.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
    }
    let said = flood(&endpoint, frames).await;
    let begun = endpoint.load.begun.load(Ordering::SeqCst);
    assert!(begun < 5_000, "{begun} of 20,000 requests were begun");
    // 11: ENHANCE_YOUR_CALM, in a GOAWAY, unless the reset of the connection overtook it.
    let calm = said
        .windows(17)
        .any(|window| window[3] == GOAWAY && window[13..17] == 11_u32.to_be_bytes());
    assert!(calm || said.len() < 4_096, "{said:?}");
    assert_eq!(endpoint.ask("/").await, 200);
}

/// Sends frames of HTTP/2 after the preface, and waits until the connection is ended; returns what was said.
async fn flood(endpoint: &Endpoint, frames: Vec<u8>) -> Vec<u8> {
    let (mut from, mut to) = endpoint.connect().await.into_split();
    let flooding = tokio::spawn(async move {
        let _ = to.write_all(&[begin_http2(), frames].concat()).await;
        // It stays open from here.
        sleep(SOON).await;
    });
    let (mut said, mut part) = (Vec::new(), [0; 4_096]);
    let ended = async {
        while let Ok(n @ 1..) = from.read(&mut part).await {
            said.extend_from_slice(&part[..n]);
        }
    };
    timeout(SOON, ended).await.expect("it is not ended");
    flooding.abort();
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_never_ends_is_given_up_on_http2() {
    let endpoint = Endpoint::start(patient()).await;
    // Each frame is sound and none is the last: what they hold must not be kept, however many come.
    let field = [&[0, 3][..], b"x-a", &[127, 0x81, 0x7e], &[b'a'; 16_256]].concat();
    let mut frames = frame(HEADERS, 1, 1, &get());
    frames.extend(frame(CONTINUATION, 0, 1, &field).repeat(200));
    flood(&endpoint, frames).await;
    // The same with nothing in them.
    let mut frames = frame(HEADERS, 1, 1, &get());
    frames.extend(frame(CONTINUATION, 0, 1, &[]).repeat(50_000));
    flood(&endpoint, frames).await;
    assert_eq!(endpoint.load.begun.load(Ordering::SeqCst), 0);
    assert_eq!(endpoint.ask("/").await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_head_that_unpacks_to_a_large_one_begins_nothing() {
    let endpoint = Endpoint::start(limits()).await;
    // A field of 4,000 bytes goes into the table, and is then meant 12,000 times by one byte each: 48 MB.
    let field = [&[0x40, 1][..], b"x", &[127, 0xa1, 0x1e], &[b'a'; 4_000]].concat();
    let head = [get(), field, vec![0xbe; 12_000]].concat();
    let (first, rest) = head.split_at(16_000);
    let mut frames = frame(HEADERS, 1, 1, first);
    frames.extend(frame(CONTINUATION, 4, 1, rest));
    frames.extend(frame(PING, 0, 0, &[7; 8]));
    let mut stream = endpoint.connect().await;
    let sent = [begin_http2(), frames].concat();
    stream.write_all(&sent).await.expect("it is open");
    let said = until_closed(&mut stream).await;
    // Refused, or the connection was ended.
    assert!(said.len() < 4_096, "{} bytes", said.len());
    assert_eq!(endpoint.load.begun.load(Ordering::SeqCst), 0);
    assert_eq!(endpoint.ask("/").await, 200);
}

/// Streams that the client makes the server reset: its own count of resets does not see them. Ref: CVE-2025-8671.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_the_server_has_to_reset_end_the_connection() {
    let endpoint = Endpoint::start(patient()).await;
    let mut frames = Vec::new();
    for n in 0..20_000 {
        let stream = 2 * n + 1;
        frames.extend(frame(HEADERS, 5, stream, &get()));
        frames.extend(frame(WINDOW_UPDATE, 0, stream, &[0; 4]));
    }
    flood(&endpoint, frames).await;
    let begun = endpoint.load.begun.load(Ordering::SeqCst);
    assert!(begun < 5_000, "{begun} of 20,000 requests were begun");
    assert_eq!(endpoint.ask("/").await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_of_pings_and_settings_end_with_their_connection() {
    let endpoint = Endpoint::start(limits()).await;
    for kind in [PING, SETTINGS] {
        let payload: &[u8] = if kind == PING { &[0; 8] } else { &[0, 4, 0, 0, 255, 255] };
        let flood = frame(kind, 0, 0, payload).repeat(10_000);
        let mut stream = endpoint.connect().await;
        stream.write_all(&begin_http2()).await.expect("it is open");
        // Never read: the answers fill the kernel's buffers, then nothing more is taken.
        let flooded = async { while stream.write_all(&flood).await.is_ok() {} };
        let other = async {
            for _ in 0..20 {
                assert_eq!(endpoint.ask("/").await, 200);
            }
        };
        let ended = timeout(SOON, async { tokio::join!(flooded, other) }).await;
        assert!(ended.is_ok(), "a flood of frames {kind} keeps its place");
    }
}
