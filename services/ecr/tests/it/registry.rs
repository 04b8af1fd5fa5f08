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
    for action in [json!("s3:GetObject"), json!(["ecr:BatchGetImage", "ecrx:*"])] {
        let foreign =
            json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": "*", "Action": action}});
        let input = json!({"repositoryName": "app", "policyText": foreign.to_string()});
        let refused = ecr.error("SetRepositoryPolicy", input);
        assert!(refused.1.contains("Invalid repository policy provided"), "{refused:?}");
    }
    let same = json!({"Sid": "same", "Effect": "Allow", "Principal": "*", "Action": "ecr:BatchGetImage"});
    let twice = json!({"Version": "2012-10-17", "Statement": [same, same]});
    ecr.ok(
        "SetRepositoryPolicy",
        json!({"repositoryName": "app", "policyText": twice.to_string()}),
    );
    let everywhere = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": "*", "Action": "ecr:BatchGetImage", "Resource": "*"}]});
    let input = json!({"repositoryName": "app", "policyText": everywhere.to_string()});
    assert!(
        ecr.error("SetRepositoryPolicy", input)
            .1
            .contains("Invalid repository policy provided")
    );
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
    assert_eq!(
        ecr.error("ListTagsForResource", json!({"resourceArn": "invalid"})).1,
        "Invalid parameter at 'resourceArn' failed to satisfy constraint: 'Invalid ARN'"
    );
    let reserved = json!({"resourceArn": arn, "tags": [{"Key": "aws:x", "Value": "1"}]});
    assert_eq!(ecr.error("TagResource", reserved).0, "InvalidTagParameterException");
    let twice = json!([{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]);
    for (name, input) in [
        ("TagResource", json!({"resourceArn": arn, "tags": twice})),
        ("CreateRepository", json!({"repositoryName": "new", "tags": twice})),
        (
            "CreateRepositoryCreationTemplate",
            json!({"prefix": "t", "appliedFor": ["REPLICATION"], "resourceTags": twice}),
        ),
    ] {
        assert_eq!(ecr.error(name, input).0, "InvalidTagParameterException", "{name}");
    }
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

fn registry_policy(statement: serde_json::Value) -> String {
    json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
}

#[test]
fn the_registry_policy_is_asked_about_as_much_as_its_scope_says() {
    let ecr = Ecr::new();
    ecr.repository("app");
    let whole = json!({"Effect": "Deny", "Principal": "*", "Action": "ecr:*", "Resource": "*"});
    ecr.ok("PutRegistryPolicy", json!({"policyText": registry_policy(whole)}));
    let is_asked = |name: &str, input: serde_json::Value| {
        let operation = ecr.operations.iter().find(|operation| operation.name == name).unwrap();
        let state = ecr.memory.0.state.lock().unwrap();
        let accesses = (operation.access)(&state, &ecr.call, &input);
        accesses.iter().all(|access| access.holder_policy.is_some())
    };
    let of_app = json!({"repositoryName": "app"});
    let all = [
        ("BatchGetImage", of_app.clone()),
        ("DescribeRepositories", json!({})),
        ("DescribeRepositories", json!({"repositoryNames": ["app"]})),
        ("GetAuthorizationToken", json!({})),
        ("CreateRepository", of_app.clone()),
        (
            "TagResource",
            json!({"resourceArn": "arn:aws:ecr:us-east-1:000000000000:repository/app"}),
        ),
    ];
    assert!(all.iter().all(|(name, input)| is_asked(name, input.clone())));
    let scope = |value: &str| json!({"name": "REGISTRY_POLICY_SCOPE", "value": value});
    ecr.ok("PutAccountSetting", scope("V1"));
    let asked: Vec<&str> = all
        .iter()
        .filter(|(name, input)| is_asked(name, input.clone()))
        .map(|(name, _)| *name)
        .collect();
    assert_eq!(asked, ["CreateRepository"]);
    // Another scope's registry has a policy of its own.
    let state = ecr.memory.0.state.lock().unwrap();
    let elsewhere = honmaru_base::Scope::new("000000000000", "eu-west-1").unwrap();
    let access = honmaru_ecr::repository_access(&state, &elsewhere, "app", "ecr:CreateRepository");
    assert_eq!(access.holder_policy, None);
}

#[test]
fn a_registry_policy_says_of_which_repositories_it_is() {
    let ecr = Ecr::new();
    let statement = |action: &str| {
        json!({"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111111111111:root"}, "Action": [action],
               "Resource": "arn:aws:ecr:us-east-1:000000000000:repository/*"})
    };
    let put =
        |statement: serde_json::Value| ecr.call("PutRegistryPolicy", json!({"policyText": registry_policy(statement)}));
    assert!(put(statement("ecr:ReplicateImage")).is_ok() && put(statement("ecr:BatchGetImage")).is_ok());
    let mut everywhere = statement("ecr:ReplicateImage");
    everywhere.as_object_mut().unwrap().remove("Resource");
    let refused = put(everywhere).unwrap_err();
    assert_eq!(refused.code, "InvalidParameterException");
    assert_eq!(
        refused.message,
        "Invalid parameter at 'PolicyText' failed to satisfy constraint: 'Invalid registry policy provided'"
    );
    ecr.ok(
        "PutAccountSetting",
        json!({"name": "REGISTRY_POLICY_SCOPE", "value": "V1"}),
    );
    assert!(put(statement("ecr:BatchGetImage")).is_err());
    assert!(put(statement("ecr:ReplicateImage")).is_ok() && put(statement("ecr:*")).is_ok());
}

#[test]
fn a_token_is_told_with_the_host_of_each_registry() {
    let ecr = Ecr::new();
    let hosts = |ids: serde_json::Value| {
        let answer = ecr.ok("GetAuthorizationToken", json!({"registryIds": ids}));
        let data = answer["authorizationData"].as_array().unwrap().clone();
        let hosts: Vec<_> = data.iter().map(|data| data["proxyEndpoint"].clone()).collect();
        hosts
    };
    assert_eq!(hosts(json!([])), ["http://localhost:4566"]);
    assert_eq!(
        hosts(json!(["000000000000", "111111111111"])),
        [
            "http://localhost:4566",
            "http://111111111111.dkr.ecr.us-east-1.localhost:4566"
        ]
    );
    // Reached by AWS's names, it tells AWS's: amazon-ecr-credential-helper takes no other for a registry.
    let mut ecr = Ecr::new();
    (ecr.call.host, ecr.call.secure) = ("api.ecr.us-east-1.amazonaws.com".to_owned(), true);
    let answer = ecr.ok(
        "GetAuthorizationToken",
        json!({"registryIds": ["000000000000", "111111111111"]}),
    );
    for (i, account) in ["000000000000", "111111111111"].into_iter().enumerate() {
        let host = format!("https://{account}.dkr.ecr.us-east-1.amazonaws.com");
        assert_eq!(answer["authorizationData"][i]["proxyEndpoint"], host);
    }
    let made = ecr.ok("CreateRepository", json!({"repositoryName": "app"}));
    assert_eq!(
        made["repository"]["repositoryUri"],
        "000000000000.dkr.ecr.us-east-1.amazonaws.com/app"
    );
}

#[test]
fn tags_that_a_request_brings_or_takes_are_condition_keys() {
    let ecr = Ecr::new();
    ecr.repository("app");
    let keys = |name: &str, input: serde_json::Value| {
        let operation = ecr.operations.iter().find(|operation| operation.name == name).unwrap();
        let accesses = (operation.access)(&ecr.memory.0.state.lock().unwrap(), &ecr.call, &input);
        accesses
            .into_iter()
            .flat_map(|access| access.context)
            .collect::<Vec<_>>()
    };
    let arn = "arn:aws:ecr:us-east-1:000000000000:repository/app";
    let tags = json!([{"Key": "team", "Value": "web"}]);
    let brought = vec![
        ("aws:RequestTag/team".to_owned(), vec!["web".to_owned()]),
        ("aws:TagKeys".to_owned(), vec!["team".to_owned()]),
    ];
    assert_eq!(keys("TagResource", json!({"resourceArn": arn, "tags": tags})), brought);
    // Of the creation, and of the permission to tag.
    assert_eq!(
        keys("CreateRepository", json!({"repositoryName": "new", "tags": tags})),
        [brought.clone(), brought.clone()].concat()
    );
    assert_eq!(
        keys("UntagResource", json!({"resourceArn": arn, "tagKeys": ["team"]})),
        brought[1..]
    );
}

#[test]
fn the_pulls_of_an_excluded_role_are_not_recorded_whatever_its_path() {
    use honmaru_machine::{Principal, PrincipalKind};
    let ecr = Ecr::new();
    let excluded = |arn: &str, kind: PrincipalKind| {
        let principal = Principal {
            arn: arn.to_owned(),
            kind,
            ..ecr.call.principal.clone()
        };
        honmaru_ecr::is_pull_excluded(&ecr.memory.0.state.lock().unwrap(), &ecr.call.scope, &principal)
    };
    for arn in [
        "arn:aws:iam::000000000000:role/ci/scanner",
        "arn:aws:iam::000000000000:user/bob",
    ] {
        ecr.ok("RegisterPullTimeUpdateExclusion", json!({"principalArn": arn}));
    }
    let session = |role: &str| {
        let (role, session) = (role.to_owned(), "s".to_owned());
        (
            format!("arn:aws:sts::000000000000:assumed-role/{role}/s"),
            PrincipalKind::AssumedRole { role, session },
        )
    };
    let (arn, kind) = session("scanner");
    assert!(excluded(&arn, kind));
    let (arn, kind) = session("other");
    assert!(!excluded(&arn, kind));
    let user = |name: &str| {
        (
            format!("arn:aws:iam::000000000000:user/{name}"),
            PrincipalKind::User { name: name.to_owned() },
        )
    };
    let ((bob, bobs), (eve, eves)) = (user("bob"), user("eve"));
    assert!(excluded(&bob, bobs) && !excluded(&eve, eves));
}
