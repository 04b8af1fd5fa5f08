//! IAM as its callers see it: operations by name over trees, each authorised first, and rolled back when it fails.

use crate::*;
use honmaru_base::{AccountId, ApiError, Scope, SeededRng, Time};
use honmaru_identity::ProtocolFamily;
use honmaru_machine::{Access, Call, Handler, Principal, PrincipalKind, State, Tx};
use serde_json::{Value, json};

const ACCOUNT: &str = "123456789012";
const NOW: Time = Time::from_ms(1_790_000_000_000);

struct Cloud {
    state: State,
    rng: SeededRng,
}

fn account() -> AccountId {
    ACCOUNT.parse().unwrap()
}

fn principal(kind: PrincipalKind, arn: &str) -> Principal {
    Principal {
        account: account(),
        arn: arn.to_owned(),
        user_id: "ID".to_owned(),
        kind,
        access_key_id: "AKIA".to_owned(),
        tags: Vec::new(),
        session_policies: Vec::new(),
        session: None,
    }
}

fn call(principal: Principal) -> Call {
    Call {
        scope: Scope::new(ACCOUNT, "us-east-1").unwrap(),
        principal,
        request_id: "request".to_owned(),
        now: NOW,
        source_ip: Some([203, 0, 113, 9].into()),
        user_agent: "test".to_owned(),
        host: "localhost:4566".to_owned(),
        secure: false,
    }
}

impl Cloud {
    fn new() -> Self {
        let mut state = State::new();
        register(&mut state);
        let mut cloud = Self {
            state,
            rng: SeededRng::from_u64(1),
        };
        let mut tx = Tx::new(&mut cloud.state, NOW, &mut cloud.rng);
        ensure_administrator(&mut tx, &account());
        tx.commit();
        cloud
    }

    fn user(&self, name: &str) -> Principal {
        user_principal(&account(), user_of_name(&self.state, &account(), name).unwrap(), "AKIA")
    }

    fn call_as(&mut self, principal: Principal, name: &str, input: Value) -> Result<Value, ApiError> {
        let operation = operations()
            .into_iter()
            .find(|o| o.name == name)
            .unwrap_or_else(|| panic!("no {name}"));
        let call = call(principal);
        let access = (operation.access)(&self.state, &call, &input);
        authorize(&self.state, &call, &access, ProtocolFamily::Query)?;
        match operation.handler {
            Handler::Read(f) => f(&self.state, &call, input),
            Handler::Write(f) => {
                let mut tx = Tx::new(&mut self.state, NOW, &mut self.rng);
                let answer = f(&mut tx, &call, input);
                match &answer {
                    Ok(_) => drop(tx.commit()),
                    Err(_) => tx.roll_back(),
                }
                answer
            }
            Handler::Async(_) => panic!("IAM waits for nobody"),
        }
    }

    fn ok(&mut self, name: &str, input: Value) -> Value {
        let administrator = self.user(ADMINISTRATOR);
        self.call_as(administrator, name, input)
            .unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn code(&mut self, name: &str, input: Value) -> String {
        let administrator = self.user(ADMINISTRATOR);
        self.call_as(administrator, name, input.clone())
            .err()
            .unwrap_or_else(|| panic!("{name} {input} worked"))
            .code
    }
}

fn allow(action: &str, resource: &str) -> String {
    json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": resource}]})
        .to_string()
}

fn trust(principal: Value) -> String {
    json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}]})
        .to_string()
}

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
fn aws_managed_policies_parse_and_cannot_be_changed() {
    let mut cloud = Cloud::new();
    for policy in managed::all_aws_managed() {
        honmaru_identity::Policy::parse(policy.document, honmaru_identity::PolicyKind::Identity)
            .unwrap_or_else(|error| panic!("{}: {error}", policy.arn));
        let got = cloud.ok("GetPolicyVersion", json!({"PolicyArn": policy.arn, "VersionId": "v1"}));
        assert_eq!(got["PolicyVersion"]["IsDefaultVersion"], true);
    }
    let arn = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy";
    assert_eq!(
        cloud.ok("GetPolicy", json!({"PolicyArn": arn}))["Policy"]["Path"],
        "/service-role/"
    );
    assert_eq!(cloud.code("DeletePolicy", json!({"PolicyArn": arn})), "AccessDenied");
    let listed = cloud.ok("ListPolicies", json!({"Scope": "AWS", "PathPrefix": "/service-role/"}));
    assert_eq!(listed["Policies"].as_array().unwrap().len(), 4);
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
fn pages_follow_one_another() {
    let mut cloud = Cloud::new();
    for i in 0..7 {
        cloud.ok("CreateUser", json!({"UserName": format!("u{i}")}));
    }
    let (mut names, mut marker) = (Vec::new(), Value::Null);
    loop {
        let page = cloud.ok("ListUsers", json!({"MaxItems": 3, "Marker": marker}));
        let users = page["Users"].as_array().unwrap();
        assert!(users.len() <= 3);
        names.extend(users.iter().map(|user| user["UserName"].as_str().unwrap().to_owned()));
        marker = page["Marker"].clone();
        assert_eq!(page["IsTruncated"], !marker.is_null());
        if marker.is_null() {
            break;
        }
    }
    assert_eq!(names, ["administrator", "u0", "u1", "u2", "u3", "u4", "u5", "u6"]);
    assert_eq!(cloud.code("ListUsers", json!({"Marker": "!"})), "ValidationError");
}

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
    let before = cloud.state.dump();
    cloud.code(
        "CreateUser",
        json!({"UserName": "ada", "Tags": [{"Key": "aws:x", "Value": "v"}]}),
    );
    cloud.code("CreateUser", json!({"UserName": "ada", "Path": "no slash"}));
    cloud.code("AddUserToGroup", json!({"UserName": "ada", "GroupName": "none"}));
    assert_eq!(cloud.state.dump(), before);
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

#[test]
fn every_operation_that_is_listed_is_there() {
    let listed: std::collections::BTreeSet<&str> = include_str!("../operations.txt").split_whitespace().collect();
    let there: std::collections::BTreeSet<&str> = operations().iter().map(|operation| operation.name).collect();
    assert_eq!(listed, there);
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

#[test]
fn the_whole_account_at_once_and_in_pages() {
    let mut cloud = Cloud::new();
    cloud.ok(
        "CreateUser",
        json!({"UserName": "ada", "Tags": [{"Key": "k", "Value": "v"}]}),
    );
    cloud.ok("CreateGroup", json!({"GroupName": "team"}));
    cloud.ok("AddUserToGroup", json!({"UserName": "ada", "GroupName": "team"}));
    cloud.ok(
        "PutGroupPolicy",
        json!({"GroupName": "team", "PolicyName": "p", "PolicyDocument": allow("ecs:*", "*")}),
    );
    cloud.ok(
        "CreateRole",
        json!({"RoleName": "task", "AssumeRolePolicyDocument": trust(json!({"Service": "ecs-tasks.amazonaws.com"}))}),
    );
    cloud.ok("CreateInstanceProfile", json!({"InstanceProfileName": "web"}));
    cloud.ok(
        "AddRoleToInstanceProfile",
        json!({"InstanceProfileName": "web", "RoleName": "task"}),
    );
    cloud.ok(
        "CreatePolicy",
        json!({"PolicyName": "own", "PolicyDocument": allow("ecr:*", "*")}),
    );
    let all = cloud.ok("GetAccountAuthorizationDetails", json!({}));
    assert_eq!(all["UserDetailList"].as_array().unwrap().len(), 2);
    assert_eq!(all["UserDetailList"][0]["UserName"], "ada");
    assert_eq!(all["UserDetailList"][0]["GroupList"], json!(["team"]));
    assert!(
        all["GroupDetailList"][0]["GroupPolicyList"][0]["PolicyDocument"]
            .as_str()
            .unwrap()
            .starts_with("%7B")
    );
    assert_eq!(
        all["RoleDetailList"][0]["InstanceProfileList"][0]["InstanceProfileName"],
        "web"
    );
    let names: Vec<&Value> = all["Policies"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| &p["PolicyName"])
        .collect();
    assert_eq!(names, ["own", "AdministratorAccess"]);
    assert_eq!(all["Policies"][0]["PolicyVersionList"][0]["IsDefaultVersion"], true);
    let (mut marker, mut seen) = (Value::Null, 0);
    loop {
        let page = cloud.ok(
            "GetAccountAuthorizationDetails",
            json!({"MaxItems": 1, "Marker": marker}),
        );
        let lists = ["UserDetailList", "GroupDetailList", "RoleDetailList", "Policies"];
        seen += lists
            .iter()
            .map(|list| page[*list].as_array().unwrap().len())
            .sum::<usize>();
        if page["IsTruncated"] == false {
            break;
        }
        marker = page["Marker"].clone();
    }
    assert_eq!(seen, 6);
    let roles = cloud.ok("GetAccountAuthorizationDetails", json!({"Filter": ["Role"]}));
    assert_eq!(
        (
            &roles["UserDetailList"],
            roles["RoleDetailList"].as_array().unwrap().len()
        ),
        (&json!([]), 1)
    );
}

#[test]
fn what_nobody_has_is_not_there() {
    let mut cloud = Cloud::new();
    cloud.ok("CreateUser", json!({"UserName": "ada"}));
    cloud.ok("CreateAccessKey", json!({"UserName": "ada"}));
    assert_eq!(
        cloud.ok("ListMFADevices", json!({"UserName": "ada"}))["MFADevices"],
        json!([])
    );
    assert_eq!(
        cloud.ok("ListSSHPublicKeys", json!({"UserName": "ada"}))["SSHPublicKeys"],
        json!([])
    );
    assert_eq!(
        cloud.code("ListSigningCertificates", json!({"UserName": "bob"})),
        "NoSuchEntityException"
    );
    assert_eq!(
        cloud.code("GetLoginProfile", json!({"UserName": "ada"})),
        "NoSuchEntityException"
    );
    assert_eq!(
        cloud.code("DeleteLoginProfile", json!({"UserName": "ada"})),
        "NoSuchEntityException"
    );
    assert_eq!(
        cloud.code("GetAccountPasswordPolicy", json!({})),
        "NoSuchEntityException"
    );
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
fn an_account_has_so_many_and_no_more() {
    let mut cloud = Cloud::new();
    for i in 0..300 {
        cloud.ok("CreateGroup", json!({"GroupName": format!("g{i}")}));
    }
    let administrator = cloud.user(ADMINISTRATOR);
    let refused = cloud.call_as(administrator.clone(), "CreateGroup", json!({"GroupName": "one-more"}));
    assert_eq!(
        refused.map_err(|error| (error.code, error.message)),
        Err((
            "LimitExceededException".to_owned(),
            "Cannot exceed quota for GroupsPerAccount: 300".to_owned()
        ))
    );
    for i in 0..100 {
        let url = format!("https://i{i}.example");
        cloud.ok("CreateOpenIDConnectProvider", json!({"Url": url}));
    }
    let refused = cloud.call_as(
        administrator,
        "CreateOpenIDConnectProvider",
        json!({"Url": "https://one-more.example"}),
    );
    assert_eq!(
        refused.map_err(|error| error.message),
        Err("Cannot exceed quota for OpenIdConnectProvidersPerAccount: 100".to_owned())
    );
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
