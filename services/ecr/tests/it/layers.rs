//! Layers: uploaded in parts, bounded, given up.

use super::support::{DAY_MS, Ecr, sha};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

#[test]
fn layers_and_their_parts_have_quotas() {
    let ecr = Ecr::new();
    ecr.repository("app");
    let begin = || ecr.ok("InitiateLayerUpload", json!({"repositoryName": "app"}))["uploadId"].clone();
    let part = |id: &Value, first: u64, bytes: &[u8]| {
        json!({"repositoryName": "app", "uploadId": id, "partFirstByte": first,
               "partLastByte": first + bytes.len() as u64 - 1, "layerPartBlob": STANDARD.encode(bytes)})
    };
    let complete =
        |id: &Value, bytes: &[u8]| json!({"repositoryName": "app", "uploadId": id, "layerDigests": [sha(bytes)]});
    // A part is too large, a layer is, and a layer has too many parts.
    let id = begin();
    let refused = ecr
        .call("UploadLayerPart", part(&id, 0, &vec![0; 20_971_521]))
        .unwrap_err();
    assert_eq!(refused.code, "InvalidLayerPartException");
    assert_eq!(
        ecr.error("UploadLayerPart", part(&id, 52_000 * 1024 * 1024 - 1, b"ab"))
            .0,
        "LimitExceededException"
    );
    for n in 0..4_200 {
        ecr.ok("UploadLayerPart", part(&id, n, b"x"));
    }
    assert_eq!(
        ecr.error("UploadLayerPart", part(&id, 4_200, b"x")).0,
        "LimitExceededException"
    );
    // All parts but the last one have 5 MiB at least.
    assert_eq!(
        ecr.error("CompleteLayerUpload", complete(&id, &[b'x'; 4_200])).0,
        "LayerPartTooSmallException"
    );
    let (id, large) = (begin(), vec![b'y'; 5 * 1024 * 1024 + 3]);
    let (first, last) = large.split_at(5 * 1024 * 1024);
    ecr.ok("UploadLayerPart", part(&id, 0, first));
    ecr.ok("UploadLayerPart", part(&id, first.len() as u64, last));
    ecr.ok("CompleteLayerUpload", complete(&id, &large));
    let kept = ecr.memory.0.kept.lock().unwrap();
    assert_eq!(
        *kept,
        [sha(&large)],
        "a layer is kept from a collection until its row is there"
    );
    drop(kept);
    let digest = ecr.image("app", "one", Some("v1"));
    let kept = ecr.memory.0.kept.lock().unwrap();
    assert_eq!(kept.last(), Some(&digest), "so is a manifest");
}

#[test]
fn layers_are_uploaded_in_parts() {
    let ecr = Ecr::new();
    ecr.repository("app");
    let id = ecr.ok("InitiateLayerUpload", json!({"repositoryName": "app"}))["uploadId"].clone();
    let part = |first: u64, last: u64, blob: &str| {
        json!({"repositoryName": "app", "uploadId": id, "partFirstByte": first, "partLastByte": last,
               "layerPartBlob": blob})
    };
    assert_eq!(ecr.ok("UploadLayerPart", part(0, 2, "YWJj"))["lastByteReceived"], 2);
    let gap = ecr.call("UploadLayerPart", part(9, 11, "YWJj")).unwrap_err();
    assert_eq!(gap.code, "InvalidLayerPartException");
    assert_eq!(gap.fields["lastValidByteReceived"], 2);
    assert_eq!(
        ecr.error("UploadLayerPart", part(3, 9, "YWJj")).0,
        "InvalidLayerPartException"
    );
    let complete = |digest: &str| json!({"repositoryName": "app", "uploadId": id, "layerDigests": [digest]});
    assert_eq!(
        ecr.error("CompleteLayerUpload", complete(&sha(b"no"))).0,
        "InvalidLayerException"
    );
    assert_eq!(
        ecr.error("CompleteLayerUpload", complete(&sha(b"abc"))).0,
        "UploadNotFoundException"
    );
    ecr.layer("app", b"abc");
    assert_eq!(
        ecr.error("CompleteLayerUpload", complete(&sha(b"abc"))).0,
        "LayerAlreadyExistsException"
    );
    let answer = json!({"repositoryName": "app", "layerDigest": sha(b"abc")});
    // Only the layers of images are given.
    assert_eq!(
        ecr.error("GetDownloadUrlForLayer", answer.clone()).0,
        "LayerInaccessibleException"
    );
    let other = json!({"repositoryName": "app", "layerDigest": sha(b"none")});
    assert_eq!(ecr.error("GetDownloadUrlForLayer", other).0, "LayersNotFoundException");
    ecr.image("app", "abc", None);
    let url = ecr.ok("GetDownloadUrlForLayer", answer)["downloadUrl"]
        .as_str()
        .unwrap()
        .to_owned();
    let token = url
        .split_once(&format!("?{}=", honmaru_ecr::LAYER_TOKEN_PARAMETER))
        .unwrap()
        .1;
    let state = ecr.memory.0.state.lock().unwrap();
    let opened = honmaru_ecr::check_layer_token(&state, token, ecr.call.now).unwrap();
    assert_eq!(opened, (ecr.call.scope.clone(), "app".to_owned(), sha(b"abc")));
    assert!(honmaru_ecr::check_layer_token(&state, token, ecr.call.now.plus_s(3_601)).is_err());
    assert!(honmaru_ecr::check_registry_token(&state, token, ecr.call.now).is_err());
}

#[test]
fn a_missing_digest_and_a_malformed_one_are_told_apart() {
    let ecr = Ecr::new();
    ecr.repository("app");
    let asked = json!({"repositoryName": "app", "layerDigests": ["", "sha256:x", sha(b"none")]});
    let answer = ecr.ok("BatchCheckLayerAvailability", asked);
    let codes: Vec<_> = answer["failures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["failureCode"])
        .collect();
    assert_eq!(codes, ["MissingLayerDigest", "InvalidLayerDigest"]);
    assert_eq!(answer["layers"][0]["layerAvailability"], "UNAVAILABLE");
}

#[test]
fn layers_of_abandoned_pushes_are_given_up() {
    let mut ecr = Ecr::new();
    ecr.repository("app");
    let digest = ecr.layer("app", b"lost");
    let live = |ecr: &Ecr| honmaru_ecr::are_live(&ecr.memory.0.state.lock().unwrap(), [digest.as_str()])[0];
    ecr.settle();
    assert!(live(&ecr));
    ecr.advance(DAY_MS + 1);
    ecr.settle();
    assert!(!live(&ecr));
}

#[test]
fn a_full_store_gives_layers_up_that_waited_longer_than_a_client_does() {
    let mut ecr = Ecr::new();
    ecr.repository("app");
    let old = ecr.layer("app", b"old");
    ecr.advance(DAY_MS / 24);
    let new = ecr.layer("app", b"new");
    let given_up = ecr.memory.write(|tx| Ok(honmaru_ecr::give_up_layers(tx, 3_600)));
    assert_eq!(given_up.unwrap(), 1);
    let state = ecr.memory.0.state.lock().unwrap();
    assert_eq!(
        honmaru_ecr::are_live(&state, [old.as_str(), new.as_str()]),
        [false, true]
    );
}

/// The controller that lives as long as its process looks again just when the next layer's time is over.
#[test]
fn layers_end_in_their_turn() {
    let mut ecr = Ecr::new();
    ecr.repository("app");
    let mut reconcilers = honmaru_ecr::reconcilers();
    let expiry = reconcilers
        .iter_mut()
        .find(|one| one.name() == "ecr.layer-expiry")
        .unwrap();
    let hour_ms = DAY_MS / 24;
    let mut look = |ecr: &Ecr| ecr.memory.write(|tx| Ok(expiry.reconcile(tx))).unwrap();
    assert_eq!(
        look(&ecr),
        Some(ecr.call.now.plus_ms(hour_ms)),
        "one that is left now ends then"
    );
    let mut digests = Vec::new();
    for content in [&b"first"[..], b"second"] {
        ecr.advance(hour_ms);
        digests.push(ecr.layer("app", content));
        look(&ecr);
    }
    let live =
        |ecr: &Ecr| honmaru_ecr::are_live(&ecr.memory.0.state.lock().unwrap(), digests.iter().map(String::as_str));
    let begun = ecr.call.now;
    let mut seen = vec![(0, live(&ecr))];
    for _ in 0..30 {
        let next = look(&ecr).unwrap();
        ecr.advance(next - ecr.call.now);
        look(&ecr);
        if seen.last().is_none_or(|(_, before)| *before != live(&ecr)) {
            seen.push(((ecr.call.now - begun) / hour_ms, live(&ecr)));
        }
    }
    let wanted = [(0, vec![true, true]), (23, vec![false, true]), (24, vec![false, false])];
    assert_eq!(seen, wanted);
}

#[test]
fn a_layer_that_was_taken_again_waits_for_its_manifest_whatever_becomes_of_the_image_that_had_it() {
    let mut ecr = Ecr::new();
    ecr.repository("app");
    let image = ecr.image("app", "x", Some("v1"));
    let availability = || {
        let asked = json!({"repositoryName": "app", "layerDigests": [sha(b"x")]});
        ecr.ok("BatchCheckLayerAvailability", asked)["layers"][0]["layerAvailability"].clone()
    };
    let delete = |digest: &str| {
        let ids = json!({"repositoryName": "app", "imageIds": [{"imageDigest": digest}]});
        ecr.ok("BatchDeleteImage", ids)
    };
    // Another push is told that it has the layer; before its manifest comes the first image is deleted.
    let scope = &ecr.call.scope;
    let linked = ecr
        .memory
        .write(|tx| honmaru_ecr::link_layer(tx, scope, "app", &sha(b"x"), 1));
    linked.unwrap();
    delete(&image);
    assert_eq!(availability(), "AVAILABLE");
    let manifest = super::support::manifest("x");
    let put = json!({"repositoryName": "app", "imageManifest": manifest, "imageTag": "v2"});
    ecr.ok("PutImage", put);
    // With the manifest nothing waits any more, also when the manifest was there already.
    let linked = ecr
        .memory
        .write(|tx| honmaru_ecr::link_layer(tx, scope, "app", &sha(b"x"), 1));
    linked.unwrap();
    let again = json!({"repositoryName": "app", "imageManifest": manifest, "imageTag": "v3"});
    ecr.ok("PutImage", again);
    delete(&image);
    ecr.advance(DAY_MS / 24);
    ecr.settle();
    let asked = json!({"repositoryName": "app", "layerDigests": [sha(b"x")]});
    let answer = ecr.ok("BatchCheckLayerAvailability", asked);
    assert_eq!(answer["layers"][0]["layerAvailability"], "UNAVAILABLE");
}

/// Goal: an image can be put again just after it was deleted, for an hour, in its own repository only.
#[test]
fn layers_of_a_deleted_image_stay_for_an_hour() {
    let mut ecr = Ecr::new();
    ecr.repository("app");
    ecr.repository("other");
    let image = ecr.image("app", "x", Some("v1"));
    let ids = json!({"repositoryName": "app", "imageIds": [{"imageDigest": image}]});
    let put = |repository: &str| json!({"repositoryName": repository, "imageManifest": super::support::manifest("x")});
    ecr.ok("BatchDeleteImage", ids.clone());
    assert_eq!(ecr.error("PutImage", put("other")).0, "LayersNotFoundException");
    ecr.ok("PutImage", put("app"));
    ecr.ok("BatchDeleteImage", ids.clone());
    ecr.advance(DAY_MS / 24 - 1_000);
    ecr.settle();
    ecr.ok("PutImage", put("app"));
    ecr.ok("BatchDeleteImage", ids.clone());
    ecr.advance(DAY_MS / 24);
    ecr.settle();
    assert_eq!(ecr.error("PutImage", put("app")).0, "LayersNotFoundException");
    // Whoever needs the room has it at once.
    ecr.image("app", "x", Some("v1"));
    ecr.ok("BatchDeleteImage", ids);
    let live = |ecr: &Ecr| honmaru_ecr::are_live(&ecr.memory.0.state.lock().unwrap(), [sha(b"x").as_str()]);
    let give_up = |wait_s| {
        ecr.memory
            .write(|tx| Ok(honmaru_ecr::give_up_left_layers(tx, wait_s)))
            .unwrap()
    };
    assert_eq!((give_up(60), live(&ecr)), (0, vec![true]));
    assert_eq!((give_up(0), live(&ecr)), (1, vec![false]));
}
