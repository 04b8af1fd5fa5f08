//! Roles, boundaries, profiles, and whom they trust.

use super::*;

#[test]
fn roles_boundaries_profiles_and_service_linked_roles() {
    let mut cloud = Cloud::new();
    let document = trust(json!({"Service": "ecs-tasks.amazonaws.com"}));
    cloud.ok(
        "CreateRole",
        json!({"RoleName": "app", "AssumeRolePolicyDocument": document}),
    );
    assert_eq!(
        cloud.ok("GetRole", json!({"RoleName": "app"}))["Role"]["MaxSessionDuration"],
        3_600
    );
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
    let listed = &profiles["InstanceProfiles"][0];
    assert_eq!(listed["Roles"][0]["RoleName"], "app");
    // As Cloud Custodian's tests recorded it of AWS: lists have no tags, a profile's role no settings.
    assert_eq!(listed.get("Tags"), None);
    assert_eq!(listed["Roles"][0].get("MaxSessionDuration"), None);
    let got = cloud.ok("GetInstanceProfile", json!({"InstanceProfileName": "ip"}));
    assert_eq!(got["InstanceProfile"]["Tags"], json!([]));
    let nobody = json!({"InstanceProfileName": "ip", "RoleName": "nobody"});
    assert_eq!(
        cloud.refusal("RemoveRoleFromInstanceProfile", nobody).message,
        "The role with name nobody cannot be found."
    );
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
    assert!(oidc_provider(&cloud.state, &account(), url).is_some());
    cloud.ok(
        "AddClientIDToOpenIDConnectProvider",
        json!({"OpenIDConnectProviderArn": arn, "ClientID": "x"}),
    );
    // Ref: as Terraform's acceptance tests have it of AWS.
    let odd = json!(["oif8192f189fa2178f-testle.thumbprint.com"]);
    cloud.ok(
        "UpdateOpenIDConnectProviderThumbprint",
        json!({"OpenIDConnectProviderArn": arn, "ThumbprintList": odd}),
    );
    let got = cloud.ok("GetOpenIDConnectProvider", json!({"OpenIDConnectProviderArn": arn}));
    assert_eq!(got["ThumbprintList"], odd);
    assert_eq!(got["ClientIDList"], json!(["sts.amazonaws.com", "x"]));
    // What is gone is gone, and deleting it again is no error.
    for _ in 0..2 {
        cloud.ok("DeleteOpenIDConnectProvider", json!({"OpenIDConnectProviderArn": arn}));
    }
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
    // The scheme is part of the issuer.
    let is_known = |cloud: &Cloud, issuer| oidc_provider(&cloud.state, &account(), issuer).is_some();
    assert!(is_known(&cloud, "http://127.0.0.1:4000") && !is_known(&cloud, "https://127.0.0.1:4000"));
    cloud.ok("CreateOpenIDConnectProvider", create("https://localhost:4000"));
    assert!(is_known(&cloud, "https://localhost:4000") && !is_known(&cloud, "http://localhost:4000"));
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

#[test]
fn the_path_and_the_policies_of_service_linked_roles_are_theirs() {
    let mut cloud = Cloud::new();
    let administrator = cloud.user(ADMINISTRATOR);
    let trusted = trust(json!({"Service": "ecs.amazonaws.com"}));
    let input =
        json!({"RoleName": "x", "Path": "/aws-service-role/ecs.amazonaws.com/", "AssumeRolePolicyDocument": trusted});
    let error = cloud.call_as(administrator.clone(), "CreateRole", input).unwrap_err();
    assert_eq!(error.code, "InvalidInputException");
    assert_eq!(
        error.message,
        "Paths beginning with '/aws-service-role' are reserved for AWS Service Linked Roles"
    );
    cloud.ok(
        "CreateRole",
        json!({"RoleName": "x", "Path": "/service-role/", "AssumeRolePolicyDocument": trusted}),
    );
    let policy = "arn:aws:iam::aws:policy/aws-service-role/AmazonECSServiceRolePolicy";
    let attach = json!({"RoleName": "x", "PolicyArn": policy});
    assert_eq!(cloud.code("AttachRolePolicy", attach), "PolicyNotAttachableException");
    assert_eq!(
        cloud.code("DeleteServiceLinkedRole", json!({"RoleName": "x"})),
        "NoSuchEntityException"
    );
}

#[test]
fn a_service_linked_role_keeps_all_but_its_description_and_tags() {
    let mut cloud = Cloud::new();
    cloud.ok(
        "CreateServiceLinkedRole",
        json!({"AWSServiceName": "ecs.amazonaws.com"}),
    );
    let name = "AWSServiceRoleForECS";
    let policy = "arn:aws:iam::aws:policy/PowerUserAccess";
    cloud.ok("CreateInstanceProfile", json!({"InstanceProfileName": "web"}));
    for (operation, mut input) in [
        ("AttachRolePolicy", json!({"PolicyArn": policy})),
        (
            "DetachRolePolicy",
            json!({"PolicyArn": "arn:aws:iam::aws:policy/aws-service-role/AmazonECSServiceRolePolicy"}),
        ),
        (
            "PutRolePolicy",
            json!({"PolicyName": "p", "PolicyDocument": allow("*", "*")}),
        ),
        ("DeleteRolePolicy", json!({"PolicyName": "p"})),
        ("PutRolePermissionsBoundary", json!({"PermissionsBoundary": policy})),
        ("DeleteRolePermissionsBoundary", json!({})),
        (
            "UpdateAssumeRolePolicy",
            json!({"PolicyDocument": trust(json!({"Service": "ecs.amazonaws.com"}))}),
        ),
        ("UpdateRole", json!({"MaxSessionDuration": 7_200})),
        ("AddRoleToInstanceProfile", json!({"InstanceProfileName": "web"})),
        ("DeleteRole", json!({})),
    ] {
        input["RoleName"] = json!(name);
        assert_eq!(
            cloud.code(operation, input),
            "UnmodifiableEntityException",
            "{operation}"
        );
    }
    cloud.ok("UpdateRole", json!({"RoleName": name, "Description": "ours"}));
    cloud.ok(
        "TagRole",
        json!({"RoleName": name, "Tags": [{"Key": "a", "Value": "b"}]}),
    );
    assert_eq!(
        cloud.ok("GetRole", json!({"RoleName": name}))["Role"]["Description"],
        "ours"
    );
}

#[test]
fn a_role_tells_when_it_was_last_used() {
    let mut cloud = Cloud::new();
    let input =
        json!({"RoleName": "app", "AssumeRolePolicyDocument": trust(json!({"Service": "ecs-tasks.amazonaws.com"}))});
    cloud.ok("CreateRole", input.clone());
    let role = json!({"RoleName": "app"});
    assert_eq!(cloud.ok("GetRole", role.clone())["Role"]["RoleLastUsed"], json!({}));
    let used = json!({"LastUsedDate": 1_790_000_000, "Region": "eu-west-1"});
    {
        let mut tx = Tx::new(&mut cloud.state, NOW, &mut cloud.rng);
        note_role_use(&mut tx, &account(), "APP", "eu-west-1");
        note_role_use(&mut tx, &account(), "gone", "eu-west-1");
        tx.commit();
    }
    assert_eq!(cloud.ok("GetRole", role.clone())["Role"]["RoleLastUsed"], used);
    let all = cloud.ok("GetAccountAuthorizationDetails", json!({"Filter": ["Role"]}));
    assert_eq!(all["RoleDetailList"][0]["RoleLastUsed"], used);
    assert!(
        cloud.ok("ListRoles", json!({}))["Roles"][0]
            .get("RoleLastUsed")
            .is_none()
    );
    // A new role of the name was never used.
    cloud.ok("DeleteRole", role.clone());
    cloud.ok("CreateRole", input);
    assert_eq!(cloud.ok("GetRole", role)["Role"]["RoleLastUsed"], json!({}));
}
