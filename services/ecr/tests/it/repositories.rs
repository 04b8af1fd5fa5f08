//! Repositories: made, described in pages, bounded, deleted.

use super::support::{Ecr, sha};
use serde_json::{Value, json};

#[test]
fn a_repository_is_made_described_and_deleted() {
    let ecr = Ecr::new();
    let made = ecr.ok("CreateRepository", json!({"repositoryName": "team/app"}));
    let made = &made["repository"];
    assert_eq!(
        made["repositoryArn"],
        "arn:aws:ecr:us-east-1:000000000000:repository/team/app"
    );
    assert_eq!(
        made["repositoryUri"],
        "000000000000.dkr.ecr.us-east-1.localhost:4566/team/app"
    );
    assert_eq!(made["imageTagMutability"], "MUTABLE");
    assert_eq!(made["encryptionConfiguration"]["encryptionType"], "AES256");
    let again = ecr.error("CreateRepository", json!({"repositoryName": "team/app"}));
    assert_eq!(again.0, "RepositoryAlreadyExistsException");
    assert_eq!(
        again.1,
        "The repository with name 'team/app' already exists in the registry with id '000000000000'"
    );
    ecr.image("team/app", "one", Some("v1"));
    let full = ecr.error("DeleteRepository", json!({"repositoryName": "team/app"}));
    assert_eq!(full.0, "RepositoryNotEmptyException");
    ecr.ok("DeleteRepository", json!({"repositoryName": "team/app", "force": true}));
    let gone = ecr.error("DescribeRepositories", json!({"repositoryNames": ["team/app"]}));
    assert_eq!(gone.0, "RepositoryNotFoundException");
    assert_eq!(
        gone.1,
        "The repository with name 'team/app' does not exist in the registry with id '000000000000'"
    );
    assert!(!honmaru_ecr::are_live(&ecr.memory.0.state.lock().unwrap(), [sha(b"one").as_str()])[0]);
}

#[test]
fn repositories_come_in_pages() {
    let ecr = Ecr::new();
    for name in ["aa", "bb", "cc"] {
        ecr.repository(name);
    }
    let first = ecr.ok("DescribeRepositories", json!({"maxResults": 2}));
    assert_eq!(first["repositories"].as_array().unwrap().len(), 2);
    let rest = ecr.ok("DescribeRepositories", json!({"nextToken": first["nextToken"]}));
    assert_eq!(rest["repositories"][0]["repositoryName"], "cc");
    assert_eq!(rest.get("nextToken"), None);
    let bad = ecr.error("DescribeRepositories", json!({"nextToken": "%"}));
    assert_eq!(bad.0, "InvalidParameterException");
}

#[test]
fn keys_of_kms_are_refused_clearly() {
    let ecr = Ecr::new();
    let input = json!({"repositoryName": "app", "encryptionConfiguration": {"encryptionType": "KMS"}});
    assert_eq!(ecr.error("CreateRepository", input).0, "KmsException");
}

#[test]
fn repositories_images_and_tags_have_quotas() {
    let ecr = Ecr::new();
    ecr.repository("app");
    let digest = ecr.image("app", "one", Some("first"));
    // 1,000 tags of one image.
    let manifest = ecr.ok(
        "BatchGetImage",
        json!({"repositoryName": "app", "imageIds": [{"imageTag": "first"}]}),
    );
    let manifest = manifest["images"][0]["imageManifest"].clone();
    let tag = |tag: String| json!({"repositoryName": "app", "imageManifest": manifest, "imageTag": tag});
    for n in 1..1_000 {
        ecr.ok("PutImage", tag(format!("t{n}")));
    }
    assert_eq!(
        ecr.error("PutImage", tag("one-too-many".to_owned())).0,
        "LimitExceededException"
    );
    // 100,000 images of one repository, and as many repositories: their rows are written without the API.
    let scope = ecr.call.scope.clone();
    ecr.memory
        .write(|tx| {
            let image = tx
                .get::<honmaru_ecr::Image>(&scope, &honmaru_ecr::Image::key("app", &digest))
                .unwrap()
                .clone();
            for n in 1..100_000_u32 {
                let digest = format!("sha256:{n:064x}");
                let row = honmaru_ecr::Image {
                    digest: digest.clone(),
                    blobs: Vec::new(),
                    ..image.clone()
                };
                tx.put(&scope, &honmaru_ecr::Image::key("app", &digest), row);
                let name = format!("r{n}");
                tx.put(&scope, &name, honmaru_ecr::Repository::plain(&name, image.pushed_at));
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(
        ecr.error("CreateRepository", json!({"repositoryName": "one-too-many"}))
            .0,
        "LimitExceededException"
    );
    ecr.layer("app", b"of a new image");
    let layer = sha(b"of a new image");
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": layer, "size": 14},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer, "size": 14}],
    });
    let put = json!({"repositoryName": "app", "imageManifest": manifest.to_string()});
    assert_eq!(ecr.error("PutImage", put).0, "LimitExceededException");
    // One goes, and there is room again: rows are counted, not pushes.
    let gone = format!("sha256:{:064x}", 7);
    ecr.memory
        .write(|tx| {
            tx.delete::<honmaru_ecr::Image>(&scope, &honmaru_ecr::Image::key("app", &gone));
            Ok(())
        })
        .unwrap();
    let put = json!({"repositoryName": "app", "imageManifest": manifest.to_string()});
    ecr.ok("PutImage", put);
}

#[test]
fn what_is_named_does_not_come_in_pages() {
    let ecr = Ecr::new();
    ecr.repository("app");
    ecr.image("app", "one", Some("v1"));
    for (operation, list, named) in [
        ("DescribeRepositories", "repositoryNames", json!(["app"])),
        ("DescribeImages", "imageIds", json!([{"imageTag": "v1"}])),
    ] {
        for page in [json!({"maxResults": 5}), json!({"nextToken": "YXBw"})] {
            let mut input = page;
            input["repositoryName"] = json!("app");
            input[list] = named.clone();
            assert_eq!(
                ecr.error(operation, input).0,
                "InvalidParameterException",
                "{operation}"
            );
        }
    }
}

/// Ref: AWS's notice of December 2022: both permissions are needed to create a repository with tags.
#[test]
fn whoever_makes_a_tagged_repository_needs_the_permission_to_tag() {
    let ecr = Ecr::new();
    let operation = ecr.operations.iter().find(|one| one.name == "CreateRepository");
    let asked = |input: &Value| -> Vec<String> {
        let accesses = (operation.unwrap().access)(&ecr.memory.0.state.lock().unwrap(), &ecr.call, input);
        accesses
            .iter()
            .map(|one| format!("{} {}", one.action, one.resources[0]))
            .collect()
    };
    let arn = "arn:aws:ecr:us-east-1:000000000000:repository/app";
    let mut input = json!({"repositoryName": "app", "tags": []});
    assert_eq!(asked(&input), [format!("ecr:CreateRepository {arn}")]);
    input["tags"] = json!([{"Key": "team", "Value": "red"}]);
    assert_eq!(
        asked(&input),
        [format!("ecr:CreateRepository {arn}"), format!("ecr:TagResource {arn}")]
    );
}

/// Words that were recorded from AWS. Ref: badmintoncryer/cdk-preflight, rules/ecr; moto's `test_ecr_repository_creation_template`.
#[test]
fn what_is_wrong_is_said_in_ecrs_words() {
    let ecr = Ecr::new();
    let check = |operation: &str, input: Value, problem: &str| {
        let (code, message) = ecr.error(operation, input);
        assert_eq!(
            (code.as_str(), message.as_str()),
            ("InvalidParameterException", problem)
        );
    };
    let key = "arn:aws:kms:us-east-1:000000000000:key/0";
    check(
        "CreateRepository",
        json!({"repositoryName": "keyed", "encryptionConfiguration": {"encryptionType": "AES256", "kmsKey": key}}),
        "Invalid parameter at 'encryptionConfiguration' failed to satisfy constraint: 'Invalid encryption configuration: \
         Encryption key should not be set for AES256 encryption.'",
    );
    let filters = json!([{"filterType": "WILDCARD", "filter": "a*"}]);
    check(
        "CreateRepository",
        json!({"repositoryName": "odd", "imageTagMutability": "IMMUTABLE", "imageTagMutabilityExclusionFilters": filters}),
        "Invalid parameter at 'imageTagMutabilityExclusionFilters' failed to satisfy constraint: \
         'ImageTagMutabilityExclusionFilters are not allowed when imageTagMutability is set as IMMUTABLE'",
    );
    check(
        "CreateRepository",
        json!({"repositoryName": "odd", "imageTagMutability": "MUTABLE_WITH_EXCLUSION"}),
        "Invalid parameter at 'imageTagMutabilityExclusionFilters' failed to satisfy constraint: \
         'ImageTagMutabilityExclusionFilters can't be null when imageTagMutability is set as MUTABLE_WITH_EXCLUSION'",
    );
    let rule = |frequency: &str| json!({"scanFrequency": frequency, "repositoryFilters": [{"filter": "*", "filterType": "WILDCARD"}]});
    check(
        "PutRegistryScanningConfiguration",
        json!({"scanType": "BASIC", "rules": [rule("CONTINUOUS_SCAN")]}),
        "Invalid parameter failed to satisfy constraint: 'Invalid scan frequency for scanType BASIC: CONTINUOUS_SCAN'",
    );
    check(
        "PutRegistryScanningConfiguration",
        json!({"scanType": "BASIC", "rules": [rule("SCAN_ON_PUSH"), rule("SCAN_ON_PUSH")]}),
        "Invalid parameter failed to satisfy constraint: 'Invalid input. Contains duplicate scan frequencies: [SCAN_ON_PUSH]'",
    );
    let rule = |url: &str, word: &str| json!({"ecrRepositoryPrefix": word, "upstreamRegistryUrl": url, "upstreamRegistry": word});
    check(
        "CreatePullThroughCacheRule",
        rule("ghcr.io", "docker-hub"),
        "Invalid input: Upstream registry URL and entered upstream registry do not match. Please verify input and try again.",
    );
    ecr.ok(
        "CreatePullThroughCacheRule",
        rule("ghcr.io", "github-container-registry"),
    );
    ecr.ok("CreatePullThroughCacheRule", rule("quay.io", "k8s"));
}
