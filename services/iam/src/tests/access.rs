//! What operations ask permission for: resources and condition keys.
//! Ref: Service Authorization Reference, "Actions, resources, and condition keys for AWS Identity and Access Management".

use super::*;

/// What an operation asks for: actions, first resources and keys.
fn asked(cloud: &Cloud, name: &str, input: Value) -> Vec<Access> {
    let operation = operations().into_iter().find(|o| o.name == name).unwrap();
    (operation.access)(&cloud.state, &call(cloud.user(ADMINISTRATOR)), &input)
}

fn has(access: &Access, key: &str) -> bool {
    access.context.iter().any(|(name, _)| name == key)
}

#[test]
fn whoever_creates_with_tags_needs_the_permission_to_tag() {
    let mut cloud = Cloud::new();
    cloud.ok("CreateUser", json!({"UserName": "ada"}));
    cloud.ok(
        "PutUserPolicy",
        json!({"UserName": "ada", "PolicyName": "p", "PolicyDocument": allow("iam:Create*", "*")}),
    );
    let ada = cloud.user("ada");
    let tags = json!([{"Key": "team", "Value": "blue"}]);
    let trusted = trust(json!({"Service": "ecs-tasks.amazonaws.com"}));
    for (name, tagging, mut input) in [
        ("CreateUser", "iam:TagUser", json!({"UserName": "x"})),
        (
            "CreateRole",
            "iam:TagRole",
            json!({"RoleName": "x", "AssumeRolePolicyDocument": trusted}),
        ),
        (
            "CreatePolicy",
            "iam:TagPolicy",
            json!({"PolicyName": "x", "PolicyDocument": allow("*", "*")}),
        ),
        (
            "CreateInstanceProfile",
            "iam:TagInstanceProfile",
            json!({"InstanceProfileName": "x"}),
        ),
        (
            "CreateOpenIDConnectProvider",
            "iam:TagOpenIDConnectProvider",
            json!({"Url": "https://x.example"}),
        ),
    ] {
        input["Tags"] = tags.clone();
        let error = cloud.call_as(ada.clone(), name, input.clone()).unwrap_err();
        assert_eq!(error.code, "AccessDenied", "{name}");
        assert!(error.message.contains(tagging), "{name}: {}", error.message);
        input.as_object_mut().unwrap().remove("Tags");
        cloud.call_as(ada.clone(), name, input).unwrap();
    }
}

#[test]
fn a_role_in_an_instance_profile_is_passed() {
    let mut cloud = Cloud::new();
    let trusted = trust(json!({"Service": "ec2.amazonaws.com"}));
    cloud.ok(
        "CreateRole",
        json!({"RoleName": "app", "AssumeRolePolicyDocument": trusted}),
    );
    cloud.ok("CreateInstanceProfile", json!({"InstanceProfileName": "web"}));
    cloud.ok("CreateUser", json!({"UserName": "ada"}));
    let policy = |document: String| json!({"UserName": "ada", "PolicyName": "p", "PolicyDocument": document});
    cloud.ok("PutUserPolicy", policy(allow("iam:AddRoleToInstanceProfile", "*")));
    let ada = cloud.user("ada");
    let input = json!({"InstanceProfileName": "web", "RoleName": "app"});
    let error = cloud
        .call_as(ada.clone(), "AddRoleToInstanceProfile", input.clone())
        .unwrap_err();
    assert!(
        error
            .message
            .contains("iam:PassRole on resource: arn:aws:iam::123456789012:role/app")
    );
    let passes = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "iam:AddRoleToInstanceProfile", "Resource": "*"},
        {"Effect": "Allow", "Action": "iam:PassRole", "Resource": "*",
            "Condition": {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}}]});
    cloud.ok("PutUserPolicy", policy(passes.to_string()));
    cloud.call_as(ada, "AddRoleToInstanceProfile", input).unwrap();
}

#[test]
fn keys_are_those_of_the_reference() {
    let mut cloud = Cloud::new();
    let trusted = trust(json!({"Service": "ecs-tasks.amazonaws.com"}));
    let boundary = "arn:aws:iam::aws:policy/PowerUserAccess";
    let tags = json!([{"Key": "team", "Value": "blue"}]);
    cloud.ok(
        "CreateRole",
        json!({"RoleName": "app", "AssumeRolePolicyDocument": trusted, "PermissionsBoundary": boundary, "Tags": tags}),
    );
    cloud.ok(
        "CreatePolicy",
        json!({"PolicyName": "p", "PolicyDocument": allow("*", "*"), "Tags": tags}),
    );
    let role = json!({"RoleName": "app"});
    let get = &asked(&cloud, "GetRole", role.clone())[0];
    assert!(
        has(get, "iam:PermissionsBoundary") && has(get, "iam:ResourceTag/team") && has(get, "aws:ResourceTag/team")
    );
    assert!(!has(&asked(&cloud, "TagRole", role)[0], "iam:PermissionsBoundary"));
    let arn = "arn:aws:iam::123456789012:policy/p";
    let attach = json!({"RoleName": "app", "PolicyArn": arn});
    assert!(has(&asked(&cloud, "AttachRolePolicy", attach)[0], "iam:PolicyARN"));
    let policy = &asked(&cloud, "GetPolicy", json!({"PolicyArn": arn}))[0];
    assert!(!has(policy, "iam:PolicyARN") && !has(policy, "iam:ResourceTag/team"));
    assert!(has(policy, "aws:ResourceTag/team"));
    let linked = &asked(
        &cloud,
        "CreateServiceLinkedRole",
        json!({"AWSServiceName": "ecs.amazonaws.com"}),
    )[0];
    let linked_arn = "arn:aws:iam::123456789012:role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS";
    assert_eq!(linked.resources, [linked_arn]);
    let task = "task/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS/0-0";
    let status = &asked(
        &cloud,
        "GetServiceLinkedRoleDeletionStatus",
        json!({"DeletionTaskId": task}),
    )[0];
    assert_eq!(status.resources, [linked_arn]);
}

#[test]
fn whoever_renames_needs_permission_for_both_names() {
    let mut cloud = Cloud::new();
    cloud.ok("CreateUser", json!({"UserName": "ada"}));
    cloud.ok("CreateUser", json!({"UserName": "bob", "Path": "/team/"}));
    let resource = "arn:aws:iam::123456789012:user/team/bob";
    cloud.ok(
        "PutUserPolicy",
        json!({"UserName": "ada", "PolicyName": "p", "PolicyDocument": allow("iam:UpdateUser", resource)}),
    );
    let rename = json!({"UserName": "bob", "NewUserName": "robert"});
    let error = cloud
        .call_as(cloud.user("ada"), "UpdateUser", rename.clone())
        .unwrap_err();
    assert!(error.message.contains("user/team/robert"), "{}", error.message);
    let of = |name: &str, input: Value| asked(&cloud, name, input)[0].resources.clone();
    assert_eq!(of("UpdateUser", rename).len(), 2);
    assert_eq!(
        of("UpdateUser", json!({"UserName": "bob", "NewPath": "/"})),
        [resource, "arn:aws:iam::123456789012:user/bob"]
    );
    assert_eq!(
        of("UpdateUser", json!({"UserName": "bob", "NewUserName": "bob"})),
        [resource]
    );
    assert_eq!(
        of("UpdateGroup", json!({"GroupName": "g", "NewGroupName": "h"})),
        ["arn:aws:iam::123456789012:group/g", "arn:aws:iam::123456789012:group/h"]
    );
}
