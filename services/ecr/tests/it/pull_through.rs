//! Pull-through rules, creation templates, mirrors.

use super::support::{DAY_MS, Ecr};
use honmaru_ecr::{NotPulled, RegistryAction};
use serde_json::{Value, json};

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

fn mirror(secret: Option<&str>) -> Ecr {
    let ecr = Ecr::new();
    let mut rule = json!({"ecrRepositoryPrefix": "hub", "upstreamRegistryUrl": "registry.example"});
    if let Some(arn) = secret {
        rule["credentialArn"] = json!(arn);
    }
    ecr.ok("CreatePullThroughCacheRule", rule);
    ecr
}

fn upstream(ecr: &Ecr, what: &str, answer: Result<&str, NotPulled>) {
    let mut upstream = ecr.memory.0.upstream.lock().unwrap();
    upstream.insert(what.to_owned(), answer.map(str::to_owned));
}

fn get(name: &str, ids: Value) -> Value {
    json!({"repositoryName": name, "imageIds": ids})
}

#[test]
fn a_mirror_fetches_what_is_asked_for_by_the_api_and_comes_to_be() {
    let ecr = mirror(None);
    upstream(&ecr, "hub/app v1", Ok("one"));
    let answer = ecr.ok(
        "BatchGetImage",
        get("hub/app", json!([{"imageTag": "v1"}, {"imageTag": "v2"}, {}])),
    );
    assert_eq!(answer["images"][0]["imageId"]["imageTag"], "v1");
    let codes = |answer: &Value| {
        let failures = answer["failures"].as_array().unwrap().iter();
        failures
            .map(|one| one["failureCode"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(codes(&answer), ["ImageNotFound", "MissingDigestAndTag"]);
    assert_eq!(ecr.tags("hub/app"), ["v1"]);
    // A mirror that is not there does not come to be for nothing.
    upstream(&ecr, "hub/shut v1", Err(NotPulled::Denied("no".to_owned())));
    let answer = ecr.ok("BatchGetImage", get("hub/shut", json!([{"imageTag": "v1"}])));
    assert_eq!(codes(&answer), ["UpstreamAccessDenied"]);
    let none = ecr.error("BatchGetImage", get("hub/typo", json!([{"imageTag": "v1"}])));
    assert_eq!(none.0, "RepositoryNotFoundException");
    // What lies outside the rule is no mirror.
    let none = ecr.error("BatchGetImage", get("other/app", json!([{"imageTag": "v1"}])));
    assert_eq!(none.0, "RepositoryNotFoundException");
    for (tag, why) in [
        ("shut", NotPulled::Denied("no".to_owned())),
        ("busy", NotPulled::TooMany("no".to_owned())),
        ("away", NotPulled::Unavailable("no".to_owned())),
    ] {
        upstream(&ecr, &format!("hub/app {tag}"), Err(why));
    }
    let ids = json!([{"imageTag": "shut"}, {"imageTag": "v1"}, {"imageTag": "busy"}, {"imageTag": "away"}]);
    let answer = ecr.ok("BatchGetImage", get("hub/app", ids));
    assert_eq!(
        codes(&answer),
        ["UpstreamAccessDenied", "UpstreamTooManyRequests", "UpstreamUnavailable"]
    );
    assert_eq!(answer["images"].as_array().unwrap().len(), 1, "what is there is given");
    // What is cached is given, whatever upstream says.
    upstream(&ecr, "hub/app v1", Err(NotPulled::Unavailable("no".to_owned())));
    let answer = ecr.ok("BatchGetImage", get("hub/app", json!([{"imageTag": "v1"}])));
    assert_eq!(answer["failures"], json!([]));
}

#[test]
fn a_mirror_whose_secret_is_gone_says_so() {
    let ecr = mirror(Some(&secret("000000000000", "hub")));
    ecr.repository("hub/app");
    upstream(&ecr, "hub/app v1", Err(NotPulled::Denied("no".to_owned())));
    let answer = ecr.ok("BatchGetImage", get("hub/app", json!([{"imageTag": "v1"}])));
    assert_eq!(answer["failures"][0]["failureCode"], "UpstreamAccessDenied");
    ecr.memory
        .write(|tx| {
            tx.update::<honmaru_ecr::PullThroughRule>(&ecr.call.scope, "hub", |rule| {
                rule.credential_arn = Some(secret("000000000000", "gone"));
            });
            Ok(())
        })
        .unwrap();
    let error = ecr.error("BatchGetImage", get("hub/app", json!([{"imageTag": "v1"}])));
    assert_eq!(error.0, "UnableToGetUpstreamImageException");
}

#[test]
fn batch_get_image_asks_for_what_a_mirror_needs() {
    let ecr = mirror(None);
    let asked = |name: &str, ids: Value| {
        let operation = ecr
            .operations
            .iter()
            .find(|operation| operation.name == "BatchGetImage")
            .unwrap();
        let state = ecr.memory.0.state.lock().unwrap();
        let accesses = (operation.access)(&state, &ecr.call, &get(name, ids));
        let actions: Vec<String> = accesses.iter().map(|access| access.action.clone()).collect();
        actions.join(" ").replace("ecr:", "")
    };
    let v1 = json!([{"imageTag": "v1"}]);
    assert_eq!(
        asked("hub/app", v1.clone()),
        "BatchGetImage BatchImportUpstreamImage CreateRepository"
    );
    assert_eq!(asked("other/app", v1.clone()), "BatchGetImage");
    ecr.repository("hub/app");
    assert_eq!(asked("hub/app", v1.clone()), "BatchGetImage BatchImportUpstreamImage");
    ecr.image("hub/app", "one", Some("v1"));
    assert_eq!(asked("hub/app", v1), "BatchGetImage");
    let both = json!([{"imageTag": "v1"}, {"imageTag": "v2"}]);
    assert_eq!(asked("hub/app", both), "BatchGetImage BatchImportUpstreamImage");
}

/// Goal: nobody makes, changes or sees the rules of another account's registry. Method: root of one account names the other's
/// registry, before and after that one's policy lets it.
#[test]
fn the_rules_of_another_accounts_registry_are_its_own() {
    const OTHER: &str = "111111111111";
    let ecr = Ecr::new();
    let check = |registry: &str, expected: bool| {
        let state = ecr.memory.0.state.lock().unwrap();
        for name in ["Create", "Update", "Validate", "Delete", "Describe"] {
            let name = format!(
                "{name}PullThroughCacheRule{}",
                if name == "Describe" { "s" } else { "" }
            );
            let operation = ecr.operations.iter().find(|operation| operation.name == name).unwrap();
            let input =
                json!({"registryId": registry, "ecrRepositoryPrefix": "ROOT", "upstreamRegistryUrl": "evil.example"});
            let accesses = (operation.access)(&state, &ecr.call, &input);
            let family = honmaru_identity::ProtocolFamily::Json;
            let answer = honmaru_iam::authorize(&state, &ecr.call, &accesses, family);
            assert_eq!(answer.is_ok(), expected, "{name}: {answer:?}");
        }
    };
    check("000000000000", true);
    check(OTHER, false);
    let scope = honmaru_base::Scope::new(OTHER, "us-east-1").unwrap();
    let policy = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "ecr:*PullThroughCacheRule*",
        "Principal": {"AWS": "arn:aws:iam::000000000000:root"}, "Resource": "*"}]}"#;
    let consent = ecr.memory.write(|tx| {
        let row = honmaru_ecr::Registry {
            policy: Some(policy.to_owned()),
            ..Default::default()
        };
        tx.put(&scope, honmaru_ecr::Registry::KEY, row);
        Ok(())
    });
    consent.unwrap();
    check(OTHER, true);
}

#[test]
fn the_slash_at_the_end_of_a_prefix_is_understood() {
    let ecr = Ecr::new();
    let rule = |prefix: &str| json!({"ecrRepositoryPrefix": prefix, "upstreamRegistryUrl": "quay.io"});
    let made = ecr.ok("CreatePullThroughCacheRule", rule("hub/"));
    assert_eq!(made["ecrRepositoryPrefix"], "hub");
    assert!(
        made["upstreamRepositoryPrefix"].is_null(),
        "Terraform would make the rule anew"
    );
    assert_eq!(
        ecr.error("CreatePullThroughCacheRule", rule("hub")).0,
        "PullThroughCacheRuleAlreadyExistsException"
    );
    let named = ecr.ok(
        "DescribePullThroughCacheRules",
        json!({"ecrRepositoryPrefixes": ["hub/"]}),
    );
    assert_eq!(named["pullThroughCacheRules"].as_array().unwrap().len(), 1);
    let template = |prefix: &str| json!({"prefix": prefix, "appliedFor": ["PULL_THROUGH_CACHE"]});
    let made = ecr.ok("CreateRepositoryCreationTemplate", template("hub/"));
    assert_eq!(made["repositoryCreationTemplate"]["prefix"], "hub");
    assert_eq!(
        ecr.error("CreateRepositoryCreationTemplate", template("hub")).0,
        "TemplateAlreadyExistsException"
    );
    ecr.ok("DeleteRepositoryCreationTemplate", json!({"prefix": "hub/"}));
    ecr.ok("DeletePullThroughCacheRule", json!({"ecrRepositoryPrefix": "hub/"}));
}

#[test]
fn a_templates_role_is_the_accounts_own_and_is_passed_on() {
    let ecr = Ecr::new();
    let template = |role: &str| {
        json!({"prefix": "auto", "appliedFor": ["CREATE_ON_PUSH"], "customRoleArn": role, "lifecyclePolicy": "",
               "repositoryPolicy": "x"})
    };
    let own = "arn:aws:iam::000000000000:role/makes";
    for foreign in [
        "arn:aws:iam::111111111111:role/makes",
        "arn:aws:iam::000000000000:user/me",
        "makes",
    ] {
        let mut input = template(foreign);
        input["repositoryPolicy"] = json!("");
        let refused = ecr.error("CreateRepositoryCreationTemplate", input);
        assert_eq!(refused.0, "ValidationException", "{foreign}");
    }
    let operation = ecr
        .operations
        .iter()
        .find(|one| one.name == "CreateRepositoryCreationTemplate")
        .unwrap();
    let accesses = (operation.access)(&ecr.memory.0.state.lock().unwrap(), &ecr.call, &template(own));
    let asked: Vec<String> = accesses
        .iter()
        .map(|one| format!("{} {}", one.action, one.resources[0]))
        .collect();
    assert_eq!(
        asked,
        [
            "ecr:CreateRepositoryCreationTemplate *".to_owned(),
            "ecr:CreateRepository arn:aws:ecr:us-east-1:000000000000:repository/auto/*".to_owned(),
            "ecr:SetRepositoryPolicy arn:aws:ecr:us-east-1:000000000000:repository/auto/*".to_owned(),
            format!("iam:PassRole {own}"),
        ]
    );
    let refused = ecr.error(
        "CreatePullThroughCacheRule",
        json!({"ecrRepositoryPrefix": "hub", "upstreamRegistryUrl": "quay.io", "customRoleArn": own}),
    );
    assert_eq!(refused.0, "ValidationException");
}

#[test]
fn a_templates_exceptions_are_changed_without_the_setting_that_they_are_of() {
    let ecr = Ecr::new();
    let filters = |filter: &str| json!([{"filterType": "WILDCARD", "filter": filter}]);
    ecr.ok(
        "CreateRepositoryCreationTemplate",
        json!({"prefix": "t", "appliedFor": ["CREATE_ON_PUSH"], "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
               "imageTagMutabilityExclusionFilters": filters("dev-*")}),
    );
    let changed = ecr.ok(
        "UpdateRepositoryCreationTemplate",
        json!({"prefix": "t", "imageTagMutabilityExclusionFilters": filters("test-*")}),
    );
    let template = &changed["repositoryCreationTemplate"];
    assert_eq!(template["imageTagMutability"], "IMMUTABLE_WITH_EXCLUSION");
    assert_eq!(template["imageTagMutabilityExclusionFilters"], filters("test-*"));
}
