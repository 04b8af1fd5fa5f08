//! Goal: the known ways from some permissions to more (Rhino Security Labs' list), as far as their operations are here,
//! need the permission on the very thing that is changed, however it is named. Method: somebody who may do everything but
//! what concerns `power` tries each.

use super::*;

fn denied_on_power() -> String {
    let of = |kind: &str| format!("arn:aws:iam::{ACCOUNT}:{kind}/power");
    let resources: Vec<String> = ["user", "group", "role", "policy"].into_iter().map(of).collect();
    json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "Action": "*", "Resource": resources},
    ]})
    .to_string()
}

/// A user, a group, a role and a policy `power`, a user `mallory` who may do everything but with those, and a profile.
fn cloud() -> Cloud {
    let mut cloud = Cloud::new();
    for (name, input) in [
        ("CreateUser", json!({"UserName": "power"})),
        ("CreateGroup", json!({"GroupName": "power"})),
        (
            "CreateRole",
            json!({"RoleName": "power", "AssumeRolePolicyDocument": trust(json!({"Service": "ec2.amazonaws.com"}))}),
        ),
        (
            "CreatePolicy",
            json!({"PolicyName": "power", "PolicyDocument": allow("s3:*", "*")}),
        ),
        (
            "PutUserPolicy",
            json!({"UserName": "power", "PolicyName": "own", "PolicyDocument": allow("*", "*")}),
        ),
        ("CreateUser", json!({"UserName": "mallory"})),
        ("CreateGroup", json!({"GroupName": "friends"})),
        (
            "PutUserPolicy",
            json!({"UserName": "mallory", "PolicyName": "p", "PolicyDocument": denied_on_power()}),
        ),
        ("CreateInstanceProfile", json!({"InstanceProfileName": "profile"})),
    ] {
        cloud.ok(name, input);
    }
    cloud
}

#[test]
fn more_power_needs_the_permission_on_what_gives_it() {
    let mut cloud = cloud();
    let mallory = cloud.user("mallory");
    let all = "arn:aws:iam::aws:policy/AdministratorAccess";
    let arn = format!("arn:aws:iam::{ACCOUNT}:policy/power");
    let open = trust(json!({"AWS": "*"}));
    for name in ["power", "POWER", "Power"] {
        for (operation, input) in [
            ("CreateAccessKey", json!({"UserName": name})),
            ("AttachUserPolicy", json!({"UserName": name, "PolicyArn": all})),
            (
                "PutUserPolicy",
                json!({"UserName": name, "PolicyName": "x", "PolicyDocument": allow("*", "*")}),
            ),
            ("DeleteUserPolicy", json!({"UserName": name, "PolicyName": "own"})),
            ("DetachUserPolicy", json!({"UserName": name, "PolicyArn": all})),
            (
                "PutUserPermissionsBoundary",
                json!({"UserName": name, "PermissionsBoundary": all}),
            ),
            ("DeleteUserPermissionsBoundary", json!({"UserName": name})),
            ("UpdateUser", json!({"UserName": name, "NewUserName": "mine"})),
            (
                "DeactivateMFADevice",
                json!({"UserName": name, "SerialNumber": "arn:aws:iam::1:mfa/x"}),
            ),
            ("AddUserToGroup", json!({"UserName": "mallory", "GroupName": name})),
            ("AttachGroupPolicy", json!({"GroupName": name, "PolicyArn": all})),
            (
                "PutGroupPolicy",
                json!({"GroupName": name, "PolicyName": "x", "PolicyDocument": allow("*", "*")}),
            ),
            ("UpdateGroup", json!({"GroupName": name, "NewGroupName": "mine"})),
            ("AttachRolePolicy", json!({"RoleName": name, "PolicyArn": all})),
            (
                "PutRolePolicy",
                json!({"RoleName": name, "PolicyName": "x", "PolicyDocument": allow("*", "*")}),
            ),
            (
                "UpdateAssumeRolePolicy",
                json!({"RoleName": name, "PolicyDocument": open}),
            ),
            (
                "PutRolePermissionsBoundary",
                json!({"RoleName": name, "PermissionsBoundary": all}),
            ),
            ("DeleteRolePermissionsBoundary", json!({"RoleName": name})),
            ("UpdateRole", json!({"RoleName": name, "MaxSessionDuration": 43_200})),
            // iam:PassRole
            (
                "AddRoleToInstanceProfile",
                json!({"InstanceProfileName": "profile", "RoleName": name}),
            ),
        ] {
            let error = cloud.call_as(mallory.clone(), operation, input.clone()).unwrap_err();
            assert_eq!(error.code, "AccessDenied", "{operation} {input}: {error}");
        }
    }
    for (operation, input) in [
        (
            "CreatePolicyVersion",
            json!({"PolicyArn": arn, "PolicyDocument": allow("*", "*"), "SetAsDefault": true}),
        ),
        ("SetDefaultPolicyVersion", json!({"PolicyArn": arn, "VersionId": "v1"})),
        // Nobody becomes what policies call by another name.
        ("UpdateUser", json!({"UserName": "mallory", "NewUserName": "power"})),
        ("UpdateGroup", json!({"GroupName": "friends", "NewGroupName": "power"})),
    ] {
        let error = cloud.call_as(mallory.clone(), operation, input.clone()).unwrap_err();
        assert_eq!(error.code, "AccessDenied", "{operation} {input}: {error}");
    }
}

#[test]
fn what_is_named_by_its_arn_has_no_other_arn() {
    let mut cloud = cloud();
    let mallory = cloud.user("mallory");
    for other in [
        format!("arn:aws:iam::{ACCOUNT}:KIND//power"),
        format!("arn:aws:iam::{ACCOUNT}:KIND/x/power"),
        format!("arn:aws:iam::{ACCOUNT}:KIND/POWER"),
        format!("arn:aws:iam:us-east-1:{ACCOUNT}:KIND/power"),
        format!("arn:aws-cn:iam::{ACCOUNT}:KIND/power"),
        format!("x:y:z:w:{ACCOUNT}:KIND/power"),
    ] {
        for kind in ["user", "group", "role"] {
            let source = other.replace("KIND", kind);
            let input = json!({"PolicySourceArn": source, "ActionNames": ["s3:GetObject"]});
            for operation in ["SimulatePrincipalPolicy", "GetContextKeysForPrincipalPolicy"] {
                let told = cloud.call_as(mallory.clone(), operation, input.clone());
                assert!(told.is_err(), "{operation} {source}: {told:?}");
            }
        }
        let policy = other.replace("KIND", "policy");
        for (operation, input) in [
            (
                "CreatePolicyVersion",
                json!({"PolicyArn": policy, "PolicyDocument": allow("*", "*"), "SetAsDefault": true}),
            ),
            ("GetPolicyVersion", json!({"PolicyArn": policy, "VersionId": "v1"})),
            ("AttachUserPolicy", json!({"UserName": "mallory", "PolicyArn": policy})),
        ] {
            let told = cloud.call_as(mallory.clone(), operation, input);
            assert!(told.is_err(), "{operation} {policy}: {told:?}");
        }
    }
}
