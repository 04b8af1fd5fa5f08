//! A cloud of two services, driven by operation names and JSON, as the wire would.
#![allow(dead_code, reason = "each test file uses its part")]

use honmaru_base::{ApiError, Scope, SeededRng, Time};
use honmaru_machine::{Call, Handler, Principal, PrincipalKind, State, Tx};
use serde_json::{Value, json};

pub struct Cloud {
    pub state: State,
    pub scope: Scope,
    pub now: Time,
    rng: SeededRng,
    pub subnets: Vec<String>,
    pub vpc: String,
}

impl Cloud {
    pub fn new() -> Cloud {
        let mut state = State::new();
        honmaru_ec2::register(&mut state);
        honmaru_iam::register(&mut state);
        honmaru_elbv2::register(&mut state);
        let scope = Scope::new("000000000000", "us-east-1").unwrap();
        let mut cloud = Cloud {
            state,
            scope: scope.clone(),
            now: Time::from_ms(1_800_000_000_000),
            rng: SeededRng::from_u64(7),
            subnets: Vec::new(),
            vpc: String::new(),
        };
        let vpc = cloud.change(|tx| honmaru_ec2::ensure_default_vpc(tx, &scope, "172.31.0.0/16".parse().unwrap()));
        cloud.vpc = vpc.unwrap();
        cloud.subnets = honmaru_ec2::default_subnets(&cloud.state, &scope)
            .iter()
            .map(|subnet| subnet.id.clone())
            .collect();
        assert!(cloud.subnets.len() >= 2);
        cloud
    }

    /// Runs a change as the engine does: kept when it succeeds, taken back when it fails.
    pub fn change<T>(&mut self, change: impl FnOnce(&mut Tx<'_>) -> Result<T, ApiError>) -> Result<T, ApiError> {
        let mut tx = Tx::new(&mut self.state, self.now, &mut self.rng);
        match change(&mut tx) {
            Ok(value) => {
                tx.commit();
                Ok(value)
            }
            Err(error) => {
                tx.roll_back();
                Err(error)
            }
        }
    }

    pub fn observe(&mut self, observe: impl FnOnce(&mut Tx<'_>)) {
        let mut tx = Tx::new(&mut self.state, self.now, &mut self.rng);
        observe(&mut tx);
        tx.commit();
    }

    /// The root user, who calls now.
    pub fn caller(&self) -> Call {
        let principal = Principal {
            account: self.scope.account.clone(),
            arn: "arn:aws:iam::000000000000:root".into(),
            user_id: "000000000000".into(),
            kind: PrincipalKind::Root,
            access_key_id: "x".into(),
            tags: Vec::new(),
            session_policies: Vec::new(),
            session: None,
        };
        Call {
            scope: self.scope.clone(),
            principal,
            request_id: "r".into(),
            now: self.now,
            source_ip: None,
            user_agent: String::new(),
            referer: String::new(),
            host: String::new(),
            secure: false,
        }
    }

    pub fn call(&mut self, name: &str, input: Value) -> Result<Value, ApiError> {
        let operation = honmaru_elbv2::operations()
            .into_iter()
            .find(|operation| operation.name == name)
            .unwrap();
        let call = self.caller();
        assert!(
            !(operation.access)(&self.state, &call, &input).is_empty(),
            "{name} asks for a permission"
        );
        match operation.handler {
            Handler::Read(handler) => handler(&self.state, &call, input),
            Handler::Write(handler) => self.change(|tx| handler(tx, &call, input)),
            Handler::WriteJson(_) | Handler::Async(_) => unreachable!(),
        }
    }

    /// A call of IAM, which must succeed.
    pub fn iam(&mut self, name: &str, input: Value) -> Value {
        let mut operations = honmaru_iam::operations().into_iter();
        let operation = operations.find(|operation| operation.name == name).unwrap();
        let Handler::Write(handler) = operation.handler else {
            panic!("{name} writes")
        };
        let call = self.caller();
        self.change(|tx| handler(tx, &call, input)).unwrap()
    }

    pub fn ok(&mut self, name: &str, input: Value) -> Value {
        self.call(name, input.clone())
            .unwrap_or_else(|error| panic!("{name} {input}: {error}"))
    }

    pub fn fails(&mut self, name: &str, input: Value, code: &str) -> String {
        match self.call(name, input.clone()) {
            Ok(output) => panic!("{name} {input} succeeded: {output}"),
            Err(error) => {
                assert_eq!(error.code, code, "{name} {input}: {error}");
                error.message
            }
        }
    }

    pub fn balancer(&mut self, name: &str) -> String {
        let subnets = self.subnets.clone();
        let made = self.ok("CreateLoadBalancer", json!({"Name": name, "Subnets": &subnets[..2]}));
        made["LoadBalancers"][0]["LoadBalancerArn"].as_str().unwrap().to_owned()
    }

    pub fn group(&mut self, name: &str) -> String {
        let vpc = self.vpc.clone();
        let input = json!({"Name": name, "Protocol": "HTTP", "Port": 80, "VpcId": vpc, "TargetType": "ip"});
        let made = self.ok("CreateTargetGroup", input);
        made["TargetGroups"][0]["TargetGroupArn"].as_str().unwrap().to_owned()
    }

    pub fn listener(&mut self, balancer: &str, port: u16, group: &str) -> String {
        let made = self.ok("CreateListener", listener_input(balancer, port, group));
        made["Listeners"][0]["ListenerArn"].as_str().unwrap().to_owned()
    }

    pub fn reconcile(&mut self) -> Option<Time> {
        let mut next = None;
        for mut reconciler in honmaru_elbv2::reconcilers() {
            next = self.change(|tx| Ok(reconciler.reconcile(tx))).unwrap();
        }
        next
    }

    pub fn interfaces(&self) -> usize {
        self.state.list::<honmaru_ec2::Interface>(&self.scope).count()
    }
}

pub fn listener_input(balancer: &str, port: u16, group: &str) -> Value {
    json!({
        "LoadBalancerArn": balancer, "Protocol": "HTTP", "Port": port,
        "DefaultActions": [{"Type": "forward", "TargetGroupArn": group}],
    })
}

pub fn rule_input(listener: &str, priority: i32, path: &str, group: &str) -> Value {
    json!({
        "ListenerArn": listener, "Priority": priority,
        "Conditions": [{"Field": "path-pattern", "Values": [path]}],
        "Actions": [{"Type": "forward", "TargetGroupArn": group}],
    })
}
