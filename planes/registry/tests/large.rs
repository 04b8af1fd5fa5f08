//! Blobs that are read ahead while they are sent arrive byte for byte, whole and in parts, and nothing goes on when their
//! reader goes away.

#[path = "support/mod.rs"]
mod support;

use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioExecutor;
use std::time::Duration;
use support::Server;

/// Bytes that are alike nowhere: multiples of an odd number.
fn content(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    for (n, word) in (1u64..).zip(bytes.chunks_mut(8)) {
        word.copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()[..word.len()]);
    }
    bytes
}

#[tokio::test]
async fn a_large_blob_arrives_whole_in_parts_and_by_halves() {
    let server = Server::start().await;
    let length = 5 * 1024 * 1024 + 12_345;
    let content = content(length);
    let digest = server.push_blob("app", &content).await;
    let path = format!("/v2/app/blobs/{digest}");
    let whole = server.call("GET", &path, &[], b"").await;
    assert_eq!((whole.status.as_u16(), whole.body.len()), (200, length));
    assert!(whole.body == content);
    // Read ahead, and too short for that.
    for from in [1, length - 300_000] {
        let range = format!("bytes={from}-{}", length - 1);
        let part = server.call("GET", &path, &[("range", &range)], b"").await;
        assert_eq!(part.status.as_u16(), 206);
        assert!(part.body == content[from..], "{range}");
    }
    readers_that_go_away_leave_nothing(&server, &path, digest.hex()).await;
}

async fn readers_that_go_away_leave_nothing(server: &Server, path: &str, name: &str) {
    let open = || {
        let files = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        let blobs = server.dir.path().join("images");
        let paths = files.filter_map(|file| std::fs::read_link(file.path()).ok());
        paths
            .filter(|path| path.starts_with(&blobs) && path.ends_with(name))
            .count()
    };
    for _ in 0..3 {
        let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build_http();
        let request = Request::get(format!("http://{}{path}", server.address));
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let mut answer = client.request(request).await.unwrap();
        answer.body_mut().frame().await.unwrap().unwrap();
        assert!(open() > 0);
    }
    for _ in 0..500 {
        if open() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{} files of the blob are still open", open());
}
