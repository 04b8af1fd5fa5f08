//! The registry as a whole: tokens, policies, settings, the list of operations.

use super::support::Ecr;
use serde_json::json;

#[test]
fn a_token_says_who_and_cannot_be_changed() {
    use base64::Engine;
    let ecr = Ecr::new();
    let data = ecr.ok("GetAuthorizationToken", json!({}))["authorizationData"][0].clone();
    assert_eq!(data["proxyEndpoint"], "http://localhost:4566");
    let header = format!("Basic {}", data["authorizationToken"].as_str().unwrap());
    let state = ecr.memory.0.state.lock().unwrap();
    let now = ecr.call.now;
    assert_eq!(
        honmaru_ecr::check_authorization(&state, &header, now).unwrap(),
        ecr.call.principal
    );
    let late = honmaru_ecr::check_authorization(&state, &header, now.plus_s(honmaru_ecr::TOKEN_LIFE_S));
    assert_eq!(late, Err(honmaru_ecr::TokenError::Expired));
    let encoded = base64::engine::general_purpose::STANDARD;
    let plain = String::from_utf8(encoded.decode(header.trim_start_matches("Basic ")).unwrap()).unwrap();
    let token = plain.strip_prefix("AWS:").unwrap();
    assert!(honmaru_ecr::check_authorization(&state, &format!("Bearer {token}"), now).is_ok());
    for position in [3, token.len() / 2, token.len() - 3] {
        let mut bad = token.as_bytes().to_vec();
        bad[position] = if bad[position] == b'A' { b'B' } else { b'A' };
        let bad = String::from_utf8(bad).unwrap();
        assert!(
            honmaru_ecr::check_registry_token(&state, &bad, now).is_err(),
            "{position}"
        );
    }
    for bad in [
        "",
        "Basic",
        "Basic !",
        "Digest x",
        "Bearer x.y",
        &format!("Basic {}", encoded.encode("me:x")),
    ] {
        assert!(honmaru_ecr::check_authorization(&state, bad, now).is_err(), "{bad}");
    }
}

#[test]
fn policies_are_kept_and_judged() {
    let ecr = Ecr::new();
    ecr.repository("app");
    assert_eq!(
        ecr.error("GetRepositoryPolicy", json!({"repositoryName": "app"})).0,
        "RepositoryPolicyNotFoundException"
    );
    let bad = json!({"repositoryName": "app", "policyText": "{}"});
    assert_eq!(ecr.error("SetRepositoryPolicy", bad).0, "InvalidParameterException");
    let text = json!({"Version": "2012-10-17", "Statement": [{"Sid": "pull", "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::111111111111:root"}, "Action": ["ecr:BatchGetImage"]}]})
    .to_string();
    ecr.ok(
        "SetRepositoryPolicy",
        json!({"repositoryName": "app", "policyText": text}),
    );
    assert_eq!(
        ecr.ok("GetRepositoryPolicy", json!({"repositoryName": "app"}))["policyText"],
        text
    );
    let state = ecr.memory.0.state.lock().unwrap();
    let action = honmaru_ecr::RegistryAction::ManifestRead;
    let access = honmaru_ecr::registry_access(&state, &ecr.call.scope, action, Some("app"));
    assert_eq!(access[0].action, "ecr:BatchGetImage");
    assert_eq!(access[0].resource_policy.as_deref(), Some(text.as_str()));
    drop(state);
    assert_eq!(
        ecr.error("GetRegistryPolicy", json!({})).0,
        "RegistryPolicyNotFoundException"
    );
}

#[test]
fn settings_tags_and_scans_answer() {
    let ecr = Ecr::new();
    ecr.repository("app");
    let arn = "arn:aws:ecr:us-east-1:000000000000:repository/app";
    ecr.ok(
        "TagResource",
        json!({"resourceArn": arn, "tags": [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]}),
    );
    ecr.ok("UntagResource", json!({"resourceArn": arn, "tagKeys": ["a"]}));
    assert_eq!(
        ecr.ok("ListTagsForResource", json!({"resourceArn": arn}))["tags"],
        json!([{"Key": "b", "Value": "2"}])
    );
    let reserved = json!({"resourceArn": arn, "tags": [{"Key": "aws:x", "Value": "1"}]});
    assert_eq!(ecr.error("TagResource", reserved).0, "InvalidTagParameterException");
    ecr.image("app", "x", Some("v1"));
    let scan = json!({"repositoryName": "app", "imageId": {"imageTag": "v1"}});
    assert_eq!(
        ecr.error("StartImageScan", scan.clone()).0,
        "UnsupportedImageTypeException"
    );
    assert_eq!(ecr.error("DescribeImageScanFindings", scan).0, "ScanNotFoundException");
    ecr.ok(
        "PutAccountSetting",
        json!({"name": "BLOB_MOUNTING", "value": "DISABLED"}),
    );
    assert_eq!(
        ecr.ok("GetAccountSetting", json!({"name": "BLOB_MOUNTING"}))["value"],
        "DISABLED"
    );
    assert_eq!(
        ecr.error("PutAccountSetting", json!({"name": "NOPE", "value": "x"})).0,
        "ValidationException"
    );
}

#[test]
fn every_listed_operation_is_implemented_and_no_other() {
    let listed: Vec<&str> = include_str!("../../operations.txt")
        .lines()
        .filter(|line| !line.is_empty())
        .collect();
    let mut implemented: Vec<&str> = Ecr::new().operations.iter().map(|operation| operation.name).collect();
    implemented.sort_unstable();
    assert_eq!(implemented, listed);
}

#[test]
fn blobs_are_mounted_unless_the_account_says_otherwise() {
    let ecr = Ecr::new();
    let mounts = || honmaru_ecr::mounts_blobs(&ecr.memory.0.state.lock().unwrap(), &ecr.call.scope);
    assert!(mounts());
    for (value, expected) in [("DISABLED", false), ("ENABLED", true)] {
        ecr.ok("PutAccountSetting", json!({"name": "BLOB_MOUNTING", "value": value}));
        assert_eq!(mounts(), expected);
    }
}
