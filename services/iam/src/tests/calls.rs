//! Whether a call is allowed, and what the simulator says of it.

use super::*;

#[test]
fn a_call_needs_a_policy_that_allows_it() {
    let mut cloud = Cloud::new();
    cloud.ok("CreateUser", json!({"UserName": "ada"}));
    let ada = cloud.user("ada");
    let denied = cloud
        .call_as(ada.clone(), "CreateUser", json!({"UserName": "eve"}))
        .unwrap_err();
    assert_eq!((denied.code.as_str(), denied.status), ("AccessDenied", Some(403)));
    assert_eq!(
        denied.message,
        "User: arn:aws:iam::123456789012:user/ada is not authorized to perform: iam:CreateUser on resource: \
         arn:aws:iam::123456789012:user/eve because no identity-based policy allows the iam:CreateUser action"
    );
    // Through a group.
    cloud.ok("CreateGroup", json!({"GroupName": "admins"}));
    let policy = allow("iam:CreateUser", "arn:aws:iam::123456789012:user/e*");
    cloud.ok(
        "PutGroupPolicy",
        json!({"GroupName": "admins", "PolicyName": "p", "PolicyDocument": policy}),
    );
    cloud.ok("AddUserToGroup", json!({"GroupName": "admins", "UserName": "ada"}));
    cloud
        .call_as(ada.clone(), "CreateUser", json!({"UserName": "eve"}))
        .unwrap();
    assert!(
        cloud
            .call_as(ada.clone(), "CreateUser", json!({"UserName": "bob"}))
            .is_err()
    );
    // Within a boundary.
    let boundary = json!({"UserName": "ada", "PermissionsBoundary": "arn:aws:iam::aws:policy/IAMReadOnlyAccess"});
    cloud.ok("PutUserPermissionsBoundary", boundary);
    let denied = cloud
        .call_as(ada.clone(), "CreateUser", json!({"UserName": "emil"}))
        .unwrap_err();
    assert!(
        denied
            .message
            .ends_with("because no permissions boundary allows the iam:CreateUser action"),
        "{denied}"
    );
    // An explicit deny stands above the administrator.
    let deny = r#"{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"iam:DeleteUser","Resource":"*"}}"#;
    cloud.ok(
        "PutUserPolicy",
        json!({"UserName": ADMINISTRATOR, "PolicyName": "no", "PolicyDocument": deny}),
    );
    let administrator = cloud.user(ADMINISTRATOR);
    let denied = cloud
        .call_as(administrator, "DeleteUser", json!({"UserName": "eve"}))
        .unwrap_err();
    assert!(
        denied
            .message
            .ends_with("with an explicit deny in an identity-based policy"),
        "{denied}"
    );
    // Session policies limit.
    let mut limited = cloud.user(ADMINISTRATOR);
    limited.session_policies = vec![allow("iam:Get*", "*")];
    let denied = cloud.call_as(limited, "ListUsers", json!({})).unwrap_err();
    assert!(
        denied
            .message
            .ends_with("because no session policy allows the iam:ListUsers action"),
        "{denied}"
    );
    // Root may do what nobody allowed.
    let root = principal(PrincipalKind::Root, "arn:aws:iam::123456789012:root");
    cloud.call_as(root, "ListUsers", json!({})).unwrap();
    let stranger = principal(PrincipalKind::Anonymous, "*");
    assert!(cloud.call_as(stranger, "ListUsers", json!({})).is_err());
}

#[test]
fn tags_and_requests_are_conditions() {
    let mut cloud = Cloud::new();
    cloud.ok(
        "CreateUser",
        json!({"UserName": "ada", "Tags": [{"Key": "team", "Value": "blue"}]}),
    );
    let policy = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": ["iam:CreateRole", "iam:TagRole"], "Resource": "*",
        "Condition": {
            "StringEquals": {"aws:RequestTag/team": "${aws:PrincipalTag/team}"},
            "ForAllValues:StringEquals": {"aws:TagKeys": ["team", "stage"]}}}]});
    cloud.ok(
        "PutUserPolicy",
        json!({"UserName": "ada", "PolicyName": "p", "PolicyDocument": policy.to_string()}),
    );
    let document = trust(json!({"Service": "ecs-tasks.amazonaws.com"}));
    let role = |name: &str, tags: Value| json!({"RoleName": name, "AssumeRolePolicyDocument": document, "Tags": tags});
    let ada = cloud.user("ada");
    assert!(cloud.call_as(ada.clone(), "CreateRole", role("a", json!([]))).is_err());
    assert!(
        cloud
            .call_as(
                ada.clone(),
                "CreateRole",
                role("a", json!([{"Key": "team", "Value": "red"}]))
            )
            .is_err()
    );
    let extra = json!([{"Key": "team", "Value": "blue"}, {"Key": "cost", "Value": "1"}]);
    assert!(cloud.call_as(ada.clone(), "CreateRole", role("a", extra)).is_err());
    cloud
        .call_as(ada, "CreateRole", role("a", json!([{"Key": "team", "Value": "blue"}])))
        .unwrap();
}

#[test]
fn a_failed_call_leaves_nothing_behind() {
    let mut cloud = Cloud::new();
    let rows = |state: &State| {
        let mut rows = Vec::new();
        state.dump(&mut |row| rows.push(row));
        rows
    };
    let before = rows(&cloud.state);
    cloud.code(
        "CreateUser",
        json!({"UserName": "ada", "Tags": [{"Key": "aws:x", "Value": "v"}]}),
    );
    cloud.code("CreateUser", json!({"UserName": "ada", "Path": "no slash"}));
    cloud.code("AddUserToGroup", json!({"UserName": "ada", "GroupName": "none"}));
    assert_eq!(rows(&cloud.state), before);
}

#[test]
fn the_simulator_says_what_the_evaluator_says() {
    let mut cloud = Cloud::new();
    cloud.ok("CreateUser", json!({"UserName": "ada"}));
    let input = json!({"UserName": "ada", "PolicyName": "p", "PolicyDocument": allow("ecs:List*", "*")});
    cloud.ok("PutUserPolicy", input);
    let arn = "arn:aws:iam::123456789012:user/ada";
    let deny = r#"{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"ecs:ListClusters","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}}"#;
    let input = json!({"PolicySourceArn": arn, "ActionNames": ["ecs:ListTasks", "ecs:ListClusters", "ecs:RunTask"],
        "PolicyInputList": [deny],
        "ContextEntries": [{"ContextKeyName": "aws:SecureTransport", "ContextKeyValues": ["false"], "ContextKeyType": "boolean"}]});
    let answer = cloud.ok("SimulatePrincipalPolicy", input);
    let decisions: Vec<&str> = answer["EvaluationResults"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| result["EvalDecision"].as_str().unwrap())
        .collect();
    assert_eq!(decisions, ["allowed", "explicitDeny", "implicitDeny"]);
    assert_eq!(
        answer["EvaluationResults"][0]["MatchedStatements"][0]["SourcePolicyId"],
        "user_ada_p"
    );
    // Ref: as Cloud Custodian's tests recorded it of a role that is gone.
    let gone = json!({"PolicySourceArn": "arn:aws:iam::123456789012:role/gone", "ActionNames": ["ecs:ListTasks"]});
    let error = cloud.refusal("SimulatePrincipalPolicy", gone);
    assert_eq!(
        (error.code.as_str(), error.message.as_str()),
        ("NoSuchEntityException", "Unable to retrieve specified IAM entity.")
    );
    let answer = cloud.ok(
        "SimulateCustomPolicy",
        json!({"PolicyInputList": [deny], "ActionNames": ["ecs:ListClusters"]}),
    );
    assert_eq!(
        answer["EvaluationResults"][0]["MissingContextValues"],
        json!(["aws:SecureTransport"])
    );
    // Ref: AWS CLI, simulate-custom-policy, example 1.
    let dated = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"dynamodb:*","Resource":"*","Condition":{"DateGreaterThan":{"aws:CurrentTime":"2018-08-16T12:00:00Z"}}}}"#;
    let answer = cloud.ok(
        "SimulateCustomPolicy",
        json!({"PolicyInputList": [dated], "ActionNames": ["dynamodb:CreateBackup"],
            "ResourceArns": ["arn:aws:dynamodb:us-east-1:123456789012:table/t"],
            "ContextEntries": [{"ContextKeyName": "aws:CurrentTime", "ContextKeyValues": ["2019-04-25T11:00:00Z"], "ContextKeyType": "date"}]}),
    );
    let result = &answer["EvaluationResults"][0];
    let matched = json!([{"SourcePolicyId": "PolicyInputList.1", "SourcePolicyType": "IAM Policy",
        "StartPosition": {"Line": 1, "Column": 38}, "EndPosition": {"Line": 1, "Column": 167}}]);
    assert_eq!(result["MatchedStatements"], matched);
    assert_eq!(result["ResourceSpecificResults"][0]["EvalResourceDecision"], "allowed");
    assert_eq!(result["ResourceSpecificResults"][0]["MatchedStatements"], matched);
    let keys = cloud.ok("GetContextKeysForCustomPolicy", json!({"PolicyInputList": [deny]}));
    assert_eq!(keys["ContextKeyNames"], json!(["aws:SecureTransport"]));
}

#[test]
fn an_administrators_calls_are_allowed_time_after_time() {
    let cloud = Cloud::new();
    let call = call(cloud.user(ADMINISTRATOR));
    let access = [Access::new(
        "ecs:RunTask",
        vec!["arn:aws:ecs:us-east-1:123456789012:task-definition/a:1".to_owned()],
    )];
    for _ in 0..10_000 {
        authorize(&cloud.state, &call, &access, ProtocolFamily::Json).unwrap();
    }
}

#[test]
fn whoever_names_no_resource_needs_permission_all_the_same() {
    let mut cloud = Cloud::new();
    cloud.ok("CreateUser", json!({"UserName": "ada"}));
    let call = call(cloud.user("ada"));
    let nothing = [Access::new("ecs:DescribeTasks", Vec::new())];
    let refused = authorize(&cloud.state, &call, &nothing, ProtocolFamily::Json).unwrap_err();
    assert!(
        refused.message.contains("ecs:DescribeTasks on resource: *"),
        "{}",
        refused.message
    );
}

/// As recorded from AWS.
#[test]
fn answers_leave_out_what_aws_leaves_out() {
    let mut cloud = Cloud::new();
    let role = json!({"RoleName": "r", "AssumeRolePolicyDocument": trust(json!({"Service": "ecs.amazonaws.com"}))});
    let created = cloud.ok("CreateRole", role)["Role"].clone();
    assert_eq!((created.get("MaxSessionDuration"), created.get("Tags")), (None, None));
    let got = cloud.ok("GetRole", json!({"RoleName": "r"}))["Role"].clone();
    assert_eq!(
        (got["MaxSessionDuration"].as_i64(), got.get("Tags")),
        (Some(3_600), None)
    );
    assert!(
        cloud.ok("CreateUser", json!({"UserName": "u"}))["User"]
            .get("Tags")
            .is_none()
    );
    assert!(
        cloud.ok("GetUser", json!({"UserName": "u"}))["User"]
            .get("Tags")
            .is_none()
    );
    let policy = json!({"PolicyName": "p", "PolicyDocument": allow("ecs:*", "*")});
    let created = cloud.ok("CreatePolicy", policy)["Policy"].clone();
    assert!(created.get("Tags").is_none());
    assert_eq!(
        cloud.ok("GetPolicy", json!({"PolicyArn": created["Arn"]}))["Policy"]["Tags"],
        json!([])
    );
}

/// As recorded from AWS.
#[test]
fn what_cannot_be_read_is_refused_in_aws_words() {
    let mut cloud = Cloud::new();
    let role = json!({"RoleName": "r", "AssumeRolePolicyDocument": "{\"Version\": \"2012-10-17\", }"});
    let error = cloud.refusal("CreateRole", role);
    assert_eq!(
        (error.code.as_str(), error.message.as_str()),
        ("MalformedPolicyDocumentException", "This policy contains invalid Json")
    );
    cloud.ok("CreateUser", json!({"UserName": "u"}));
    let error = cloud.refusal(
        "AttachUserPolicy",
        json!({"UserName": "u", "PolicyArn": "longpolicynamebutnoarn"}),
    );
    assert_eq!(
        (error.code.as_str(), error.message.as_str()),
        ("ValidationError", "Invalid ARN:  Could not be parsed!")
    );
}

/// Ref: SimulateCustomPolicy, `CallerArn`: required where a resource policy is given; nobody calls otherwise.
#[test]
fn documents_that_are_simulated_alone_have_no_caller() {
    let mut cloud = Cloud::new();
    let condition = json!({"StringEquals": {"s3:prefix": "${aws:username, 'all'}"}});
    let statement = json!({"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": condition});
    let document = json!({"Version": "2012-10-17", "Statement": statement}).to_string();
    let entry = json!({"ContextKeyName": "s3:prefix", "ContextKeyValues": ["all"], "ContextKeyType": "string"});
    let mut input = json!({
        "PolicyInputList": [document], "ActionNames": ["s3:ListBucket"], "ContextEntries": [entry],
    });
    let result = cloud.ok("SimulateCustomPolicy", input.clone())["EvaluationResults"][0].clone();
    assert_eq!(result["EvalDecision"], "allowed");
    assert_eq!(result["MissingContextValues"], json!(["aws:username"]));
    let grants = json!({"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::b"});
    input["ResourcePolicy"] = json!({"Version": "2012-10-17", "Statement": grants}).to_string().into();
    input["ResourceArns"] = json!(["arn:aws:s3:::b"]);
    assert_eq!(
        cloud.code("SimulateCustomPolicy", input.clone()),
        "InvalidInputException"
    );
    input["CallerArn"] = "arn:aws:iam::123456789012:user/bob".into();
    let result = cloud.ok("SimulateCustomPolicy", input)["EvaluationResults"][0].clone();
    assert_eq!(result["MissingContextValues"], json!([]));
}

/// Ref: AWS's notice of 2024, "IAM is changing how it validates IAM resource ARNs"; the texts are as recorded from AWS.
#[test]
fn an_arn_is_one_of_iam_in_every_part() {
    let mut cloud = Cloud::new();
    cloud.ok("CreateUser", json!({"UserName": "u"}));
    let unread = ("ValidationError", "Invalid ARN:  Could not be parsed!".to_owned());
    let not_valid = |arn: &str| ("InvalidInputException", format!("ARN {arn} is not valid."));
    for (arn, expected) in [
        ("no-arn-but-long-enough-for-one", unread.clone()),
        ("arn:aws:iam::aws:policy/ReadOnlyAccess ", unread),
        (
            "arn:aws-cn:iam::aws:policy/ReadOnlyAccess",
            ("ValidationError", "Invalid ARN partition".to_owned()),
        ),
        (
            "arn:aws:s3::aws:policy/ReadOnlyAccess",
            not_valid("arn:aws:s3::aws:policy/ReadOnlyAccess"),
        ),
        (
            "arn:aws:iam:us-east-1:aws:policy/ReadOnlyAccess",
            not_valid("arn:aws:iam:us-east-1:aws:policy/ReadOnlyAccess"),
        ),
        (
            "arn:aws:iam::123456789012:role/r",
            not_valid("arn:aws:iam::123456789012:role/r"),
        ),
    ] {
        for (operation, input) in [
            ("AttachUserPolicy", json!({"UserName": "u", "PolicyArn": arn})),
            ("DetachUserPolicy", json!({"UserName": "u", "PolicyArn": arn})),
            (
                "PutUserPermissionsBoundary",
                json!({"UserName": "u", "PermissionsBoundary": arn}),
            ),
            ("GetPolicy", json!({"PolicyArn": arn})),
            ("GetOpenIDConnectProvider", json!({"OpenIDConnectProviderArn": arn})),
            ("DeleteOpenIDConnectProvider", json!({"OpenIDConnectProviderArn": arn})),
            ("GetSAMLProvider", json!({"SAMLProviderArn": arn})),
        ] {
            let error = cloud.refusal(operation, input);
            assert_eq!((error.code.as_str(), error.message), expected, "{operation} {arn}");
        }
    }
}

/// Ref: records of AWS's answers to CreateRole.
#[test]
fn a_role_trusts_services_and_providers_that_can_be_some() {
    let mut cloud = Cloud::new();
    let trust = |principal: Value| {
        let action = "sts:AssumeRole";
        json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": principal, "Action": action}})
            .to_string()
    };
    let federated = "Federated principals must be valid domain names or SAML metadata ARNs";
    for (principal, expected) in [
        (
            json!({"Service": "amazonaws.com"}),
            "Invalid principal in policy: \"SERVICE\":\"amazonaws.com\"",
        ),
        (
            json!({"Service": ["ecs.amazonaws.com", "ec2"]}),
            "Invalid principal in policy: \"SERVICE\":\"ec2\"",
        ),
        (json!({"Federated": "github"}), federated),
        (json!({"Federated": "https://oidc.example.com"}), federated),
        (
            json!({"Federated": "arn:aws:iam//123456789012:oidc-provider/a.example.com"}),
            federated,
        ),
    ] {
        let error = cloud.refusal(
            "CreateRole",
            json!({"RoleName": "r", "AssumeRolePolicyDocument": trust(principal)}),
        );
        assert_eq!(
            (error.code.as_str(), error.message.as_str()),
            ("MalformedPolicyDocumentException", expected)
        );
    }
    for (number, principal) in [
        json!({"Service": "ecs.application-autoscaling.amazonaws.com"}),
        json!({"Federated": ["accounts.google.com", "arn:aws:iam::123456789012:oidc-provider/not.there/yet"]}),
        json!({"Federated": "arn:aws:iam::123456789012:saml-provider/okta"}),
    ]
    .into_iter()
    .enumerate()
    {
        let input = json!({"RoleName": format!("r{number}"), "AssumeRolePolicyDocument": trust(principal)});
        cloud.ok("CreateRole", input);
    }
}

/// What AWS lets in, though it can never be true: keys without a prefix; services with a dot in their names; actions that
/// are no names.
#[test]
fn odd_keys_services_and_actions_are_let_in() {
    let mut cloud = Cloud::new();
    for (name, part) in [
        (
            "a",
            json!({"Action": "s3:List*", "Condition": {"StringEquals": {"a": "b"}}}),
        ),
        ("b", json!({"Action": "s3.s:ListBucket"})),
        ("c", json!({"Action": "iam: asdf safdsf af "})),
    ] {
        let mut statement = json!({"Effect": "Allow", "Resource": "*"});
        statement
            .as_object_mut()
            .unwrap()
            .extend(part.as_object().unwrap().clone());
        let document = json!({"Version": "2012-10-17", "Statement": statement}).to_string();
        cloud.ok("CreatePolicy", json!({"PolicyName": name, "PolicyDocument": document}));
    }
}
