//! Which form of an image a client gets that does not take the one that was pushed. The specification only says that
//! clients name what they take.

use crate::support::{Answer, Server, manifest};
use crate::{INDEX, MANIFEST};
use honmaru_images::Digest;

const DOCKER: &str = "application/vnd.docker.distribution.manifest.v2+json";

async fn get(server: &Server, reference: &str, accept: &[&str]) -> Answer {
    let headers: Vec<(&str, &str)> = accept.iter().map(|value| ("accept", *value)).collect();
    let path = format!("/v2/app/manifests/{reference}");
    server.call("GET", &path, &headers, b"").await
}

/// Pushes an image under `v1`, whose configuration is one.
async fn push(server: &Server) -> Vec<u8> {
    server.push_blob("app", b"{}").await;
    server.push_blob("app", b"layer").await;
    let pushed = String::from_utf8(manifest(b"layer", "")).unwrap();
    let pushed = pushed.replace("oci.empty.v1", "oci.image.config.v1").into_bytes();
    assert_eq!(server.put_manifest("app", "v1", &pushed).await.status, 201);
    pushed
}

#[tokio::test]
async fn by_tag_the_other_form_comes_to_who_takes_only_that_and_all_that_it_names_is_there() {
    let server = Server::start().await;
    let pushed = push(&server).await;
    for accept in [&[][..], &["*/*"], &[DOCKER, MANIFEST], &["application/json"]] {
        let got = get(&server, "v1", accept).await;
        assert_eq!((got.status.as_u16(), &got.body[..]), (200, &pushed[..]), "{accept:?}");
        assert_eq!((got.header("content-type"), got.header("vary")), (MANIFEST, "accept"));
    }
    let got = get(&server, "v1", &[DOCKER]).await;
    let digest = Digest::sha256(&got.body);
    assert_eq!((got.status.as_u16(), got.header("content-type")), (200, DOCKER));
    assert_eq!(got.header("docker-content-digest"), digest.as_str());
    assert_eq!(got.header("content-length"), got.body.len().to_string());
    let etag = format!("\"{digest}\"");
    assert_eq!((got.header("etag"), got.header("vary")), (etag.as_str(), "accept"));
    let named: serde_json::Value = serde_json::from_slice(&got.body).unwrap();
    for part in [&named["config"], &named["layers"][0]] {
        let path = format!("/v2/app/blobs/{}", part["digest"].as_str().unwrap());
        let blob = server
            .call("GET", &path, &[("accept", part["mediaType"].as_str().unwrap())], b"")
            .await;
        assert_eq!(Digest::sha256(&blob.body).as_str(), part["digest"].as_str().unwrap());
    }
    // What HEAD says is what GET sends, and what there is by the digest that it says.
    let path = "/v2/app/manifests/v1";
    let head = server.call("HEAD", path, &[("accept", DOCKER)], b"").await;
    for name in ["content-type", "content-length", "docker-content-digest", "etag"] {
        assert_eq!(head.header(name), got.header(name), "{name}");
    }
    let again = get(&server, digest.as_str(), &[DOCKER]).await;
    assert_eq!((again.status.as_u16(), &again.body), (200, &got.body));
    assert_eq!(
        (again.header("content-type"), again.header("etag")),
        (DOCKER, etag.as_str())
    );
    // A condition is about the form that would be sent.
    let same = [("accept", DOCKER), ("if-none-match", &etag)];
    let same = server.call("GET", path, &same, b"").await;
    assert_eq!(
        (same.status.as_u16(), same.header("docker-content-digest")),
        (304, digest.as_str())
    );
    let other = server.call("GET", path, &[("if-none-match", &etag)], b"").await;
    assert_eq!((other.status.as_u16(), &other.body[..]), (200, &pushed[..]));
}

#[tokio::test]
async fn by_digest_nothing_is_converted() {
    let server = Server::start().await;
    let pushed = push(&server).await;
    let got = get(&server, Digest::sha256(&pushed).as_str(), &[DOCKER]).await;
    assert_eq!((got.status.as_u16(), &got.body[..]), (200, &pushed[..]));
    assert_eq!(got.header("content-type"), MANIFEST);
    assert!(!got.headers.contains_key("vary"));
}

#[tokio::test]
async fn a_converted_manifest_goes_with_its_image_and_is_no_image_of_the_repository() {
    let server = Server::start().await;
    let pushed = push(&server).await;
    let got = get(&server, "v1", &[DOCKER]).await;
    let digest = Digest::sha256(&got.body);
    let path = format!("/v2/app/manifests/{digest}");
    assert_eq!(server.call("DELETE", &path, &[], b"").await.status, 404);
    server.push_blob("other", b"{}").await;
    let elsewhere = server.call("GET", &path.replace("/app/", "/other/"), &[], b"").await;
    assert_eq!(
        (elsewhere.status.as_u16(), elsewhere.code().as_str()),
        (404, "MANIFEST_UNKNOWN")
    );
    let path = format!("/v2/app/manifests/{}", Digest::sha256(&pushed));
    assert_eq!(server.call("DELETE", &path, &[], b"").await.status, 202);
    assert_eq!(get(&server, digest.as_str(), &[]).await.status, 404);
}

#[tokio::test]
async fn who_takes_no_form_that_there_is_finds_nothing() {
    let server = Server::start().await;
    server.push_image("app", "artifact", b"layer").await;
    let refused = get(&server, "artifact", &[DOCKER]).await;
    assert_eq!(
        (refused.status.as_u16(), refused.code().as_str()),
        (404, "MANIFEST_UNKNOWN")
    );
    assert!(refused.text().contains(MANIFEST), "{}", refused.text());
    assert_eq!(get(&server, "artifact", &[INDEX]).await.status, 404);
    assert_eq!(get(&server, "artifact", &[INDEX, "*/*;q=0.1"]).await.status, 200);
    let index = format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[]}}"#);
    let path = "/v2/app/manifests/all";
    let put = server
        .call("PUT", path, &[("content-type", INDEX)], index.as_bytes())
        .await;
    assert_eq!(put.status, 201);
    for accept in [
        MANIFEST,
        DOCKER,
        "application/vnd.docker.distribution.manifest.list.v2+json",
    ] {
        let refused = get(&server, "all", &[accept]).await;
        assert_eq!(
            (refused.status.as_u16(), refused.code().as_str()),
            (404, "MANIFEST_UNKNOWN"),
            "{accept}"
        );
    }
    assert_eq!(
        get(&server, Digest::sha256(index.as_bytes()).as_str(), &[DOCKER])
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn a_mirror_converts_what_it_fetched() {
    let (origin, mirror) = (Server::start().await, Server::start().await);
    push(&origin).await;
    *mirror.memory.upstream.lock().unwrap() = Some(origin.address.to_string());
    let got = get(&mirror, "v1", &[DOCKER]).await;
    assert_eq!((got.status.as_u16(), got.header("content-type")), (200, DOCKER));
    let digest = got.header("docker-content-digest").to_owned();
    let again = get(&mirror, &digest, &[DOCKER]).await;
    assert_eq!((again.status.as_u16(), &again.body), (200, &got.body));
}

/// A pull is what somebody got; a refused one is none.
#[tokio::test]
async fn a_pull_counts_when_it_is_answered() {
    let server = Server::start().await;
    let pushed = push(&server).await;
    let pulls = || server.memory.pulls.lock().unwrap().clone();
    assert_eq!(get(&server, "v1", &[INDEX]).await.status, 404);
    assert_eq!(get(&server, "v2", &[]).await.status, 404);
    assert_eq!(pulls(), []);
    assert_eq!(get(&server, "v1", &[MANIFEST]).await.status, 200);
    // In the other form it is the image that the repository has.
    assert_eq!(get(&server, "v1", &[DOCKER]).await.status, 200);
    let image = Digest::sha256(&pushed);
    assert_eq!(pulls(), [image.clone(), image]);
}
