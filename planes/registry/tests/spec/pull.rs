//! Pull.

use crate::MANIFEST;
use crate::support::Server;
use honmaru_images::Digest;

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
