//! A mirror's tags follow upstream's, when it is time to look.

mod support;

use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use support::Server;

#[tokio::test]
async fn a_moved_tag_is_followed_when_a_check_is_due_and_no_sooner() {
    let (origin, mirror) = (Server::start().await, Server::start().await);
    let old = origin.push_image("team/app", "v1", b"old layer").await;
    *mirror.memory.upstream.lock().unwrap() = Some(origin.address.to_string());
    let get = async || mirror.call("GET", "/v2/team/app/manifests/v1", &[], b"").await.body;
    assert_eq!(get().await, old);
    let new = origin.push_image("team/app", "v1", b"new layer").await;
    assert_eq!(get().await, old, "no check is due");
    *mirror.memory.checks.lock().unwrap() = 1;
    assert_eq!(get().await, new);
    // A check that finds nothing new changes nothing.
    *mirror.memory.checks.lock().unwrap() = 1;
    assert_eq!(get().await, new);
}

#[tokio::test]
async fn what_is_cached_is_served_when_upstream_is_away_or_has_it_no_more() {
    let (origin, mirror) = (Server::start().await, Server::start().await);
    let image = origin.push_image("team/app", "v1", b"layer").await;
    *mirror.memory.upstream.lock().unwrap() = Some(origin.address.to_string());
    let get = async || mirror.call("GET", "/v2/team/app/manifests/v1", &[], b"").await;
    assert_eq!(get().await.body, image);
    let gone = origin.call("DELETE", "/v2/team/app/manifests/v1", &[], b"").await;
    assert_eq!(gone.status, 202);
    *mirror.memory.checks.lock().unwrap() = 1;
    assert_eq!(get().await.body, image, "upstream has no such tag any more");
    // Nobody listens on port 1.
    *mirror.memory.upstream.lock().unwrap() = Some("127.0.0.1:1".to_owned());
    *mirror.memory.checks.lock().unwrap() = 1;
    let answer = get().await;
    assert_eq!((answer.status.as_u16(), answer.body), (200, image.into()));
}

/// A registry that answers every request with one status; its address.
async fn always(status: u16) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = service_fn(move |_| async move {
                let response = http::Response::builder().status(status);
                Ok::<_, Infallible>(response.body(Full::new(bytes::Bytes::new())).unwrap())
            });
            let served = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
            tokio::spawn(served);
        }
    });
    address
}

#[tokio::test]
async fn what_upstream_answers_is_told_to_the_client() {
    let mirror = Server::start().await;
    for (status, expected) in [
        (404, (404, "MANIFEST_UNKNOWN")),
        (403, (403, "DENIED")),
        (429, (429, "TOOMANYREQUESTS")),
        (418, (502, "UNKNOWN")),
    ] {
        *mirror.memory.upstream.lock().unwrap() = Some(always(status).await);
        let answer = mirror.call("GET", "/v2/team/app/manifests/v1", &[], b"").await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), expected, "{status}");
        assert_eq!(
            answer.headers.contains_key("retry-after"),
            expected.0 == 429,
            "{status}"
        );
    }
}

#[tokio::test]
async fn a_mirror_comes_to_be_when_upstream_has_something_for_it() {
    let (origin, mirror) = (Server::start().await, Server::start().await);
    origin.push_image("team/app", "v1", b"layer").await;
    *mirror.memory.upstream.lock().unwrap() = Some(origin.address.to_string());
    let get = async |path: &str| mirror.call("GET", path, &[], b"").await.status.as_u16();
    for path in ["/v2/team/typo/manifests/v1", "/v2/team/app/manifests/typo"] {
        assert_eq!(get(path).await, 404, "{path}");
    }
    assert_eq!(*mirror.memory.made.lock().unwrap(), [""; 0]);
    assert_eq!(get("/v2/team/app/manifests/v1").await, 200);
    assert_eq!(*mirror.memory.made.lock().unwrap(), ["team/app"]);
}

/// A registry whose one layer never ends; its address.
async fn endless(manifest: Vec<u8>) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let manifest = manifest.clone();
            tokio::spawn(async move {
                let mut head = [0; 4_096];
                let read = stream.read(&mut head).await.unwrap_or(0);
                let asked = String::from_utf8_lossy(&head[..read]).into_owned();
                let config = honmaru_images::Digest::sha256(b"{}").to_string();
                let body = match () {
                    () if asked.contains("/manifests/") => manifest,
                    () if asked.contains(&config) => b"{}".to_vec(),
                    () => {
                        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
                        while stream.write_all(&[0; 65_536]).await.is_ok() {}
                        return;
                    }
                };
                let head = format!(
                    "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(&[head.into_bytes(), body].concat()).await;
            });
        }
    });
    address
}

/// Goal: an upstream registry cannot fill the disk, and leaves nothing there. Method: it says five bytes and does not end.
#[tokio::test]
async fn no_more_is_taken_of_a_layer_than_its_manifest_says() {
    let mirror = Server::start().await;
    *mirror.memory.upstream.lock().unwrap() = Some(endless(support::manifest(b"layer", "")).await);
    let pull = mirror.call("GET", "/v2/team/app/manifests/v1", &[], b"");
    let answer = tokio::time::timeout(std::time::Duration::from_secs(20), pull).await;
    let answer = answer.expect("it does not wait for the end");
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (502, "SIZE_INVALID"));
    assert_eq!(mirror.upload_files(), 0, "nothing is left over");
}

/// A registry that answers a request by the first of these whose text is in its path, with a status and a body; its
/// address.
async fn canned(answers: Vec<(String, u16, Vec<u8>)>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let answers = std::sync::Arc::new(answers);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answers = answers.clone();
            let answer = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let found = answers.iter().find(|(text, ..)| request.uri().path().contains(text));
                let (status, body) = found.map_or((404, Vec::new()), |(_, status, body)| (*status, body.clone()));
                let response = http::Response::builder().status(status);
                std::future::ready(Ok::<_, Infallible>(
                    response.body(Full::new(bytes::Bytes::from(body))).unwrap(),
                ))
            });
            let served = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
            tokio::spawn(served);
        }
    });
    address
}

/// Goal: a first pull that fails by upstream's fault says so, and leaves no mirror behind. Method: upstreams that answer
/// with an image that is not whole, in each way; then one that is, whose layers are more than are fetched at a time.
#[tokio::test]
async fn a_pull_that_upstream_fails_makes_no_mirror_and_is_upstreams_fault() {
    let layer = honmaru_images::Digest::sha256(b"layer").to_string();
    let manifest = support::manifest(b"layer", "");
    let config = ("/blobs/".to_owned(), 200, b"{}".to_vec());
    let image = |status: u16, body: &[u8]| {
        vec![
            ("/manifests/".to_owned(), 200, manifest.clone()),
            (layer.clone(), status, body.to_vec()),
            config.clone(),
        ]
    };
    for (why, answers, expected) in [
        ("another layer", image(200, b"lay3r"), "UNKNOWN"),
        ("half a layer", image(200, b"lay"), "SIZE_INVALID"),
        ("no layer", image(404, b""), "MANIFEST_BLOB_UNKNOWN"),
        ("an error", image(500, b""), "UNKNOWN"),
        (
            "no manifest",
            vec![("/manifests/".to_owned(), 200, b"{}".to_vec())],
            "UNKNOWN",
        ),
    ] {
        let mirror = Server::start().await;
        *mirror.memory.upstream.lock().unwrap() = Some(canned(answers).await);
        let answer = mirror.call("GET", "/v2/team/app/manifests/v1", &[], b"").await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (502, expected),
            "{why}"
        );
        assert_eq!(*mirror.memory.made.lock().unwrap(), [""; 0], "{why}");
        assert_eq!(mirror.upload_files(), 0, "{why}");
    }
    // A digest that names other bytes.
    let mirror = Server::start().await;
    *mirror.memory.upstream.lock().unwrap() = Some(canned(image(200, b"layer")).await);
    let other = honmaru_images::Digest::sha256(b"other");
    let answer = mirror
        .call("GET", &format!("/v2/team/app/manifests/{other}"), &[], b"")
        .await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (502, "UNKNOWN"));
    assert_eq!(*mirror.memory.made.lock().unwrap(), [""; 0]);
    let answer = mirror.call("GET", "/v2/team/app/manifests/v1", &[], b"").await;
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, &manifest[..]));
    assert_eq!(mirror.memory.made.lock().unwrap()[0], "team/app");
}

/// Goal: an upstream that sends a byte now and then does not hold a pull for ever. Method: short limits.
#[tokio::test]
async fn an_upstream_that_trickles_is_given_up() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = [0; 4_096];
                let _ = stream.read(&mut head).await;
                let _ = stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4000\r\n\r\n")
                    .await;
                while stream.write_all(b" ").await.is_ok() {
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                }
            });
        }
    });
    let remotes = honmaru_images::Remotes::new(honmaru_images::RemoteLimits {
        slow_window: std::time::Duration::from_millis(200),
        window_bytes_min: 1_000,
        loopback: honmaru_images::Loopback::Open,
        ..honmaru_images::RemoteLimits::default()
    });
    let named: honmaru_images::Reference = format!("{address}/team/app:v1").parse().unwrap();
    let limit = std::time::Duration::from_secs(20);
    let manifest = tokio::time::timeout(limit, remotes.manifest(&named, None, None)).await;
    let slow = |error| matches!(error, honmaru_images::RemoteError::Timeout { .. });
    assert!(manifest.expect("it is given up").is_err_and(slow));
    let digest = honmaru_images::Digest::sha256(b"layer");
    let mut blob = remotes.blob(&named, &digest, None).await.unwrap();
    let ended = async {
        loop {
            match blob.next().await {
                Some(Ok(_)) => {}
                ended => break ended,
            }
        }
    };
    let ended = tokio::time::timeout(limit, ended).await.expect("it is given up");
    assert!(ended.expect("it does not end well").is_err_and(slow));
}
