//! Push: subject, and content discovery: referrers.

use crate::support::{Server, manifest};
use crate::{INDEX, MANIFEST};
use honmaru_images::Digest;

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
