//! The operations by their names and JSON, as the wire calls them: what surrounds the default VPC, and rules.

use honmaru_base::{ApiError, Scope, SeededRng, Time};
use honmaru_machine::{Call, Handler, Principal, PrincipalKind, State, Tx};
use serde_json::{Value, json};

struct Lab {
    state: State,
    rng: SeededRng,
    vpc: String,
}

fn scope() -> Scope {
    Scope::new("000000000000", "us-east-1").expect("both are valid")
}

impl Lab {
    fn new() -> Self {
        let mut state = State::new();
        honmaru_ec2::register(&mut state);
        let mut rng = SeededRng::from_u64(3);
        let mut tx = Tx::new(&mut state, Time(0), &mut rng);
        let range = "172.31.0.0/16".parse().expect("a range");
        let vpc = honmaru_ec2::ensure_default_vpc(&mut tx, &scope(), range).expect("a range is free");
        tx.commit();
        Self { state, rng, vpc }
    }

    fn call_now() -> Call {
        Call {
            scope: scope(),
            principal: Principal {
                account: scope().account,
                arn: "arn:aws:iam::000000000000:root".to_owned(),
                user_id: "000000000000".to_owned(),
                kind: PrincipalKind::Root,
                access_key_id: "test".to_owned(),
                tags: Vec::new(),
                session_policies: Vec::new(),
                session: None,
            },
            request_id: "r".to_owned(),
            now: Time(0),
            source_ip: None,
            user_agent: String::new(),
            referer: String::new(),
            host: String::new(),
            secure: false,
        }
    }

    /// What a call asks permission for.
    fn asked(&self, name: &str, input: Value) -> Vec<honmaru_machine::Access> {
        let mut operations = honmaru_ec2::operations().into_iter();
        let operation = operations.find(|operation| operation.name == name).expect(name);
        (operation.access)(&self.state, &Self::call_now(), &input)
    }

    fn call(&mut self, name: &str, input: Value) -> Result<Value, ApiError> {
        let call = Self::call_now();
        let mut operations = honmaru_ec2::operations().into_iter();
        let operation = operations.find(|operation| operation.name == name).expect(name);
        let access = (operation.access)(&self.state, &call, &input);
        assert_eq!(access[0].action, format!("ec2:{name}"));
        match operation.handler {
            Handler::Read(read) => read(&self.state, &call, input),
            Handler::Write(write) => {
                let mut tx = Tx::new(&mut self.state, Time(0), &mut self.rng);
                match write(&mut tx, &call, input) {
                    Ok(answer) => {
                        tx.commit();
                        Ok(answer)
                    }
                    Err(error) => {
                        tx.roll_back();
                        Err(error)
                    }
                }
            }
            Handler::WriteJson(_) | Handler::Async(_) => panic!("{name} does not answer with a tree at once"),
        }
    }

    fn ok(&mut self, name: &str, input: Value) -> Value {
        self.call(name, input).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn fails(&mut self, name: &str, input: Value) -> String {
        match self.call(name, input) {
            Ok(answer) => panic!("{name} answered {answer}"),
            Err(error) => error.code,
        }
    }

    fn group(&mut self, name: &str) -> String {
        let made = self.ok("CreateSecurityGroup", json!({ "GroupName": name, "Description": "d" }));
        made["GroupId"].as_str().expect("an id").to_owned()
    }
}

fn filter(name: &str, value: &str) -> Value {
    json!([{ "Name": name, "Values": [value] }])
}

#[test]
fn the_default_vpc_has_what_aws_makes_with_one() {
    let mut lab = Lab::new();
    let vpc = lab.vpc.clone();
    let main = json!({ "Filters": [
        { "Name": "vpc-id", "Values": [vpc] }, { "Name": "association.main", "Values": ["true"] },
    ] });
    let tables = lab.ok("DescribeRouteTables", main);
    let table = &tables["RouteTables"][0];
    let routes: Vec<&str> = [0, 1]
        .iter()
        .filter_map(|n| table["Routes"][n]["DestinationCidrBlock"].as_str())
        .collect();
    assert_eq!(routes, ["172.31.0.0/16", "0.0.0.0/0"]);
    // What Vpc.fromLookup of the CDK takes for a public subnet: its table, or the main one, has a route to an igw.
    let gateway = table["Routes"][1]["GatewayId"].as_str().expect("an id").to_owned();
    assert!(gateway.starts_with("igw-"));
    let attached = json!({ "Filters": filter("attachment.vpc-id", &lab.vpc) });
    let gateways = lab.ok("DescribeInternetGateways", attached);
    assert_eq!(gateways["InternetGateways"][0]["InternetGatewayId"], json!(gateway));
    let by_subnet = json!({ "Filters": filter("association.subnet-id", "subnet-1") });
    assert_eq!(lab.ok("DescribeRouteTables", by_subnet)["RouteTables"], json!([]));

    let acls = lab.ok("DescribeNetworkAcls", json!({ "Filters": filter("default", "true") }));
    assert_eq!(acls["NetworkAcls"][0]["Associations"].as_array().map(Vec::len), Some(3));
    assert_eq!(acls["NetworkAcls"][0]["Entries"].as_array().map(Vec::len), Some(4));

    let options = lab.ok("DescribeVpcs", json!({}))["Vpcs"][0]["DhcpOptionsId"].clone();
    let found = lab.ok("DescribeDhcpOptions", json!({ "DhcpOptionsIds": [options] }));
    assert_eq!(found["DhcpOptions"][0]["DhcpOptionsId"], options);
}

#[test]
fn what_there_is_none_of_is_an_empty_list_and_no_id_of_it_is_found() {
    let mut lab = Lab::new();
    for (name, list, ids, code) in [
        (
            "DescribeAddresses",
            "Addresses",
            "AllocationIds",
            "InvalidAllocationID.NotFound",
        ),
        (
            "DescribeInstances",
            "Reservations",
            "InstanceIds",
            "InvalidInstanceID.NotFound",
        ),
        (
            "DescribeNatGateways",
            "NatGateways",
            "NatGatewayIds",
            "NatGatewayNotFound",
        ),
        (
            "DescribeVpcEndpoints",
            "VpcEndpoints",
            "VpcEndpointIds",
            "InvalidVpcEndpointId.NotFound",
        ),
        (
            "DescribeVpnGateways",
            "VpnGateways",
            "VpnGatewayIds",
            "InvalidVpnGatewayID.NotFound",
        ),
    ] {
        let filtered = json!({ "Filters": filter("attachment.vpc-id", "vpc-1") });
        assert_eq!(lab.ok(name, filtered), json!({ list: [] }), "{name}");
        assert_eq!(lab.fails(name, json!({ ids: ["x-1"] })), code, "{name}");
    }
    assert_eq!(
        lab.fails("DescribeRouteTables", json!({ "RouteTableIds": ["rtb-1"] })),
        "InvalidRouteTableID.NotFound"
    );
    assert_eq!(
        lab.fails("DescribeRouteTables", json!({ "Filters": filter("nope", "1") })),
        "InvalidParameterValue"
    );
    assert_eq!(
        lab.fails("DescribeAvailabilityZones", json!({ "ZoneNames": ["mars-1a"] })),
        "InvalidParameterValue"
    );
}

/// Ref: what Cloud Custodian's tests recorded of AWS: a task's interface, subnets, and what has no tags.
#[test]
fn interfaces_and_what_has_no_tags_are_described_as_aws_does() {
    let mut lab = Lab::new();
    let group = lab.group("web");
    let subnets = lab.ok("DescribeSubnets", json!({}));
    let subnet = subnets["Subnets"][0].clone();
    assert_eq!(subnet["Ipv6CidrBlockAssociationSet"], json!([]));
    assert_eq!(
        subnet["BlockPublicAccessStates"],
        json!({ "InternetGatewayBlockMode": "off" })
    );
    let id = subnet["SubnetId"].as_str().expect("a subnet has an id").to_owned();
    for (description, owner) in [
        ("arn:aws:ecs:us-east-1:000000000000:attachment/x", "000000000000"),
        ("ELB app/web/1", "amazon-elb"),
    ] {
        let mut tx = Tx::new(&mut lab.state, Time(0), &mut lab.rng);
        let groups = [group.clone()];
        honmaru_ec2::allocate_interface(&mut tx, &scope(), &id, &groups, description).expect("an address is free");
        tx.commit();
        let by_owner = json!({ "Filters": filter("attachment.instance-owner-id", owner) });
        let found = lab.ok("DescribeNetworkInterfaces", by_owner);
        let found = found["NetworkInterfaces"].as_array().expect("a list").clone();
        assert_eq!(found.len(), 1, "{owner}");
        let interface = &found[0];
        assert_eq!(interface["Description"], description);
        let rest = interface["NetworkInterfaceId"]
            .as_str()
            .expect("an id")
            .replacen("eni-", "", 1);
        let attachment = json!({
            "AttachmentId": format!("eni-attach-{rest}"), "DeleteOnTermination": false, "DeviceIndex": 1,
            "InstanceOwnerId": owner, "NetworkCardIndex": 0, "Status": "attached",
        });
        assert_eq!(interface["Attachment"], attachment);
        assert_eq!(interface["RequesterId"], "000000000000");
        assert_eq!(interface["TagSet"], json!([]));
        assert_eq!(interface["Ipv6Addresses"], json!([]));
    }
    let none = lab.ok("DescribeSecurityGroups", json!({ "GroupIds": [group] }));
    assert_eq!(none["SecurityGroups"][0].get("Tags"), None);
    assert_eq!(subnet.get("Tags"), None);
    assert_eq!(lab.ok("DescribeVpcs", json!({}))["Vpcs"][0].get("Tags"), None);
    let input = json!({ "Resources": [group], "Tags": [{ "Key": "a", "Value": "b" }] });
    lab.ok("CreateTags", input);
    let some = lab.ok("DescribeSecurityGroups", json!({ "GroupIds": [group] }));
    assert_eq!(some["SecurityGroups"][0]["Tags"], json!([{ "Key": "a", "Value": "b" }]));
}

/// Ref: as LocalStack's suite recorded it of AWS.
#[test]
fn zones_are_of_their_region_s_first_group() {
    let mut lab = Lab::new();
    for filters in [
        filter("zone-name", "us-east-1a"),
        json!([{ "Name": "zone-name", "Values": ["us-east-1a"] }, { "Name": "group-name", "Values": ["us-east-1-zg-1"] }]),
    ] {
        let found = lab.ok("DescribeAvailabilityZones", json!({ "Filters": filters }));
        let zone = &found["AvailabilityZones"][0];
        assert_eq!(zone["GroupName"], "us-east-1-zg-1");
        assert_eq!(zone["GroupLongName"], "US East (N. Virginia) 1");
        assert_eq!(zone["NetworkBorderGroup"], "us-east-1");
    }
}

/// Ref: AWS's words as they stand in issues: gruntwork-io/cloud-nuke 325 (NAT gateways), kubernetes-sigs/
/// cluster-api-provider-aws 5120 (reserved keys), katosys/kato 24 (tags of what is gone), and in what Cloud Custodian's
/// tests recorded (no resources).
#[test]
fn what_is_not_there_and_tags_that_cannot_be_are_told_in_the_words_of_aws() {
    let mut lab = Lab::new();
    let tags = |key: &str, value: &str| json!([{ "Key": key, "Value": value }]);
    let vpc = lab.vpc.clone();
    let long = "v".repeat(257);
    for (name, input, code, message) in [
        (
            "DescribeNatGateways",
            json!({ "NatGatewayIds": ["nat-0f23ac5d3265a98ff"] }),
            "NatGatewayNotFound",
            "NAT gateway nat-0f23ac5d3265a98ff was not found",
        ),
        (
            "DescribeAddresses",
            json!({ "PublicIps": ["192.0.2.1"] }),
            "InvalidAddress.NotFound",
            "Address '192.0.2.1' not found.",
        ),
        (
            "DescribeVpnGateways",
            json!({ "VpnGatewayIds": ["vgw-1"] }),
            "InvalidVpnGatewayID.NotFound",
            "The vpnGateway ID 'vgw-1' does not exist",
        ),
        (
            "CreateTags",
            json!({ "Resources": ["vpc-c0833aa4"], "Tags": tags("a", "b") }),
            "InvalidVpcID.NotFound",
            "The vpc ID 'vpc-c0833aa4' does not exist",
        ),
        (
            "DeleteTags",
            json!({ "Resources": ["sg-efad8188"] }),
            "InvalidGroup.NotFound",
            "The security group 'sg-efad8188' does not exist",
        ),
        (
            "CreateTags",
            json!({ "Resources": [], "Tags": tags("a", "b") }),
            "MissingParameter",
            "The request must contain the parameter resourceIdSet",
        ),
        (
            "CreateTags",
            json!({ "Resources": [vpc], "Tags": tags("aws:x", "b") }),
            "InvalidParameterValue",
            "Value ( aws:x ) for parameter key is invalid. Tag keys starting with 'aws:' are reserved for internal use",
        ),
        (
            "CreateTags",
            json!({ "Resources": [vpc], "Tags": tags("a", &long) }),
            "InvalidParameterValue",
            &format!(
                "Value ( {long} ) for parameter value is invalid. Tag value exceeds the maximum length of 256 characters"
            ),
        ),
    ] {
        let error = lab.call(name, input).expect_err(name);
        assert_eq!((error.code.as_str(), error.message.as_str()), (code, message), "{name}");
    }
}

#[test]
fn descriptions_of_rules_change_by_rule_and_by_id() {
    let mut lab = Lab::new();
    let group = lab.group("web");
    let permission = |text: Option<&str>| {
        let range = match text {
            Some(text) => json!({ "CidrIp": "10.0.0.0/8", "Description": text }),
            None => json!({ "CidrIp": "10.0.0.0/8" }),
        };
        json!([{ "IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [range] }])
    };
    let made = lab.ok(
        "AuthorizeSecurityGroupIngress",
        json!({ "GroupId": group, "IpPermissions": permission(Some("one")) }),
    );
    let rule = made["SecurityGroupRules"][0]["SecurityGroupRuleId"].clone();
    assert_eq!(made["SecurityGroupRules"][0].get("Tags"), None);
    let shown = lab.ok("DescribeSecurityGroupRules", json!({ "SecurityGroupRuleIds": [rule] }));
    assert_eq!(shown["SecurityGroupRules"][0]["Tags"], json!([]));
    let description = |lab: &mut Lab| {
        let found = lab.ok("DescribeSecurityGroupRules", json!({ "SecurityGroupRuleIds": [rule] }));
        found["SecurityGroupRules"][0]["Description"].clone()
    };
    let update = "UpdateSecurityGroupRuleDescriptionsIngress";
    let input = json!({ "GroupId": group, "IpPermissions": permission(Some("two")) });
    assert_eq!(lab.ok(update, input.clone()), json!({ "Return": true }));
    assert_eq!(description(&mut lab), json!("two"));
    lab.ok(update, json!({ "GroupId": group, "IpPermissions": permission(None) }));
    assert_eq!(description(&mut lab), Value::Null);
    let by_id = json!([{ "SecurityGroupRuleId": rule, "Description": "three" }]);
    lab.ok(
        update,
        json!({ "GroupId": group, "SecurityGroupRuleDescriptions": by_id }),
    );
    assert_eq!(description(&mut lab), json!("three"));

    // The other direction has no such rule, nor may anything but AWS's characters stand in a description.
    let egress = "UpdateSecurityGroupRuleDescriptionsEgress";
    assert_eq!(lab.fails(egress, input), "InvalidPermission.NotFound");
    assert_eq!(lab.fails(update, json!({ "GroupId": group })), "MissingParameter");
    let strange = json!({ "GroupId": group, "IpPermissions": permission(Some("l\u{e9}")) });
    assert_eq!(lab.fails(update, strange.clone()), "InvalidParameterValue");
    assert_eq!(
        lab.fails("AuthorizeSecurityGroupIngress", strange),
        "InvalidParameterValue"
    );
}

// Ref: EC2 API reference, `IpPermission`: ports are optional with icmpv6 and mean nothing with a protocol's number.
#[test]
fn protocols_without_ports_need_and_show_none() {
    let mut lab = Lab::new();
    let group = lab.group("vpn");
    let permissions = json!([
        { "IpProtocol": "50", "FromPort": 0, "ToPort": 0, "IpRanges": [{ "CidrIp": "10.0.0.0/8" }] },
        { "IpProtocol": "58", "Ipv6Ranges": [{ "CidrIpv6": "fd00::/8" }] },
    ]);
    lab.ok(
        "AuthorizeSecurityGroupIngress",
        json!({ "GroupId": group, "IpPermissions": permissions }),
    );
    let found = lab.ok("DescribeSecurityGroups", json!({ "GroupIds": [group] }));
    let shown = &found["SecurityGroups"][0]["IpPermissions"];
    let ports = |protocol: &str| {
        let mut all = shown.as_array().into_iter().flatten();
        let one = all.find(|permission| permission["IpProtocol"] == protocol);
        one.map(|one| (one["FromPort"].clone(), one["ToPort"].clone()))
    };
    assert_eq!(ports("50"), Some((Value::Null, Value::Null)));
    assert_eq!(ports("icmpv6"), Some((json!(-1), json!(-1))));
    let ping = json!([{ "IpProtocol": "icmp", "IpRanges": [{ "CidrIp": "10.0.0.0/8" }] }]);
    assert_eq!(
        lab.fails(
            "AuthorizeSecurityGroupIngress",
            json!({ "GroupId": group, "IpPermissions": ping })
        ),
        "MissingParameter"
    );
}

#[test]
fn groups_are_found_by_what_they_let_out_and_in() {
    let mut lab = Lab::new();
    let (web, db) = (lab.group("web"), lab.group("db"));
    let pair = json!([{ "IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432,
        "UserIdGroupPairs": [{ "GroupId": web }] }]);
    lab.ok(
        "AuthorizeSecurityGroupIngress",
        json!({ "GroupId": db, "IpPermissions": pair }),
    );
    let all = json!([{ "IpProtocol": "-1", "IpRanges": [{ "CidrIp": "0.0.0.0/0" }] }]);
    lab.ok(
        "RevokeSecurityGroupEgress",
        json!({ "GroupId": db, "IpPermissions": all }),
    );
    let mut found = |name: &str, value: &str| {
        let groups = lab.ok("DescribeSecurityGroups", json!({ "Filters": filter(name, value) }));
        let names = groups["SecurityGroups"].as_array().into_iter().flatten();
        let mut names: Vec<String> = names
            .filter_map(|g| Some(g["GroupName"].as_str()?.to_owned()))
            .collect();
        names.sort();
        names
    };
    assert_eq!(found("ip-permission.group-name", "web"), ["db"]);
    assert_eq!(found("egress.ip-permission.cidr", "0.0.0.0/0"), ["default", "web"]);
    assert_eq!(found("egress.ip-permission.to-port", "5432"), Vec::<String>::new());
    let vpc = lab.vpc.clone();
    let groups = lab.ok(
        "GetSecurityGroupsForVpc",
        json!({ "VpcId": vpc, "Filters": filter("group-name", "d*") }),
    );
    assert_eq!(groups["SecurityGroupForVpcs"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        lab.fails("GetSecurityGroupsForVpc", json!({ "VpcId": "vpc-1" })),
        "InvalidVpcID.NotFound"
    );
}

// Ref: Service Authorization Reference, "Actions, resources, and condition keys for Amazon EC2".
#[test]
fn permissions_are_those_of_the_reference() {
    let mut lab = Lab::new();
    let vpc = lab.vpc.clone();
    let group = lab
        .call(
            "CreateSecurityGroup",
            json!({"GroupName": "g", "Description": "d", "VpcId": vpc}),
        )
        .expect("a group")["GroupId"]
        .clone();
    let has = |access: &honmaru_machine::Access, key: &str, value: &str| {
        access.context.contains(&(key.to_owned(), vec![value.to_owned()]))
    };
    let prefix = "arn:aws:ec2:us-east-1:000000000000:";
    let describe = &lab.asked("DescribeVpcs", json!({}))[0];
    assert!(has(describe, "ec2:Region", "us-east-1"));
    let deleted = &lab.asked("DeleteSecurityGroup", json!({"GroupId": group}))[0];
    assert!(has(deleted, "ec2:Vpc", &format!("{prefix}vpc/{vpc}")) && has(deleted, "ec2:Region", "us-east-1"));
    assert!(has(deleted, "ec2:SecurityGroupID", group.as_str().expect("an id")));
    let tags = json!([{"ResourceType": "security-group-rule", "Tags": [{"Key": "a", "Value": "1"}]}]);
    let authorize = lab.asked(
        "AuthorizeSecurityGroupIngress",
        json!({"GroupId": group, "TagSpecifications": tags}),
    );
    let asked: Vec<(&str, &str)> = authorize
        .iter()
        .map(|access| (access.action.as_str(), access.resources[0].trim_start_matches(prefix)))
        .collect();
    let of_group = format!("security-group/{}", group.as_str().expect("an id"));
    assert_eq!(
        asked,
        [
            ("ec2:AuthorizeSecurityGroupIngress", of_group.as_str()),
            ("ec2:AuthorizeSecurityGroupIngress", "security-group-rule/*"),
            ("ec2:CreateTags", "security-group-rule/*")
        ]
    );
    assert!(has(&authorize[2], "ec2:CreateAction", "AuthorizeSecurityGroupIngress"));
    assert!(has(&authorize[2], "aws:RequestTag/a", "1"));
    let rules = json!([{"SecurityGroupRuleId": "sgr-1", "SecurityGroupRule": {}}]);
    let modify = lab.asked(
        "ModifySecurityGroupRules",
        json!({"GroupId": group, "SecurityGroupRules": rules}),
    );
    assert_eq!(modify[1].resources, [format!("{prefix}security-group-rule/sgr-1")]);
    let attribute = &lab.asked("DescribeVpcAttribute", json!({"VpcId": vpc}))[0];
    assert_eq!(attribute.resources, [format!("{prefix}vpc/{vpc}")]);
    assert!(has(attribute, "ec2:VpcID", &vpc) && has(attribute, "ec2:Tenancy", "default"));
}

/// Method: what getmoto/moto's tests of security groups that run against AWS expect of it.
#[test]
fn rules_that_cannot_be_are_refused_in_awss_words() {
    let mut lab = Lab::new();
    let group = lab.group("web");
    let made = lab.ok(
        "AuthorizeSecurityGroupIngress",
        json!({ "GroupId": group, "IpProtocol": "tcp", "FromPort": 1, "ToPort": 2, "CidrIp": "1.2.3.4/32" }),
    );
    let rule = made["SecurityGroupRules"][0]["SecurityGroupRuleId"].clone();
    let mut refused = |rule: &Value, to: Value| {
        let rules = json!([{ "SecurityGroupRuleId": rule, "SecurityGroupRule": to }]);
        let input = json!({ "GroupId": group, "SecurityGroupRules": rules });
        let error = lab.call("ModifySecurityGroupRules", input).expect_err("no such rule");
        (error.code, error.message)
    };
    let whole = json!({ "IpProtocol": "udp", "FromPort": 1, "ToPort": 2, "CidrIpv4": "2.3.4.5/32" });
    let without = |names: &[&str]| {
        let mut to = whole.clone();
        let members = to.as_object_mut().expect("an object");
        members.retain(|name, _| !names.contains(&name.as_str()));
        to
    };
    let mut both = whole.clone();
    both["CidrIpv6"] = json!("2001:db8::/32");
    for (id, to, code, message) in [
        (
            &json!("sgr-00000000"),
            whole.clone(),
            "InvalidSecurityGroupRuleId.NotFound",
            "The security group rule ID 'sgr-00000000' does not exist",
        ),
        (
            &rule,
            without(&["IpProtocol"]),
            "InvalidParameterValue",
            "Invalid value 'null' for protocol. VPC security group rules must specify protocols explicitly.",
        ),
        (
            &rule,
            without(&["FromPort"]),
            "InvalidParameterValue",
            "Invalid value for portRange. Must specify both from and to ports with TCP/UDP.",
        ),
        (
            &rule,
            without(&["CidrIpv4"]),
            "MissingParameter",
            "The request must contain exactly one of: cidrIp, cidrIpv6, prefixListId, or referencedGroupId",
        ),
        (
            &rule,
            both,
            "InvalidParameterCombination",
            "Only one of cidrIp, cidrIpv6, prefixListId, or referencedGroupId can be specified",
        ),
    ] {
        assert_eq!(refused(id, to.clone()), (code.to_owned(), message.to_owned()), "{to}");
    }
    let foreign = json!({ "Filters": filter("group-id", "foobar") });
    assert_eq!(
        lab.fails("DescribeSecurityGroupRules", foreign),
        "InvalidGroupId.Malformed"
    );
    let nobody = json!({ "Filters": filter("group-id", "sg-005216b55886f0fdc") });
    assert_eq!(
        lab.ok("DescribeSecurityGroupRules", nobody)["SecurityGroupRules"],
        json!([])
    );
    let nameless = json!({ "GroupName": "x", "Description": "" });
    assert_eq!(lab.fails("CreateSecurityGroup", nameless), "MissingParameter");
}

/// Ref: EC2 API reference, `DryRun`: "If you have the required permissions, the error response is DryRunOperation".
#[test]
fn reads_run_dry_too() {
    let mut lab = Lab::new();
    for name in [
        "DescribeRegions",
        "DescribeVpcs",
        "DescribeRouteTables",
        "DescribeInstances",
    ] {
        assert_eq!(lab.fails(name, json!({ "DryRun": true })), "DryRunOperation", "{name}");
        lab.ok(name, json!({ "DryRun": false }));
    }
}
