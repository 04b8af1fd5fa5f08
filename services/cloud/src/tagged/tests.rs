use super::*;
use crate::calls::{self, ACCOUNT, NOW, call, scope};
use honmaru_base::SeededRng;

/// All services, root, and a user without policies.
struct Lab {
    state: State,
    turn: u64,
}

fn root() -> Call {
    call(calls::root())
}

/// The operations that this test calls.
fn operation(service: &str, name: &str) -> Operation {
    let all = match service {
        "ec2" => honmaru_ec2::operations(),
        "ecs" => honmaru_ecs::operations(),
        "elbv2" => honmaru_elbv2::operations(),
        "iam" => honmaru_iam::operations(),
        "wafv2" => honmaru_wafv2::operations(),
        "tagging" => honmaru_tagging::operations::<EveryService>(),
        other => panic!("{other}"),
    };
    all.into_iter().find(|operation| operation.name == name).unwrap()
}

impl Lab {
    fn new() -> Self {
        let mut state = State::new();
        crate::register_all(&mut state);
        let mut lab = Self { state, turn: 1 };
        lab.ok("iam", "CreateUser", json!({ "UserName": "ada" }));
        lab
    }

    /// What ada may do, anew.
    fn allow(&mut self, statements: &Value) {
        let document = json!({ "Version": "2012-10-17", "Statement": statements }).to_string();
        let input = json!({ "UserName": "ada", "PolicyName": "p", "PolicyDocument": document });
        self.ok("iam", "PutUserPolicy", input);
    }

    fn ada(&self) -> Call {
        let ada = honmaru_iam::user_of_name(&self.state, &scope().account, "ada").unwrap();
        call(honmaru_iam::user_principal(&scope().account, ada, "AKIAADA"))
    }

    /// The call as the endpoint does it: what the operation needs is asked for before its handler.
    fn try_as(&mut self, call: &Call, service: &str, name: &str, input: Value) -> Result<Value, ApiError> {
        let mut rng = SeededRng::from_u64(self.turn);
        self.turn += 1;
        let mut tx = Tx::new(&mut self.state, NOW, &mut rng);
        let operation = operation(service, name);
        let accesses = (operation.access)(&tx, call, &input);
        honmaru_iam::authorize(&tx, call, &accesses, ProtocolFamily::Json)?;
        let answer = match operation.handler {
            Handler::Write(handler) => handler(&mut tx, call, input)?,
            Handler::Read(handler) => handler(&tx, call, input)?,
            Handler::WriteJson(_) | Handler::Async(_) => panic!("{name} does not answer with a tree at once"),
        };
        tx.commit();
        Ok(answer)
    }

    fn ok(&mut self, service: &str, name: &str, input: Value) -> Value {
        let answer = self.try_as(&root(), service, name, input);
        answer.unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// What ada is told, or nothing when it is done.
    fn refusal(&mut self, service: &str, name: &str, input: Value) -> Option<String> {
        let ada = self.ada();
        self.try_as(&ada, service, name, input).err().map(|error| error.code)
    }

    /// One resource of each service, tagged `env=prod`.
    fn furnish(&mut self) -> Vec<String> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let mut rng = SeededRng::from_u64(7);
        let mut tx = Tx::new(&mut self.state, NOW, &mut rng);
        honmaru_ec2::ensure_default_vpc(&mut tx, &scope(), "172.31.0.0/16".parse().unwrap()).unwrap();
        honmaru_logs::ensure_group(&mut tx, &scope(), "/app");
        tx.commit();
        let vpcs = self.ok("ec2", "DescribeVpcs", json!({}));
        let vpc = text(&vpcs["Vpcs"][0]["VpcId"]);
        let cluster = self.ok("ecs", "CreateCluster", json!({ "clusterName": "shop" }));
        let group = json!({ "Name": "web", "TargetType": "ip", "Port": 80, "Protocol": "HTTP", "VpcId": vpc });
        let group = self.ok("elbv2", "CreateTargetGroup", group);
        let set = json!({ "Name": "set", "Scope": "REGIONAL", "IPAddressVersion": "IPV4", "Addresses": [] });
        let set = self.ok("wafv2", "CreateIPSet", set);
        let trust = json!({ "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Principal": { "Service": "ecs-tasks.amazonaws.com" }, "Action": "sts:AssumeRole" }
        ]});
        let role = json!({ "RoleName": "app", "Path": "/team/", "AssumeRolePolicyDocument": trust.to_string() });
        let role = self.ok("iam", "CreateRole", role);
        let certificate = json!({ "ServerCertificateName": "shop", "Path": "/web/",
            "CertificateBody": include_str!("../../../iam/src/tests/pem/rsa.pem"),
            "PrivateKey": include_str!("../../../iam/src/tests/pem/rsa.key") });
        let certificate = self.ok("iam", "UploadServerCertificate", certificate);
        let device = self.ok(
            "iam",
            "CreateVirtualMFADevice",
            json!({ "VirtualMFADeviceName": "phone" }),
        );
        vec![
            text(&cluster["cluster"]["clusterArn"]),
            format!("arn:aws:ec2:us-east-1:{ACCOUNT}:vpc/{vpc}"),
            text(&group["TargetGroups"][0]["TargetGroupArn"]),
            format!("arn:aws:logs:us-east-1:{ACCOUNT}:log-group:/app"),
            text(&set["Summary"]["ARN"]),
        ]
        .into_iter()
        .chain([
            text(&role["Role"]["Arn"]),
            text(&certificate["ServerCertificateMetadata"]["Arn"]),
            text(&device["VirtualMFADevice"]["SerialNumber"]),
        ])
        .collect()
    }

    fn env_of(&self, arn: &str) -> Option<String> {
        let all = <EveryService as honmaru_tagging::Source>::tagged(&self.state, &scope());
        all.get(arn)?.get("env").cloned()
    }
}

#[test]
fn one_call_tags_resources_of_every_service_and_removes_the_tags_again() {
    let mut lab = Lab::new();
    let arns = lab.furnish();
    let tag = json!({ "ResourceARNList": arns, "Tags": { "env": "prod", "team": "blue" } });
    let answer = lab.ok("tagging", "TagResources", tag);
    assert_eq!(answer["FailedResourcesMap"], json!({}));
    for arn in &arns {
        assert_eq!(lab.env_of(arn).as_deref(), Some("prod"), "{arn}");
    }
    let untag = json!({ "ResourceARNList": arns, "TagKeys": ["env"] });
    assert_eq!(
        lab.ok("tagging", "UntagResources", untag)["FailedResourcesMap"],
        json!({})
    );
    for arn in &arns {
        assert_eq!(lab.env_of(arn), None, "{arn}");
    }
}

#[test]
fn what_cannot_be_tagged_fails_by_itself_and_what_is_no_arn_fails_the_call() {
    let mut lab = Lab::new();
    let arns = lab.furnish();
    let of = |region: &str, account: &str| format!("arn:aws:ecs:{region}:{account}:cluster/shop");
    let unknown = format!("arn:aws:ecs:us-east-1:{ACCOUNT}:cluster/none");
    let other = format!("arn:aws:sqs:us-east-1:{ACCOUNT}:queue");
    let failing = [
        unknown.clone(),
        of("eu-west-1", ACCOUNT),
        of("us-east-1", "222222222222"),
        other,
    ];
    let mut list = failing.to_vec();
    list.push(arns[0].clone());
    let answer = lab.ok(
        "tagging",
        "TagResources",
        json!({ "ResourceARNList": list, "Tags": { "env": "prod" } }),
    );
    let failed = answer["FailedResourcesMap"].as_object().unwrap();
    let keys: Vec<&String> = failed.keys().collect();
    let mut wanted: Vec<&String> = failing.iter().collect();
    wanted.sort();
    assert_eq!(keys, wanted);
    assert_eq!(failed[&unknown]["ErrorCode"], "ClusterNotFoundException");
    assert_eq!(failed[&unknown]["StatusCode"], 400);
    assert_eq!(lab.env_of(&arns[0]).as_deref(), Some("prod"));
    for (input, name) in [
        (
            json!({ "ResourceARNList": ["shop"], "Tags": { "a": "b" } }),
            "TagResources",
        ),
        (
            json!({ "ResourceARNList": [arns[0]], "Tags": { "aws:a": "b" } }),
            "TagResources",
        ),
        (
            json!({ "ResourceARNList": [arns[0]], "TagKeys": ["AWS:a"] }),
            "UntagResources",
        ),
    ] {
        let refused = lab.try_as(&root(), "tagging", name, input.clone()).unwrap_err();
        assert_eq!(refused.code, "InvalidParameterException", "{input}");
    }
}

#[test]
fn both_permissions_are_needed_and_conditions_on_tags_count() {
    let mut lab = Lab::new();
    let arns = lab.furnish();
    let (cluster, group) = (arns[0].clone(), arns[3].clone());
    let input = json!({ "ResourceARNList": [cluster, group], "Tags": { "env": "prod" } });
    lab.allow(&json!([{ "Effect": "Allow", "Action": "logs:TagResource", "Resource": "*" }]));
    let refusal = lab.refusal("tagging", "TagResources", input.clone());
    assert_eq!(refusal.as_deref(), Some("AccessDeniedException"));
    lab.allow(&json!([{ "Effect": "Allow", "Action": ["tag:TagResources", "logs:TagResource"], "Resource": "*" }]));
    let ada = lab.ada();
    let answer = lab.try_as(&ada, "tagging", "TagResources", input.clone()).unwrap();
    let failed = answer["FailedResourcesMap"].as_object().unwrap();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[&cluster]["ErrorCode"], "AccessDeniedException");
    assert!(
        failed[&cluster]["ErrorMessage"]
            .as_str()
            .unwrap()
            .contains("ecs:TagResource"),
        "{failed:?}"
    );
    assert_eq!(
        (lab.env_of(&cluster), lab.env_of(&group).as_deref()),
        (None, Some("prod"))
    );
    // Only these keys.
    lab.allow(&json!([
        { "Effect": "Allow", "Action": "tag:TagResources", "Resource": "*" },
        { "Effect": "Allow", "Action": "ecs:TagResource", "Resource": "*",
          "Condition": { "ForAllValues:StringEquals": { "aws:TagKeys": ["team"] } } }
    ]));
    let answer = lab.try_as(&ada, "tagging", "TagResources", input).unwrap();
    assert!(answer["FailedResourcesMap"].get(&cluster).is_some(), "{answer}");
    let team = json!({ "ResourceARNList": [cluster], "Tags": { "team": "blue" } });
    assert_eq!(
        lab.try_as(&ada, "tagging", "TagResources", team).unwrap()["FailedResourcesMap"],
        json!({})
    );
}

/// A statement on resources with a tag `env` of this value.
fn on_env(effect: &str, action: &str, prefix: &str, value: &str) -> Value {
    let mut condition = serde_json::Map::new();
    condition.insert(format!("{prefix}:ResourceTag/env"), json!(value));
    json!({ "Effect": effect, "Action": action, "Resource": "*", "Condition": { "StringEquals": condition } })
}

#[test]
fn conditions_on_the_tags_of_resources_decide() {
    let mut lab = Lab::new();
    let arns = lab.furnish();
    let vpc = arns[1].rsplit('/').next().unwrap().to_owned();
    lab.ok(
        "tagging",
        "TagResources",
        json!({ "ResourceARNList": arns, "Tags": { "env": "prod" } }),
    );
    let group = json!({ "GroupName": "web", "Description": "d", "VpcId": vpc });
    // Service, prefixes of the key, action, input: a call that the tag decides.
    let cases = [
        (
            "ecs",
            ["aws", "ecs"],
            "ecs:*",
            "DescribeClusters",
            json!({ "clusters": ["shop"] }),
        ),
        (
            "ecs",
            ["aws", "ecs"],
            "ecs:*",
            "UpdateClusterSettings",
            json!({ "cluster": "shop", "settings": [] }),
        ),
        (
            "elbv2",
            ["aws", "elasticloadbalancing"],
            "elasticloadbalancing:*",
            "ModifyTargetGroup",
            json!({ "TargetGroupArn": arns[2], "HealthCheckPath": "/x" }),
        ),
    ];
    for (service, prefixes, action, name, input) in cases {
        for prefix in prefixes {
            lab.allow(&json!([on_env("Allow", action, prefix, "prod")]));
            assert_eq!(lab.refusal(service, name, input.clone()), None, "{prefix} {name}");
            lab.allow(&json!([on_env("Allow", action, prefix, "test")]));
            let refusal = lab.refusal(service, name, input.clone());
            assert_eq!(refusal.as_deref(), Some("AccessDeniedException"), "{prefix} {name}");
            let all = json!({ "Effect": "Allow", "Action": action, "Resource": "*" });
            lab.allow(&json!([all, on_env("Deny", action, prefix, "prod")]));
            let refusal = lab.refusal(service, name, input.clone());
            assert_eq!(refusal.as_deref(), Some("AccessDeniedException"), "{prefix} {name}");
        }
    }
    let all = json!({ "Effect": "Allow", "Action": "ec2:*", "Resource": "*" });
    lab.allow(&json!([all, on_env("Deny", "ec2:*", "ec2", "prod")]));
    assert!(
        lab.refusal("ec2", "CreateSecurityGroup", group.clone()).is_some(),
        "in the VPC of prod"
    );
    lab.allow(&json!([all, on_env("Deny", "ec2:*", "aws", "test")]));
    assert_eq!(lab.refusal("ec2", "CreateSecurityGroup", group), None);
}

#[test]
fn a_creation_with_tags_needs_the_permission_to_tag_and_shows_them_to_policies() {
    let mut lab = Lab::new();
    lab.furnish();
    let vpcs = lab.ok("ec2", "DescribeVpcs", json!({}));
    let vpc = &vpcs["Vpcs"][0]["VpcId"];
    let upper = json!([{ "Key": "team", "Value": "blue" }]);
    let cases = [
        (
            "ecs",
            "CreateCluster",
            ["ecs:CreateCluster", "ecs:TagResource"],
            json!({ "clusterName": "new", "tags": [{ "key": "team", "value": "blue" }] }),
        ),
        (
            "elbv2",
            "CreateTargetGroup",
            ["elasticloadbalancing:CreateTargetGroup", "elasticloadbalancing:AddTags"],
            json!({ "Name": "new", "TargetType": "ip", "Port": 80, "Protocol": "HTTP", "VpcId": vpc, "Tags": upper }),
        ),
        (
            "ec2",
            "CreateSecurityGroup",
            ["ec2:CreateSecurityGroup", "ec2:CreateTags"],
            json!({ "GroupName": "new", "Description": "d", "VpcId": vpc,
                "TagSpecifications": [{ "ResourceType": "security-group", "Tags": upper }] }),
        ),
    ];
    for (service, name, [create, tag], input) in cases {
        lab.allow(&json!([{ "Effect": "Allow", "Action": create, "Resource": "*" }]));
        assert!(
            lab.refusal(service, name, input.clone()).is_some(),
            "{tag} is not allowed"
        );
        let of = |team: &str| {
            json!([
                { "Effect": "Allow", "Action": create, "Resource": "*" },
                { "Effect": "Allow", "Action": tag, "Resource": "*", "Condition": {
                    "StringEquals": { "aws:RequestTag/team": team },
                    "ForAllValues:StringEquals": { "aws:TagKeys": ["team"] } } }
            ])
        };
        lab.allow(&of("red"));
        assert!(
            lab.refusal(service, name, input.clone()).is_some(),
            "{name}: another team"
        );
        lab.allow(&of("blue"));
        assert_eq!(lab.refusal(service, name, input), None, "{name}");
    }
}
