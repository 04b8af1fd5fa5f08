//! Push: manifests.

use crate::support::{Server, manifest};
use crate::{INDEX, MANIFEST};
use honmaru_images::{Algorithm, Digest};

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
async fn a_content_type_counts_in_any_case_of_letters() {
    let server = Server::start().await;
    let image = server.push_image("app", "v1", b"layer").await;
    let kind = format!("{}; charset=utf-8", MANIFEST.to_uppercase());
    let path = "/v2/app/manifests/v2";
    let put = server.call("PUT", path, &[("content-type", &kind)], &image).await;
    assert_eq!(put.status, 201, "{}", put.text());
    assert_eq!(
        server.call("GET", path, &[], b"").await.header("content-type"),
        MANIFEST
    );
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
