//! The service from outside: operations on a state, as the engine runs them.

use honmaru_base::{ApiError, Scope, SeededRng, Time};
use honmaru_firewall::Firewall;
use honmaru_machine::{Call, Handler, Operation, Principal, PrincipalKind, Reconciler, State, Tx};
use honmaru_wafv2::{Associations, edge_web_acls, web_acl_of};
use serde_json::{Value, json};

const BALANCER: &str = "arn:aws:elasticloadbalancing:us-east-1:000000000000:loadbalancer/app/shop/50dc6c495c0c9188";

/// Every durable row.
fn rows(state: &State) -> Vec<Vec<u8>> {
    let mut rows = Vec::new();
    state.dump(&mut |row| rows.push(row));
    rows
}

struct Cloud {
    state: State,
    rng: SeededRng,
    operations: Vec<Operation>,
    call: Call,
}

impl Cloud {
    fn new() -> Self {
        Self::in_region("us-east-1")
    }

    fn in_region(region: &str) -> Self {
        let scope = Scope::new("000000000000", region).expect("a scope");
        let mut state = State::new();
        honmaru_elbv2::register(&mut state);
        honmaru_wafv2::register(&mut state);
        let principal = Principal {
            account: scope.account.clone(),
            arn: "arn:aws:iam::000000000000:root".to_owned(),
            user_id: "000000000000".to_owned(),
            kind: PrincipalKind::Root,
            access_key_id: String::new(),
            tags: Vec::new(),
            session_policies: Vec::new(),
            session: None,
        };
        let call = Call {
            scope,
            principal,
            request_id: String::new(),
            now: Time::from_ms(1_800_000_000_000),
            source_ip: None,
            user_agent: String::new(),
            referer: String::new(),
            host: String::new(),
            secure: false,
        };
        let operations = honmaru_wafv2::operations();
        Self {
            state,
            rng: SeededRng::from_u64(7),
            operations,
            call,
        }
    }

    fn with_balancer() -> Self {
        let mut cloud = Self::new();
        cloud.put_balancer(BALANCER, "application");
        cloud
    }

    fn put_balancer(&mut self, arn: &str, kind: &str) {
        let row = honmaru_elbv2::LoadBalancer {
            arn: arn.to_owned(),
            name: "shop".to_owned(),
            kind: kind.to_owned(),
            scheme: "internet-facing".to_owned(),
            dns_name: "shop.elb".to_owned(),
            vpc_id: "vpc-0".to_owned(),
            zones: Vec::new(),
            security_groups: Vec::new(),
            private_link_rules: None,
            ip_address_type: "ipv4".to_owned(),
            created: self.call.now,
            is_active: true,
            attributes: Default::default(),
            tags: Default::default(),
        };
        let scope = self.call.scope.clone();
        let mut tx = Tx::new(&mut self.state, self.call.now, &mut self.rng);
        tx.put(&scope, arn, row);
        tx.commit();
    }

    fn call(&mut self, name: &str, input: Value) -> Result<Value, ApiError> {
        let operation = self
            .operations
            .iter()
            .find(|operation| operation.name == name)
            .expect("a listed operation");
        assert!(
            !(operation.access)(&self.state, &self.call, &input).is_empty(),
            "{name} asks for a permission"
        );
        match &operation.handler {
            Handler::Read(handler) => handler(&self.state, &self.call, input),
            Handler::Write(handler) => {
                let before = rows(&self.state);
                let mut tx = Tx::new(&mut self.state, self.call.now, &mut self.rng);
                match handler(&mut tx, &self.call, input) {
                    Ok(answer) => {
                        tx.commit();
                        Ok(answer)
                    }
                    Err(error) => {
                        tx.roll_back();
                        assert_eq!(before, rows(&self.state), "a failed call leaves no trace");
                        Err(error)
                    }
                }
            }
            Handler::WriteJson(_) | Handler::Async(_) => panic!("{name} does not answer with a tree at once"),
        }
    }

    fn ok(&mut self, name: &str, input: Value) -> Value {
        match self.call(name, input) {
            Ok(answer) => answer,
            Err(error) => panic!("{name}: {error}"),
        }
    }

    fn error(&mut self, name: &str, input: Value) -> ApiError {
        match self.call(name, input) {
            Ok(answer) => panic!("{name} succeeds: {answer}"),
            Err(error) => error,
        }
    }

    fn create_acl(&mut self, name: &str, rules: Value) -> Value {
        self.ok("CreateWebACL", acl(name, rules))["Summary"].clone()
    }

    fn create_ip_set(&mut self, name: &str, addresses: Value) -> Value {
        let input = json!({"Name": name, "Scope": "REGIONAL", "IPAddressVersion": "IPV4", "Addresses": addresses});
        self.ok("CreateIPSet", input)["Summary"].clone()
    }

    fn reconcile(&mut self) -> bool {
        let mut tx = Tx::new(&mut self.state, self.call.now, &mut self.rng);
        Associations.reconcile(&mut tx);
        let changed = tx.is_changed();
        tx.commit();
        changed
    }
}

fn visibility(name: &str) -> Value {
    json!({"MetricName": name, "SampledRequestsEnabled": true, "CloudWatchMetricsEnabled": true})
}

fn acl(name: &str, rules: Value) -> Value {
    json!({"Name": name, "Scope": "REGIONAL", "DefaultAction": {"Allow": {}}, "Rules": rules, "VisibilityConfig": visibility(name)})
}

fn rule(name: &str, priority: i64, statement: Value) -> Value {
    json!({"Name": name, "Priority": priority, "Statement": statement, "Action": {"Block": {}}, "VisibilityConfig": visibility(name)})
}

fn regex(pattern: &str) -> Value {
    json!({"RegexMatchStatement": {"RegexString": pattern, "FieldToMatch": {"UriPath": {}},
        "TextTransformations": [{"Priority": 0, "Type": "NONE"}]}})
}

fn ip(arn: &Value) -> Value {
    json!({"IPSetReferenceStatement": {"ARN": arn}})
}

/// Name, scope, id and lock token of a summary, as delete calls take them.
fn names(summary: &Value) -> Value {
    json!({"Name": summary["Name"], "Scope": "REGIONAL", "Id": summary["Id"], "LockToken": summary["LockToken"]})
}

#[test]
fn a_web_acl_is_made_shown_changed_and_deleted() {
    let mut cloud = Cloud::new();
    let made = cloud.create_acl("shop", json!([rule("r", 0, regex("^/a"))]));
    let id = made["Id"].as_str().expect("an id").to_owned();
    assert_eq!(
        made["ARN"],
        format!("arn:aws:wafv2:us-east-1:000000000000:regional/webacl/shop/{id}")
    );
    let got = cloud.ok("GetWebACL", names(&made));
    assert_eq!(got["WebACL"]["Capacity"], 3);
    assert_eq!(got["WebACL"]["LabelNamespace"], "awswaf:000000000000:webacl:shop:");
    assert_eq!(got["WebACL"]["Rules"][0]["Name"], "r");
    assert_eq!(got["LockToken"], made["LockToken"]);
    assert_eq!(cloud.ok("GetWebACL", json!({"ARN": made["ARN"]})), got);
    let mut update = acl("shop", json!([]));
    update["Id"] = made["Id"].clone();
    update["LockToken"] = made["LockToken"].clone();
    let token = cloud.ok("UpdateWebACL", update.clone())["NextLockToken"].clone();
    assert_ne!(token, made["LockToken"]);
    assert_eq!(cloud.error("UpdateWebACL", update).code, "WAFOptimisticLockException");
    assert_eq!(
        cloud.error("DeleteWebACL", names(&made)).code,
        "WAFOptimisticLockException"
    );
    let mut current = names(&made);
    current["LockToken"] = token;
    cloud.ok("DeleteWebACL", current.clone());
    assert_eq!(cloud.error("DeleteWebACL", current).code, "WAFNonexistentItemException");
    assert_eq!(
        cloud.ok("ListWebACLs", json!({"Scope": "REGIONAL"})),
        json!({"WebACLs": []})
    );
}

#[test]
fn names_are_unique_in_their_scope_and_cloudfront_lives_in_us_east_1() {
    let mut cloud = Cloud::new();
    cloud.create_acl("shop", json!([]));
    let error = cloud.error("CreateWebACL", acl("shop", json!([])));
    assert_eq!(error.code, "WAFDuplicateItemException");
    let mut global = acl("shop", json!([]));
    global["Scope"] = "CLOUDFRONT".into();
    let arn = cloud.ok("CreateWebACL", global.clone())["Summary"]["ARN"].clone();
    assert!(
        arn.as_str()
            .is_some_and(|arn| arn.starts_with("arn:aws:wafv2:us-east-1:000000000000:global/webacl/shop/"))
    );
    assert_eq!(
        cloud.ok("ListWebACLs", json!({"Scope": "CLOUDFRONT"}))["WebACLs"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    assert_eq!(
        cloud.ok("ListWebACLs", json!({"Scope": "REGIONAL"}))["WebACLs"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    let error = Cloud::in_region("eu-central-1").error("CreateWebACL", global);
    assert_eq!(error.code, "WAFInvalidParameterException");
    assert_eq!(
        error.message,
        "Error reason: The scope is not valid., field: SCOPE_VALUE, parameter: CLOUDFRONT"
    );
    assert_eq!(error.fields["Field"], "SCOPE_VALUE");
}

#[test]
fn rules_that_do_not_compile_are_refused() {
    let mut cloud = Cloud::new();
    let mut refused = |rules: Value| {
        let error = cloud.error("CreateWebACL", acl("shop", rules));
        (
            error.code,
            error
                .fields
                .get("Field")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
        )
    };
    let invalid = |field: &str| ("WAFInvalidParameterException".to_owned(), field.to_owned());
    assert_eq!(
        refused(json!([rule("r", 0, regex("a("))])),
        invalid("REGEX_PATTERN_REFERENCE_STATEMENT")
    );
    assert_eq!(refused(json!([rule("r", 0, json!({}))])), invalid("STATEMENT"));
    assert_eq!(
        refused(json!([rule("a", 0, regex("a")), rule("b", 0, regex("b"))])),
        invalid("RULE")
    );
    let missing = json!("arn:aws:wafv2:us-east-1:000000000000:regional/ipset/x/y");
    assert_eq!(
        refused(json!([rule("r", 0, ip(&missing))])).0,
        "WAFNonexistentItemException"
    );
    let geo = json!({"GeoMatchStatement": {"CountryCodes": ["DE"]}});
    assert_eq!(refused(json!([rule("r", 0, geo)])).0, "WAFInvalidOperationException");
    let bots = json!([{"Name": "m", "Priority": 0, "OverrideAction": {"None": {}}, "VisibilityConfig": visibility("m"),
        "Statement": {"ManagedRuleGroupStatement": {"VendorName": "AWS", "Name": "AWSManagedRulesBotControlRuleSet"}}}]);
    assert_eq!(refused(bots).0, "WAFNonexistentItemException");
    let mut protected = acl("shop", json!([]));
    protected["DataProtectionConfig"] = json!({"DataProtections": []});
    assert_eq!(
        cloud.error("CreateWebACL", protected).code,
        "WAFInvalidOperationException"
    );
}

#[test]
fn ip_sets_take_ranges_of_their_version() {
    let mut cloud = Cloud::new();
    let set = cloud.create_ip_set("office", json!(["192.0.2.0/24", "198.51.100.7/32"]));
    let got = cloud.ok("GetIPSet", names(&set));
    assert_eq!(got["IPSet"]["Addresses"], json!(["192.0.2.0/24", "198.51.100.7/32"]));
    for (version, address) in [
        ("IPV4", "192.0.2.0/33"),
        ("IPV4", "192.0.2.1"),
        ("IPV4", "0.0.0.0/0"),
        ("IPV4", "2001:db8::/32"),
        ("IPV6", "192.0.2.0/24"),
        ("IPV4", "nonsense"),
    ] {
        let input = json!({"Name": "x", "Scope": "REGIONAL", "IPAddressVersion": version, "Addresses": [address]});
        let error = cloud.error("CreateIPSet", input);
        let message = format!(
            "Error reason: The parameter contains formatting that is not valid., field: IP_ADDRESS, parameter: {address}"
        );
        assert_eq!(
            (error.code.as_str(), error.message),
            ("WAFInvalidParameterException", message)
        );
    }
    let mut update = names(&set);
    update["Addresses"] = json!(["203.0.113.0/24"]);
    cloud.ok("UpdateIPSet", update.clone());
    assert_eq!(cloud.error("UpdateIPSet", update).code, "WAFOptimisticLockException");
    assert_eq!(
        cloud.ok("GetIPSet", names(&set))["IPSet"]["Addresses"],
        json!(["203.0.113.0/24"])
    );
}

#[test]
fn what_is_referred_to_cannot_be_deleted() {
    let mut cloud = Cloud::new();
    let set = cloud.create_ip_set("office", json!(["192.0.2.0/24"]));
    let acl = cloud.create_acl(
        "shop",
        json!([rule("r", 0, json!({"NotStatement": {"Statement": ip(&set["ARN"])}}))]),
    );
    assert_eq!(
        cloud.error("DeleteIPSet", names(&set)).code,
        "WAFAssociatedItemException"
    );
    cloud.ok("DeleteWebACL", names(&acl));
    cloud.ok("DeleteIPSet", names(&set));
}

#[test]
fn pattern_sets_hold_patterns_that_compile() {
    let mut cloud = Cloud::new();
    let input = |pattern: &str| json!({"Name": "paths", "Scope": "REGIONAL", "RegularExpressionList": [{"RegexString": "^/a"}, {"RegexString": pattern}]});
    let error = cloud.error("CreateRegexPatternSet", input("(?=look)"));
    assert_eq!(error.code, "WAFInvalidParameterException");
    assert!(error.message.contains("look-around"), "{}", error.message);
    let set = cloud.ok("CreateRegexPatternSet", input("b$"))["Summary"].clone();
    let got = cloud.ok("GetRegexPatternSet", names(&set));
    assert_eq!(
        got["RegexPatternSet"]["RegularExpressionList"][1],
        json!({"RegexString": "b$"})
    );
    let mut eleven = input("x");
    eleven["RegularExpressionList"] = (0..11).map(|at| json!({"RegexString": format!("a{at}")})).collect();
    assert_eq!(
        cloud.error("CreateRegexPatternSet", eleven).code,
        "WAFLimitsExceededException"
    );
}

fn group(name: &str, capacity: u64, rules: Value) -> Value {
    json!({"Name": name, "Scope": "REGIONAL", "Capacity": capacity, "Rules": rules, "VisibilityConfig": visibility(name)})
}

#[test]
fn rule_groups_keep_their_capacity() {
    let mut cloud = Cloud::new();
    let rules = json!([rule("r", 0, regex("^/a"))]);
    let error = cloud.error("CreateRuleGroup", group("mine", 2, rules.clone()));
    assert_eq!(error.code, "WAFInvalidParameterException");
    assert!(
        error.message.starts_with(
            "Error reason: You exceeded the capacity limit for a rule group or web ACL., field: RULE_GROUP"
        ),
        "{}",
        error.message
    );
    assert_eq!(
        cloud.error("CreateRuleGroup", group("mine", 5_001, json!([]))).code,
        "WAFLimitsExceededException"
    );
    let made = cloud.ok("CreateRuleGroup", group("mine", 30, rules))["Summary"].clone();
    let reference = json!([{"Name": "ref", "Priority": 0, "OverrideAction": {"None": {}}, "VisibilityConfig": visibility("ref"),
        "Statement": {"RuleGroupReferenceStatement": {"ARN": made["ARN"],
            "RuleActionOverrides": [{"Name": "r", "ActionToUse": {"Count": {}}}]}}}]);
    let acl = cloud.create_acl("shop", reference);
    assert_eq!(
        cloud.ok("GetWebACL", names(&acl))["WebACL"]["Capacity"],
        30,
        "the declared capacity counts"
    );
    assert_eq!(
        cloud.error("DeleteRuleGroup", names(&made)).code,
        "WAFAssociatedItemException"
    );
    let mut update = group("mine", 0, json!([rule("renamed", 0, regex("^/a"))]));
    update["Id"] = made["Id"].clone();
    update["LockToken"] = made["LockToken"].clone();
    assert_eq!(
        cloud.error("UpdateRuleGroup", update.clone()).code,
        "WAFInvalidParameterException",
        "an override names `r`"
    );
    update["Rules"] = json!([rule("r", 0, regex("^/b"))]);
    cloud.ok("UpdateRuleGroup", update);
    let shown = cloud.ok("GetRuleGroup", names(&made))["RuleGroup"].clone();
    assert_eq!(
        (&shown["Capacity"], &shown["LabelNamespace"]),
        (&json!(30), &json!("awswaf:000000000000:rulegroup:mine:"))
    );
}

#[test]
fn capacity_follows_the_table() {
    let mut cloud = Cloud::new();
    let mut weigh = |statement: Value| {
        let input = json!({"Scope": "REGIONAL", "Rules": [rule("r", 0, statement)]});
        cloud.ok("CheckCapacity", input)["Capacity"].as_u64().unwrap_or(0)
    };
    let with = |statement: &str, field: Value, transformation: &str, more: Value| {
        let mut body = json!({"FieldToMatch": field, "TextTransformations": [{"Priority": 0, "Type": transformation}]});
        for (key, value) in more.as_object().into_iter().flatten() {
            body[key] = value.clone();
        }
        let mut all = json!({});
        all[statement] = body;
        all
    };
    let path = || json!({"UriPath": {}});
    let byte = |position: &str| json!({"PositionalConstraint": position, "SearchString": "YQ=="});
    let json_body = json!({"JsonBody": {"MatchPattern": {"All": {}}, "MatchScope": "ALL"}});
    assert_eq!(weigh(with("ByteMatchStatement", path(), "NONE", byte("EXACTLY"))), 2);
    assert_eq!(
        weigh(with("ByteMatchStatement", path(), "LOWERCASE", byte("CONTAINS"))),
        20
    );
    assert_eq!(
        weigh(with(
            "ByteMatchStatement",
            json!({"AllQueryArguments": {}}),
            "NONE",
            byte("CONTAINS")
        )),
        20
    );
    assert_eq!(weigh(with("SqliMatchStatement", json_body, "NONE", json!({}))), 40);
    assert_eq!(
        weigh(with(
            "SqliMatchStatement",
            path(),
            "NONE",
            json!({"SensitivityLevel": "HIGH"})
        )),
        30
    );
    assert_eq!(weigh(with("XssMatchStatement", path(), "NONE", json!({}))), 40);
    assert_eq!(
        weigh(with(
            "SizeConstraintStatement",
            path(),
            "NONE",
            json!({"ComparisonOperator": "GT", "Size": 1})
        )),
        1
    );
    assert_eq!(weigh(regex("a")), 3);
    assert_eq!(
        weigh(json!({"AndStatement": {"Statements": [regex("a"), {"NotStatement": {"Statement": regex("b")}}]}})),
        6
    );
    let scoped = json!({"Limit": 100, "AggregateKeyType": "IP", "ScopeDownStatement": regex("a")});
    assert_eq!(weigh(json!({"RateBasedStatement": scoped})), 5);
}

#[test]
fn a_web_acl_protects_a_load_balancer() {
    let mut cloud = Cloud::with_balancer();
    let set = cloud.create_ip_set("office", json!(["192.0.2.0/24"]));
    let acl = cloud.create_acl("shop", json!([rule("r", 0, ip(&set["ARN"]))]));
    let arn = acl["ARN"].as_str().expect("an ARN").to_owned();
    assert!(edge_web_acls(&cloud.state).is_empty());
    assert_eq!(
        cloud.ok("GetWebACLForResource", json!({"ResourceArn": BALANCER})),
        json!({})
    );
    cloud.ok("AssociateWebACL", json!({"WebACLArn": arn, "ResourceArn": BALANCER}));
    assert_eq!(web_acl_of(&cloud.state, &cloud.call.scope, BALANCER), Some(arn.clone()));
    assert_eq!(
        cloud.ok("GetWebACLForResource", json!({"ResourceArn": BALANCER}))["WebACL"]["Name"],
        "shop"
    );
    assert_eq!(
        cloud.ok("ListResourcesForWebACL", json!({"WebACLArn": arn})),
        json!({"ResourceArns": [BALANCER]})
    );
    let gateways = json!({"WebACLArn": arn, "ResourceType": "API_GATEWAY"});
    assert_eq!(
        cloud.ok("ListResourcesForWebACL", gateways),
        json!({"ResourceArns": []})
    );
    let served = edge_web_acls(&cloud.state);
    assert_eq!(
        served[&arn].ip_sets.values().next(),
        Some(&vec!["192.0.2.0/24".to_owned()])
    );
    assert!(Firewall::compile(&served[&arn]).is_ok());
    assert_eq!(
        cloud.error("DeleteWebACL", names(&acl)).code,
        "WAFAssociatedItemException"
    );
    assert!(!cloud.reconcile(), "nothing to do while the load balancer is there");
    cloud.ok("DisassociateWebACL", json!({"ResourceArn": BALANCER}));
    assert_eq!(web_acl_of(&cloud.state, &cloud.call.scope, BALANCER), None);
    cloud.ok("DeleteWebACL", names(&acl));
}

#[test]
fn only_load_balancers_that_exist_can_be_protected() {
    let mut cloud = Cloud::with_balancer();
    let acl = cloud.create_acl("shop", json!([]));
    let mut code = |web_acl: Value, resource: &str| {
        cloud
            .error(
                "AssociateWebACL",
                json!({"WebACLArn": web_acl, "ResourceArn": resource}),
            )
            .code
    };
    let other = BALANCER.replace("50dc", "60dc");
    assert_eq!(code(acl["ARN"].clone(), &other), "WAFNonexistentItemException");
    assert_eq!(code(acl["ARN"].clone(), "not-an-arn"), "WAFInvalidParameterException");
    let network = BALANCER.replace("/app/", "/net/");
    assert_eq!(code(acl["ARN"].clone(), &network), "WAFInvalidParameterException");
    let unknown = json!("arn:aws:wafv2:us-east-1:000000000000:regional/webacl/none/0");
    assert_eq!(code(unknown, BALANCER), "WAFNonexistentItemException");
}

#[test]
fn associations_end_with_their_load_balancer() {
    let mut cloud = Cloud::with_balancer();
    let acl = cloud.create_acl("shop", json!([]));
    cloud.ok(
        "AssociateWebACL",
        json!({"WebACLArn": acl["ARN"], "ResourceArn": BALANCER}),
    );
    let scope = cloud.call.scope.clone();
    let mut tx = Tx::new(&mut cloud.state, cloud.call.now, &mut cloud.rng);
    tx.delete::<honmaru_elbv2::LoadBalancer>(&scope, BALANCER);
    tx.commit();
    assert!(cloud.reconcile());
    assert!(!cloud.reconcile(), "the second look changes nothing");
    cloud.ok("DeleteWebACL", names(&acl));
}

#[test]
fn managed_groups_are_those_that_the_firewall_has() {
    let mut cloud = Cloud::new();
    let listed = cloud.ok("ListAvailableManagedRuleGroups", json!({"Scope": "REGIONAL"}));
    let listed = listed["ManagedRuleGroups"].as_array().expect("groups").clone();
    assert_eq!(listed.len(), 9);
    let page = cloud.ok(
        "ListAvailableManagedRuleGroups",
        json!({"Scope": "REGIONAL", "Limit": 5}),
    );
    let rest = json!({"Scope": "REGIONAL", "Limit": 5, "NextMarker": page["NextMarker"]});
    let rest = cloud.ok("ListAvailableManagedRuleGroups", rest);
    assert_eq!(rest["ManagedRuleGroups"].as_array().map(Vec::len), Some(4));
    assert!(rest.get("NextMarker").is_none());
    for group in listed {
        let name = json!({"Scope": "REGIONAL", "VendorName": "AWS", "Name": group["Name"]});
        let described = cloud.ok("DescribeManagedRuleGroup", name.clone());
        assert!(described["Capacity"].as_u64().is_some_and(|capacity| capacity > 0));
        assert_eq!(
            described["Rules"].as_array().map(Vec::len),
            described["AvailableLabels"].as_array().map(Vec::len)
        );
        let versions = cloud.ok("ListAvailableManagedRuleGroupVersions", name);
        assert_eq!(versions["CurrentDefaultVersion"], described["VersionName"]);
    }
    let bots = json!({"Scope": "REGIONAL", "VendorName": "AWS", "Name": "AWSManagedRulesBotControlRuleSet"});
    assert_eq!(
        cloud.error("DescribeManagedRuleGroup", bots).code,
        "WAFNonexistentItemException"
    );
}

#[test]
fn lists_come_in_pages_and_tags_can_be_changed() {
    let mut cloud = Cloud::new();
    for name in ["a", "b", "c"] {
        cloud.create_ip_set(name, json!([]));
    }
    let first = cloud.ok("ListIPSets", json!({"Scope": "REGIONAL", "Limit": 2}));
    assert_eq!(first["IPSets"].as_array().map(Vec::len), Some(2));
    let second = cloud.ok(
        "ListIPSets",
        json!({"Scope": "REGIONAL", "Limit": 2, "NextMarker": first["NextMarker"]}),
    );
    assert_eq!(second["IPSets"].as_array().map(Vec::len), Some(1));
    assert!(second.get("NextMarker").is_none());
    let arn = second["IPSets"][0]["ARN"].clone();
    let tags = json!([{"Key": "team", "Value": "web"}, {"Key": "env", "Value": "prod"}]);
    cloud.ok("TagResource", json!({"ResourceARN": arn, "Tags": tags}));
    cloud.ok("UntagResource", json!({"ResourceARN": arn, "TagKeys": ["env"]}));
    let listed = cloud.ok("ListTagsForResource", json!({"ResourceARN": arn}));
    assert_eq!(
        listed["TagInfoForResource"]["TagList"],
        json!([{"Key": "team", "Value": "web"}])
    );
    let reserved = json!({"ResourceARN": arn, "Tags": [{"Key": "aws:x", "Value": "1"}]});
    assert_eq!(
        cloud.error("TagResource", reserved).code,
        "WAFInvalidParameterException"
    );
    let unknown = json!({"ResourceARN": "arn:aws:wafv2:us-east-1:000000000000:regional/ipset/x/y"});
    assert_eq!(
        cloud.error("ListTagsForResource", unknown).code,
        "WAFNonexistentItemException"
    );
}

/// What a call asks permission for: the actions with their resources.
fn asked(cloud: &Cloud, name: &str, input: &Value) -> Vec<honmaru_machine::Access> {
    let operation = cloud.operations.iter().find(|operation| operation.name == name);
    (operation.expect("an operation").access)(&cloud.state, &cloud.call, input)
}

fn has(access: &honmaru_machine::Access, key: &str, value: &str) -> bool {
    access.context.contains(&(key.to_owned(), vec![value.to_owned()]))
}

// Ref: Service Authorization Reference, "Actions, resources, and condition keys for AWS WAF V2"; WAF developer guide,
// "Actions that require additional permissions settings".
#[test]
fn permissions_are_those_of_the_reference() {
    let mut cloud = Cloud::with_balancer();
    let visible = json!({"SampledRequestsEnabled": false, "CloudWatchMetricsEnabled": false, "MetricName": "m"});
    let tags = json!([{"Key": "team", "Value": "blue"}]);
    let input = json!({"Name": "acl", "Scope": "REGIONAL", "DefaultAction": {"Allow": {}}, "VisibilityConfig": visible, "Tags": tags});
    let create = asked(&cloud, "CreateWebACL", &input);
    assert!(has(&create[0], "aws:RequestTag/team", "blue") && has(&create[0], "aws:TagKeys", "team"));
    let acl = cloud.ok("CreateWebACL", input)["Summary"]["ARN"]
        .as_str()
        .expect("an ARN")
        .to_owned();
    let both = json!({"WebACLArn": acl, "ResourceArn": BALANCER});
    let names = |accesses: Vec<honmaru_machine::Access>| -> Vec<String> {
        let one = |access: honmaru_machine::Access| format!("{} {}", access.action, access.resources.join(" "));
        accesses.into_iter().map(one).collect()
    };
    let associate = asked(&cloud, "AssociateWebACL", &both);
    assert!(
        has(&associate[0], "aws:ResourceTag/team", "blue"),
        "the web ACL's own tags"
    );
    assert_eq!(
        names(associate),
        [
            format!("wafv2:AssociateWebACL {acl}"),
            format!("elasticloadbalancing:SetWebACL {BALANCER}")
        ]
    );
    cloud.ok("AssociateWebACL", both);
    let resource = json!({"ResourceArn": BALANCER});
    assert_eq!(
        names(asked(&cloud, "GetWebACLForResource", &resource)),
        [
            format!("wafv2:GetWebACLForResource {acl}"),
            format!("wafv2:GetWebACL {acl}")
        ]
    );
    assert_eq!(
        names(asked(&cloud, "DisassociateWebACL", &resource)),
        [
            format!("wafv2:DisassociateWebACL {BALANCER}"),
            format!("elasticloadbalancing:SetWebACL {BALANCER}")
        ]
    );
    let list = &asked(&cloud, "ListResourcesForWebACL", &json!({"WebACLArn": acl}))[0];
    assert!(has(list, "aws:ResourceTag/team", "blue"));
    let tag = &asked(
        &cloud,
        "TagResource",
        &json!({"ResourceARN": acl, "Tags": [{"Key": "a", "Value": "1"}]}),
    )[0];
    assert!(
        has(tag, "aws:RequestTag/a", "1") && has(tag, "aws:TagKeys", "a") && has(tag, "aws:ResourceTag/team", "blue")
    );
    let untag = &asked(&cloud, "UntagResource", &json!({"ResourceARN": acl, "TagKeys": ["a"]}))[0];
    assert!(has(untag, "aws:TagKeys", "a"));
}

#[test]
fn rules_ask_for_what_they_refer_to() {
    let cloud = Cloud::new();
    let set = "arn:aws:wafv2:us-east-1:000000000000:regional/ipset/s/1";
    let rules = json!([
        {"Name": "a", "Statement": {"NotStatement": {"Statement": {"IPSetReferenceStatement": {"ARN": set}}}}},
        {"Name": "b", "Statement": {"ManagedRuleGroupStatement": {"VendorName": "AWS", "Name": "AWSManagedRulesCommonRuleSet"}}},
    ]);
    let input = json!({"Name": "acl", "Scope": "REGIONAL", "Rules": rules});
    let asked = asked(&cloud, "CreateWebACL", &input);
    let resources: Vec<&String> = asked.iter().flat_map(|access| &access.resources).collect();
    assert!(asked.iter().all(|access| access.action == "wafv2:CreateWebACL"));
    assert_eq!(
        resources[1..],
        [set, "arn:aws:wafv2:us-east-1:000000000000:regional/managedruleset/*/*"]
    );
}

/// What AWS refuses and how, as badmintoncryer/cdk-preflight recorded it in September 2026 (`pf-wafv2-*`).
#[test]
fn refusals_are_in_the_words_of_aws() {
    const LIMIT: &str = "AWS WAF couldn’t perform the operation because you exceeded your resource limit";
    const BOUNDS: &str = "Error reason: The parameter value is out of bounds., field:";
    const ARN: &str = "Error reason: The ARN isn't valid. A valid ARN begins with arn: and includes other information \
                       separated by colons or slashes., field: RESOURCE_ARN, parameter:";
    let mut cloud = Cloud::with_balancer();
    let headers = |count: usize| -> Value {
        (0..count)
            .map(|at| json!({"Name": format!("h{at}"), "Value": "v"}))
            .collect()
    };
    let rate = json!({"RateBasedStatement": {"Limit": 100, "AggregateKeyType": "IP"}});
    let rates = |count: i64| -> Value { (0..count).map(|at| rule(&format!("r{at}"), at, rate.clone())).collect() };
    let changed = |mut rule: Value, pointer: &str, member: &str, value: Value| {
        rule.pointer_mut(pointer).unwrap()[member] = value;
        rule
    };
    let plain = || rule("r", 1, regex("a"));
    let inserting = |name: &str, priority: i64, count: usize| {
        let action = json!({"Allow": {"CustomRequestHandling": {"InsertHeaders": headers(count)}}});
        changed(rule(name, priority, regex("a")), "", "Action", action)
    };
    let many_headers: Value = (0..11).map(|at| inserting(&format!("r{at}"), at, 10)).collect();
    let transformations: Value = (0..11).map(|at| json!({"Priority": at, "Type": "LOWERCASE"})).collect();
    let long = "YWFh".repeat(67);
    let byte = json!({"ByteMatchStatement": {"SearchString": long, "FieldToMatch": {"UriPath": {}},
        "PositionalConstraint": "EXACTLY", "TextTransformations": [{"Priority": 0, "Type": "NONE"}]}});
    let argument = json!({"SingleQueryArgument": {"Name": "a".repeat(31)}});
    let argument = changed(plain(), "/Statement/RegexMatchStatement", "FieldToMatch", argument);
    let elsewhere = "arn:aws:wafv2:eu-west-1:000000000000:regional/ipset/x/11111111-2222-3333-4444-555555555555";
    let managed = json!({"ManagedRuleGroupStatement": {"VendorName": "AWS", "Name": "AWSManagedRulesCommonRuleSet"}});
    let (invalid, limits) = ("WAFInvalidParameterException", "WAFLimitsExceededException");
    let metric =
        json!({"SampledRequestsEnabled": false, "CloudWatchMetricsEnabled": false, "MetricName": "Default_Action"});
    let table = [
        (json!([plain(), changed(plain(), "", "Name", json!("s"))]), invalid,
            "Error reason: You have a duplicate priority. Priorities must be unique., field: RULE, parameter: 1".to_owned()),
        (json!([rule("r", 0, json!({}))]), invalid,
            "Error reason: EXACTLY_ONE_CONDITION_REQUIRED, field: STATEMENT, parameter: Statement".to_owned()),
        (json!([rule("r", 0, json!({"AndStatement": {"Statements": [regex("a")]}}))]), invalid,
            "Error reason: You haven't met a minimum requirement for a threshold setting. Examples include a rule group \
             capacity setting that's too low and an OR statement with only one nested statement., field: AND_STATEMENT, \
             parameter: AndStatement".to_owned()),
        (json!([rule("r", 0, managed)]), invalid,
            "Error reason: A reference in your rule statement is not valid., field: RULE, parameter: Statement".to_owned()),
        (json!([changed(plain(), "", "RuleLabels", json!([{"Name": "a".repeat(129)}]))]), invalid,
            format!("{BOUNDS} null, parameter: Label")),
        (json!([changed(plain(), "", "ChallengeConfig", json!({"ImmunityTimeProperty": {"ImmunityTime": 299}}))]), invalid,
            format!("{BOUNDS} CHALLENGE_CONFIG, parameter: 299")),
        (json!([changed(plain(), "", "VisibilityConfig", metric)]), invalid,
            "Error reason: The metric name is not valid., field: METRIC_NAME, parameter: Default_Action".to_owned()),
        (json!([rule("r", 0, ip(&json!(elsewhere)))]), invalid, format!("{ARN} {elsewhere}")),
        (json!([rule("r", 0, byte)]), limits, format!("{LIMIT} NUM_BYTES_IN_BYTEMATCH_SEARCHSTRING")),
        (json!([changed(plain(), "/Statement/RegexMatchStatement", "TextTransformations", transformations)]), limits,
            format!("{LIMIT}.")),
        (json!([inserting("r", 0, 11)]), limits, format!("{LIMIT}.")),
        (many_headers, limits, format!("{LIMIT}.")),
        (rates(11), limits, format!("{LIMIT}.")),
        (json!([argument]), "ValidationException", format!(
            "1 validation error detected: Value '{}' at \
             'rules.1.member.statement.regexMatchStatement.fieldToMatch.singleQueryArgument.name' failed to satisfy \
             constraint: Member must have length less than or equal to 30", "a".repeat(31))),
    ];
    for (rules, code, text) in table {
        let error = cloud.error("CreateWebACL", acl("shop", rules.clone()));
        assert_eq!((error.code.as_str(), error.message), (code, text), "{rules}");
    }
    let bodies: serde_json::Map<String, Value> = (0..51)
        .map(|at| (format!("b{at}"), json!({"ContentType": "TEXT_PLAIN", "Content": "x"})))
        .collect();
    let domains: Value = (0..11).map(|at| json!(format!("a{at}.com"))).collect();
    let patterns: Value = (0..11).map(|at| json!({"RegexString": format!("a{at}")})).collect();
    let sets = json!({"Name": "s", "Scope": "REGIONAL", "RegularExpressionList": patterns});
    let with_bodies = changed(acl("shop", json!([])), "", "CustomResponseBodies", bodies.into());
    let with_domains = changed(acl("shop", json!([])), "", "TokenDomains", domains);
    for (name, input, limit) in [
        ("CreateWebACL", with_bodies, "NUM_CUSTOM_RESPONSE_BODY_IN_CONTAINER"),
        ("CreateWebACL", with_domains, "NUM_TOKEN_DOMAINS_IN_WEBACL"),
        (
            "CreateRuleGroup",
            group("g", 500, rates(5)),
            "NUM_RATEBASED_STATEMENT_IN_RULE_GROUP",
        ),
        (
            "CreateRuleGroup",
            group("g", 5_001, json!([])),
            "NUM_CAPACITY_UNITS_IN_RULE_GROUP",
        ),
        ("CreateRegexPatternSet", sets, "NUM_PATTERNS_IN_REGEX_PATTERN_SET"),
    ] {
        let error = cloud.error(name, input);
        assert_eq!(
            (error.code.as_str(), error.message),
            (limits, format!("{LIMIT} {limit}"))
        );
    }
    cloud.ok("CreateRuleGroup", group("four", 500, rates(4)));
    let acl = cloud.create_acl("ten", rates(10));
    let group = "arn:aws:wafv2:us-east-1:000000000000:regional/rulegroup/g/11111111-2222-3333-4444-555555555555";
    let distribution = "arn:aws:cloudfront::000000000000:distribution/E1234567890ABC";
    for (web_acl, resource, wrong) in [
        (&acl["ARN"], distribution, distribution),
        (&json!(group), BALANCER, group),
    ] {
        let error = cloud.error(
            "AssociateWebACL",
            json!({"WebACLArn": web_acl, "ResourceArn": resource}),
        );
        assert_eq!(
            (error.code.as_str(), error.message),
            (invalid, format!("{ARN} {wrong}"))
        );
    }
}
