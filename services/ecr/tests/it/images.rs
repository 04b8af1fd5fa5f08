//! Images and indexes: put, got, tagged, described, deleted.

use super::support::{Ecr, manifest, sha};
use serde_json::json;

#[test]
fn an_image_is_put_got_and_deleted() {
    let ecr = Ecr::new();
    ecr.repository("app");
    let missing = json!({"repositoryName": "app", "imageManifest": manifest("x"), "imageTag": "v1"});
    let error = ecr.error("PutImage", missing);
    assert_eq!(error.0, "LayersNotFoundException");
    assert!(error.1.contains(&sha(b"x")));
    let digest = ecr.image("app", "x", Some("v1"));
    assert_eq!(digest, sha(manifest("x").as_bytes()));
    let same = json!({"repositoryName": "app", "imageManifest": manifest("x"), "imageTag": "v1"});
    assert_eq!(ecr.error("PutImage", same).0, "ImageAlreadyExistsException");
    ecr.ok(
        "PutImage",
        json!({"repositoryName": "app", "imageManifest": manifest("x"), "imageTag": "v2"}),
    );
    let ids = json!([{"imageTag": "v1"}, {"imageTag": "nope"}, {}, {"imageDigest": "bad"}]);
    let got = ecr.ok("BatchGetImage", json!({"repositoryName": "app", "imageIds": ids}));
    assert_eq!(got["images"][0]["imageManifest"], manifest("x"));
    let codes: Vec<&str> = got["failures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|failure| failure["failureCode"].as_str().unwrap())
        .collect();
    assert_eq!(codes, ["ImageNotFound", "MissingDigestAndTag", "InvalidImageDigest"]);
    let described = ecr.ok("DescribeImages", json!({"repositoryName": "app"}));
    let described = &described["imageDetails"][0];
    assert_eq!(described["imageTags"], json!(["v1", "v2"]));
    assert_eq!(described["imageSizeInBytes"], 1);
    assert!(described["lastRecordedPullTime"].is_number());
    // By tag only the tag goes; with the last tag goes the image.
    ecr.ok(
        "BatchDeleteImage",
        json!({"repositoryName": "app", "imageIds": [{"imageTag": "v1"}]}),
    );
    assert_eq!(ecr.tags("app"), ["v2"]);
    ecr.ok(
        "BatchDeleteImage",
        json!({"repositoryName": "app", "imageIds": [{"imageTag": "v2"}]}),
    );
    let error = ecr.error(
        "DescribeImages",
        json!({"repositoryName": "app", "imageIds": [{"imageTag": "v2"}]}),
    );
    assert_eq!(error.0, "ImageNotFoundException");
    assert_eq!(
        error.1,
        "The image with imageId {imageDigest:'null', imageTag:'v2'} does not exist within the repository with name \
         'app' in the registry with id '000000000000'"
    );
}

#[test]
fn immutable_tags_stay_but_for_exclusions() {
    let ecr = Ecr::new();
    let filters = json!([{"filterType": "WILDCARD", "filter": "dev-*"}]);
    let input = json!({"repositoryName": "app", "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
                       "imageTagMutabilityExclusionFilters": filters});
    ecr.ok("CreateRepository", input);
    ecr.image("app", "one", Some("v1"));
    ecr.image("app", "one", Some("dev-1"));
    ecr.layer("app", b"two");
    let moved = json!({"repositoryName": "app", "imageManifest": manifest("two"), "imageTag": "v1"});
    let error = ecr.error("PutImage", moved);
    assert_eq!(error.0, "ImageTagAlreadyExistsException");
    ecr.ok(
        "PutImage",
        json!({"repositoryName": "app", "imageManifest": manifest("two"), "imageTag": "dev-1"}),
    );
    let input = json!({"repositoryName": "app", "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION"});
    assert_eq!(ecr.error("PutImageTagMutability", input).0, "InvalidParameterException");
    ecr.ok(
        "PutImageTagMutability",
        json!({"repositoryName": "app", "imageTagMutability": "MUTABLE"}),
    );
    ecr.ok(
        "PutImage",
        json!({"repositoryName": "app", "imageManifest": manifest("two"), "imageTag": "v1"}),
    );
}

#[test]
fn an_index_needs_its_images_and_keeps_them() {
    let ecr = Ecr::new();
    ecr.repository("app");
    let (amd, arm) = (ecr.image("app", "amd", None), sha(manifest("arm").as_bytes()));
    let entry = |digest: &str, arch: &str| {
        json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": 1,
               "platform": {"architecture": arch, "os": "linux"}})
    };
    let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
                       "manifests": [entry(&amd, "amd64"), entry(&arm, "arm64")]})
    .to_string();
    let put = json!({"repositoryName": "app", "imageManifest": index, "imageTag": "all"});
    assert_eq!(
        ecr.error("PutImage", put.clone()).0,
        "ReferencedImagesNotFoundException"
    );
    ecr.image("app", "arm", None);
    ecr.ok("PutImage", put);
    let nested = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
                        "manifests": [entry(&sha(index.as_bytes()), "amd64")]});
    let nested = json!({"repositoryName": "app", "imageManifest": nested.to_string(), "imageTag": "nested"});
    ecr.ok("PutImage", nested);
    let ids = json!([{"imageDigest": amd}]);
    let deleted = ecr.ok("BatchDeleteImage", json!({"repositoryName": "app", "imageIds": ids}));
    assert_eq!(deleted["failures"][0]["failureCode"], "ImageReferencedByManifestList");
    let state = ecr.memory.0.state.lock().unwrap();
    let tag = honmaru_ecr::Reference::Tag("all".to_owned());
    let of =
        |arch: &str| honmaru_ecr::select_platform(&state, &ecr.call.scope, "app", &tag, arch).map(|found| found.digest);
    assert_eq!(of("amd64"), Some(amd.clone()));
    assert_eq!(of("arm64"), Some(arm.clone()));
    assert_eq!(of("riscv64"), None);
    // What an index in an index names is for nobody to run: a mirror need not have it.
    let nested = honmaru_ecr::Reference::Tag("nested".to_owned());
    assert_eq!(
        honmaru_ecr::select_platform(&state, &ecr.call.scope, "app", &nested, "amd64"),
        None
    );
}

#[test]
fn no_registry_signs() {
    let ecr = Ecr::new();
    ecr.repository("app");
    let digest = ecr.image("app", "one", Some("v1"));
    let none = ecr.error("GetSigningConfiguration", json!({}));
    assert_eq!(none.0, "SigningConfigurationNotFoundException");
    assert_eq!(
        ecr.error("DeleteSigningConfiguration", json!({})).0,
        "SigningConfigurationNotFoundException"
    );
    let status = ecr.ok(
        "DescribeImageSigningStatus",
        json!({"repositoryName": "app", "imageId": {"imageDigest": digest}}),
    );
    assert_eq!(status["signingStatuses"], json!([]));
    let missing = ecr.error(
        "DescribeImageSigningStatus",
        json!({"repositoryName": "app", "imageId": {"imageTag": "none"}}),
    );
    assert_eq!(missing.0, "ImageNotFoundException");
}

#[test]
fn sizes_in_a_manifest_are_those_of_the_repositorys_layers() {
    let ecr = Ecr::new();
    ecr.repository("app");
    ecr.repository("other");
    ecr.layer("app", b"four");
    let put = |repository: &str, size: u64| {
        let manifest = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": sha(b"four"), "size": size},
            "layers": []});
        json!({"repositoryName": repository, "imageManifest": manifest.to_string()})
    };
    let refused = ecr.error("PutImage", put("app", 5));
    assert_eq!(refused.0, "InvalidParameterException");
    assert!(refused.1.contains("has 4 bytes, not 5"), "{}", refused.1);
    // Where the layer is not, nothing is said of it, whatever size is claimed.
    for size in [4, 5] {
        assert_eq!(ecr.error("PutImage", put("other", size)).0, "LayersNotFoundException");
    }
    ecr.ok("PutImage", put("app", 4));
}

#[test]
fn a_tag_that_is_set_may_be_set_again_when_an_image_has_all_that_it_may_have() {
    let ecr = Ecr::new();
    ecr.repository("app");
    let digest = ecr.image("app", "one", Some("t0"));
    let scope = ecr.call.scope.clone();
    let key = honmaru_ecr::Image::key("app", &digest);
    let put = |tag: &str| {
        ecr.memory.write(|tx| {
            let row = tx.get::<honmaru_ecr::Image>(&scope, &key).unwrap().clone();
            let image = honmaru_ecr::NewImage {
                digest: row.digest,
                media_type: row.media_type,
                blobs: row.blobs,
                ..honmaru_ecr::NewImage::default()
            };
            let put = honmaru_ecr::PutImage {
                image,
                tag: Some(tag.to_owned()),
                refuse_same: false,
                sparse: false,
            };
            honmaru_ecr::put_image(tx, &scope, "app", put)
        })
    };
    for n in 1..1_000 {
        put(&format!("t{n}")).unwrap();
    }
    assert_eq!(put("t1000").unwrap_err().code, "LimitExceededException");
    put("t5").unwrap();
}

#[test]
fn identifiers_with_digest_and_tag_must_agree() {
    let ecr = Ecr::new();
    ecr.repository("app");
    let one = ecr.image("app", "one", Some("v1"));
    let two = ecr.image("app", "two", Some("v2"));
    let ids = json!([{"imageDigest": one, "imageTag": "v1"}, {"imageDigest": two, "imageTag": "v1"},
                     {"imageDigest": "nonsense"}, {"imageTag": ".bad"}, {},
                     {"imageDigest": one, "imageTag": "none"}]);
    let got = ecr.ok("BatchGetImage", json!({"repositoryName": "app", "imageIds": ids}));
    assert_eq!(got["images"].as_array().unwrap().len(), 1);
    let codes: Vec<&str> = got["failures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["failureCode"].as_str().unwrap())
        .collect();
    assert_eq!(
        codes,
        [
            "ImageTagDoesNotMatchDigest",
            "InvalidImageDigest",
            "InvalidImageTag",
            "MissingDigestAndTag",
            "ImageNotFound"
        ]
    );
}

#[test]
fn images_are_listed_by_the_status_of_their_tags_page_by_page() {
    let ecr = Ecr::new();
    ecr.repository("app");
    for n in 0..5 {
        ecr.image("app", &format!("tagged {n}"), Some(&format!("v{n}")));
        ecr.image("app", &format!("untagged {n}"), None);
    }
    for (operation, list) in [("ListImages", "imageIds"), ("DescribeImages", "imageDetails")] {
        for (status, expected) in [("TAGGED", 5), ("UNTAGGED", 5), ("ANY", 10)] {
            let (mut seen, mut token) = (Vec::new(), json!(null));
            loop {
                let mut input = json!({"repositoryName": "app", "maxResults": 2, "filter": {"tagStatus": status}});
                if !token.is_null() {
                    input["nextToken"] = token;
                }
                let page = ecr.ok(operation, input);
                let found = page[list].as_array().unwrap().clone();
                assert!(found.len() <= 2, "{operation}");
                seen.extend(found.iter().map(|one| one["imageDigest"].as_str().unwrap().to_owned()));
                token = page["nextToken"].clone();
                if token.is_null() {
                    break;
                }
            }
            let all = seen.len();
            seen.sort();
            seen.dedup();
            assert_eq!((seen.len(), all), (expected, expected), "{operation} {status}");
        }
    }
    let bad = json!({"repositoryName": "app", "nextToken": "%"});
    assert_eq!(ecr.error("ListImages", bad).0, "InvalidParameterException");
    let stranger = json!({"repositoryName": "app", "registryId": "999999999999"});
    let error = ecr.error("DescribeImages", stranger);
    assert_eq!(error.0, "RepositoryNotFoundException");
    assert!(error.1.contains("registry with id '999999999999'"), "{}", error.1);
}

#[test]
fn who_pulls_by_tag_gets_a_form_that_it_accepts() {
    let ecr = Ecr::new();
    ecr.repository("app");
    let digest = ecr.image("app", "one", Some("v1"));
    let get = |id: serde_json::Value, accepted: &[&str]| {
        let input = json!({"repositoryName": "app", "imageIds": [id], "acceptedMediaTypes": accepted});
        ecr.ok("BatchGetImage", input)
    };
    let (oci, docker) = (
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    );
    let tag = json!({"imageTag": "v1"});
    let stored = get(tag.clone(), &[docker, oci])["images"][0].clone();
    assert_eq!(stored["imageManifestMediaType"], oci);
    let converted = get(tag.clone(), &[docker]);
    assert_eq!(converted["failures"], json!([]));
    let image = &converted["images"][0];
    assert_eq!(image["imageManifestMediaType"], docker);
    assert_eq!(image["imageId"], json!({"imageTag": "v1", "imageDigest": digest}));
    let read = |image: &serde_json::Value| -> serde_json::Value {
        serde_json::from_str(image["imageManifest"].as_str().unwrap()).unwrap()
    };
    let (stored, converted) = (read(&stored), read(image));
    assert_eq!(converted["mediaType"], docker);
    for part in ["/config/digest", "/config/size", "/layers"] {
        assert_eq!(converted.pointer(part), stored.pointer(part), "{part}");
    }
    // Neither form: schema 1 is not made.
    let refused = get(tag, &["application/vnd.docker.distribution.manifest.v1+json"]);
    assert_eq!(refused["failures"][0]["failureCode"], "ImageNotFound");
    assert_eq!(refused["images"], json!([]));
    // By digest it is what it is.
    for id in [
        json!({"imageDigest": digest}),
        json!({"imageDigest": digest, "imageTag": "v1"}),
    ] {
        assert_eq!(get(id, &[docker])["images"][0]["imageManifestMediaType"], oci);
    }
}

#[test]
fn a_manifest_says_its_media_type_or_the_request_does() {
    let ecr = Ecr::new();
    ecr.repository("app");
    ecr.image("app", "one", None);
    let mut untyped: serde_json::Value = serde_json::from_str(&manifest("one")).unwrap();
    let media_type = untyped.as_object_mut().unwrap().remove("mediaType").unwrap();
    let mut put = json!({"repositoryName": "app", "imageManifest": untyped.to_string(), "imageTag": "v1"});
    let refused = ecr.error("PutImage", put.clone());
    assert_eq!(refused.0, "InvalidParameterException");
    assert!(refused.1.contains("ImageManifestMediaType"), "{refused:?}");
    put["imageManifestMediaType"] = media_type.clone();
    assert_eq!(ecr.ok("PutImage", put)["image"]["imageManifestMediaType"], media_type);
}
