//! Roles, boundaries, profiles, and whom they trust.

use super::*;

#[test]
fn roles_boundaries_profiles_and_service_linked_roles() {
    let mut cloud = Cloud::new();
    let document = trust(json!({"Service": "ecs-tasks.amazonaws.com"}));
    let role = cloud.ok(
        "CreateRole",
        json!({"RoleName": "app", "AssumeRolePolicyDocument": document}),
    );
    assert_eq!(role["Role"]["MaxSessionDuration"], 3_600);
    let (_, found) = role_by_arn(&cloud.state, "arn:aws:iam::123456789012:role/app").unwrap();
    assert_eq!(found.trust, document);
    assert!(
        role_by_arn(&cloud.state, "arn:aws:iam::123456789012:role/x/app").is_none(),
        "the path is part of the ARN"
    );
    let boundary = "arn:aws:iam::aws:policy/PowerUserAccess";
    cloud.ok(
        "PutRolePermissionsBoundary",
        json!({"RoleName": "app", "PermissionsBoundary": boundary}),
    );
    let got = cloud.ok("GetRole", json!({"RoleName": "app"}));
    assert_eq!(got["Role"]["PermissionsBoundary"]["PermissionsBoundaryArn"], boundary);
    cloud.ok("DeleteRolePermissionsBoundary", json!({"RoleName": "app"}));
    assert_eq!(
        cloud.code(
            "AttachRolePolicy",
            json!({"RoleName": "app", "PolicyArn": "arn:aws:iam::aws:policy/Nothing"})
        ),
        "NoSuchEntityException"
    );

    cloud.ok("CreateInstanceProfile", json!({"InstanceProfileName": "ip"}));
    cloud.ok(
        "AddRoleToInstanceProfile",
        json!({"InstanceProfileName": "ip", "RoleName": "app"}),
    );
    assert_eq!(
        cloud.code("DeleteRole", json!({"RoleName": "app"})),
        "DeleteConflictException"
    );
    let profiles = cloud.ok("ListInstanceProfilesForRole", json!({"RoleName": "app"}));
    assert_eq!(profiles["InstanceProfiles"][0]["Roles"][0]["RoleName"], "app");
    cloud.ok(
        "RemoveRoleFromInstanceProfile",
        json!({"InstanceProfileName": "ip", "RoleName": "app"}),
    );
    cloud.ok("DeleteInstanceProfile", json!({"InstanceProfileName": "ip"}));
    cloud.ok("DeleteRole", json!({"RoleName": "app"}));

    let linked = cloud.ok(
        "CreateServiceLinkedRole",
        json!({"AWSServiceName": "ecs.amazonaws.com"}),
    );
    assert_eq!(
        linked["Role"]["Arn"],
        "arn:aws:iam::123456789012:role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS"
    );
    let again = json!({"AWSServiceName": "ecs.amazonaws.com"});
    assert_eq!(cloud.code("CreateServiceLinkedRole", again), "InvalidInputException");
    assert_eq!(
        cloud.code("DeleteRole", json!({"RoleName": "AWSServiceRoleForECS"})),
        "UnmodifiableEntityException"
    );
    let task = cloud.ok("DeleteServiceLinkedRole", json!({"RoleName": "AWSServiceRoleForECS"}));
    let status = cloud.ok(
        "GetServiceLinkedRoleDeletionStatus",
        json!({"DeletionTaskId": task["DeletionTaskId"]}),
    );
    assert_eq!(status["Status"], "SUCCEEDED");
}

#[test]
fn tags_of_instance_profiles_and_issuers_change() {
    let mut cloud = Cloud::new();
    cloud.ok(
        "CreateInstanceProfile",
        json!({"InstanceProfileName": "web", "Tags": [{"Key": "a", "Value": "1"}]}),
    );
    cloud.ok(
        "TagInstanceProfile",
        json!({"InstanceProfileName": "web", "Tags": [{"Key": "b", "Value": "2"}]}),
    );
    cloud.ok(
        "UntagInstanceProfile",
        json!({"InstanceProfileName": "web", "TagKeys": ["a"]}),
    );
    let tags = json!([{"Key": "b", "Value": "2"}]);
    assert_eq!(
        cloud.ok("ListInstanceProfileTags", json!({"InstanceProfileName": "web"}))["Tags"],
        tags
    );
    let arn =
        cloud.ok("CreateOpenIDConnectProvider", json!({"Url": "https://issuer.example"}))["OpenIDConnectProviderArn"]
            .clone();
    cloud.ok(
        "TagOpenIDConnectProvider",
        json!({"OpenIDConnectProviderArn": arn, "Tags": [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]}),
    );
    cloud.ok(
        "UntagOpenIDConnectProvider",
        json!({"OpenIDConnectProviderArn": arn, "TagKeys": ["a"]}),
    );
    assert_eq!(
        cloud.ok(
            "ListOpenIDConnectProviderTags",
            json!({"OpenIDConnectProviderArn": arn})
        )["Tags"],
        tags
    );
    assert_eq!(
        cloud.code("TagInstanceProfile", json!({"InstanceProfileName": "no", "Tags": []})),
        "NoSuchEntityException"
    );
}

#[test]
fn trust_is_in_whoever_had_the_name_when_it_was_given() {
    let mut cloud = Cloud::new();
    let shown = |cloud: &mut Cloud| {
        let role = cloud.ok("GetRole", json!({"RoleName": "r"}));
        let document = role["Role"]["AssumeRolePolicyDocument"].as_str().unwrap().to_owned();
        document.replace("%22", "\"").replace("%3A", ":").replace("%2F", "/")
    };
    let first = cloud.ok("CreateUser", json!({"UserName": "ada"}));
    let id = first["User"]["UserId"].as_str().unwrap().to_owned();
    let arn = format!("arn:aws:iam::{ACCOUNT}:user/ada");
    let document = trust(json!({"AWS": [arn, ACCOUNT]}));
    cloud.ok(
        "CreateRole",
        json!({"RoleName": "r", "AssumeRolePolicyDocument": document}),
    );
    assert!(shown(&mut cloud).contains(&arn));
    // Gone, made again, renamed: the policy means the first one.
    cloud.ok("DeleteUser", json!({"UserName": "ada"}));
    assert!(shown(&mut cloud).contains(&id) && !shown(&mut cloud).contains(&arn));
    cloud.ok("CreateUser", json!({"UserName": "ada"}));
    assert!(shown(&mut cloud).contains(&id) && !shown(&mut cloud).contains(&arn));
    let role = role_of_name(&cloud.state, &account(), "r").unwrap();
    assert!(trust_of(&cloud.state, role).contains(&id));
    // Said again, it means the new one.
    cloud.ok(
        "UpdateAssumeRolePolicy",
        json!({"RoleName": "r", "PolicyDocument": document}),
    );
    assert!(shown(&mut cloud).contains(&arn));
    cloud.ok("DeleteRole", json!({"RoleName": "r"}));
    let plain = trust(json!({"Service": "ecs-tasks.amazonaws.com"}));
    cloud.ok(
        "CreateRole",
        json!({"RoleName": "r", "AssumeRolePolicyDocument": plain}),
    );
    assert!(shown(&mut cloud).contains("ecs-tasks"));
}

#[test]
fn oidc_providers_and_aliases() {
    let mut cloud = Cloud::new();
    let url = "https://token.actions.githubusercontent.com";
    let created = cloud.ok(
        "CreateOpenIDConnectProvider",
        json!({"Url": url, "ClientIDList": ["sts.amazonaws.com"]}),
    );
    let arn = created["OpenIDConnectProviderArn"].clone();
    assert_eq!(
        arn,
        "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
    );
    assert_eq!(
        cloud.code("CreateOpenIDConnectProvider", json!({"Url": url})),
        "EntityAlreadyExistsException"
    );
    assert!(oidc_provider(&cloud.state, &account(), "token.actions.githubusercontent.com").is_some());
    cloud.ok(
        "AddClientIDToOpenIDConnectProvider",
        json!({"OpenIDConnectProviderArn": arn, "ClientID": "x"}),
    );
    let got = cloud.ok("GetOpenIDConnectProvider", json!({"OpenIDConnectProviderArn": arn}));
    assert_eq!(got["ClientIDList"], json!(["sts.amazonaws.com", "x"]));
    cloud.ok("DeleteOpenIDConnectProvider", json!({"OpenIDConnectProviderArn": arn}));
    cloud.ok("CreateAccountAlias", json!({"AccountAlias": "one"}));
    cloud.ok("CreateAccountAlias", json!({"AccountAlias": "two"}));
    assert_eq!(
        cloud.ok("ListAccountAliases", json!({}))["AccountAliases"],
        json!(["two"])
    );
    assert_eq!(cloud.ok("GetAccountSummary", json!({}))["SummaryMap"]["Users"], 1);
}

#[test]
fn issuers_speak_plain_http_on_this_machine_and_in_development_only() {
    let mut cloud = Cloud::new();
    let create = |url: &str| json!({"Url": url, "ClientIDList": ["sts.amazonaws.com"]});
    let administrator = cloud.user(ADMINISTRATOR);
    let refused = cloud.call_as(
        administrator,
        "CreateOpenIDConnectProvider",
        create("http://127.0.0.1:4000"),
    );
    let refused = refused.expect_err("it is not allowed yet");
    assert!(refused.message.contains("honmaru up --dev"), "{refused}");
    let mut tx = Tx::new(&mut cloud.state, NOW, &mut cloud.rng);
    allow_loopback_issuers(&mut tx);
    tx.commit();
    let created = cloud.ok("CreateOpenIDConnectProvider", create("http://127.0.0.1:4000"));
    assert_eq!(
        created["OpenIDConnectProviderArn"],
        "arn:aws:iam::123456789012:oidc-provider/127.0.0.1:4000"
    );
    for url in [
        "http://token.example",
        "http://127.0.0.1@token.example",
        "ftp://127.0.0.1",
    ] {
        assert_eq!(
            cloud.code("CreateOpenIDConnectProvider", create(url)),
            "ValidationError",
            "{url}"
        );
    }
}
