//! The requirements of the OCI distribution specification 1.1, each a test named after it, over HTTP.
//! Ref: opencontainers/distribution-spec, spec.md, v1.1.

mod support;

use honmaru_images::{Algorithm, Digest, StoreLimits};
use honmaru_registry::Action;
use std::time::Duration;
use support::{Server, manifest};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

// Pull

#[tokio::test]
async fn base_must_answer_200_to_get_v2() {
    let server = Server::start().await;
    let answer = server.call("GET", "/v2/", &[], b"").await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, "{}"));
    assert_eq!(server.call("POST", "/v2/", &[], b"").await.status, 405);
}

#[tokio::test]
async fn get_manifest_must_answer_200_with_the_bytes_and_should_give_digest_and_type() {
    let server = Server::start().await;
    let pushed = server.push_image("app", "v1", b"layer").await;
    let digest = Digest::sha256(&pushed);
    for reference in ["v1", digest.as_str()] {
        let got = server
            .call(
                "GET",
                &format!("/v2/app/manifests/{reference}"),
                &[("accept", MANIFEST)],
                b"",
            )
            .await;
        assert_eq!((got.status.as_u16(), &got.body[..]), (200, &pushed[..]));
        assert_eq!(got.header("docker-content-digest"), digest.as_str());
        assert_eq!(got.header("content-type"), MANIFEST);
        let head = server
            .call("HEAD", &format!("/v2/app/manifests/{reference}"), &[], b"")
            .await;
        assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
        assert_eq!(head.header("content-length"), pushed.len().to_string());
    }
}

#[tokio::test]
async fn get_manifest_must_answer_404_when_it_is_not_found() {
    let server = Server::start().await;
    server.push_image("app", "v1", b"layer").await;
    let missing = server.call("GET", "/v2/app/manifests/nope", &[], b"").await;
    assert_eq!(
        (missing.status.as_u16(), missing.code().as_str()),
        (404, "MANIFEST_UNKNOWN")
    );
    let missing = server.call("HEAD", "/v2/app/manifests/nope", &[], b"").await;
    assert_eq!((missing.status.as_u16(), missing.body.len()), (404, 0));
    let missing = server.call("GET", "/v2/missing/app/manifests/v1", &[], b"").await;
    assert_eq!(
        (missing.status.as_u16(), missing.code().as_str()),
        (404, "NAME_UNKNOWN")
    );
}

#[tokio::test]
async fn get_blob_must_answer_200_with_the_content_and_should_give_its_digest() {
    let server = Server::start().await;
    let content: Vec<u8> = (0..700_000_u32).map(|n| (n % 253) as u8).collect();
    let digest = server.push_blob("app", &content).await;
    let got = server.call("GET", &format!("/v2/app/blobs/{digest}"), &[], b"").await;
    assert_eq!((got.status.as_u16(), got.body == content), (200, true));
    assert_eq!(got.header("docker-content-digest"), digest.as_str());
    let head = server.call("HEAD", &format!("/v2/app/blobs/{digest}"), &[], b"").await;
    assert_eq!((head.header("content-length"), head.body.len()), ("700000", 0));
    let etag = format!("\"{digest}\"");
    let same = server
        .call(
            "GET",
            &format!("/v2/app/blobs/{digest}"),
            &[("if-none-match", &etag)],
            b"",
        )
        .await;
    assert_eq!(same.status, 304);
}

#[tokio::test]
async fn get_blob_must_answer_404_when_it_is_not_found_in_the_repository() {
    let server = Server::start().await;
    let digest = server.push_blob("one", b"content").await;
    server.push_blob("two", b"other").await;
    let elsewhere = server.call("GET", &format!("/v2/two/blobs/{digest}"), &[], b"").await;
    assert_eq!(
        (elsewhere.status.as_u16(), elsewhere.code().as_str()),
        (404, "BLOB_UNKNOWN")
    );
}

#[tokio::test]
async fn head_must_answer_200_and_should_give_digest_and_size_and_404_without_the_content() {
    let server = Server::start().await;
    let pushed = server.push_image("app", "v1", b"layer").await;
    let (manifest, layer) = (Digest::sha256(&pushed), Digest::sha256(b"layer"));
    for (path, digest, size) in [
        ("/v2/app/manifests/v1".to_owned(), &manifest, pushed.len()),
        (format!("/v2/app/manifests/{manifest}"), &manifest, pushed.len()),
        (format!("/v2/app/blobs/{layer}"), &layer, 5),
    ] {
        let head = server.call("HEAD", &path, &[], b"").await;
        assert_eq!((head.status.as_u16(), head.body.len()), (200, 0), "{path}");
        assert_eq!(head.header("docker-content-digest"), digest.as_str(), "{path}");
        assert_eq!(head.header("content-length"), size.to_string(), "{path}");
    }
    let absent = Digest::sha256(b"absent");
    for path in [
        "manifests/v2",
        &format!("manifests/{absent}"),
        &format!("blobs/{absent}"),
    ] {
        let head = server.call("HEAD", &format!("/v2/app/{path}"), &[], b"").await;
        assert_eq!((head.status.as_u16(), head.body.len()), (404, 0), "{path}");
    }
}

#[tokio::test]
async fn names_and_tags_must_match_their_expressions() {
    let server = Server::start().await;
    let image = server.push_image("app", "v1", b"layer").await;
    for name in ["a", "0", "a.b", "a_b", "a__b", "a-b", "a---b", "a/b/c", "a0/b-1/c.2"] {
        server.push_image(name, "v1", b"layer").await;
        let got = server.call("GET", &format!("/v2/{name}/manifests/v1"), &[], b"").await;
        assert_eq!((got.status.as_u16(), got.body == image), (200, true), "{name}");
    }
    for name in [
        "A", "a___b", "a.-b", "a._b", "-a", "a-", "_a", "a_", ".a", "a//b", "a/B", "a:b", "a%20b", "%C3%A4",
    ] {
        let refused = server.call("GET", &format!("/v2/{name}/manifests/v1"), &[], b"").await;
        assert_eq!(
            (refused.status.as_u16(), refused.code().as_str()),
            (400, "NAME_INVALID"),
            "{name}"
        );
    }
    for tag in ["a", "A", "0", "_", "a.b-c_D", &"x".repeat(128)] {
        assert_eq!(server.put_manifest("app", tag, &image).await.status, 201, "{tag}");
        let got = server.call("GET", &format!("/v2/app/manifests/{tag}"), &[], b"").await;
        assert_eq!((got.status.as_u16(), got.body == image), (200, true), "{tag}");
    }
}

#[tokio::test]
async fn get_blob_should_support_the_range_header() {
    let server = Server::start().await;
    let digest = server.push_blob("app", b"0123456789").await;
    let path = format!("/v2/app/blobs/{digest}");
    let part = server.call("GET", &path, &[("range", "bytes=2-5")], b"").await;
    assert_eq!((part.status.as_u16(), part.text().as_str()), (206, "2345"));
    assert_eq!(part.header("content-range"), "bytes 2-5/10");
    let tail = server.call("GET", &path, &[("range", "bytes=7-")], b"").await;
    assert_eq!((tail.status.as_u16(), tail.text().as_str()), (206, "789"));
    let beyond = server.call("GET", &path, &[("range", "bytes=10-20")], b"").await;
    assert_eq!(
        (beyond.status.as_u16(), beyond.header("content-range")),
        (416, "bytes */10")
    );
}

// Push: blobs

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

// Push: manifests

#[tokio::test]
async fn put_manifest_must_answer_201_with_a_location_and_the_digest() {
    let server = Server::start().await;
    server.push_image("app", "v1", b"layer").await;
    let bytes = manifest(b"layer", r#","annotations":{"a":"b"}"#);
    let digest = Digest::sha256(&bytes);
    let put = server.put_manifest("app", digest.as_str(), &bytes).await;
    assert_eq!(
        (put.status.as_u16(), put.header("docker-content-digest")),
        (201, digest.as_str())
    );
    assert_eq!(server.call("GET", put.header("location"), &[], b"").await.body, bytes);
    let long = Digest::of(Algorithm::Sha512, &bytes);
    let put = server.put_manifest("app", long.as_str(), &bytes).await;
    assert_eq!(
        (put.status.as_u16(), put.header("docker-content-digest")),
        (201, long.as_str())
    );
    let wrong = server.put_manifest("app", Digest::sha256(b"x").as_str(), &bytes).await;
    assert_eq!((wrong.status.as_u16(), wrong.code().as_str()), (400, "DIGEST_INVALID"));
}

#[tokio::test]
async fn put_manifest_must_refuse_missing_blobs() {
    let server = Server::start().await;
    server.push_blob("app", b"{}").await;
    let missing = server.put_manifest("app", "v1", &manifest(b"layer", "")).await;
    assert_eq!(
        (missing.status.as_u16(), missing.code().as_str()),
        (404, "MANIFEST_BLOB_UNKNOWN")
    );
    assert_eq!(
        missing.json()["errors"][0]["detail"]["digest"],
        Digest::sha256(b"layer").as_str()
    );
    assert_eq!(server.call("GET", "/v2/app/manifests/v1", &[], b"").await.status, 404);
    let elsewhere = server.push_blob("other", b"layer").await;
    assert_eq!(elsewhere, Digest::sha256(b"layer"));
    let missing = server.put_manifest("app", "v1", &manifest(b"layer", "")).await;
    assert_eq!(missing.status, 404, "a blob of another repository does not count");
    server.push_blob("app", b"layer").await;
    let lie = String::from_utf8(manifest(b"layer", ""))
        .unwrap()
        .replace("\"size\":5", "\"size\":6");
    let wrong = server.put_manifest("app", "v1", lie.as_bytes()).await;
    assert_eq!(
        (wrong.status.as_u16(), wrong.code().as_str()),
        (400, "MANIFEST_INVALID")
    );
}

#[tokio::test]
async fn put_manifest_must_refuse_what_is_no_manifest_and_413_what_is_too_large() {
    let server = Server::start().await;
    server.push_image("app", "v1", b"layer").await;
    for (bytes, kind) in [
        (b"not json".to_vec(), MANIFEST),
        (b"{}".to_vec(), MANIFEST),
        (manifest(b"layer", ""), INDEX),
        (manifest(b"layer", ""), "text/plain"),
        (manifest(b"layer", r#","manifests":[]"#), MANIFEST),
    ] {
        let refused = server
            .call("PUT", "/v2/app/manifests/v2", &[("content-type", kind)], &bytes)
            .await;
        assert_eq!(
            (refused.status.as_u16(), refused.code().as_str()),
            (400, "MANIFEST_INVALID")
        );
    }
    let large = vec![b' '; 4 * 1024 * 1024 + 1];
    let refused = server
        .call("PUT", "/v2/app/manifests/v2", &[("content-type", MANIFEST)], &large)
        .await;
    assert_eq!(refused.status, 413);
    for tag in [".bad", "-bad", &"x".repeat(129), "a%20b"] {
        let refused = server.put_manifest("app", tag, &manifest(b"layer", "")).await;
        assert_eq!(
            (refused.status.as_u16(), refused.code().as_str()),
            (400, "TAG_INVALID"),
            "{tag}"
        );
    }
    let usage = server.registry.usage().await.unwrap();
    assert_eq!(
        (usage.total.blobs, usage.total.uploads),
        (3, 0),
        "no trace of what was refused"
    );
}

#[tokio::test]
async fn a_tag_may_move_and_both_manifests_stay() {
    let server = Server::start().await;
    let first = server.push_image("app", "v1", b"one").await;
    let second = server.push_image("app", "v1", b"two").await;
    assert_eq!(server.call("GET", "/v2/app/manifests/v1", &[], b"").await.body, second);
    let first = format!("/v2/app/manifests/{}", Digest::sha256(&first));
    assert_eq!(server.call("GET", &first, &[], b"").await.status, 200);
}

#[tokio::test]
async fn an_index_is_stored_and_given_back_as_it_is() {
    let server = Server::start().await;
    let child = server.push_image("app", "child", b"layer").await;
    let (digest, size) = (Digest::sha256(&child), child.len());
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{{"mediaType":"{MANIFEST}","digest":"{digest}","size":{size}}}]}}"#
    );
    let put = server
        .call(
            "PUT",
            "/v2/app/manifests/all",
            &[("content-type", INDEX)],
            index.as_bytes(),
        )
        .await;
    assert_eq!(put.status, 201);
    let got = server
        .call("GET", "/v2/app/manifests/all", &[("accept", INDEX)], b"")
        .await;
    assert_eq!((got.text(), got.header("content-type")), (index, INDEX));
}

// Push: subject, and content discovery: referrers

#[tokio::test]
async fn a_manifest_with_a_subject_must_be_accepted_and_listed_as_a_referrer() {
    let server = Server::start().await;
    let subject = server.push_image("app", "v1", b"layer").await;
    let (digest, size) = (Digest::sha256(&subject), subject.len());
    let of = |kind: &str| {
        manifest(
            b"layer",
            &format!(
                r#","artifactType":"{kind}","annotations":{{"k":"{kind}"}},"subject":{{"mediaType":"{MANIFEST}","digest":"{digest}","size":{size}}}"#
            ),
        )
    };
    let (sbom, signature) = (of("application/sbom"), of("application/signature"));
    for bytes in [&sbom, &signature] {
        let put = server.put_manifest("app", Digest::sha256(bytes).as_str(), bytes).await;
        assert_eq!((put.status.as_u16(), put.header("oci-subject")), (201, digest.as_str()));
    }
    let path = format!("/v2/app/referrers/{digest}");
    let all = server.call("GET", &path, &[], b"").await;
    assert_eq!((all.status.as_u16(), all.header("content-type")), (200, INDEX));
    assert_eq!(all.json()["manifests"].as_array().unwrap().len(), 2);
    let one = server
        .call("GET", &format!("{path}?artifactType=application%2Fsbom"), &[], b"")
        .await;
    assert_eq!(one.header("oci-filters-applied"), "artifactType");
    let listed = &one.json()["manifests"][0];
    assert_eq!(listed["digest"], Digest::sha256(&sbom).as_str());
    assert_eq!(listed["artifactType"], "application/sbom");
    assert_eq!(listed["annotations"]["k"], "application/sbom");
    assert_eq!(listed["size"], sbom.len());
    // A subject that is not there must be accepted, and unknown ones have an empty list.
    let absent = Digest::sha256(b"absent");
    let early = manifest(
        b"layer",
        &format!(r#","subject":{{"mediaType":"{MANIFEST}","digest":"{absent}","size":1}}"#),
    );
    assert_eq!(server.put_manifest("app", "early", &early).await.status, 201);
    let listed = server
        .call("GET", &format!("/v2/app/referrers/{absent}"), &[], b"")
        .await;
    assert_eq!(listed.json()["manifests"].as_array().unwrap().len(), 1);
    assert_eq!(
        listed.json()["manifests"][0]["artifactType"],
        "application/vnd.oci.empty.v1+json"
    );
    let nobody = server
        .call("GET", &format!("/v2/app/referrers/{}", Digest::sha256(b"-")), &[], b"")
        .await;
    assert_eq!(
        (
            nobody.status.as_u16(),
            nobody.json()["manifests"].as_array().unwrap().len()
        ),
        (200, 0)
    );
    let malformed = server.call("GET", "/v2/app/referrers/nope", &[], b"").await;
    assert_eq!(malformed.status, 400);
}

#[tokio::test]
async fn an_index_with_a_subject_is_a_referrer_whose_artifact_type_must_be_omitted_when_it_has_none() {
    let server = Server::start().await;
    let child = server.push_image("app", "v1", b"layer").await;
    let (digest, size) = (Digest::sha256(&child), child.len());
    let of = |extra: &str| {
        format!(
            r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[],"annotations":{{"k":"v"}},"subject":{{"mediaType":"{MANIFEST}","digest":"{digest}","size":{size}}}{extra}}}"#
        )
    };
    let (plain, typed) = (of(""), of(r#","artifactType":"application/vnd.example""#));
    for index in [&plain, &typed] {
        let path = format!("/v2/app/manifests/{}", Digest::sha256(index.as_bytes()));
        let put = server
            .call("PUT", &path, &[("content-type", INDEX)], index.as_bytes())
            .await;
        assert_eq!((put.status.as_u16(), put.header("oci-subject")), (201, digest.as_str()));
    }
    let page = server
        .call("GET", &format!("/v2/app/referrers/{digest}"), &[], b"")
        .await;
    let listed = page.json()["manifests"].as_array().unwrap().clone();
    assert_eq!(listed.len(), 2);
    for one in &listed {
        assert_eq!(
            (&one["mediaType"], &one["annotations"]["k"]),
            (&INDEX.into(), &"v".into())
        );
        let is_typed = one["digest"] == Digest::sha256(typed.as_bytes()).as_str();
        let expected = is_typed.then_some(serde_json::json!("application/vnd.example"));
        assert_eq!(one.get("artifactType"), expected.as_ref());
    }
}

#[tokio::test]
async fn a_link_must_be_given_when_the_referrers_do_not_fit_in_one_answer() {
    let server = Server::start().await;
    server.push_image("app", "v1", b"layer").await;
    let subject = Digest::sha256(b"subject");
    let push = async |kind: &str, note: &str| {
        let extra = format!(
            r#","artifactType":"{kind}","annotations":{{"note":"{note}"}},"subject":{{"mediaType":"{MANIFEST}","digest":"{subject}","size":1}}"#
        );
        let bytes = manifest(b"layer", &extra);
        let put = server
            .put_manifest("app", Digest::sha256(&bytes).as_str(), &bytes)
            .await;
        assert_eq!(put.status, 201);
    };
    // Few, but long ones: together they are more than a client need take.
    for n in 0..5 {
        push("application/long", &format!("{n}{}", "x".repeat(1_500_000))).await;
    }
    push("application/short", "").await;
    let walk = async |path: String| {
        let (mut next, mut found, mut pages) = (Some(path), Vec::new(), 0);
        while let Some(path) = next {
            let page = server.call("GET", &path, &[], b"").await;
            assert_eq!((page.status.as_u16(), page.header("content-type")), (200, INDEX));
            assert!(page.body.len() <= 4 * 1024 * 1024, "{} bytes", page.body.len());
            for one in page.json()["manifests"].as_array().unwrap() {
                found.push(one["digest"].as_str().unwrap().to_owned());
            }
            pages += 1;
            next = page.headers.get("link").map(|link| {
                let (url, relation) = link.to_str().unwrap().split_once(">; ").unwrap();
                assert_eq!(relation, r#"rel="next""#);
                url.trim_start_matches('<').to_owned()
            });
        }
        let all = found.len();
        found.dedup();
        (pages, all, found.len())
    };
    assert_eq!(walk(format!("/v2/app/referrers/{subject}")).await, (3, 6, 6));
    let (pages, all, _) = walk(format!("/v2/app/referrers/{subject}?artifactType=application%2Flong")).await;
    assert_eq!((pages, all), (3, 5));
    let (pages, all, _) = walk(format!("/v2/app/referrers/{subject}?artifactType=application%2Fshort")).await;
    assert_eq!((pages, all), (1, 1));
}

// Content discovery: tags

#[tokio::test]
async fn tags_must_be_listed_in_order_with_n_and_last() {
    let server = Server::start().await;
    let bytes = server.push_image("app", "b", b"layer").await;
    for tag in ["c", "a", "B", "d"] {
        assert_eq!(server.put_manifest("app", tag, &bytes).await.status, 201);
    }
    let tags = |answer: &support::Answer| answer.json()["tags"].to_string();
    let all = server.call("GET", "/v2/app/tags/list", &[], b"").await;
    assert_eq!(
        (all.json()["name"].as_str(), tags(&all).as_str()),
        (Some("app"), r#"["B","a","b","c","d"]"#)
    );
    let two = server.call("GET", "/v2/app/tags/list?n=2", &[], b"").await;
    assert_eq!(tags(&two), r#"["B","a"]"#);
    assert_eq!(two.header("link"), r#"</v2/app/tags/list?n=2&last=a>; rel="next""#);
    let next = two
        .header("link")
        .trim_start_matches('<')
        .split('>')
        .next()
        .unwrap()
        .to_owned();
    let rest = server.call("GET", &next, &[], b"").await;
    assert_eq!(tags(&rest), r#"["b","c"]"#);
    let last = server.call("GET", "/v2/app/tags/list?n=10&last=c", &[], b"").await;
    assert_eq!((tags(&last).as_str(), last.headers.get("link")), (r#"["d"]"#, None));
    // A tag that is not there is a mark all the same; beyond the last there is nothing.
    for (last, rest) in [("aaa", r#"["b","c","d"]"#), ("zzz", "[]")] {
        let page = server
            .call("GET", &format!("/v2/app/tags/list?last={last}"), &[], b"")
            .await;
        assert_eq!((page.status.as_u16(), tags(&page).as_str()), (200, rest), "{last}");
    }
    let none = server.call("GET", "/v2/app/tags/list?n=0", &[], b"").await;
    assert_eq!((tags(&none).as_str(), none.headers.get("link")), ("[]", None));
    assert_eq!(server.call("GET", "/v2/app/tags/list?n=x", &[], b"").await.status, 400);
    assert_eq!(
        server.call("GET", "/v2/missing/x/tags/list", &[], b"").await.code(),
        "NAME_UNKNOWN"
    );
}

// Content management

#[tokio::test]
async fn deleting_a_tag_must_leave_the_manifest_and_deleting_a_manifest_must_take_its_tags() {
    let server = Server::start().await;
    let bytes = server.push_image("app", "v1", b"layer").await;
    server.put_manifest("app", "v2", &bytes).await;
    let digest = Digest::sha256(&bytes);
    assert_eq!(
        server.call("DELETE", "/v2/app/manifests/v1", &[], b"").await.status,
        202
    );
    assert_eq!(server.call("GET", "/v2/app/manifests/v1", &[], b"").await.status, 404);
    assert_eq!(
        server
            .call("GET", &format!("/v2/app/manifests/{digest}"), &[], b"")
            .await
            .status,
        200
    );
    assert_eq!(
        server
            .call("DELETE", &format!("/v2/app/manifests/{digest}"), &[], b"")
            .await
            .status,
        202
    );
    assert_eq!(server.call("GET", "/v2/app/manifests/v2", &[], b"").await.status, 404);
    let again = server
        .call("DELETE", &format!("/v2/app/manifests/{digest}"), &[], b"")
        .await;
    assert_eq!(
        (again.status.as_u16(), again.code().as_str()),
        (404, "MANIFEST_UNKNOWN")
    );
    let nowhere = server
        .call("DELETE", &format!("/v2/missing/app/manifests/{digest}"), &[], b"")
        .await;
    assert_eq!(
        (nowhere.status.as_u16(), nowhere.code().as_str()),
        (404, "NAME_UNKNOWN")
    );
}

#[tokio::test]
async fn deleting_a_blob_must_answer_202_and_one_in_use_405() {
    let server = Server::start().await;
    server.push_image("app", "v1", b"layer").await;
    let loose = server.push_blob("app", b"loose").await;
    let path = format!("/v2/app/blobs/{loose}");
    assert_eq!(server.call("DELETE", &path, &[], b"").await.status, 202);
    assert_eq!(server.call("GET", &path, &[], b"").await.status, 404);
    assert_eq!(server.call("DELETE", &path, &[], b"").await.code(), "BLOB_UNKNOWN");
    let used = server
        .call(
            "DELETE",
            &format!("/v2/app/blobs/{}", Digest::sha256(b"layer")),
            &[],
            b"",
        )
        .await;
    assert_eq!((used.status.as_u16(), used.code().as_str()), (405, "UNSUPPORTED"));
}

#[tokio::test]
async fn what_is_deleted_is_collected_and_what_is_needed_stays() {
    let server = Server::start().await;
    let gone = server.push_image("app", "gone", b"gone").await;
    server.push_image("app", "kept", b"kept").await;
    let digest = Digest::sha256(&gone);
    server
        .call("DELETE", &format!("/v2/app/manifests/{digest}"), &[], b"")
        .await;
    server
        .call(
            "DELETE",
            &format!("/v2/app/blobs/{}", Digest::sha256(b"gone")),
            &[],
            b"",
        )
        .await;
    let collected = server.registry.collect(Duration::ZERO, Duration::ZERO).await.unwrap();
    assert_eq!(collected.blobs, 2);
    assert_eq!(server.call("GET", "/v2/app/manifests/kept", &[], b"").await.status, 200);
    let kept = format!("/v2/app/blobs/{}", Digest::sha256(b"kept"));
    assert_eq!(server.call("GET", &kept, &[], b"").await.text(), "kept");
    assert!(server.verify().await.1.is_empty());
}

// Errors

#[tokio::test]
async fn errors_must_have_a_code_and_malformed_names_must_be_refused() {
    let server = Server::start().await;
    for path in [
        "/v2/UPPER/manifests/x",
        "/v2/a..b/tags/list",
        "/v2/a%2F..%2Fb/manifests/x",
        "/v2/-a/blobs/uploads/",
    ] {
        let method = if path.ends_with("uploads/") { "POST" } else { "GET" };
        let refused = server.call(method, path, &[], b"").await;
        assert_eq!(
            (refused.status.as_u16(), refused.code().as_str()),
            (400, "NAME_INVALID"),
            "{path}"
        );
        assert_eq!(refused.header("content-type"), "application/json");
    }
    let denied = server.call("GET", "/v2/denied/app/manifests/v1", &[], b"").await;
    assert_eq!((denied.status.as_u16(), denied.code().as_str()), (403, "DENIED"));
    let method = server.call("POST", "/v2/app/manifests/v1", &[], b"").await;
    assert_eq!((method.status.as_u16(), method.code().as_str()), (405, "UNSUPPORTED"));
    let digest = server.call("GET", "/v2/app/blobs/nope", &[], b"").await;
    assert_eq!(
        digest.code(),
        "NAME_UNKNOWN",
        "a repository that does not exist comes first"
    );
    for path in ["/v2/_oci/ext/discover", "/v2/_catalog/", "/v2/app/_trust/tuf/root.json"] {
        assert_eq!(server.call("GET", path, &[], b"").await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_full_store_answers_507_and_too_many_uploads_429() {
    let limits = StoreLimits {
        total_bytes_max: Some(10),
        uploads_max: 1,
        free_bytes_min: 0,
        ..StoreLimits::default()
    };
    let server = Server::with(limits).await;
    let begun = server.call("POST", "/v2/app/blobs/uploads/", &[], b"").await;
    let many = server.call("POST", "/v2/app/blobs/uploads/", &[], b"").await;
    assert_eq!((many.status.as_u16(), many.code().as_str()), (429, "TOOMANYREQUESTS"));
    assert_eq!(many.header("retry-after"), "5");
    let url = format!(
        "{}?digest={}",
        begun.header("location"),
        Digest::sha256(b"twelve bytes")
    );
    assert_eq!(server.call("PUT", &url, &[], b"twelve bytes").await.status, 507);
    assert_eq!(server.upload_files(), 0);
    server.push_blob("app", b"ten bytes.").await;
    // The disk's reserve is met before the quota: nothing of a whole blob in one request stays then either.
    let reserve = StoreLimits {
        free_bytes_min: u64::MAX,
        ..StoreLimits::default()
    };
    let other = Server::with(reserve).await;
    let url = format!("/v2/app/blobs/uploads/?digest={}", Digest::sha256(b"small"));
    assert_eq!(other.call("POST", &url, &[], b"small").await.status, 507);
    assert_eq!(other.upload_files(), 0);
    let full = server.call("POST", "/v2/app/blobs/uploads/", &[], b"").await;
    let url = format!("{}?digest={}", full.header("location"), Digest::sha256(b"more"));
    assert_eq!(server.call("PUT", &url, &[], b"more").await.status, 507);
}

// Pull-through

#[tokio::test]
async fn a_mirror_fetches_what_it_lacks_verifies_it_and_keeps_it() {
    let (origin, mirror) = (Server::start().await, Server::start().await);
    let pushed = origin.push_image("team/app", "v1", b"layer").await;
    *mirror.memory.upstream.lock().unwrap() = Some(origin.address.to_string());
    let got = mirror.call("GET", "/v2/team/app/manifests/v1", &[], b"").await;
    assert_eq!((got.status.as_u16(), &got.body[..]), (200, &pushed[..]));
    *mirror.memory.upstream.lock().unwrap() = None;
    let layer = mirror
        .call(
            "GET",
            &format!("/v2/team/app/blobs/{}", Digest::sha256(b"layer")),
            &[],
            b"",
        )
        .await;
    assert_eq!(layer.text(), "layer");
    *mirror.memory.upstream.lock().unwrap() = Some(origin.address.to_string());
    assert_eq!(
        mirror.call("GET", "/v2/team/app/manifests/nope", &[], b"").await.status,
        404
    );
    // An upstream that lies about a blob does not get it into the store.
    std::fs::write(origin.registry.store().path(&Digest::sha256(b"layer")), b"lay3r").unwrap();
    let third = Server::start().await;
    *third.memory.upstream.lock().unwrap() = Some(origin.address.to_string());
    let lie = third.call("GET", "/v2/team/app/manifests/v1", &[], b"").await;
    assert_ne!(lie.status, 200);
    assert!(
        third
            .registry
            .store()
            .stat(&Digest::sha256(b"layer"))
            .unwrap()
            .is_none()
    );
}
