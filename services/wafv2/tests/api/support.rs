//! A cloud of two services, driven by operation names and JSON, and the small inputs that tests share.

use honmaru_base::{ApiError, Scope, SeededRng, Time};
use honmaru_machine::{Call, Handler, Operation, Principal, PrincipalKind, Reconciler, State, Tx};
use honmaru_wafv2::Associations;
use serde_json::{Value, json};

pub(crate) const BALANCER: &str =
    "arn:aws:elasticloadbalancing:us-east-1:000000000000:loadbalancer/app/shop/50dc6c495c0c9188";

/// Every durable row.
pub(crate) fn rows(state: &State) -> Vec<Vec<u8>> {
    let mut rows = Vec::new();
    state.dump(&mut |row| rows.push(row));
    rows
}

pub(crate) struct Cloud {
    pub(crate) state: State,
    pub(crate) rng: SeededRng,
    pub(crate) operations: Vec<Operation>,
    pub(crate) call: Call,
}

impl Cloud {
    pub(crate) fn new() -> Self {
        Self::in_region("us-east-1")
    }

    pub(crate) fn in_region(region: &str) -> Self {
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

    pub(crate) fn with_balancer() -> Self {
        let mut cloud = Self::new();
        cloud.put_balancer(BALANCER, "application");
        cloud
    }

    pub(crate) fn put_balancer(&mut self, arn: &str, kind: &str) {
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

    pub(crate) fn call(&mut self, name: &str, input: Value) -> Result<Value, ApiError> {
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

    pub(crate) fn ok(&mut self, name: &str, input: Value) -> Value {
        match self.call(name, input) {
            Ok(answer) => answer,
            Err(error) => panic!("{name}: {error}"),
        }
    }

    pub(crate) fn error(&mut self, name: &str, input: Value) -> ApiError {
        match self.call(name, input) {
            Ok(answer) => panic!("{name} succeeds: {answer}"),
            Err(error) => error,
        }
    }

    pub(crate) fn create_acl(&mut self, name: &str, rules: Value) -> Value {
        self.ok("CreateWebACL", acl(name, rules))["Summary"].clone()
    }

    pub(crate) fn create_ip_set(&mut self, name: &str, addresses: Value) -> Value {
        let input = json!({"Name": name, "Scope": "REGIONAL", "IPAddressVersion": "IPV4", "Addresses": addresses});
        self.ok("CreateIPSet", input)["Summary"].clone()
    }

    pub(crate) fn reconcile(&mut self) -> bool {
        let mut tx = Tx::new(&mut self.state, self.call.now, &mut self.rng);
        Associations.reconcile(&mut tx);
        let changed = tx.is_changed();
        tx.commit();
        changed
    }
}

pub(crate) fn visibility(name: &str) -> Value {
    json!({"MetricName": name, "SampledRequestsEnabled": true, "CloudWatchMetricsEnabled": true})
}

pub(crate) fn acl(name: &str, rules: Value) -> Value {
    json!({"Name": name, "Scope": "REGIONAL", "DefaultAction": {"Allow": {}}, "Rules": rules, "VisibilityConfig": visibility(name)})
}

pub(crate) fn rule(name: &str, priority: i64, statement: Value) -> Value {
    json!({"Name": name, "Priority": priority, "Statement": statement, "Action": {"Block": {}}, "VisibilityConfig": visibility(name)})
}

pub(crate) fn regex(pattern: &str) -> Value {
    json!({"RegexMatchStatement": {"RegexString": pattern, "FieldToMatch": {"UriPath": {}},
        "TextTransformations": [{"Priority": 0, "Type": "NONE"}]}})
}

pub(crate) fn ip(arn: &Value) -> Value {
    json!({"IPSetReferenceStatement": {"ARN": arn}})
}

/// Name, scope, id and lock token of a summary, as delete calls take them.
pub(crate) fn names(summary: &Value) -> Value {
    json!({"Name": summary["Name"], "Scope": "REGIONAL", "Id": summary["Id"], "LockToken": summary["LockToken"]})
}

pub(crate) fn group(name: &str, capacity: u64, rules: Value) -> Value {
    json!({"Name": name, "Scope": "REGIONAL", "Capacity": capacity, "Rules": rules, "VisibilityConfig": visibility(name)})
}
