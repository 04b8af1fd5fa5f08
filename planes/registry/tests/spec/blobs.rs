//! Push: blobs.

use crate::support::Server;
use honmaru_images::{Algorithm, Digest};
use honmaru_registry::Action;
use std::time::Duration;

#[tokio::test]
async fn post_must_answer_202_with_a_location_and_put_must_answer_201() {
    let server = Server::start().await;
    let begun = server.call("POST", "/v2/app/blobs/uploads/", &[], b"").await;
    assert_eq!(begun.status, 202);
    // The location must have a UUID of the upload.
    let id = begun.header("location").strip_prefix("/v2/app/blobs/uploads/").unwrap();
    let is_uuid = |text: &str| {
        let lengths: Vec<usize> = text.split('-').map(str::len).collect();
        lengths == [8, 4, 4, 4, 12] && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
    };
    assert!(id.get(..36).is_some_and(is_uuid), "{id}");
    let another = server.call("POST", "/v2/app/blobs/uploads/", &[], b"").await;
    assert_ne!(another.header("location"), begun.header("location"));
    assert_eq!(
        server.call("DELETE", another.header("location"), &[], b"").await.status,
        204
    );
    let digest = Digest::sha256(b"content");
    let done = server
        .call(
            "PUT",
            &format!("{}?digest={digest}", begun.header("location")),
            &[],
            b"content",
        )
        .await;
    assert_eq!(done.status, 201);
    assert_eq!(done.header("location"), format!("/v2/app/blobs/{digest}"));
    assert_eq!(
        server.call("GET", done.header("location"), &[], b"").await.text(),
        "content"
    );
    assert_eq!(server.upload_files(), 0);
}

#[tokio::test]
async fn a_blob_may_be_pushed_by_one_post() {
    let server = Server::start().await;
    let digest = Digest::sha256(b"content");
    let done = server
        .call(
            "POST",
            &format!("/v2/app/blobs/uploads/?digest={digest}"),
            &[],
            b"content",
        )
        .await;
    assert_eq!(
        (done.status.as_u16(), done.header("docker-content-digest")),
        (201, digest.as_str())
    );
    let wrong = server
        .call(
            "POST",
            &format!("/v2/app/blobs/uploads/?digest={digest}"),
            &[],
            b"other",
        )
        .await;
    assert_eq!((wrong.status.as_u16(), wrong.code().as_str()), (400, "DIGEST_INVALID"));
    assert_eq!(server.upload_files(), 0);
}

#[tokio::test]
async fn chunks_must_be_in_order_and_out_of_order_must_answer_416() {
    let server = Server::start().await;
    let begun = server
        .call("POST", "/v2/app/blobs/uploads/", &[("content-length", "0")], b"")
        .await;
    let location = begun.header("location").to_owned();
    // The first chunk must begin with 0.
    let late = server
        .call("PATCH", &location, &[("content-range", "1-4")], b"1234")
        .await;
    assert_eq!(
        (late.status.as_u16(), late.code().as_str()),
        (416, "BLOB_UPLOAD_INVALID")
    );
    let first = server
        .call("PATCH", &location, &[("content-range", "0-3")], b"0123")
        .await;
    assert_eq!((first.status.as_u16(), first.header("range")), (202, "0-3"));
    assert_eq!(first.header("location"), location);
    let again = server
        .call("PATCH", &location, &[("content-range", "0-3")], b"0123")
        .await;
    assert_eq!((again.status.as_u16(), again.header("range")), (416, "0-3"));
    assert_eq!(again.header("location"), location);
    let gap = server
        .call("PATCH", &location, &[("content-range", "8-9")], b"89")
        .await;
    assert_eq!(gap.status, 416);
    // Status of an upload: 204 with Location and Range.
    let status = server.call("GET", &location, &[], b"").await;
    assert_eq!((status.status.as_u16(), status.header("range")), (204, "0-3"));
    assert_eq!(status.header("location"), location);
    let second = server
        .call("PATCH", &location, &[("content-range", "4-6")], b"456")
        .await;
    assert_eq!((second.status.as_u16(), second.header("range")), (202, "0-6"));
    let digest = Digest::sha256(b"0123456789");
    let last = format!("{location}?digest={digest}");
    let gap = server.call("PUT", &last, &[("content-range", "8-9")], b"89").await;
    assert_eq!((gap.status.as_u16(), gap.header("range")), (416, "0-6"));
    let done = server.call("PUT", &last, &[("content-range", "7-9")], b"789").await;
    assert_eq!(
        (done.status.as_u16(), done.header("location")),
        (201, &*format!("/v2/app/blobs/{digest}"))
    );
    // The session is closed.
    let closed = server.call("GET", &location, &[], b"").await;
    assert_eq!(
        (closed.status.as_u16(), closed.code().as_str()),
        (404, "BLOB_UPLOAD_UNKNOWN")
    );
    assert_eq!(
        server
            .call("GET", &format!("/v2/app/blobs/{digest}"), &[], b"")
            .await
            .text(),
        "0123456789"
    );
}

#[tokio::test]
async fn a_chunk_whose_length_contradicts_its_range_is_refused() {
    let server = Server::start().await;
    let begun = server.call("POST", "/v2/app/blobs/uploads/", &[], b"").await;
    let wrong = server
        .call("PATCH", begun.header("location"), &[("content-range", "0-9")], b"short")
        .await;
    assert_eq!((wrong.status.as_u16(), wrong.code().as_str()), (400, "SIZE_INVALID"));
    let malformed = server
        .call("PATCH", begun.header("location"), &[("content-range", "x")], b"a")
        .await;
    assert_eq!(malformed.status, 416);
}

#[tokio::test]
async fn an_upload_may_be_streamed_in_one_patch_without_a_range() {
    let server = Server::start().await;
    let begun = server.call("POST", "/v2/app/blobs/uploads/", &[], b"").await;
    let content = vec![5; 3_000_000];
    let patched = server.call("PATCH", begun.header("location"), &[], &content).await;
    assert_eq!((patched.status.as_u16(), patched.header("range")), (202, "0-2999999"));
    let digest = Digest::sha256(&content);
    let done = server
        .call(
            "PUT",
            &format!("{}?digest={digest}", patched.header("location")),
            &[],
            b"",
        )
        .await;
    assert_eq!(done.status, 201);
}

#[tokio::test]
async fn a_truncated_upload_is_resumed_where_it_broke() {
    use tokio::io::AsyncWriteExt;
    let server = Server::start().await;
    let begun = server.call("POST", "/v2/app/blobs/uploads/", &[], b"").await;
    let location = begun.header("location").to_owned();
    let mut stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let head = format!("PATCH {location} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n12345");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    loop {
        let status = server.call("GET", &location, &[], b"").await;
        if status.headers.get("range").is_some_and(|range| range == "0-4") {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "what arrived was not kept");
        tokio::task::yield_now().await;
    }
    let digest = Digest::sha256(b"123456789");
    let url = format!("{location}?digest={digest}");
    let mut done = server.call("PUT", &url, &[("content-range", "5-8")], b"6789").await;
    while done.status == 409 {
        // The broken request's connection may still be closing.
        assert!(std::time::Instant::now() < deadline);
        done = server.call("PUT", &url, &[("content-range", "5-8")], b"6789").await;
    }
    assert_eq!(done.status, 201, "{}", done.text());
}

#[tokio::test]
async fn a_wrong_digest_must_be_refused_and_leaves_no_trace() {
    let server = Server::start().await;
    let begun = server.call("POST", "/v2/app/blobs/uploads/", &[], b"").await;
    let wrong = Digest::sha256(b"other");
    let refused = server
        .call(
            "PUT",
            &format!("{}?digest={wrong}", begun.header("location")),
            &[],
            b"content",
        )
        .await;
    assert_eq!(
        (refused.status.as_u16(), refused.code().as_str()),
        (400, "DIGEST_INVALID")
    );
    assert_eq!(server.upload_files(), 0);
    assert_eq!(
        server.call("GET", begun.header("location"), &[], b"").await.code(),
        "BLOB_UPLOAD_UNKNOWN"
    );
    let begun = server.call("POST", "/v2/app/blobs/uploads/", &[], b"").await;
    for bad in ["", "?digest=", "?digest=md5:abc", "?digest=sha256:xyz"] {
        let refused = server
            .call("PUT", &format!("{}{bad}", begun.header("location")), &[], b"")
            .await;
        assert_eq!(
            (refused.status.as_u16(), refused.code().as_str()),
            (400, "DIGEST_INVALID"),
            "{bad}"
        );
    }
}

#[tokio::test]
async fn an_upload_is_cancelled_by_delete_and_belongs_to_its_repository() {
    let server = Server::start().await;
    let begun = server.call("POST", "/v2/app/blobs/uploads/", &[], b"").await;
    let elsewhere = begun.header("location").replace("/v2/app/", "/v2/other/");
    server.push_blob("other", b"x").await;
    assert_eq!(
        server.call("PATCH", &elsewhere, &[], b"x").await.code(),
        "BLOB_UPLOAD_UNKNOWN"
    );
    assert_eq!(
        server.call("DELETE", begun.header("location"), &[], b"").await.status,
        204
    );
    let gone = server.call("PATCH", begun.header("location"), &[], b"x").await;
    assert_eq!(
        (gone.status.as_u16(), gone.code().as_str()),
        (404, "BLOB_UPLOAD_UNKNOWN")
    );
    assert_eq!(server.upload_files(), 0);
}

#[tokio::test]
async fn a_blob_is_mounted_with_201_or_the_upload_begins_with_202() {
    let server = Server::start().await;
    let digest = server.push_blob("one", b"content").await;
    let mount = |from: &str| format!("/v2/two/blobs/uploads/?mount={digest}{from}");
    let mounted = server.call("POST", &mount("&from=one"), &[], b"").await;
    assert_eq!(
        (mounted.status.as_u16(), mounted.header("location")),
        (201, &*format!("/v2/two/blobs/{digest}"))
    );
    assert_eq!(
        server.call("GET", mounted.header("location"), &[], b"").await.text(),
        "content"
    );
    // Unknown, forbidden or absent sources look alike: the client uploads.
    for from in ["&from=three", "&from=denied/one", "&from=UPPER"] {
        let begun = server.call("POST", &mount(from), &[], b"").await;
        assert_eq!(begun.status, 202, "{from}");
        let end = format!("{}?digest={digest}", begun.header("location"));
        assert_eq!(server.call("PUT", &end, &[], b"content").await.status, 201, "{from}");
    }
    let malformed = server
        .call("POST", "/v2/two/blobs/uploads/?mount=x&from=one", &[], b"")
        .await;
    assert_eq!(malformed.status, 400);
}

#[tokio::test]
async fn a_mount_without_a_source_takes_the_blob_from_where_the_caller_may_read_it() {
    let server = Server::start().await;
    let digest = server.push_blob("one", b"content").await;
    let to = |repository: &str| format!("/v2/{repository}/blobs/uploads/?mount={digest}");
    let mounted = server.call("POST", &to("two"), &[], b"").await;
    assert_eq!(
        (mounted.status.as_u16(), mounted.header("location")),
        (201, &*format!("/v2/two/blobs/{digest}"))
    );
    assert_eq!(
        server.call("GET", mounted.header("location"), &[], b"").await.text(),
        "content"
    );
    // What nobody may read, and what nobody has, is uploaded.
    server.memory.denied.lock().unwrap().push(Action::BlobRead);
    assert_eq!(server.call("POST", &to("three"), &[], b"").await.status, 202);
    server.memory.denied.lock().unwrap().clear();
    let other = to("three").replace(digest.as_str(), Digest::sha256(b"other").as_str());
    assert_eq!(server.call("POST", &other, &[], b"").await.status, 202);
    *server.memory.no_mounts.lock().unwrap() = true;
    assert_eq!(server.call("POST", &to("four"), &[], b"").await.status, 202);
}

#[tokio::test]
async fn a_whole_upload_in_one_request_needs_the_permission_for_each_of_its_steps() {
    let server = Server::start().await;
    let digest = Digest::sha256(b"content");
    let whole = format!("/v2/app/blobs/uploads/?digest={digest}");
    let deny = |action| *server.memory.denied.lock().unwrap() = vec![action];
    for action in [Action::UploadBegin, Action::UploadPart, Action::UploadComplete] {
        deny(action.clone());
        let refused = server.call("POST", &whole, &[], b"content").await;
        assert_eq!(
            (refused.status.as_u16(), refused.code().as_str()),
            (403, "DENIED"),
            "{action:?}"
        );
    }
    assert_eq!(server.upload_files(), 0);
    // The last bytes may come with the PUT: they are a part of the upload as well.
    deny(Action::Ping);
    let begun = server.call("POST", "/v2/app/blobs/uploads/", &[], b"").await;
    let end = format!("{}?digest={digest}", begun.header("location"));
    deny(Action::UploadPart);
    assert_eq!(server.call("PUT", &end, &[], b"content").await.status, 403);
    deny(Action::Ping);
    assert_eq!(
        server
            .call("PATCH", begun.header("location"), &[], b"content")
            .await
            .status,
        202
    );
    deny(Action::UploadPart);
    assert_eq!(server.call("PUT", &end, &[], b"").await.status, 201);
}

#[tokio::test]
async fn blobs_may_have_sha512_digests() {
    let server = Server::start().await;
    let digest = Digest::of(Algorithm::Sha512, b"content");
    let begun = server
        .call("POST", "/v2/app/blobs/uploads/?digest-algorithm=sha512", &[], b"")
        .await;
    let done = server
        .call(
            "PUT",
            &format!("{}?digest={digest}", begun.header("location")),
            &[],
            b"content",
        )
        .await;
    assert_eq!(
        (done.status.as_u16(), done.header("docker-content-digest")),
        (201, digest.as_str())
    );
    assert_eq!(
        server
            .call("GET", &format!("/v2/app/blobs/{digest}"), &[], b"")
            .await
            .text(),
        "content"
    );
    let unknown = server
        .call("POST", "/v2/app/blobs/uploads/?digest-algorithm=md5", &[], b"")
        .await;
    assert_eq!(unknown.status, 400);
}
