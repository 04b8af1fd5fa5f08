//! Goal: what operations ask permission for is what the Service Authorization Reference says. Method: an input in which
//! every member is there goes to each operation; resources and condition keys are held against `reference.json`, which
//! says in its own form what the reference's pages of these services say of the implemented operations.

use super::{call, services};
use honmaru_base::SeededRng;
use honmaru_identity::CallContext;
use honmaru_machine::{Handler, State, Tx};
use honmaru_wire::Side;
use serde_json::Value;
use std::collections::BTreeSet;

/// Keys of the reference that an input alone does not give, or that mean what this cloud does not have.
const ABSENT: [(&str, &str); 27] = [
    ("ecs:fargate-ephemeral-storage-kms-key", "there is no KMS"),
    ("ecs:namespace", "Service Connect is refused"),
    ("ecs:task-definition", "the definition must be there"),
    ("ecs:task-cpu", "the definition must be there"),
    ("ecs:task-memory", "the definition must be there"),
    ("ecs:CreateAction", "of a creation that tags"),
    ("elasticloadbalancing:CreateAction", "of a creation that tags"),
    ("ec2:CreateAction", "of a creation that tags"),
    ("ec2:Vpc", "the group must be there"),
    ("ec2:SecurityGroupID", "a group that is made has none yet"),
    ("ec2:AuthorizedUser", "of network interfaces, which are not tagged here"),
    ("ec2:AvailabilityZone", "the same"),
    ("ec2:AvailabilityZoneId", "the same"),
    ("ec2:ManagedResourceOperator", "the same"),
    ("ec2:NetworkInterfaceID", "the same"),
    ("ec2:Permission", "the same"),
    ("ec2:Subnet", "the same"),
    ("ec2:SubnetID", "of subnets"),
    ("iam:PermissionsBoundary", "the user or the role must have one"),
    ("iam:FIDO-FIPS-140-2-certification", "there are no security keys"),
    ("iam:FIDO-FIPS-140-3-certification", "the same"),
    ("iam:FIDO-certification", "the same"),
    ("iam:RegisterSecurityKey", "the same"),
    ("iam:RoleTemplateARN", "there are no role templates"),
    (
        "iam:ServiceSpecificCredentialAgeDays",
        "no service here takes such credentials",
    ),
    ("iam:ServiceSpecificCredentialServiceName", "the same"),
    // Of Classic Load Balancers, which share the action.
    (
        "elasticloadbalancing:ListenerProtocol",
        "an Application Load Balancer has none yet",
    ),
];

/// What is asked for beside the operation's own action.
const BESIDE: [&str; 23] = [
    "iam:PassRole",
    "iam:TagUser",
    "iam:TagRole",
    "iam:TagPolicy",
    "iam:TagInstanceProfile",
    "iam:TagMFADevice",
    "iam:TagOpenIDConnectProvider",
    "iam:TagSAMLProvider",
    "iam:TagServerCertificate",
    "ecs:TagResource",
    "ec2:CreateTags",
    "elasticloadbalancing:AddTags",
    "elasticloadbalancing:SetWebACL",
    "wafv2:GetWebACL",
    "sts:TagSession",
    "sts:SetSourceIdentity",
    "wafv2:GetSampledRequests",
    // Ref: ECR user guide, "IAM permissions for creating repository creation templates".
    "ecr:CreateRepository",
    "ecr:PutLifecyclePolicy",
    "ecr:SetRepositoryPolicy",
    // Ref: AWS's notice of December 2022 on repositories that are made with tags.
    "ecr:TagResource",
    "logs:TagResource",
    "sts:GetServiceBearerToken",
];

/// Operations that the reference did not have when it was read.
const NEWER: [&str; 5] = [
    "DescribeReplicationBackfillResults",
    "ListImageReferrers",
    "ListReplicationBackfills",
    "StartReplicationBackfill",
    "StopReplicationBackfill",
];

/// Asked for on more than the reference says: Logs' refusals name `log-group::log-stream:`, and AWS's own policies for WAF
/// allow these on ARNs only.
const WIDER: [(&str, &str); 9] = [
    ("DescribeLogGroups", "log-group"),
    ("CheckCapacity", "rulegroup"),
    ("DescribeManagedRuleGroup", "managedruleset"),
    ("ListAvailableManagedRuleGroupVersions", "managedruleset"),
    ("ListAvailableManagedRuleGroups", "managedruleset"),
    ("ListIPSets", "ipset"),
    ("ListRegexPatternSets", "regexpatternset"),
    ("ListRuleGroups", "rulegroup"),
    ("ListWebACLs", "webacl"),
];

/// `aws:RequestTag/` of `aws:RequestTag/team`.
fn family(key: &str) -> &str {
    key.split_inclusive('/').next().unwrap_or(key)
}

/// `cluster` of a cluster's ARN; WAF's begin with the scope.
fn noun(arn: &str) -> &str {
    let resource = arn.splitn(6, ':').nth(5).unwrap_or_default();
    let mut parts = resource.split(['/', ':']);
    let first = parts.next().unwrap_or_default();
    match arn.split(':').nth(2) {
        Some("wafv2") => parts.next().unwrap_or_default(),
        // A group is named as its stream without a name.
        Some("logs") if resource.contains(":log-stream:") && !resource.ends_with(':') => "log-stream",
        _ => first,
    }
}

fn strings(value: &Value) -> BTreeSet<&str> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

#[test]
fn resources_and_condition_keys_are_those_of_the_reference() {
    let reference: Value = serde_json::from_str(include_str!("reference.json")).unwrap();
    let mut state = State::new();
    honmaru_cloud::register_all(&mut state);
    let caller = call();
    let (mut wrong, mut compared) = (Vec::new(), 0);
    for (name, operations) in services() {
        let service = honmaru_wire::service(name).unwrap();
        for operation in operations {
            let said = &reference[name][operation.name];
            if NEWER.contains(&operation.name) {
                continue;
            }
            if !said.is_object() {
                wrong.push(format!("{name}:{} is not in the reference", operation.name));
                continue;
            }
            let (keys, nouns) = (strings(&said["keys"]), strings(&said["nouns"]));
            let input = honmaru_wire::leaves(
                service,
                service.operation(operation.name).unwrap(),
                Side::Input,
                &|path| {
                    let text = match path {
                        ".resourceArn" if name == "ecr" => "arn:aws:ecr:us-east-1:111111111111:repository/x",
                        ".resourceArn" if name == "ecr-public" => "arn:aws:ecr-public::111111111111:repository/x",
                        ".logStreamName" | ".logGroupName" => "g",
                        _ if path.ends_with("RoleArn") => "arn:aws:iam::000000000000:role/x",
                        ".Path" | ".NewPath" => "/",
                        _ if path.starts_with(".Resources") => "vpc-1",
                        _ => "x",
                    };
                    text.to_owned()
                },
            );
            let mut given = BTreeSet::new();
            let accesses = (operation.access)(&state, &caller, &input);
            for access in &accesses {
                let (_, action) = access.action.split_once(':').unwrap();
                if !action.eq_ignore_ascii_case(operation.name) {
                    if !BESIDE.contains(&access.action.as_str()) {
                        wrong.push(format!("{name}:{} asks for {}", operation.name, access.action));
                    }
                    continue;
                }
                given.extend(access.context.iter().map(|(key, _)| family(key).to_owned()));
                if !nouns.is_empty() && access.resources.iter().all(|resource| resource == "*") {
                    wrong.push(format!("{name}:{} on everything: {nouns:?}", operation.name));
                }
                for arn in access.resources.iter().filter(|arn| arn.starts_with("arn:")) {
                    if !nouns.contains(noun(arn)) && !WIDER.contains(&(operation.name, noun(arn))) {
                        wrong.push(format!("{name}:{} on {arn}: {nouns:?}", operation.name));
                    }
                }
            }
            let is_global = |key: &str| CallContext::GLOBAL_KEYS.contains(&key);
            for key in given
                .iter()
                .filter(|key| !keys.contains(key.as_str()) && !is_global(key))
            {
                wrong.push(format!("{name}:{} gives {key}", operation.name));
            }
            // Of RemoveTags and ECR's ListTagsForResource the reference lists the tags of requests, which have none.
            let is_left_out = |key: &str| {
                key.contains("ResourceTag/")
                    || operation.name == "RemoveTags" && key == "aws:RequestTag/"
                    || operation.name == "ListTagsForResource" && name == "ecr"
                    || ABSENT.iter().any(|(absent, _)| *absent == key)
            };
            for key in keys.iter().filter(|key| !given.contains(**key) && !is_left_out(key)) {
                if !accesses.is_empty() {
                    wrong.push(format!("{name}:{} lacks {key}", operation.name));
                }
            }
            compared += 1;
        }
    }
    assert!(compared > 200, "{compared} operations");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is made with a tag, what then works on it, and the vendors under whose names the tag is given.
const TAGGED: [(&str, &str, &str, &str, &[&str]); 5] = [
    (
        "ecr",
        "CreateRepository",
        r#"{"repositoryName": "xy", "tags": [{"Key": "team", "Value": "a"}]}"#,
        "DeleteRepository",
        &["aws", "ecr"],
    ),
    (
        "ecr-public",
        "CreateRepository",
        r#"{"repositoryName": "xy", "tags": [{"Key": "team", "Value": "a"}]}"#,
        "DeleteRepository",
        &["aws", "ecr-public"],
    ),
    (
        "ecs",
        "CreateCluster",
        r#"{"clusterName": "x", "cluster": "x", "tags": [{"key": "team", "value": "a"}]}"#,
        "DeleteCluster",
        &["aws", "ecs"],
    ),
    (
        "iam",
        "CreateUser",
        r#"{"UserName": "x", "Tags": [{"Key": "team", "Value": "a"}]}"#,
        "DeleteUser",
        &["aws", "iam"],
    ),
    (
        "logs",
        "CreateLogGroup",
        r#"{"logGroupName": "x", "tags": {"team": "a"}}"#,
        "DeleteLogGroup",
        &["aws"],
    ),
];

#[test]
fn the_tags_of_a_resource_are_given_under_the_names_of_the_reference() {
    let services = services();
    for (service, create, input, delete, vendors) in TAGGED {
        let mut state = State::new();
        honmaru_cloud::register_all(&mut state);
        let operations = services.iter().find(|(name, _)| *name == service).map(|(_, all)| all);
        let operation = |name: &str| {
            let found = operations.and_then(|all| all.iter().find(|operation| operation.name == name));
            found.expect("it is implemented")
        };
        let (caller, input): (_, Value) = (call(), serde_json::from_str(input).unwrap());
        let Handler::Write(write) = operation(create).handler.clone() else {
            panic!("{service}:{create} writes")
        };
        let mut rng = SeededRng::from_u64(1);
        let mut tx = Tx::new(&mut state, caller.now, &mut rng);
        write(&mut tx, &caller, input.clone()).unwrap();
        tx.commit();
        let accesses = (operation(delete).access)(&state, &caller, &input);
        let given: BTreeSet<&str> = accesses[0].context.iter().map(|(key, _)| key.as_str()).collect();
        for vendor in vendors {
            let key = format!("{vendor}:ResourceTag/team");
            assert!(
                given.contains(key.as_str()),
                "{service}:{delete} lacks {key}: {given:?}"
            );
        }
        let named = given.iter().filter(|key| key.contains(":ResourceTag/")).count();
        assert_eq!(named, vendors.len(), "{service}:{delete}: {given:?}");
    }
}
