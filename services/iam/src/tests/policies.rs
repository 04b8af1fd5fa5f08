//! Managed policies, their versions and documents.

use super::*;

#[test]
fn managed_policies_and_their_versions() {
    let mut cloud = Cloud::new();
    let document = allow("ecs:ListTasks", "*");
    let policy = cloud.ok("CreatePolicy", json!({"PolicyName": "p", "PolicyDocument": document}))["Policy"].clone();
    let arn = policy["Arn"].as_str().unwrap().to_owned();
    assert_eq!(arn, "arn:aws:iam::123456789012:policy/p");
    assert_eq!(policy["DefaultVersionId"], "v1");
    assert_eq!(
        cloud.code("CreatePolicy", json!({"PolicyName": "P", "PolicyDocument": document})),
        "EntityAlreadyExistsException"
    );
    for _ in 0..4 {
        cloud.ok(
            "CreatePolicyVersion",
            json!({"PolicyArn": arn, "PolicyDocument": document, "SetAsDefault": true}),
        );
    }
    let sixth = json!({"PolicyArn": arn, "PolicyDocument": document});
    assert_eq!(
        cloud.code("CreatePolicyVersion", sixth.clone()),
        "LimitExceededException"
    );
    assert_eq!(
        cloud.ok("GetPolicy", json!({"PolicyArn": arn}))["Policy"]["DefaultVersionId"],
        "v5"
    );
    assert_eq!(
        cloud.code("DeletePolicyVersion", json!({"PolicyArn": arn, "VersionId": "v5"})),
        "DeleteConflictException"
    );
    cloud.ok("DeletePolicyVersion", json!({"PolicyArn": arn, "VersionId": "v2"}));
    assert_eq!(
        cloud.ok("CreatePolicyVersion", sixth)["PolicyVersion"]["VersionId"],
        "v6",
        "numbers are not used again"
    );
    cloud.ok("SetDefaultPolicyVersion", json!({"PolicyArn": arn, "VersionId": "v1"}));
    let versions = cloud.ok("ListPolicyVersions", json!({"PolicyArn": arn}));
    let ids: Vec<&str> = versions["Versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v["VersionId"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["v6", "v5", "v4", "v3", "v1"]);

    cloud.ok("AttachUserPolicy", json!({"UserName": ADMINISTRATOR, "PolicyArn": arn}));
    assert_eq!(
        cloud.ok("GetPolicy", json!({"PolicyArn": arn}))["Policy"]["AttachmentCount"],
        1
    );
    assert_eq!(
        cloud.code("DeletePolicy", json!({"PolicyArn": arn})),
        "DeleteConflictException"
    );
    let entities = cloud.ok("ListEntitiesForPolicy", json!({"PolicyArn": arn}));
    assert_eq!(entities["PolicyUsers"][0]["UserName"], ADMINISTRATOR);
    cloud.ok("DetachUserPolicy", json!({"UserName": ADMINISTRATOR, "PolicyArn": arn}));
    assert_eq!(
        cloud.code("DetachUserPolicy", json!({"UserName": ADMINISTRATOR, "PolicyArn": arn})),
        "NoSuchEntityException"
    );
    assert_eq!(
        cloud.code("DeletePolicy", json!({"PolicyArn": arn})),
        "DeleteConflictException"
    );
    for id in ["v3", "v4", "v5", "v6"] {
        cloud.ok("DeletePolicyVersion", json!({"PolicyArn": arn, "VersionId": id}));
    }
    cloud.ok("DeletePolicy", json!({"PolicyArn": arn}));
    assert_eq!(
        cloud.code("GetPolicy", json!({"PolicyArn": arn})),
        "NoSuchEntityException"
    );
}

#[test]
fn documents_are_checked() {
    let mut cloud = Cloud::new();
    for bad in [
        "",
        "x",
        "[]",
        "{}",
        r#"{"Version":"2012-10-17"}"#,
        r#"{"Version":"2011-01-01","Statement":[]}"#,
        r#"{"Statement":{"Effect":"allow","Action":"*","Resource":"*"}}"#,
        r#"{"Statement":{"Effect":"Allow","Action":"*"}}"#,
        r#"{"Statement":{"Effect":"Allow","Resource":"*"}}"#,
        r#"{"Statement":{"Effect":"Allow","Action":"RunTask","Resource":"*"}}"#,
        r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"cluster/x"}}"#,
        r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Principal":"*"}}"#,
        r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Effect":"Deny"}}"#,
        r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringIs":{"aws:username":"x"}}}}"#,
        r#"{"Statement":[{"Sid":"a","Effect":"Allow","Action":"*","Resource":"*"},{"Sid":"a","Effect":"Allow","Action":"*","Resource":"*"}]}"#,
    ] {
        let input = json!({"PolicyName": "p", "PolicyDocument": bad});
        assert_eq!(
            cloud.code("CreatePolicy", input),
            "MalformedPolicyDocumentException",
            "{bad}"
        );
    }
    let role = |document: String| json!({"RoleName": "r", "AssumeRolePolicyDocument": document});
    assert_eq!(
        cloud.code("CreateRole", role(allow("sts:AssumeRole", "*"))),
        "MalformedPolicyDocumentException"
    );
    let ghost = trust(json!({"AWS": "arn:aws:iam::123456789012:user/ghost"}));
    assert_eq!(
        cloud.code("CreateRole", role(ghost)),
        "MalformedPolicyDocumentException"
    );
    let long = allow(&format!("ecs:{}", "x".repeat(6_200)), "*");
    assert_eq!(
        cloud.code("CreatePolicy", json!({"PolicyName": "p", "PolicyDocument": long})),
        "LimitExceededException"
    );
}

#[test]
fn managed_policies_need_the_current_version_and_all_of_their_parts() {
    let mut cloud = Cloud::new();
    let statement = json!({"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::example_bucket"});
    let with = |changes: Value| {
        let mut statement = statement.clone();
        for (name, value) in changes.as_object().unwrap() {
            statement[name] = value.clone();
        }
        json!({"Version": "2012-10-17", "Statement": statement})
    };
    let without = |name: &str| {
        let mut statement = statement.clone();
        statement.as_object_mut().unwrap().remove(name);
        json!({"Version": "2012-10-17", "Statement": statement})
    };
    let version = "Policy document must be version 2012-10-17 or greater.";
    let syntax = "Syntax errors in policy.";
    let legacy = "The policy failed legacy parsing";
    let cases = [
        (json!({"Statement": statement}), version),
        (json!({"Version": "2008-10-17", "Statement": statement}), version),
        (json!({"Version": "2013-10-17", "Statement": statement}), syntax),
        (json!({"Version": "2012-10-17", "Statement": []}), syntax),
        (with(json!({"Effect": "invalid"})), syntax),
        (with(json!({"Effect": "denY"})), legacy),
        (without("Effect"), syntax),
        (without("Action"), "Policy statement must contain actions."),
        (with(json!({"Action": []})), "Policy statement must contain actions."),
        (with(json!({"NotAction": "s3:*"})), syntax),
        (without("Resource"), "Policy statement must contain resources."),
        (
            with(json!({"Resource": []})),
            "Policy statement must contain resources.",
        ),
        (
            with(json!({"Resource": "adf"})),
            "Resource adf must be in ARN format or \"*\".",
        ),
        (
            with(json!({"Resource": "arn:aws"})),
            "Resource vendor must be fully qualified and cannot contain regexes.",
        ),
        (
            with(json!({"Resource": "arn:aws:*:*:*:*"})),
            "Resource vendor must be fully qualified and cannot contain regexes.",
        ),
        (with(json!({"Resource": "arn:aws:s3::example_bucket"})), legacy),
        (with(json!({"Resource": "arn:aws::::example_bucket"})), legacy),
        (
            with(json!({"Resource": "arn:error:s3:::example_bucket"})),
            "Partition \"error\" is not valid for resource \"arn:error:s3:::example_bucket\".",
        ),
        (
            with(json!({"Resource": "aws:s3:::example_bucket"})),
            "Partition \"s3\" is not valid for resource \"arn:s3:::example_bucket:*\".",
        ),
        (
            with(json!({"Resource": "arn:aws:iam:us-east-1::user/a"})),
            "IAM resource arn:aws:iam:us-east-1::user/a cannot contain region information.",
        ),
        (with(json!({"Condition": {"x": {"a:b": "1"}}})), syntax),
        (
            with(json!({"Condition": {"DateGreaterThan": {"aws:CurrentTime": "soon"}}})),
            legacy,
        ),
    ];
    for (document, text) in cases {
        let administrator = cloud.user(ADMINISTRATOR);
        let input = json!({"PolicyName": "p", "PolicyDocument": document.to_string()});
        let error = cloud
            .call_as(administrator, "CreatePolicy", input)
            .expect_err("it is malformed");
        assert_eq!(
            (error.code.as_str(), error.message.as_str()),
            ("MalformedPolicyDocumentException", text),
            "{document}"
        );
    }
    for resource in [
        "arn:aws:iam:::user/a",
        "arn:aws:sqs",
        "arn:aws:sqs:us-east-1",
        "arn:*:s3:::b",
        "arn:aws:iam::*:*",
    ] {
        let document = with(json!({"Resource": resource})).to_string();
        let arn =
            cloud.ok("CreatePolicy", json!({"PolicyName": "p", "PolicyDocument": document}))["Policy"]["Arn"].clone();
        cloud.ok("DeletePolicy", json!({"PolicyArn": arn}));
    }
}
