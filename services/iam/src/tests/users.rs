//! Users, groups and their keys, from their beginning to their end.

use super::*;

#[test]
fn the_first_start_makes_an_administrator_once() {
    let mut cloud = Cloud::new();
    let keys: Vec<(String, String)> = (0..2)
        .map(|_| {
            let mut tx = Tx::new(&mut cloud.state, NOW, &mut cloud.rng);
            let key = ensure_administrator(&mut tx, &account());
            assert!(!tx.is_changed(), "all was there");
            key
        })
        .collect();
    assert_eq!(keys[0], keys[1]);
    let owner = access_key(&cloud.state, &keys[0].0).unwrap();
    assert_eq!(
        (owner.account, owner.key.secret.as_str()),
        (account(), keys[0].1.as_str())
    );
    assert_eq!(owner.user.entity.name, ADMINISTRATOR);
    assert!(access_key(&cloud.state, "AKIAIOSFODNN7EXAMPLE").is_none());
}

#[test]
fn a_user_from_its_creation_to_its_end() {
    let mut cloud = Cloud::new();
    let user = cloud.ok(
        "CreateUser",
        json!({"UserName": "Ada", "Path": "/team/", "Tags": [{"Key": "k", "Value": "v"}]}),
    );
    assert_eq!(user["User"]["Arn"], "arn:aws:iam::123456789012:user/team/Ada");
    assert!(user["User"]["UserId"].as_str().unwrap().starts_with("AIDA"));
    assert_eq!(user["User"]["Tags"], json!([{"Key": "k", "Value": "v"}]));
    assert_eq!(
        cloud.code("CreateUser", json!({"UserName": "ADA"})),
        "EntityAlreadyExistsException"
    );
    assert_eq!(
        cloud.code("GetUser", json!({"UserName": "nobody"})),
        "NoSuchEntityException"
    );
    assert_eq!(cloud.ok("GetUser", json!({}))["User"]["UserName"], ADMINISTRATOR);

    let key = cloud.ok("CreateAccessKey", json!({"UserName": "Ada"}))["AccessKey"].clone();
    let id = key["AccessKeyId"].as_str().unwrap().to_owned();
    assert_eq!(key["SecretAccessKey"].as_str().unwrap().len(), 40);
    cloud.ok("CreateAccessKey", json!({"UserName": "Ada"}));
    assert_eq!(
        cloud.code("CreateAccessKey", json!({"UserName": "Ada"})),
        "LimitExceededException"
    );
    cloud.ok(
        "UpdateAccessKey",
        json!({"UserName": "Ada", "AccessKeyId": id, "Status": "Inactive"}),
    );
    assert!(!access_key(&cloud.state, &id).unwrap().key.is_active());
    assert_eq!(
        cloud.code("DeleteUser", json!({"UserName": "Ada"})),
        "DeleteConflictException"
    );

    cloud.ok("UpdateUser", json!({"UserName": "Ada", "NewUserName": "Lovelace"}));
    let keys = cloud.ok("ListAccessKeys", json!({"UserName": "Lovelace"}));
    for key in keys["AccessKeyMetadata"].as_array().unwrap() {
        assert_eq!(key["UserName"], "Lovelace");
        cloud.ok(
            "DeleteAccessKey",
            json!({"UserName": "Lovelace", "AccessKeyId": key["AccessKeyId"]}),
        );
    }
    cloud.ok(
        "PutUserPolicy",
        json!({"UserName": "Lovelace", "PolicyName": "p", "PolicyDocument": allow("ecs:*", "*")}),
    );
    assert_eq!(
        cloud.code("DeleteUser", json!({"UserName": "Lovelace"})),
        "DeleteConflictException"
    );
    let got = cloud.ok("GetUserPolicy", json!({"UserName": "Lovelace", "PolicyName": "p"}));
    assert!(
        got["PolicyDocument"]
            .as_str()
            .unwrap()
            .contains("%22Version%22%3A%222012-10-17%22")
    );
    cloud.ok("DeleteUserPolicy", json!({"UserName": "Lovelace", "PolicyName": "p"}));
    cloud.ok("DeleteUser", json!({"UserName": "Lovelace"}));
    assert_eq!(
        cloud.code("DeleteUser", json!({"UserName": "Lovelace"})),
        "NoSuchEntityException"
    );
}

#[test]
fn what_nobody_has_is_not_there() {
    let mut cloud = Cloud::new();
    cloud.ok("CreateUser", json!({"UserName": "ada"}));
    cloud.ok("CreateAccessKey", json!({"UserName": "ada"}));
    let credential =
        json!({"UserName": "ada", "ServiceSpecificCredentialId": "ACCAEXAMPLE1234567890", "Status": "Active"});
    for operation in ["Update", "Reset", "Delete"] {
        let error = cloud.refusal(&format!("{operation}ServiceSpecificCredential"), credential.clone());
        assert_eq!(error.message, "No such credential ACCAEXAMPLE1234567890 exists");
    }
    let input = json!({"UserName": "ada", "ServiceName": "codecommit.amazonaws.com"});
    for operation in ["CreateServiceSpecificCredential", "ListServiceSpecificCredentials"] {
        let error = cloud.refusal(operation, input.clone());
        assert_eq!(
            error.message,
            "No such service codecommit.amazonaws.com is supported for Service Specific Credentials"
        );
    }
    assert_eq!(cloud.ok("GenerateCredentialReport", json!({}))["State"], "COMPLETE");
    let content = cloud.ok("GetCredentialReport", json!({}))["Content"]
        .as_str()
        .unwrap()
        .to_owned();
    use base64::Engine;
    let csv = String::from_utf8(base64::engine::general_purpose::STANDARD.decode(content).unwrap()).unwrap();
    let lines: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    assert!(lines.iter().all(|line| line.len() == 22), "{csv}");
    let ada = lines.iter().find(|line| line[0] == "ada").unwrap();
    assert_eq!((ada[8], ada[10], ada[13]), ("true", "N/A", "false"));
}

#[test]
fn what_stands_in_the_way_of_an_end_is_said() {
    let mut cloud = Cloud::new();
    let message = |cloud: &mut Cloud, name: &str, input: Value| {
        let administrator = cloud.user(ADMINISTRATOR);
        let error = cloud.call_as(administrator, name, input).unwrap_err();
        assert_eq!(error.code, "DeleteConflictException", "{name}");
        error.message
    };
    let user = json!({"UserName": "u"});
    let member = json!({"UserName": "u", "GroupName": "g"});
    let policy = json!({"UserName": "u", "PolicyName": "p", "PolicyDocument": allow("ecs:*", "*")});
    let attached = json!({"UserName": "u", "PolicyArn": "arn:aws:iam::aws:policy/IAMReadOnlyAccess"});
    for (name, input) in [
        ("CreateUser", user.clone()),
        ("CreateGroup", json!({"GroupName": "g"})),
        ("AddUserToGroup", member.clone()),
        ("PutUserPolicy", policy),
        ("AttachUserPolicy", attached.clone()),
    ] {
        cloud.ok(name, input);
    }
    let key = cloud.ok("CreateAccessKey", user.clone())["AccessKey"]["AccessKeyId"].clone();
    assert_eq!(
        message(&mut cloud, "DeleteGroup", json!({"GroupName": "g"})),
        "Cannot delete entity, must remove users from group first."
    );
    for (text, name, input) in [
        ("must detach all policies first.", "DetachUserPolicy", attached),
        (
            "must delete policies first.",
            "DeleteUserPolicy",
            json!({"UserName": "u", "PolicyName": "p"}),
        ),
        ("must remove users from group first.", "RemoveUserFromGroup", member),
        (
            "must delete access keys first.",
            "DeleteAccessKey",
            json!({"UserName": "u", "AccessKeyId": key}),
        ),
    ] {
        let said = message(&mut cloud, "DeleteUser", user.clone());
        assert_eq!(said, format!("Cannot delete entity, {text}"));
        cloud.ok(name, input);
    }
    cloud.ok("DeleteUser", user);
    cloud.ok("DeleteGroup", json!({"GroupName": "g"}));
}
