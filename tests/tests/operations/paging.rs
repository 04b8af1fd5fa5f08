//! Goal: every implemented operation that has pages gives each item once, as many at a time as it is asked for, goes on
//! after a restart, and refuses tokens that are not its own.
//! Method: the operations are found by the model (`Op::paging`); a cloud without planes is filled by calls; then each
//! operation is asked for everything at once and for one item at a time, with the state rebuilt from its records
//! between the first two pages. An operation that is not checked has a reason here.

use honmaru_base::{ApiError, Scope, SeededRng, Time};
use honmaru_machine::{Call, Handler, Operation, Principal, PrincipalKind, State, Tx};
use honmaru_wire::{Target, open_token, seal_token};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Why an operation with pages is not among those that are paged through here.
const UNCHECKED: &[(&str, &str, &str)] = &[
    (
        "ecr",
        "DescribeReplicationBackfillResults",
        "results come with images: services/ecr has their tests",
    ),
    ("ecr-public", "DescribeRegistries", "an account has one registry"),
    (
        "ecr",
        "DescribePullThroughCacheRules",
        "making one waits for its upstream: services/ecr has their tests",
    ),
    (
        "cloudtrail",
        "LookupEvents",
        "reads files: bin/honmaru's tests of the audit trail page through them",
    ),
    (
        "logs",
        "FilterLogEvents",
        "reads the journal: planes/journal and services/logs have its tests",
    ),
    (
        "logs",
        "DescribeLogStreams",
        "asks the journal for each stream: services/logs has its test",
    ),
    (
        "logs",
        "DescribeLogGroups",
        "asks the journal for each group: services/logs has its test",
    ),
    ("ec2", "DescribeVpcs", "there is one VPC"),
    ("ec2", "DescribeDhcpOptions", "there is one for the VPC"),
    ("ec2", "DescribeInternetGateways", "there is one for the VPC"),
    ("ec2", "DescribeNetworkAcls", "there is one for the VPC"),
    ("ec2", "DescribeRouteTables", "there is one for the VPC"),
    ("ec2", "DescribeEgressOnlyInternetGateways", "there are none"),
    ("ec2", "DescribeInstances", "there are none"),
    ("ec2", "DescribeNatGateways", "there are none"),
    ("ec2", "DescribeVpcEndpoints", "there are none"),
    ("ec2", "DescribeVpcPeeringConnections", "there are none"),
    ("ec2", "DescribeStaleSecurityGroups", "there are none"),
    (
        "ec2",
        "DescribeNetworkInterfaces",
        "interfaces come with running tasks; pages are those of DescribeSubnets",
    ),
    (
        "ecr",
        "DescribeImages",
        "images come with blobs: services/ecr has their tests",
    ),
    (
        "ecr",
        "DescribeImageScanFindings",
        "findings come with images: services/ecr has their tests",
    ),
    (
        "ecr",
        "GetLifecyclePolicyPreview",
        "previews come with images: services/ecr has their tests",
    ),
    (
        "ecr",
        "ListImages",
        "images come with blobs: services/ecr has their tests",
    ),
    (
        "ecr",
        "ListImageReferrers",
        "referrers come with blobs: services/ecr has their tests",
    ),
    (
        "ecr-public",
        "DescribeImages",
        "images come with blobs: services/ecr has their tests",
    ),
    (
        "ecr-public",
        "DescribeImageTags",
        "images come with blobs: services/ecr has their tests",
    ),
    (
        "ecs",
        "ListContainerInstances",
        "there is one node: the row of a node is not durable",
    ),
    (
        "ecs",
        "DescribeCapacityProviders",
        "the answer has two capacity providers and no token",
    ),
    (
        "ecs",
        "ListTasks",
        "tasks come with nodes: tests/simulation.rs and services/ecs run them",
    ),
    ("iam", "ListAccountAliases", "an account has one alias"),
    (
        "iam",
        "ListMFADevices",
        "devices are enabled with codes: services/iam has their tests",
    ),
    (
        "iam",
        "ListSSHPublicKeys",
        "keys are uploaded, five for a user: services/iam has their tests",
    ),
    (
        "iam",
        "ListSigningCertificates",
        "certificates are uploaded, two for a user: services/iam has their tests",
    ),
    ("iam", "ListServiceSpecificCredentials", "nobody can have one here"),
    (
        "iam",
        "SimulateCustomPolicy",
        "its page is cut from the request's own product of actions and resources",
    ),
    (
        "iam",
        "SimulatePrincipalPolicy",
        "its page is cut from the request's own product of actions and resources",
    ),
    (
        "iam",
        "GetServiceLastAccessedDetailsWithEntities",
        "its order is that of time: services/iam has its test",
    ),
    (
        "iam",
        "ListPoliciesGrantingServiceAccess",
        "its page is cut from the request's own list, and cannot be asked to be short",
    ),
    ("elbv2", "DescribeTrustStores", "there are no trust stores"),
    (
        "wafv2",
        "ListAvailableManagedRuleGroupVersions",
        "a managed rule group has one version",
    ),
];

/// Members that say how many items a page may have.
const LIMITS: [&str; 7] = [
    "maxResults",
    "MaxResults",
    "PageSize",
    "MaxItems",
    "limit",
    "Limit",
    "ResourcesPerPage",
];

struct Cloud {
    state: State,
    rng: SeededRng,
    services: BTreeMap<&'static str, Vec<Operation>>,
}

fn empty_state() -> State {
    let mut state = State::new();
    honmaru_cloud::register_all(&mut state);
    state
}

impl Cloud {
    fn new() -> Self {
        let mut cloud = Self {
            state: empty_state(),
            rng: SeededRng::from_u64(11),
            services: super::services().into_iter().collect(),
        };
        let mut tx = Tx::new(&mut cloud.state, Self::now(), &mut cloud.rng);
        let range = "172.31.0.0/16".parse().expect("a range");
        honmaru_ec2::ensure_default_vpc(&mut tx, &Self::scope(), range).expect("a VPC");
        tx.commit();
        cloud
    }

    fn now() -> Time {
        Time::from_ms(1_700_000_000_000)
    }

    fn scope() -> Scope {
        Scope::new("000000000000", "us-east-1").expect("both are valid")
    }

    fn target(service: &str, operation: &str) -> Target {
        let service = honmaru_wire::service(service).expect("a service");
        Target {
            service,
            protocol: service.protocols()[0],
            operation: service.operation(operation).expect("an operation"),
        }
    }

    /// One call as the wire makes it, without the model's constraints: a page of one is below some minimum.
    fn call(&mut self, service: &'static str, name: &str, mut input: Value) -> Result<Value, ApiError> {
        let target = Self::target(service, name);
        open_token(&target, &mut input)?;
        let call = Call {
            scope: Self::scope(),
            principal: Principal {
                account: Self::scope().account,
                arn: "arn:aws:iam::000000000000:root".to_owned(),
                user_id: "000000000000".to_owned(),
                kind: PrincipalKind::Root,
                access_key_id: "AKIATEST".to_owned(),
                tags: Vec::new(),
                session_policies: Vec::new(),
                session: None,
            },
            request_id: "r".to_owned(),
            now: Self::now(),
            source_ip: None,
            user_agent: String::new(),
            referer: String::new(),
            host: "localhost:4566".to_owned(),
            secure: false,
        };
        let operation = self.services[service].iter().find(|operation| operation.name == name);
        let handler = operation.expect("it is implemented").handler.clone();
        let mut output = if let Handler::Read(read) = handler {
            read(&self.state, &call, input)?
        } else {
            let mut tx = Tx::new(&mut self.state, Self::now(), &mut self.rng);
            let answer = handler.write(&mut tx, &call, input);
            match answer.unwrap_or_else(|| panic!("{service}:{name} waits for a plane")) {
                Ok(output) => {
                    tx.commit();
                    output
                }
                Err(error) => {
                    tx.roll_back();
                    return Err(error);
                }
            }
        };
        seal_token(&target, &mut output);
        Ok(output)
    }

    #[track_caller]
    fn ok(&mut self, service: &'static str, name: &str, input: Value) -> Value {
        self.call(service, name, input)
            .unwrap_or_else(|error| panic!("{service}:{name} failed: {error}"))
    }

    /// What a restart leaves of the state: its records.
    fn restart(&mut self) {
        let mut records = Vec::new();
        self.state.dump(&mut |record| records.push(record));
        self.state = empty_state();
        for record in &records {
            let record = serde_json::from_slice(record).expect("a record is JSON");
            self.state.replay(&record).expect("its own record");
        }
    }
}

/// Fills a cloud with at least two of everything.
fn filled() -> Cloud {
    let mut cloud = Cloud::new();
    let tags = json!([{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]);
    let names = ["n1", "n2", "n3"];
    identities(&mut cloud, &names);
    let subnets: Vec<Value> = cloud.ok("ec2", "DescribeSubnets", json!({}))["Subnets"]
        .as_array()
        .expect("subnets")
        .iter()
        .map(|subnet| subnet["SubnetId"].clone())
        .collect();
    let vpc = cloud.ok("ec2", "DescribeVpcs", json!({}))["Vpcs"][0]["VpcId"].clone();
    for name in names {
        let group = json!({"GroupName": name, "Description": "d", "VpcId": vpc});
        let group = cloud.ok("ec2", "CreateSecurityGroup", group)["GroupId"].clone();
        cloud.ok("ec2", "CreateTags", json!({"Resources": [group], "Tags": tags}));
        cloud.ok("ecr", "CreateRepository", json!({"repositoryName": name, "tags": tags}));
        cloud.ok(
            "ecs",
            "CreateCluster",
            json!({"clusterName": name, "tags": [{"key": "a", "value": name}]}),
        );
        let definition = json!({"family": name, "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"],
            "cpu": "256", "memory": "512", "containerDefinitions": [{"name": "web", "image": "localhost:4566/web:1"}]});
        cloud.ok("ecs", "RegisterTaskDefinition", definition);
        let mut service = json!({"cluster": "n1", "serviceName": name, "taskDefinition": name, "desiredCount": 0,
            "launchType": "FARGATE",
            "networkConfiguration": {"awsvpcConfiguration": {"subnets": [subnets[0]]}}});
        cloud.ok("ecs", "CreateService", service.clone());
        service = json!({"cluster": "n1", "service": name, "forceNewDeployment": true});
        cloud.ok("ecs", "UpdateService", service);
        let public = json!({"repositoryName": name});
        cloud.ok("ecr-public", "CreateRepository", public);
        let template = json!({"prefix": name, "appliedFor": ["PULL_THROUGH_CACHE"]});
        cloud.ok("ecr", "CreateRepositoryCreationTemplate", template);
        let arn = format!("arn:aws:iam::000000000000:role/{name}");
        cloud.ok("ecr", "RegisterPullTimeUpdateExclusion", json!({"principalArn": arn}));
        cloud.ok("logs", "CreateLogGroup", json!({"logGroupName": name}));
        let policy = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "logs:PutLogEvents",
            "Principal": {"Service": "es.amazonaws.com"}, "Resource": "*"}});
        let policy = json!({"policyName": name, "policyDocument": policy.to_string()});
        cloud.ok("logs", "PutResourcePolicy", policy);
        let query = json!({"name": name, "queryString": "limit 1"});
        cloud.ok("logs", "PutQueryDefinition", query);
        firewalls(&mut cloud, name, &tags);
        balancers(&mut cloud, name, &subnets, &vpc);
    }
    let to = |region: &str| json!({"region": region, "registryId": "000000000000"});
    let regions = ["eu-west-1", "eu-west-2", "eu-west-3"].map(to);
    let rules = json!({"rules": [{"destinations": regions}]});
    let configuration = json!({"replicationConfiguration": rules});
    cloud.ok("ecr", "PutReplicationConfiguration", configuration);
    for region in regions {
        cloud.ok("ecr", "StartReplicationBackfill", json!({"destination": region}));
    }
    cloud
}

fn identities(cloud: &mut Cloud, names: &[&str]) {
    let document =
        json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}).to_string();
    let trust = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": {"AWS": "*"}}})
    .to_string();
    let tags = json!([{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]);
    for name in names {
        cloud.ok("iam", "CreateUser", json!({"UserName": name, "Tags": tags}));
        cloud.ok("iam", "CreateGroup", json!({"GroupName": name}));
        cloud.ok(
            "iam",
            "CreateRole",
            json!({"RoleName": name, "AssumeRolePolicyDocument": trust, "Tags": tags}),
        );
        cloud.ok(
            "iam",
            "CreateInstanceProfile",
            json!({"InstanceProfileName": name, "Tags": tags}),
        );
        cloud.ok(
            "iam",
            "AddRoleToInstanceProfile",
            json!({"InstanceProfileName": name, "RoleName": "n1"}),
        );
        let device = json!({"VirtualMFADeviceName": name, "Tags": tags});
        cloud.ok("iam", "CreateVirtualMFADevice", device);
        let certificate = json!({"ServerCertificateName": name, "Tags": tags,
            "CertificateBody": include_str!("../../../services/iam/src/tests/pem/rsa.pem"),
            "PrivateKey": include_str!("../../../services/iam/src/tests/pem/rsa.key")});
        cloud.ok("iam", "UploadServerCertificate", certificate);
        let policy = json!({"PolicyName": name, "PolicyDocument": document, "Tags": tags});
        cloud.ok("iam", "CreatePolicy", policy);
    }
    for name in names {
        let arn = format!("arn:aws:iam::000000000000:policy/{name}");
        cloud.ok(
            "iam",
            "CreatePolicyVersion",
            json!({"PolicyArn": arn, "PolicyDocument": document}),
        );
        cloud.ok("iam", "AddUserToGroup", json!({"UserName": name, "GroupName": "n1"}));
        if *name != "n1" {
            cloud.ok("iam", "AddUserToGroup", json!({"UserName": "n1", "GroupName": name}));
            cloud.ok("iam", "CreateAccessKey", json!({"UserName": "n1"}));
        }
        for (kind, holder) in [("User", "UserName"), ("Group", "GroupName"), ("Role", "RoleName")] {
            cloud.ok(
                "iam",
                &format!("Attach{kind}Policy"),
                json!({holder: "n1", "PolicyArn": arn}),
            );
            if *name != "n1" {
                let first = "arn:aws:iam::000000000000:policy/n1";
                cloud.ok(
                    "iam",
                    &format!("Attach{kind}Policy"),
                    json!({holder: name, "PolicyArn": first}),
                );
            }
            let inline = json!({holder: "n1", "PolicyName": name, "PolicyDocument": document});
            cloud.ok("iam", &format!("Put{kind}Policy"), inline);
        }
    }
}

fn firewalls(cloud: &mut Cloud, name: &str, tags: &Value) {
    let visibility = json!({"SampledRequestsEnabled": true, "CloudWatchMetricsEnabled": true, "MetricName": name});
    let common = |more: Value| {
        let mut input = json!({"Name": name, "Scope": "REGIONAL", "Tags": tags});
        input
            .as_object_mut()
            .expect("members")
            .extend(more.as_object().expect("members").clone());
        input
    };
    let addresses = json!({"IPAddressVersion": "IPV4", "Addresses": ["192.0.2.0/24"]});
    cloud.ok("wafv2", "CreateIPSet", common(addresses));
    let expressions = json!({"RegularExpressionList": [{"RegexString": "a+"}]});
    cloud.ok("wafv2", "CreateRegexPatternSet", common(expressions));
    let group = json!({"Capacity": 10, "Rules": [], "VisibilityConfig": visibility});
    cloud.ok("wafv2", "CreateRuleGroup", common(group));
    let acl = json!({"DefaultAction": {"Allow": {}}, "Rules": [], "VisibilityConfig": visibility});
    cloud.ok("wafv2", "CreateWebACL", common(acl));
}

fn balancers(cloud: &mut Cloud, name: &str, subnets: &[Value], vpc: &Value) {
    let group = json!({"Name": name, "Protocol": "HTTP", "Port": 80, "VpcId": vpc, "TargetType": "ip"});
    let group = cloud.ok("elbv2", "CreateTargetGroup", group)["TargetGroups"][0]["TargetGroupArn"].clone();
    let balancer = json!({"Name": name, "Subnets": subnets.get(..2).expect("two subnets")});
    let balancer = cloud.ok("elbv2", "CreateLoadBalancer", balancer)["LoadBalancers"][0]["LoadBalancerArn"].clone();
    let action = json!([{"Type": "forward", "TargetGroupArn": group}]);
    let certificate = |name: &str| format!("arn:aws:iam::000000000000:server-certificate/{name}");
    let secure = json!({"LoadBalancerArn": balancer, "Protocol": "HTTPS", "Port": 443, "DefaultActions": action,
        "Certificates": [{"CertificateArn": certificate("n1")}]});
    let secure = cloud.ok("elbv2", "CreateListener", secure)["Listeners"][0]["ListenerArn"].clone();
    for name in ["n2", "n3"] {
        let more = json!({"ListenerArn": secure, "Certificates": [{"CertificateArn": certificate(name)}]});
        cloud.ok("elbv2", "AddListenerCertificates", more);
    }
    for port in [80, 81, 82] {
        let listener = json!({"LoadBalancerArn": balancer, "Protocol": "HTTP", "Port": port, "DefaultActions": action});
        let listener = cloud.ok("elbv2", "CreateListener", listener)["Listeners"][0]["ListenerArn"].clone();
        for priority in [1, 2] {
            let condition = json!([{"Field": "path-pattern", "Values": [format!("/{priority}")]}]);
            let rule =
                json!({"ListenerArn": listener, "Priority": priority, "Conditions": condition, "Actions": action});
            cloud.ok("elbv2", "CreateRule", rule);
        }
    }
}

/// What an operation needs beside its page.
fn base(cloud: &mut Cloud, service: &str, name: &str) -> Value {
    let first = |output: Value, list: &str, member: &str| output[list][0][member].clone();
    match (service, name) {
        ("ec2", "GetSecurityGroupsForVpc") => {
            let found = cloud.ok("ec2", "DescribeVpcs", json!({}));
            json!({"VpcId": first(found, "Vpcs", "VpcId")})
        }
        ("ecs", "ListServices") => json!({"cluster": "n1"}),
        ("ecs", "ListServiceDeployments") => json!({"cluster": "n1", "service": "n1"}),
        ("ecs", "ListAccountSettings") => json!({"effectiveSettings": true}),
        ("elbv2", "DescribeListeners") => {
            let found = cloud.ok("elbv2", "DescribeLoadBalancers", json!({}));
            json!({"LoadBalancerArn": first(found, "LoadBalancers", "LoadBalancerArn")})
        }
        ("elbv2", "DescribeRules") => {
            let found = cloud.ok("elbv2", "DescribeLoadBalancers", json!({}));
            let balancer = first(found, "LoadBalancers", "LoadBalancerArn");
            let found = cloud.ok("elbv2", "DescribeListeners", json!({"LoadBalancerArn": balancer}));
            let listeners = found["Listeners"].as_array().expect("listeners");
            let plain = listeners.iter().find(|listener| listener["Protocol"] == "HTTP");
            json!({"ListenerArn": plain.expect("one without TLS")["ListenerArn"]})
        }
        ("elbv2", "DescribeListenerCertificates") => {
            let found = cloud.ok("elbv2", "DescribeLoadBalancers", json!({}));
            let balancer = first(found, "LoadBalancers", "LoadBalancerArn");
            let found = cloud.ok("elbv2", "DescribeListeners", json!({"LoadBalancerArn": balancer}));
            let listeners = found["Listeners"].as_array().expect("listeners");
            let secure = listeners.iter().find(|listener| listener["Protocol"] == "HTTPS");
            json!({"ListenerArn": secure.expect("one with TLS")["ListenerArn"]})
        }
        ("iam", "ListServerCertificateTags") => json!({"ServerCertificateName": "n1"}),
        ("iam", "GetGroup" | "ListAttachedGroupPolicies" | "ListGroupPolicies") => json!({"GroupName": "n1"}),
        ("iam", "ListAttachedRolePolicies" | "ListRolePolicies" | "ListRoleTags" | "ListInstanceProfilesForRole") => {
            json!({"RoleName": "n1"})
        }
        (
            "iam",
            "ListAccessKeys" | "ListAttachedUserPolicies" | "ListGroupsForUser" | "ListUserPolicies" | "ListUserTags",
        ) => json!({"UserName": "n1"}),
        ("iam", "ListEntitiesForPolicy" | "ListPolicyTags" | "ListPolicyVersions") => {
            json!({"PolicyArn": "arn:aws:iam::000000000000:policy/n1"})
        }
        ("iam", "ListMFADeviceTags") => json!({"SerialNumber": "arn:aws:iam::000000000000:mfa/n1"}),
        ("iam", "ListInstanceProfileTags") => json!({"InstanceProfileName": "n1"}),
        ("iam", "ListOpenIDConnectProviderTags") => {
            let url = "https://issuer.example";
            let tags = json!([{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}, {"Key": "c", "Value": "3"}]);
            let made = cloud.ok("iam", "CreateOpenIDConnectProvider", json!({"Url": url, "Tags": tags}));
            json!({"OpenIDConnectProviderArn": made["OpenIDConnectProviderArn"]})
        }
        ("iam", "ListSAMLProviderTags") => {
            let tags = json!([{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}, {"Key": "c", "Value": "3"}]);
            let document = include_str!("../../../services/iam/src/tests/saml/metadata.xml");
            let input = json!({"Name": "n1", "SAMLMetadataDocument": document, "Tags": tags});
            let made = cloud.ok("iam", "CreateSAMLProvider", input);
            json!({"SAMLProviderArn": made["SAMLProviderArn"]})
        }
        ("iam", "ListPolicies") => json!({"Scope": "Local"}),
        ("iam", "GetServiceLastAccessedDetails") => {
            let whose = json!({"Arn": "arn:aws:iam::aws:policy/AdministratorAccess"});
            let made = cloud.ok("iam", "GenerateServiceLastAccessedDetails", whose);
            json!({"JobId": made["JobId"]})
        }
        ("resourcegroupstaggingapi", "GetTagValues") => json!({"Key": "a"}),
        ("wafv2", "ListTagsForResource") => {
            let found = cloud.ok("wafv2", "ListIPSets", json!({"Scope": "REGIONAL"}));
            json!({"ResourceARN": first(found, "IPSets", "ARN")})
        }
        ("wafv2", _) => json!({"Scope": "REGIONAL"}),
        _ => json!({}),
    }
}

/// All items of an answer: those of every list in it.
fn items(output: &Value) -> Vec<String> {
    match output {
        Value::Object(members) => members.values().flat_map(items).collect(),
        Value::Array(list) => list.iter().map(Value::to_string).collect(),
        _ => Vec::new(),
    }
}

fn with(mut input: Value, member: &str, value: Value) -> Value {
    input[member] = value;
    input
}

#[test]
fn every_paged_operation_gives_each_item_once() {
    let mut cloud = filled();
    let mut paged: Vec<(&'static str, &'static str)> = Vec::new();
    for (service, operations) in &cloud.services {
        for operation in operations {
            if Cloud::target(service, operation.name).operation.paging().is_some() {
                paged.push((service, operation.name));
            }
        }
    }
    let unchecked: BTreeSet<(&str, &str)> = UNCHECKED.iter().map(|(service, name, _)| (*service, *name)).collect();
    let mut problems = Vec::new();
    let mut checked = 0;
    // A token of another operation of the same service: the list's own are refused by all others.
    let mut tokens: BTreeMap<&str, String> = BTreeMap::new();
    for (service, name) in paged {
        if unchecked.contains(&(service, name)) {
            continue;
        }
        match check(&mut cloud, service, name, tokens.get(service)) {
            Ok(token) => {
                checked += 1;
                tokens.insert(service, token);
            }
            Err(problem) => problems.push(format!("{service}:{name}: {problem}")),
        }
    }
    assert!(problems.is_empty(), "{checked} are sound, but\n{}", problems.join("\n"));
    assert!(checked >= 45, "only {checked} operations were paged through");
}

/// Pages through one operation; the token of its second page.
fn check(cloud: &mut Cloud, service: &'static str, name: &str, foreign: Option<&String>) -> Result<String, String> {
    let input = base(cloud, service, name);
    let (token_in, token_out) = Cloud::target(service, name).operation.paging().expect("it has pages");
    let call = |cloud: &mut Cloud, input: &Value| {
        cloud
            .call(service, name, input.clone())
            .map_err(|error| format!("failed with {error}, asked {input}"))
    };
    let mut whole = call(cloud, &input)?;
    let mut all = items(&whole);
    // Some lists have short pages by themselves.
    while let Some(token) = whole[token_out].as_str().filter(|token| !token.is_empty()) {
        whole = call(cloud, &with(input.clone(), token_in, json!(token)))?;
        all.extend(items(&whole));
    }
    if all.len() < 2 {
        return Err(format!("nothing to page through: {whole}"));
    }
    // The names of the limit differ; a service passes over those that it does not know.
    let mut one = input.clone();
    for limit in LIMITS {
        one[limit] = json!(1);
    }
    let (mut found, mut ask, mut second) = (Vec::new(), one.clone(), None);
    for page in 0..=all.len() + 1 {
        let output = call(cloud, &ask)?;
        let here = items(&output);
        // Tag keys and values have no limit of their own; all others give one item at a time.
        if here.len() > 1 && service != "resourcegroupstaggingapi" {
            return Err(format!("page {page} has {} items, not 1", here.len()));
        }
        found.extend(here);
        match output[token_out].as_str().filter(|token| !token.is_empty()) {
            Some(token) => {
                second.get_or_insert_with(|| token.to_owned());
                ask = with(one.clone(), token_in, json!(token));
            }
            None => break,
        }
        if page == 0 {
            cloud.restart();
        }
    }
    all.sort();
    found.sort();
    if all != found {
        return Err(format!("the pages hold {} items, not {}", found.len(), all.len()));
    }
    let Some(token) = second else {
        let tagging = service == "resourcegroupstaggingapi";
        return if tagging {
            Ok(String::new())
        } else {
            Err("there was no second page".to_owned())
        };
    };
    let broken = [
        "x".to_owned(),
        format!("{token}x"),
        token.get(1..).unwrap_or_default().to_owned(),
        "é€".to_owned(),
    ];
    for wrong in broken.iter().chain(foreign.filter(|foreign| !foreign.is_empty())) {
        match cloud.call(service, name, with(one.clone(), token_in, json!(wrong))) {
            Err(error) if DOCUMENTED.contains(&(service, error.code.as_str())) => {}
            other => return Err(format!("the token `{wrong}` was answered with {other:?}")),
        }
    }
    Ok(token)
}

/// What each service says of a wrong token.
const DOCUMENTED: [(&str, &str); 9] = [
    ("ec2", "InvalidParameterValue"),
    ("ecr", "InvalidParameterException"),
    ("ecr-public", "InvalidParameterException"),
    ("ecs", "InvalidParameterException"),
    ("elbv2", "ValidationError"),
    ("iam", "ValidationError"),
    ("logs", "InvalidParameterException"),
    ("resourcegroupstaggingapi", "InvalidParameterException"),
    ("wafv2", "WAFInvalidParameterException"),
];
