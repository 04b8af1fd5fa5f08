//! Pull-through, of which the specification says nothing.

use crate::support::Server;
use honmaru_images::Digest;

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
