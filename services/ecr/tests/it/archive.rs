//! Archived images: not pulled, shown when asked for, restored by an operation or by a push.

use super::support::{DAY_MS, Ecr, manifest, sha};
use serde_json::{Value, json};

fn set(ecr: &Ecr, id: Value, class: &str) -> Value {
    let input = json!({"repositoryName": "app", "imageId": id, "targetStorageClass": class});
    ecr.ok("UpdateImageStorageClass", input)
}

fn get(ecr: &Ecr) -> Value {
    ecr.ok(
        "BatchGetImage",
        json!({"repositoryName": "app", "imageIds": [{"imageTag": "v1"}]}),
    )
}

#[test]
fn an_archived_image_is_not_pulled_until_it_is_restored() {
    let mut ecr = Ecr::new();
    ecr.repository("app");
    let digest = ecr.image("app", "one", Some("v1"));
    let id = json!({"imageTag": "v1"});
    let archived = set(&ecr, id.clone(), "ARCHIVE");
    assert_eq!(
        archived,
        json!({"registryId": "000000000000", "repositoryName": "app", "imageId": id, "imageStatus": "ARCHIVED"})
    );
    assert_eq!(get(&ecr)["failures"][0]["failureCode"], "ImageNotFound");
    let tag = honmaru_ecr::Reference::Tag("v1".to_owned());
    let resolves = |ecr: &Ecr| {
        let state = ecr.memory.0.state.lock().unwrap();
        let resolved = honmaru_ecr::resolve_image(&state, &ecr.call.scope, "app", &tag);
        let selected = honmaru_ecr::select_platform(&state, &ecr.call.scope, "app", &tag, "amd64");
        assert_eq!(resolved, selected);
        resolved.is_some()
    };
    assert!(!resolves(&ecr));
    let layer = json!({"repositoryName": "app", "layerDigest": sha(b"one")});
    assert_eq!(
        ecr.error("GetDownloadUrlForLayer", layer).0,
        "LayerInaccessibleException"
    );
    let asked = json!({"repositoryName": "app", "layerDigests": [sha(b"one")]});
    let answer = ecr.ok("BatchCheckLayerAvailability", asked);
    assert_eq!(answer["layers"][0]["layerAvailability"], "ARCHIVED");
    let scan = json!({"repositoryName": "app", "imageId": id});
    assert_eq!(ecr.error("StartImageScan", scan).0, "ImageArchivedException");
    let began = ecr.call.now.as_epoch_s();
    ecr.advance(DAY_MS);
    assert_eq!(
        set(&ecr, json!({"imageDigest": digest}), "STANDARD")["imageStatus"],
        "ACTIVE"
    );
    assert!(resolves(&ecr));
    let described = ecr.ok("DescribeImages", json!({"repositoryName": "app"}));
    let detail = &described["imageDetails"][0];
    assert_eq!(
        (
            &detail["imageStatus"],
            &detail["lastArchivedAt"],
            &detail["lastActivatedAt"]
        ),
        (
            &json!("ACTIVE"),
            &json!(began as i64),
            &json!(ecr.call.now.as_epoch_s() as i64)
        )
    );
}

#[test]
fn lists_are_of_images_that_can_be_pulled_unless_they_say_otherwise() {
    let ecr = Ecr::new();
    ecr.repository("app");
    let one = ecr.image("app", "one", Some("v1"));
    let two = ecr.image("app", "two", Some("v2"));
    set(&ecr, json!({"imageDigest": one}), "ARCHIVE");
    let listed = |status: Option<&str>| {
        let mut input = json!({"repositoryName": "app"});
        if let Some(status) = status {
            input["filter"] = json!({"imageStatus": status});
        }
        let ids = ecr.ok("ListImages", input.clone())["imageIds"]
            .as_array()
            .unwrap()
            .clone();
        let details = ecr.ok("DescribeImages", input)["imageDetails"]
            .as_array()
            .unwrap()
            .clone();
        let mut digests: Vec<String> = ids
            .iter()
            .map(|id| id["imageDigest"].as_str().unwrap().to_owned())
            .collect();
        let mut described: Vec<String> = details
            .iter()
            .map(|one| one["imageDigest"].as_str().unwrap().to_owned())
            .collect();
        digests.sort();
        described.sort();
        assert_eq!(digests, described);
        digests
    };
    let mut both = vec![one.clone(), two.clone()];
    both.sort();
    assert_eq!(listed(None), std::slice::from_ref(&two));
    assert_eq!(listed(Some("ACTIVE")), [two]);
    assert_eq!(listed(Some("ARCHIVED")), std::slice::from_ref(&one));
    assert_eq!(listed(Some("ACTIVATING")), [""; 0]);
    assert_eq!(listed(Some("ANY")), both);
    let named = ecr.ok(
        "DescribeImages",
        json!({"repositoryName": "app", "imageIds": [{"imageDigest": one}]}),
    );
    assert_eq!(named["imageDetails"][0]["imageStatus"], "ARCHIVED");
}

#[test]
fn a_push_restores_an_archived_image() {
    let ecr = Ecr::new();
    ecr.repository("app");
    ecr.image("app", "one", Some("v1"));
    let put = json!({"repositoryName": "app", "imageManifest": manifest("one"), "imageTag": "v1"});
    assert_eq!(ecr.error("PutImage", put.clone()).0, "ImageAlreadyExistsException");
    set(&ecr, json!({"imageTag": "v1"}), "ARCHIVE");
    ecr.ok("PutImage", put);
    assert_eq!(get(&ecr)["failures"], json!([]));
}

#[test]
fn an_image_of_an_index_is_archived_after_the_index() {
    let ecr = Ecr::new();
    ecr.repository("app");
    let child = ecr.image("app", "one", None);
    let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [
        {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": child, "size": manifest("one").len()}]});
    let put = json!({"repositoryName": "app", "imageManifest": index.to_string(), "imageTag": "v1"});
    ecr.ok("PutImage", put);
    let of = |id: Value| json!({"repositoryName": "app", "imageId": id, "targetStorageClass": "ARCHIVE"});
    let refused = ecr.error("UpdateImageStorageClass", of(json!({"imageDigest": child})));
    assert_eq!(refused.0, "ImageStorageClassUpdateNotSupportedException");
    ecr.ok("UpdateImageStorageClass", of(json!({"imageTag": "v1"})));
    ecr.ok("UpdateImageStorageClass", of(json!({"imageDigest": child})));
    let none = ecr.error("UpdateImageStorageClass", of(json!({"imageTag": "v9"})));
    assert_eq!(none.0, "ImageNotFoundException");
}

#[test]
fn what_is_about_an_image_is_archived_and_restored_with_it() {
    let ecr = Ecr::new();
    ecr.repository("app");
    let digest = ecr.image("app", "one", Some("v1"));
    let mut note: Value = serde_json::from_str(&manifest("note")).unwrap();
    ecr.layer("app", b"note");
    note["subject"] = json!({"mediaType": note["mediaType"], "digest": digest, "size": manifest("one").len()});
    ecr.ok(
        "PutImage",
        json!({"repositoryName": "app", "imageManifest": note.to_string()}),
    );
    let listed = |filter: Value| {
        let input = json!({"repositoryName": "app", "subjectId": {"imageDigest": digest}, "filter": filter});
        ecr.ok("ListImageReferrers", input)["referrers"]
            .as_array()
            .unwrap()
            .clone()
    };
    assert_eq!(listed(json!({}))[0]["artifactStatus"], "ACTIVE");
    set(&ecr, json!({"imageTag": "v1"}), "ARCHIVE");
    assert_eq!(listed(json!({})), [Value::Null; 0]);
    assert_eq!(
        listed(json!({"artifactStatus": "ARCHIVED"}))[0]["artifactStatus"],
        "ARCHIVED"
    );
    set(&ecr, json!({"imageTag": "v1"}), "STANDARD");
    assert_eq!(listed(json!({})).len(), 1);
}
