//! Errors.

use crate::support::Server;
use honmaru_images::{Digest, StoreLimits};

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
