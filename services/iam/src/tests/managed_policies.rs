//! The policies that AWS manages: every one that is kept, as documents, and as the operations show them.

use super::*;
use honmaru_identity::{Policy, PolicyKind};
use serde_json::Map;
use std::collections::BTreeSet;

const ARN: &str = "arn:aws:iam::aws:policy/";

/// What an operation lists, page by page.
fn listed(cloud: &mut Cloud, name: &str, member: &str, input: Value) -> Vec<Value> {
    let (mut input, mut items) = (input, Vec::new());
    loop {
        let page = cloud.ok(name, input.clone());
        items.extend(page[member].as_array().unwrap().iter().cloned());
        if page["IsTruncated"] != true {
            return items;
        }
        input["Marker"] = page["Marker"].clone();
    }
}

fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(list) => list.iter().map(|item| item.as_str().unwrap()).collect(),
        other => panic!("{other}"),
    }
}

/// The actions without wildcards that a document allows on everything and always, and denies nowhere.
fn plainly_allowed(document: &Value) -> Vec<&str> {
    let statement = &document["Statement"];
    let statements = statement
        .as_array()
        .map_or(std::slice::from_ref(statement), Vec::as_slice);
    if statements.iter().any(|statement| statement["Effect"] != "Allow") {
        return Vec::new();
    }
    let plain = statements.iter().filter(|statement| {
        let everything = statement
            .get("Resource")
            .is_some_and(|resource| texts(resource) == ["*"]);
        everything && statement.get("Condition").is_none()
    });
    let actions = plain.filter_map(|statement| statement.get("Action"));
    actions
        .flat_map(texts)
        .filter(|action| !action.contains(['*', '?']))
        .collect()
}

#[test]
fn each_is_a_policy_and_allows_what_it_says() {
    let mut cloud = Cloud::new();
    let mut decided = 0;
    for policy in managed::all_aws_managed() {
        let arn = policy.arn;
        Policy::parse(policy.document, PolicyKind::Identity).unwrap_or_else(|error| panic!("{arn}: {error}"));
        policy.compiled().unwrap();
        assert!(policy.id.starts_with("ANPA") && policy.id.len() == 21, "{arn}");
        assert!(!policy.description.is_empty() && policy.version > 0, "{arn}");
        assert!(policy.created_s <= policy.updated_s, "{arn}");
        assert_eq!(aws_managed(arn).map(|found| found.arn), Some(arn), "they are sorted");

        let document: Value = serde_json::from_str(policy.document).unwrap();
        assert_eq!(document["Version"], "2012-10-17", "{arn}");
        for actions in plainly_allowed(&document).chunks(500) {
            let input = json!({"PolicyInputList": [policy.document], "ActionNames": actions});
            for result in listed(&mut cloud, "SimulateCustomPolicy", "EvaluationResults", input) {
                assert_eq!(result["EvalDecision"], "allowed", "{arn} {}", result["EvalActionName"]);
                decided += 1;
            }
        }
    }
    assert!(decided > 1_000, "{decided}");
    let ids: BTreeSet<&str> = managed::all_aws_managed().iter().map(|policy| policy.id).collect();
    assert_eq!(ids.len(), managed::all_aws_managed().len());
    assert!(aws_managed("arn:aws:iam::aws:policy/AmazonNoSuchPolicy").is_none());
}

/// Ref: IAM API Reference, GetPolicy, GetPolicyVersion, ListPolicyVersions, AttachRolePolicy, DeletePolicy.
#[test]
fn each_is_shown_as_aws_shows_it() {
    let mut cloud = Cloud::new();
    let document = trust(json!({"Service": "ecs-tasks.amazonaws.com"}));
    cloud.ok(
        "CreateRole",
        json!({"RoleName": "r", "AssumeRolePolicyDocument": document}),
    );
    for policy in managed::all_aws_managed() {
        let (arn, version) = (policy.arn, policy.version_id());
        let of_it = json!({"PolicyArn": arn});
        let got = cloud.ok("GetPolicy", of_it.clone())["Policy"].clone();
        let path = got["Path"].as_str().unwrap();
        assert_eq!(
            format!(
                "{}{path}{}",
                ARN.trim_end_matches('/'),
                got["PolicyName"].as_str().unwrap()
            ),
            arn
        );
        assert!(
            ["/", "/aws-service-role/", "/job-function/", "/service-role/"].contains(&path),
            "{arn}"
        );
        assert_eq!(got["DefaultVersionId"], version.as_str());
        assert_eq!(got["IsAttachable"], true);

        let default = json!({"PolicyArn": arn, "VersionId": version});
        let shown = cloud.ok("GetPolicyVersion", default)["PolicyVersion"].clone();
        assert_eq!(shown["IsDefaultVersion"], true);
        assert_eq!(
            shown["CreateDate"], got["UpdateDate"],
            "the default version's is the policy's last change"
        );
        let versions = cloud.ok("ListPolicyVersions", of_it.clone())["Versions"].clone();
        assert_eq!(versions[0]["VersionId"], version.as_str());
        let other = json!({"PolicyArn": arn, "VersionId": format!("v{}", policy.version + 1)});
        assert_eq!(cloud.code("GetPolicyVersion", other), "NoSuchEntityException");
        assert_eq!(cloud.code("DeletePolicy", of_it.clone()), "AccessDenied");

        let mut attached = json!({"RoleName": "r", "PolicyArn": arn});
        if path == "/aws-service-role/" {
            assert_eq!(cloud.code("AttachRolePolicy", attached), "PolicyNotAttachableException");
            continue;
        }
        let before = got["AttachmentCount"].as_i64().unwrap();
        cloud.ok("AttachRolePolicy", attached.clone());
        let of_role = cloud.ok("ListAttachedRolePolicies", json!({"RoleName": "r"}))["AttachedPolicies"].clone();
        assert_eq!(of_role, json!([{"PolicyName": policy.name(), "PolicyArn": arn}]));
        assert_eq!(cloud.ok("GetPolicy", of_it)["Policy"]["AttachmentCount"], before + 1);
        cloud.ok("DetachRolePolicy", attached.take());
    }
}

/// Ref: IAM API Reference, ListPolicies.
#[test]
fn they_are_listed_by_scope_path_and_use() {
    let mut cloud = Cloud::new();
    let document = allow("ecs:ListTasks", "*");
    cloud.ok("CreatePolicy", json!({"PolicyName": "own", "PolicyDocument": document}));
    let names = |cloud: &mut Cloud, more: Value| -> Vec<String> {
        let mut input = Map::from_iter([("Scope".to_owned(), json!("AWS"))]);
        input.extend(more.as_object().unwrap().clone());
        let policies = listed(cloud, "ListPolicies", "Policies", Value::Object(input));
        let name = |policy: &Value| policy["PolicyName"].as_str().unwrap().to_owned();
        policies.iter().map(name).collect()
    };
    let all = names(&mut cloud, json!({}));
    assert_eq!(all.len(), managed::all_aws_managed().len());
    assert!(!all.contains(&"own".to_owned()));
    assert_eq!(names(&mut cloud, json!({"Scope": "Local"})), ["own"]);
    assert_eq!(
        names(&mut cloud, json!({"PathPrefix": "/job-function/"})),
        [
            "Billing",
            "DataScientist",
            "DatabaseAdministrator",
            "NetworkAdministrator",
            "SupportUser",
            "SystemAdministrator",
            "ViewOnlyAccess"
        ]
    );
    assert_eq!(
        names(&mut cloud, json!({"OnlyAttached": true})),
        ["AdministratorAccess"]
    );
    cloud.ok("CreateUser", json!({"UserName": "u"}));
    let boundary = json!({"UserName": "u", "PermissionsBoundary": format!("{ARN}PowerUserAccess")});
    cloud.ok("PutUserPermissionsBoundary", boundary);
    assert_eq!(
        names(&mut cloud, json!({"PolicyUsageFilter": "PermissionsBoundary"})),
        ["PowerUserAccess"]
    );
}

/// What they were meant for, call by call. Goal: nobody who has one of them gets less or more than AWS's gives.
#[test]
fn those_of_whole_accounts_reach_the_services_that_are_here() {
    let mut cloud = Cloud::new();
    let cases = [
        ("ReadOnlyAccess", "ecs:DescribeTasks", "allowed"),
        ("ReadOnlyAccess", "wafv2:GetWebACL", "allowed"),
        ("ReadOnlyAccess", "ecs:RunTask", "implicitDeny"),
        ("ReadOnlyAccess", "ecr:PutImage", "implicitDeny"),
        ("SecurityAudit", "iam:GetAccountAuthorizationDetails", "allowed"),
        ("SecurityAudit", "logs:GetLogEvents", "implicitDeny"),
        ("job-function/ViewOnlyAccess", "ecs:ListServices", "allowed"),
        ("job-function/ViewOnlyAccess", "logs:GetLogEvents", "implicitDeny"),
        ("PowerUserAccess", "ecs:CreateCluster", "allowed"),
        ("PowerUserAccess", "iam:CreateUser", "implicitDeny"),
        ("PowerUserAccess", "iam:ListRoles", "allowed"),
        ("AWSWAFReadOnlyAccess", "wafv2:GetWebACL", "allowed"),
        ("AWSWAFReadOnlyAccess", "wafv2:UpdateWebACL", "implicitDeny"),
        ("AWSWAFFullAccess", "wafv2:UpdateWebACL", "allowed"),
        ("AWSDenyAll", "ecs:ListTasks", "explicitDeny"),
    ];
    for (name, action, decision) in cases {
        let policy = aws_managed(&format!("{ARN}{name}")).unwrap();
        let resource = if name.starts_with("AWSWAF") {
            "arn:aws:wafv2:us-east-1:123456789012:regional/webacl/web/1"
        } else {
            "*"
        };
        let input = json!({"PolicyInputList": [policy.document], "ActionNames": [action], "ResourceArns": [resource]});
        let result = cloud.ok("SimulateCustomPolicy", input)["EvaluationResults"][0].clone();
        assert_eq!(result["EvalDecision"], decision, "{name} {action}");
    }
}
