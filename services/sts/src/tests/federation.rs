//! Federated users, encoded refusals, and what chains and sessions must not do.

use super::*;

fn document(statement: Value) -> String {
    json!({"Version": "2012-10-17", "Statement": statement}).to_string()
}

fn federate(cloud: &mut Cloud, principal: Principal, more: Value) -> Result<Value, ApiError> {
    let mut input = json!({"Name": "bob"});
    input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    cloud.sts(principal, "GetFederationToken", input)
}

fn broker(cloud: &mut Cloud) -> Principal {
    cloud.user("broker");
    let policy = document(json!({"Effect": "Allow", "Action": ["sts:*", "ecs:*", "iam:*"], "Resource": "*"}));
    cloud.iam(
        "PutUserPolicy",
        json!({"UserName": "broker", "PolicyName": "p", "PolicyDocument": policy}),
    );
    cloud.iam(
        "TagUser",
        json!({"UserName": "broker", "Tags": [{"Key": "Dept", "Value": "ops"}]}),
    );
    user_principal(
        &account(),
        user_of_name(&cloud.state, &account(), "broker").unwrap(),
        "AKIA",
    )
}

/// Evaluates an action on a resource with a policy of its own.
fn allows_on(cloud: &Cloud, principal: &Principal, resource_principal: &str) -> bool {
    let repository = format!("arn:aws:ecr:us-east-1:{ACCOUNT}:repository/r");
    let policy = document(json!({"Effect": "Allow", "Action": "ecr:*", "Resource": "*",
        "Principal": {"AWS": resource_principal}}));
    let access = Access {
        resource_policy: Some(policy),
        ..Access::new("ecr:BatchGetImage", vec![repository])
    };
    authorize(
        &cloud.state,
        &call_of(principal.clone()),
        &[access],
        ProtocolFamily::Json,
    )
    .is_ok()
}

fn call_of(principal: Principal) -> Call {
    Call {
        scope: Scope::new(ACCOUNT, "us-east-1").unwrap(),
        principal,
        request_id: String::new(),
        now: NOW,
        source_ip: None,
        user_agent: "test".to_owned(),
        referer: String::new(),
        host: String::new(),
        secure: false,
    }
}

#[test]
fn a_federated_user_has_what_user_and_session_policy_both_allow() {
    let mut cloud = Cloud::new();
    let user = broker(&mut cloud);
    let policy =
        document(json!({"Effect": "Allow", "Action": ["ecs:List*", "logs:*", "iam:*", "sts:*"], "Resource": "*"}));
    let answer = federate(
        &mut cloud,
        user.clone(),
        json!({"Policy": policy, "DurationSeconds": 900, "Tags": [{"Key": "dept", "Value": "dev"}]}),
    )
    .unwrap();
    assert_eq!(
        answer["FederatedUser"],
        json!({"FederatedUserId": "123456789012:bob", "Arn": "arn:aws:sts::123456789012:federated-user/bob"})
    );
    assert_eq!(answer["Credentials"]["Expiration"], 1_790_000_900.0);
    assert!(answer["PackedPolicySize"].as_i64().unwrap() > 0);
    let bob = cloud.present(&answer["Credentials"], NOW).unwrap();
    assert_eq!(bob.arn, "arn:aws:sts::123456789012:federated-user/bob");
    assert_eq!(bob.user_id, "123456789012:bob");
    assert_eq!(
        bob.tags,
        [("dept".to_owned(), "dev".to_owned())],
        "the session's tag stands above the user's"
    );
    assert!(allows(&cloud, &bob, "ecs:ListTasks"));
    assert!(
        !allows(&cloud, &bob, "ecs:RunTask"),
        "the session's policy does not allow it"
    );
    assert!(
        !allows(&cloud, &bob, "logs:PutLogEvents"),
        "the user's policies do not allow it"
    );
    // No IAM and no STS but GetCallerIdentity, whatever the policies say.
    for action in [
        "iam:ListUsers",
        "sts:AssumeRole",
        "sts:GetAccessKeyInfo",
        "sts:DecodeAuthorizationMessage",
    ] {
        let refused = authorize(
            &cloud.state,
            &call_of(bob.clone()),
            &[Access::any(action)],
            ProtocolFamily::Query,
        );
        assert_eq!(refused.unwrap_err().code, "InvalidClientTokenId", "{action}");
    }
    let who = cloud.sts(bob.clone(), "GetCallerIdentity", json!({})).unwrap();
    assert_eq!(who["UserId"], "123456789012:bob");
    for name in ["GetFederationToken", "GetSessionToken"] {
        let refused = cloud.sts(bob.clone(), name, json!({"Name": "eve"})).unwrap_err();
        assert_eq!(
            (refused.code.as_str(), refused.message),
            ("AccessDenied", format!("Cannot call {name} with session credentials"))
        );
    }
    // It ends with its user, and another user of that name does not bring it back.
    for (name, more) in [
        ("DeleteUserPolicy", json!({"PolicyName": "p"})),
        ("DeleteUser", json!({})),
    ] {
        let mut input = json!({"UserName": "broker"});
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        cloud.iam(name, input);
    }
    assert_eq!(
        cloud.present(&answer["Credentials"], NOW),
        Err(AuthErrorKind::UnknownKey)
    );
    cloud.user("broker");
    assert_eq!(
        cloud.present(&answer["Credentials"], NOW),
        Err(AuthErrorKind::UnknownKey)
    );
}

#[test]
fn without_a_session_policy_only_resources_let_a_federated_user_in() {
    let mut cloud = Cloud::new();
    let user = broker(&mut cloud);
    let answer = federate(&mut cloud, user.clone(), json!({})).unwrap();
    assert_eq!(answer["Credentials"]["Expiration"], 1_790_043_200.0);
    // As recorded from AWS.
    assert_eq!(answer["PackedPolicySize"], 0);
    let bob = cloud.present(&answer["Credentials"], NOW).unwrap();
    assert!(!allows(&cloud, &bob, "ecs:ListTasks"));
    assert!(allows_on(&cloud, &bob, &bob.arn), "named itself");
    assert!(
        !allows_on(&cloud, &bob, &user.arn),
        "the user is named: the session's policies limit"
    );
    assert!(!allows_on(&cloud, &bob, ACCOUNT));
    let limited = document(json!({"Effect": "Allow", "Action": "ecr:*", "Resource": "*"}));
    let answer = federate(&mut cloud, user.clone(), json!({"Policy": limited})).unwrap();
    let bob = cloud.present(&answer["Credentials"], NOW).unwrap();
    assert!(allows_on(&cloud, &bob, &user.arn));
    assert!(!allows_on(&cloud, &bob, ACCOUNT), "the user's own policies have no ECR");
}

#[test]
fn who_may_federate_whom_is_a_permission() {
    let mut cloud = Cloud::new();
    let ada = cloud.user("ada");
    let refused = federate(&mut cloud, ada.clone(), json!({})).unwrap_err();
    assert_eq!(refused.code, "AccessDenied");
    assert!(
        refused
            .message
            .contains("sts:GetFederationToken on resource: arn:aws:sts::123456789012:federated-user/bob"),
        "{refused}"
    );
    let policy = document(json!({"Effect": "Allow", "Action": "sts:GetFederationToken",
        "Resource": "arn:aws:sts::123456789012:federated-user/bob"}));
    cloud.iam(
        "PutUserPolicy",
        json!({"UserName": "ada", "PolicyName": "p", "PolicyDocument": policy}),
    );
    federate(&mut cloud, ada.clone(), json!({})).unwrap();
    let other = cloud
        .sts(ada.clone(), "GetFederationToken", json!({"Name": "eve"}))
        .unwrap_err();
    assert_eq!(other.code, "AccessDenied");
    let tagged = federate(&mut cloud, ada, json!({"Tags": [{"Key": "a", "Value": "b"}]})).unwrap_err();
    assert!(tagged.message.contains("sts:TagSession"), "{tagged}");
    let user = broker(&mut cloud);
    for (more, code) in [
        (json!({"Policy": "{}"}), "MalformedPolicyDocumentException"),
        (
            json!({"PolicyArns": [{"arn": "arn:aws:iam::aws:policy/None"}]}),
            "ValidationError",
        ),
        (
            json!({"Tags": [{"Key": "a", "Value": "1"}, {"Key": "A", "Value": "2"}]}),
            "InvalidParameterValue",
        ),
        (
            json!({"Policy": document(json!({"Effect": "Allow", "Action": "ecs:*", "Resource": "*", "Sid": "x".repeat(1_930)})),
            "PolicyArns": [{"arn": "arn:aws:iam::aws:policy/IAMReadOnlyAccess"}]}),
            "PackedPolicyTooLargeException",
        ),
    ] {
        let error = federate(&mut cloud, user.clone(), more.clone()).unwrap_err();
        assert_eq!(error.code, code, "{more}");
    }
}

#[test]
fn root_in_development_gets_sessions_of_an_hour() {
    let mut cloud = Cloud::new();
    let root = Principal {
        account: account(),
        arn: format!("arn:aws:iam::{ACCOUNT}:root"),
        user_id: ACCOUNT.to_owned(),
        kind: PrincipalKind::Root,
        access_key_id: "test".to_owned(),
        tags: Vec::new(),
        session_policies: Vec::new(),
        session: None,
    };
    let answer = cloud.sts(root.clone(), "GetSessionToken", json!({})).unwrap();
    assert_eq!(answer["Credentials"]["Expiration"], 1_790_003_600.0);
    let again = cloud.present(&answer["Credentials"], NOW).unwrap();
    assert_eq!((again.kind, again.arn), (PrincipalKind::Root, root.arn.clone()));
    let policy = document(json!({"Effect": "Allow", "Action": "ecs:List*", "Resource": "*"}));
    let answer = federate(&mut cloud, root, json!({"Policy": policy, "DurationSeconds": 43_200})).unwrap();
    assert_eq!(answer["Credentials"]["Expiration"], 1_790_003_600.0);
    let bob = cloud.present(&answer["Credentials"], NOW).unwrap();
    assert!(allows(&cloud, &bob, "ecs:ListTasks") && !allows(&cloud, &bob, "ecs:RunTask"));
}

#[test]
fn tags_that_pass_on_must_be_let_in() {
    let mut cloud = Cloud::new();
    let trust = |actions: Value| json!([{"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": actions}]);
    cloud.role("first", trust(json!(["sts:AssumeRole", "sts:TagSession"])));
    cloud.role("closed", trust(json!("sts:AssumeRole")));
    cloud.role("open", trust(json!(["sts:AssumeRole", "sts:TagSession"])));
    cloud.iam(
        "AttachRolePolicy",
        json!({"RoleName": "first", "PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}),
    );
    let mut input = assume("first");
    input["Tags"] = json!([{"Key": "team", "Value": "blue"}, {"Key": "own", "Value": "1"}]);
    input["TransitiveTagKeys"] = json!(["TEAM"]);
    let administrator = cloud.administrator();
    let answer = cloud.sts(administrator.clone(), "AssumeRole", input).unwrap();
    let first = cloud.present(&answer["Credentials"], NOW).unwrap();
    let refused = cloud.sts(first.clone(), "AssumeRole", assume("closed")).unwrap_err();
    assert!(refused.message.contains("sts:TagSession"), "{refused}");
    let answer = cloud.sts(first.clone(), "AssumeRole", assume("open")).unwrap();
    let second = cloud.present(&answer["Credentials"], NOW).unwrap();
    assert_eq!(second.tags, [("team".to_owned(), "blue".to_owned())]);
    let mut again = assume("open");
    again["Tags"] = json!([{"Key": "Team", "Value": "red"}]);
    assert_eq!(
        cloud.sts(first.clone(), "AssumeRole", again).unwrap_err().code,
        "InvalidParameterValue"
    );
    let mut many = assume("open");
    many["Tags"] = (0..50).map(|i| json!({"Key": format!("k{i}"), "Value": ""})).collect();
    assert_eq!(
        cloud.sts(first, "AssumeRole", many).unwrap_err().code,
        "ValidationError"
    );
    let mut context = assume("open");
    context["ProvidedContexts"] =
        json!([{"ProviderArn": "arn:aws:iam::aws:contextProvider/IdentityCenter", "ContextAssertion": "abcd"}]);
    assert_eq!(
        cloud.sts(administrator, "AssumeRole", context).unwrap_err().code,
        "ValidationError"
    );
}

/// What EC2 answers a principal for an action, and the encoded message in it.
fn refused(cloud: &Cloud, principal: &Principal, access: &Access) -> (ApiError, String) {
    let error = authorize(
        &cloud.state,
        &call_of(principal.clone()),
        std::slice::from_ref(access),
        ProtocolFamily::Ec2,
    )
    .unwrap_err();
    let (_, encoded) = error
        .message
        .split_once(" Encoded authorization failure message: ")
        .expect("an encoded message");
    let encoded = encoded.to_owned();
    (error, encoded)
}

#[test]
fn a_refusal_of_ec2_can_be_decoded_by_whoever_may() {
    let mut cloud = Cloud::new();
    let ada = cloud.user("ada");
    let vpc = format!("arn:aws:ec2:us-east-1:{ACCOUNT}:vpc/vpc-1");
    let access = Access::new("ec2:DeleteVpc", vec![vpc.clone()]).with("ec2:Region", vec!["us-east-1".to_owned()]);
    let (error, encoded) = refused(&cloud, &ada, &access);
    assert_eq!(
        (error.code.as_str(), error.status),
        ("UnauthorizedOperation", Some(403))
    );
    assert!(
        error
            .message
            .starts_with("You are not authorized to perform this operation. User: ")
    );
    let decode = |cloud: &mut Cloud, principal: Principal, encoded: &str| {
        cloud.sts(
            principal,
            "DecodeAuthorizationMessage",
            json!({"EncodedMessage": encoded}),
        )
    };
    assert_eq!(
        decode(&mut cloud, ada.clone(), &encoded).unwrap_err().code,
        "AccessDenied"
    );
    let administrator = cloud.administrator();
    let decoded = decode(&mut cloud, administrator.clone(), &encoded).unwrap();
    let decoded: Value = serde_json::from_str(decoded["DecodedMessage"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&decoded["allowed"], &decoded["explicitDeny"]),
        (&json!(false), &json!(false))
    );
    assert_eq!(decoded["matchedStatements"], json!({"items": []}));
    let context = &decoded["context"];
    assert_eq!(
        context["principal"],
        json!({"id": ada.user_id, "name": "ada", "arn": ada.arn})
    );
    assert_eq!(
        (&context["action"], &context["resource"]),
        (&json!("ec2:DeleteVpc"), &json!(vpc))
    );
    let conditions = context["conditions"]["items"].as_array().unwrap();
    let own = json!({"key": "ec2:Region", "values": {"items": [{"value": "us-east-1"}]}});
    assert!(conditions.contains(&own), "{conditions:?}");
    assert!(conditions.iter().any(|item| item["key"] == "aws:CurrentTime"));

    // A statement that denies is shown.
    let statement = json!({"Sid": "NoDelete", "Effect": "Deny", "Action": "ec2:Delete*", "Resource": "*",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}}});
    let policy = document(json!([{"Effect": "Allow", "Action": "*", "Resource": "*"}, statement]));
    cloud.iam(
        "PutUserPolicy",
        json!({"UserName": "ada", "PolicyName": "p", "PolicyDocument": policy}),
    );
    let (_, encoded) = refused(&cloud, &ada, &access);
    let decoded = decode(&mut cloud, administrator.clone(), &encoded).unwrap();
    let decoded: Value = serde_json::from_str(decoded["DecodedMessage"].as_str().unwrap()).unwrap();
    assert_eq!(decoded["explicitDeny"], true);
    let items = |values: &[&str]| json!({"items": values.iter().map(|v| json!({"value": v})).collect::<Vec<_>>()});
    assert_eq!(
        decoded["matchedStatements"]["items"],
        json!([{"statementId": "NoDelete", "effect": "DENY", "principals": items(&[&ada.user_id]),
            "principalGroups": {"items": []}, "actions": items(&["ec2:Delete*"]), "resources": items(&["*"]),
            "conditions": {"items": [{"key": "aws:SecureTransport", "values": items(&["false"])}]}}])
    );

    // Nothing else is decoded: no session token, no message of another account, nothing that was changed.
    let mut changed = encoded.clone().into_bytes();
    changed[40] = if changed[40] == b'A' { b'B' } else { b'A' };
    let token = cloud.sts(ada.clone(), "GetSessionToken", json!({})).unwrap();
    let token = token["Credentials"]["SessionToken"].as_str().unwrap().to_owned();
    let token = token
        .replace('+', "-")
        .replace('/', "_")
        .trim_end_matches('=')
        .to_owned();
    for bad in [
        "x",
        &token,
        &String::from_utf8(changed).unwrap(),
        &format!("{encoded}\n"),
    ] {
        assert_eq!(
            decode(&mut cloud, administrator.clone(), bad).unwrap_err().code,
            "InvalidAuthorizationMessageException"
        );
    }
    let other: AccountId = "210987654321".parse().unwrap();
    assert_eq!(honmaru_iam::open_refusal(&cloud.state, &other, &encoded, NOW), None);
    // A message expires.
    let day_s = 24 * 3_600;
    assert!(honmaru_iam::open_refusal(&cloud.state, &account(), &encoded, NOW.plus_s(day_s)).is_some());
    assert_eq!(
        honmaru_iam::open_refusal(&cloud.state, &account(), &encoded, NOW.plus_s(day_s + 1)),
        None
    );

    // However much there is to say, the message stays within what can be decoded.
    let values: Vec<String> = (0..400)
        .map(|i| format!("a long value of a condition key, number {i}"))
        .collect();
    let (_, encoded) = refused(&cloud, &ada, &access.with("ec2:ResourceTag/x", values));
    assert!(encoded.len() <= 10_240);
    decode(&mut cloud, administrator, &encoded).unwrap();
}

#[test]
fn a_user_made_again_under_a_trusted_name_is_not_trusted() {
    let mut cloud = Cloud::new();
    let ada = cloud.user("ada");
    cloud.role(
        "direct",
        json!([{"Effect": "Allow", "Principal": {"AWS": ada.arn.clone()}, "Action": "sts:AssumeRole"}]),
    );
    cloud.sts(ada, "AssumeRole", assume("direct")).unwrap();
    cloud.iam("DeleteUser", json!({"UserName": "ada"}));
    let again = cloud.user("ada");
    assert_eq!(
        cloud
            .sts(again.clone(), "AssumeRole", assume("direct"))
            .unwrap_err()
            .code,
        "AccessDenied"
    );
    // Whoever is renamed stays who he is.
    let renamed = cloud.user("bob");
    cloud.role(
        "bobs",
        json!([{"Effect": "Allow", "Principal": {"AWS": renamed.arn}, "Action": "sts:AssumeRole"}]),
    );
    cloud.iam("UpdateUser", json!({"UserName": "bob", "NewUserName": "robert"}));
    let robert = user_of_name(&cloud.state, &account(), "robert").unwrap();
    let robert = user_principal(&account(), robert, "AKIA");
    cloud.sts(robert, "AssumeRole", assume("bobs")).unwrap();
    assert_eq!(
        cloud.sts(again, "AssumeRole", assume("bobs")).unwrap_err().code,
        "AccessDenied"
    );
}
