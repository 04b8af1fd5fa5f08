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
