//! Pull-through rules, creation templates, mirrors.

use super::support::{DAY_MS, Ecr};
use honmaru_ecr::RegistryAction;
use serde_json::json;

#[test]
fn templates_and_rules_make_repositories() {
    use honmaru_ecr::RegistryAction::{ManifestRead, TagList, UploadBegin};
    let ecr = Ecr::new();
    let admit = |action, name: &str| {
        ecr.memory
            .write(|tx| honmaru_ecr::admit(tx, &ecr.call.scope, action, name))
    };
    assert_eq!(
        admit(UploadBegin, "auto/app").unwrap_err().code,
        "RepositoryNotFoundException"
    );
    ecr.ok(
        "CreateRepositoryCreationTemplate",
        json!({"prefix": "auto", "appliedFor": ["CREATE_ON_PUSH"], "imageTagMutability": "IMMUTABLE"}),
    );
    admit(UploadBegin, "auto/app").unwrap();
    let made = ecr.ok("DescribeRepositories", json!({"repositoryNames": ["auto/app"]}));
    assert_eq!(made["repositories"][0]["imageTagMutability"], "IMMUTABLE");
    assert!(admit(UploadBegin, "other/app").is_err());
    let rule = json!({"ecrRepositoryPrefix": "hub", "upstreamRegistryUrl": "registry-1.docker.io"});
    assert_eq!(
        ecr.ok("CreatePullThroughCacheRule", rule.clone())["upstreamRegistry"],
        "docker-hub"
    );
    assert_eq!(
        ecr.error("CreatePullThroughCacheRule", rule).0,
        "PullThroughCacheRuleAlreadyExistsException"
    );
    assert!(admit(TagList, "hub/library/nginx").is_err());
    admit(ManifestRead, "hub/library/nginx").unwrap();
    let state = ecr.memory.0.state.lock().unwrap();
    let upstream = honmaru_ecr::upstream_of(&state, &ecr.call.scope, "hub/library/nginx").unwrap();
    assert_eq!(upstream.repository, "registry-1.docker.io/library/nginx");
}

fn secret(account: &str, name: &str) -> String {
    format!("arn:aws:secretsmanager:us-east-1:{account}:secret:ecr-pullthroughcache/{name}")
}

#[test]
fn a_pull_through_rules_secret_must_be_there_and_the_registrys_own() {
    let ecr = Ecr::new();
    let create = |prefix: &str, arn: String| json!({"ecrRepositoryPrefix": prefix, "upstreamRegistryUrl": "closed.example", "credentialArn": arn});
    let missing = ecr.error(
        "CreatePullThroughCacheRule",
        create("one", secret("000000000000", "none")),
    );
    assert_eq!(missing.0, "SecretNotFoundException");
    let foreign = ecr.error(
        "CreatePullThroughCacheRule",
        create("one", secret("111111111111", "hub")),
    );
    assert_eq!(foreign.0, "UnableToAccessSecretException");
    let made = ecr.ok(
        "CreatePullThroughCacheRule",
        create("one", secret("000000000000", "hub")),
    );
    assert_eq!(made["credentialArn"], secret("000000000000", "hub"));
    let changed = ecr.error(
        "UpdatePullThroughCacheRule",
        json!({"ecrRepositoryPrefix": "one", "credentialArn": secret("000000000000", "none")}),
    );
    assert_eq!(changed.0, "SecretNotFoundException");
    let described = ecr.ok("DescribePullThroughCacheRules", json!({}));
    assert_eq!(
        described["pullThroughCacheRules"][0]["credentialArn"],
        secret("000000000000", "hub")
    );
}

#[test]
fn a_pull_through_rule_is_tried_against_its_upstream() {
    let ecr = Ecr::new();
    ecr.ok(
        "CreatePullThroughCacheRule",
        json!({"ecrRepositoryPrefix": "shut", "upstreamRegistryUrl": "closed.example"}),
    );
    ecr.ok(
        "CreatePullThroughCacheRule",
        json!({"ecrRepositoryPrefix": "open", "upstreamRegistryUrl": "closed.example",
               "credentialArn": secret("000000000000", "hub")}),
    );
    let shut = ecr.ok("ValidatePullThroughCacheRule", json!({"ecrRepositoryPrefix": "shut"}));
    assert_eq!(
        (&shut["isValid"], &shut["failure"]),
        (&json!(false), &json!("it does not let us in"))
    );
    let open = ecr.ok("ValidatePullThroughCacheRule", json!({"ecrRepositoryPrefix": "open"}));
    assert_eq!((&open["isValid"], open.get("failure")), (&json!(true), None));
    let none = ecr.error("ValidatePullThroughCacheRule", json!({"ecrRepositoryPrefix": "none"}));
    assert_eq!(none.0, "PullThroughCacheRuleNotFoundException");
}

#[test]
fn a_mirrors_tag_is_checked_once_a_day_and_by_one_caller() {
    let mut ecr = Ecr::new();
    ecr.repository("mirror/app");
    ecr.repository("own");
    ecr.ok(
        "CreatePullThroughCacheRule",
        json!({"ecrRepositoryPrefix": "mirror", "upstreamRegistryUrl": "quay.io"}),
    );
    ecr.image("mirror/app", "one", Some("v1"));
    ecr.image("own", "one", Some("v1"));
    let begin = |ecr: &Ecr, name: &str, tag: &str| {
        let scope = ecr.call.scope.clone();
        let begun = ecr
            .memory
            .write(|tx| Ok(honmaru_ecr::begin_check(tx, &scope, name, tag)));
        begun.unwrap()
    };
    assert!(!begin(&ecr, "mirror/app", "v1"), "it was fetched just now");
    ecr.advance(DAY_MS);
    assert!(!begin(&ecr, "own", "v1"), "no mirror");
    assert!(!begin(&ecr, "mirror/app", "v2"), "no such tag");
    assert!(begin(&ecr, "mirror/app", "v1"));
    assert!(!begin(&ecr, "mirror/app", "v1"), "somebody has the check already");
    // A check that came to nothing is tried again soon.
    ecr.advance(15 * 60 * 1_000);
    assert!(begin(&ecr, "mirror/app", "v1"));
    ecr.image("mirror/app", "two", Some("v1"));
    ecr.advance(DAY_MS - 1);
    assert!(!begin(&ecr, "mirror/app", "v1"), "it was fetched less than a day ago");
    ecr.advance(1);
    assert!(begin(&ecr, "mirror/app", "v1"));
    // Nothing stays behind when the tag goes.
    ecr.ok(
        "DeleteRepository",
        json!({"repositoryName": "mirror/app", "force": true}),
    );
    let state = ecr.memory.0.state.lock().unwrap();
    assert_eq!(state.all::<honmaru_ecr::UpstreamCheck>().count(), 0);
}

#[test]
fn a_prefix_may_be_one_character() {
    let ecr = Ecr::new();
    let template = |prefix: &str| json!({"prefix": prefix, "appliedFor": ["CREATE_ON_PUSH"]});
    ecr.ok("CreateRepositoryCreationTemplate", template("t"));
    for bad in ["", "a//b", "A", "-a"] {
        let refused = ecr.error("CreateRepositoryCreationTemplate", template(bad));
        assert_eq!(refused.0, "InvalidParameterException", "{bad}");
    }
    let scope = ecr.call.scope.clone();
    let made = ecr
        .memory
        .write(|tx| honmaru_ecr::admit(tx, &scope, RegistryAction::UploadBegin, "t/app"));
    assert_eq!(made, Ok(()));
}

#[test]
fn what_makes_a_repository_asks_for_the_permissions_to_import_to_create_and_to_tag() {
    let ecr = Ecr::new();
    let asked = |action: RegistryAction, name: &str| {
        let state = ecr.memory.0.state.lock().unwrap();
        let accesses = honmaru_ecr::creation_access(&state, &ecr.call.scope, action, name);
        let actions: Vec<String> = accesses.iter().map(|access| access.action.clone()).collect();
        assert!(
            accesses
                .iter()
                .all(|access| access.resources == [format!("arn:aws:ecr:us-east-1:000000000000:repository/{name}")])
        );
        actions.join(" ").replace("ecr:", "")
    };
    let (read, write) = (RegistryAction::ManifestRead, RegistryAction::ManifestWrite);
    assert_eq!(asked(read, "hub/app"), "", "no rule, no repository");
    ecr.ok(
        "CreatePullThroughCacheRule",
        json!({"ecrRepositoryPrefix": "hub", "upstreamRegistryUrl": "registry.example"}),
    );
    assert_eq!(asked(read, "hub/app"), "BatchImportUpstreamImage CreateRepository");
    assert_eq!(asked(RegistryAction::BlobRead, "hub/app"), "");
    assert_eq!(asked(write, "hub/app"), "");
    ecr.ok(
        "CreateRepositoryCreationTemplate",
        json!({"prefix": "hub", "appliedFor": ["PULL_THROUGH_CACHE", "CREATE_ON_PUSH"],
               "resourceTags": [{"Key": "team", "Value": "web"}]}),
    );
    assert_eq!(
        asked(read, "hub/app"),
        "BatchImportUpstreamImage CreateRepository TagResource"
    );
    assert_eq!(asked(write, "hub/app"), "CreateRepository TagResource");
    ecr.repository("hub/app");
    assert_eq!(asked(read, "hub/app"), "");
}
