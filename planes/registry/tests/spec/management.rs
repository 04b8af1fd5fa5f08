//! Content discovery: tags. Content management.

use crate::support::{Answer, Server};
use honmaru_images::Digest;
use std::time::Duration;

#[tokio::test]
async fn tags_must_be_listed_in_order_with_n_and_last() {
    let server = Server::start().await;
    let bytes = server.push_image("app", "b", b"layer").await;
    for tag in ["c", "a", "B", "d"] {
        assert_eq!(server.put_manifest("app", tag, &bytes).await.status, 201);
    }
    let tags = |answer: &Answer| answer.json()["tags"].to_string();
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
