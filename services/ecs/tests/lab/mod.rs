//! A cloud of ECS alone: the real operations and reconcilers, with the simplest glue and a node that the test speaks
//! for. Goal: tests read as a conversation with the API.

#![allow(dead_code, reason = "each test file uses a part of it")]

use honmaru_base::{ApiError, Rng, Scope, SeededRng, Time};
use honmaru_contract::node::{
    ContainerObserved, ContainerPhase, Health, Listener, NodeObserved, StopReason, TaskGoal, TaskObserved, TaskPhase,
};
use honmaru_ecs::{Interface, LastStatus, TargetState, Task};
use honmaru_machine::{
    Access, Call, Handler, Operation, Principal, PrincipalKind, Reconciler, Record, Resource, State, Tx,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

pub const NODE: &str = "local";

/// Health of targets, set by the test: the key is the address.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TargetHealth(pub String);

impl Resource for TargetHealth {
    const KIND: &'static str = "lab.target_health";
}

fn target_health(state: &State, scope: &Scope, _: &str, address: Ipv4Addr, _: u16) -> TargetState {
    match state
        .get::<TargetHealth>(scope, &address.to_string())
        .map(|row| row.0.as_str())
    {
        Some("healthy") => TargetState::Healthy,
        Some("unhealthy") => TargetState::Unhealthy("Health checks failed with these codes: [500]".to_owned()),
        _ => TargetState::Unknown,
    }
}

pub struct Lab {
    pub state: State,
    pub now: Time,
    pub records: Vec<Record>,
    rng: SeededRng,
    operations: BTreeMap<&'static str, Operation>,
    reconcilers: Vec<Box<dyn Reconciler>>,
    next_address: u32,
}

impl Lab {
    /// A cloud with the cluster `default` and one node of 4 processors and 8 GiB.
    pub fn new() -> Self {
        let mut lab = Self::empty();
        lab.ok("CreateCluster", json!({}));
        lab.observe_node(4_096, 8_192, "boot-1", Vec::new());
        lab
    }

    pub fn empty() -> Self {
        let mut state = State::new();
        honmaru_ecs::register(&mut state);
        state.register::<TargetHealth>();
        Self {
            state,
            now: Time::from_ms(1_700_000_000_000),
            records: Vec::new(),
            rng: SeededRng::from_u64(7),
            operations: honmaru_ecs::operations().into_iter().map(|op| (op.name, op)).collect(),
            reconcilers: honmaru_ecs::reconcilers(target_health),
            next_address: u32::from(Ipv4Addr::new(172, 31, 0, 4)),
        }
    }

    pub fn scope() -> Scope {
        Scope::new("000000000000", "us-east-1").expect("both are valid")
    }

    fn call_now(&self) -> Call {
        Call {
            scope: Self::scope(),
            principal: Principal {
                account: Self::scope().account,
                arn: "arn:aws:iam::000000000000:root".to_owned(),
                user_id: "000000000000".to_owned(),
                kind: PrincipalKind::Root,
                access_key_id: "test".to_owned(),
                tags: Vec::new(),
                session_policies: Vec::new(),
                session: None,
            },
            request_id: "r".to_owned(),
            now: self.now,
            source_ip: None,
            user_agent: String::new(),
            referer: String::new(),
            host: "localhost:4566".to_owned(),
            secure: false,
        }
    }

    /// What a call asks permission for.
    pub fn asked(&self, name: &str, input: Value) -> Vec<Access> {
        (self.operations[name].access)(&self.state, &self.call_now(), &input)
    }

    pub fn call(&mut self, name: &str, input: Value) -> Result<Value, ApiError> {
        let call = self.call_now();
        let operation = self
            .operations
            .get(name)
            .unwrap_or_else(|| panic!("no operation {name}"))
            .clone();
        // Every access rule must survive every input that a handler sees.
        let access = (operation.access)(&self.state, &call, &input);
        assert!(!access.is_empty(), "{name} asks for a permission");
        let mut tx = match operation.handler {
            Handler::Read(read) => return read(&self.state, &call, input),
            Handler::Async(_) => panic!("{name} is asynchronous"),
            Handler::Write(_) | Handler::WriteJson(_) => Tx::new(&mut self.state, self.now, &mut self.rng),
        };
        let answer = operation.handler.write(&mut tx, &call, input).expect("it writes");
        match answer {
            Ok(answer) => {
                self.records.extend(decoded(&tx.commit()));
                Ok(answer)
            }
            Err(error) => {
                tx.roll_back();
                Err(error)
            }
        }
    }

    pub fn ok(&mut self, name: &str, input: Value) -> Value {
        self.call(name, input)
            .unwrap_or_else(|error| panic!("{name} failed: {error}"))
    }

    pub fn err(&mut self, name: &str, input: Value) -> (String, String) {
        match self.call(name, input) {
            Ok(answer) => panic!("{name} answered {answer}"),
            Err(error) => (error.code, error.message),
        }
    }

    pub fn tx<T>(&mut self, work: impl FnOnce(&mut Tx<'_>) -> T) -> T {
        let mut tx = Tx::new(&mut self.state, self.now, &mut self.rng);
        let result = work(&mut tx);
        self.records.extend(decoded(&tx.commit()));
        result
    }

    /// Lets time pass and everything that follows from it happen.
    pub fn pass(&mut self, ms: i64) {
        let end = self.now + ms;
        while self.now < end {
            self.now = self.now + 250.min(end - self.now);
            self.settle();
        }
    }

    /// Runs glue and reconcilers until nothing changes.
    pub fn settle(&mut self) {
        for _ in 0..100 {
            if !self.reconcile_once() {
                return;
            }
        }
        panic!("the reconcilers never come to rest");
    }

    fn reconcile_once(&mut self) -> bool {
        let mut changed = self.glue();
        let mut reconcilers = std::mem::take(&mut self.reconcilers);
        for reconciler in &mut reconcilers {
            let mut tx = Tx::new(&mut self.state, self.now, &mut self.rng);
            let _ = reconciler.reconcile(&mut tx);
            changed |= tx.is_changed();
            self.records.extend(decoded(&tx.commit()));
        }
        self.reconcilers = reconcilers;
        changed
    }

    /// Interfaces without end, targets that register at once and drain for five seconds.
    fn glue(&mut self) -> bool {
        let scope = Self::scope();
        let now = self.now;
        let tasks: Vec<Task> = self.state.list::<Task>(&scope).map(|(_, task)| task.clone()).collect();
        let mut next = self.next_address;
        let changed = self.tx(|tx| {
            for task in tasks {
                match task.last_status {
                    LastStatus::Provisioning if task.node.is_some() => {
                        let interface = task.network.as_ref().map(|network| Interface {
                            id: format!("eni-{next:017x}"),
                            attachment_id: "attachment".to_owned(),
                            private_ip: Ipv4Addr::from(next),
                            mac: "0a:ff:00:00:00:01".to_owned(),
                            subnet_id: network.subnets[0].clone(),
                            subnet_cidr: "172.31.0.0/20".to_owned(),
                            vpc_id: "vpc-1".to_owned(),
                            dns: Ipv4Addr::new(172, 31, 0, 2),
                            availability_zone: "us-east-1a".to_owned(),
                            security_groups: network.security_groups.clone(),
                            egress: true,
                        });
                        next += 1;
                        honmaru_ecs::provisioned(tx, &scope, &task.id, interface, BTreeMap::new());
                    }
                    LastStatus::Activating => {
                        for target in &task.targets {
                            honmaru_ecs::target_registered(tx, &scope, &task.id, &target.target_group_arn);
                        }
                        honmaru_ecs::activated(tx, &scope, &task.id);
                    }
                    LastStatus::Deactivating => {
                        for target in task.targets.iter().filter(|t| t.registered) {
                            honmaru_ecs::target_deregistered(tx, &scope, &task.id, &target.target_group_arn);
                        }
                        let since = task.targets.iter().filter_map(|t| t.deregistered_at).max();
                        if since.is_some_and(|at| now - at >= 5_000) {
                            honmaru_ecs::drained(tx, &scope, &task.id);
                        }
                    }
                    LastStatus::Deprovisioning => honmaru_ecs::deprovisioned(tx, &scope, &task.id),
                    LastStatus::Provisioning
                    | LastStatus::Pending
                    | LastStatus::Running
                    | LastStatus::Stopping
                    | LastStatus::Stopped => {}
                }
            }
            tx.is_changed()
        });
        self.next_address = next;
        changed
    }

    pub fn observe_node(&mut self, cpu_units: u32, memory_mib: u32, boot_id: &str, tasks: Vec<TaskObserved>) {
        let seen = NodeObserved {
            cpu_units,
            memory_mib,
            boot_id: boot_id.to_owned(),
            tasks,
            generation: 0,
        };
        self.tx(|tx| honmaru_ecs::observe_node(tx, NODE, &seen));
        self.settle();
    }

    /// The node reports a phase of a task, with its containers to match.
    pub fn report(&mut self, id: &str, phase: TaskPhase, health: Health) {
        self.report_all(id, phase, health, Vec::new());
    }

    /// A running task's node reports what it listens on.
    pub fn report_listening(&mut self, id: &str, listening: Vec<Listener>) {
        self.report_all(id, TaskPhase::Running, Health::Unknown, listening);
    }

    fn report_all(&mut self, id: &str, phase: TaskPhase, health: Health, listening: Vec<Listener>) {
        let Some(task) = self.state.get::<Task>(&Self::scope(), id).cloned() else {
            return;
        };
        let containers = task
            .containers
            .iter()
            .map(|c| ContainerObserved {
                name: c.name.clone(),
                phase: match &phase {
                    TaskPhase::Preparing => ContainerPhase::Pending,
                    TaskPhase::Running | TaskPhase::Stopping => ContainerPhase::Running {
                        started_at: self.now,
                        pid: 1,
                    },
                    TaskPhase::Stopped { reason } => ContainerPhase::Stopped {
                        exit_code: Some(if *reason == StopReason::Asked { 143 } else { 1 }),
                        reason: None,
                        started_at: None,
                        stopped_at: self.now,
                    },
                },
                health,
                image_digest: Some("sha256:1".to_owned()),
                runtime_id: format!("{id}-1"),
                restarts: 0,
            })
            .collect();
        let seen = TaskObserved {
            task_id: id.to_owned(),
            phase,
            containers,
            pull_started_at: Some(self.now),
            pull_stopped_at: Some(self.now),
            silent_ports: Vec::new(),
            listening,
        };
        self.tx(|tx| honmaru_ecs::observe_task(tx, &seen));
        self.settle();
    }

    /// A node that does at once what it is told: `healthy` decides which revisions' targets and checks pass.
    pub fn obey(&mut self, healthy: impl Fn(&Task) -> bool) {
        for (id, spec) in honmaru_ecs::node_tasks(&self.state, NODE) {
            let task = self
                .state
                .get::<Task>(&Self::scope(), &id)
                .expect("it was just listed")
                .clone();
            match spec.goal {
                TaskGoal::Run => {
                    let good = healthy(&task);
                    let health = if good { Health::Healthy } else { Health::Unhealthy };
                    if task.last_status == LastStatus::Pending || task.health() != health {
                        self.report(&id, TaskPhase::Running, health);
                    }
                    if let Some(interface) = &task.interface {
                        let text = if good { "healthy" } else { "unhealthy" };
                        self.set_target_health(interface.private_ip, text);
                    }
                }
                TaskGoal::Stop => self.report(
                    &id,
                    TaskPhase::Stopped {
                        reason: StopReason::Asked,
                    },
                    Health::Unknown,
                ),
            }
        }
        self.settle();
    }

    pub fn set_target_health(&mut self, address: Ipv4Addr, text: &str) {
        let key = address.to_string();
        if self
            .state
            .get::<TargetHealth>(&Self::scope(), &key)
            .is_none_or(|row| row.0 != text)
        {
            self.tx(|tx| tx.put(&Self::scope(), &key, TargetHealth(text.to_owned())));
        }
    }

    /// Lets the obedient node work for a while.
    pub fn run(&mut self, ms: i64, healthy: impl Fn(&Task) -> bool) {
        let end = self.now + ms;
        while self.now < end {
            self.obey(&healthy);
            self.pass(500);
        }
    }

    pub fn register(&mut self, family: &str) -> String {
        let answer = self.ok("RegisterTaskDefinition", definition(family));
        answer["taskDefinition"]["taskDefinitionArn"]
            .as_str()
            .expect("an ARN")
            .to_owned()
    }

    pub fn service(&mut self, name: &str) -> Value {
        self.ok("DescribeServices", json!({ "services": [name] }))["services"][0].clone()
    }

    pub fn events(&mut self, name: &str) -> Vec<String> {
        let service = self.service(name);
        let events = service["events"].as_array().expect("events").iter();
        events
            .map(|event| event["message"].as_str().expect("a text").to_owned())
            .collect()
    }

    /// A fresh state made of the records so far.
    pub fn replayed(&self) -> State {
        let mut state = State::new();
        honmaru_ecs::register(&mut state);
        state.register::<TargetHealth>();
        replay(&mut state, &self.records);
        state
    }

    pub fn random(&mut self) -> u64 {
        self.rng.next_u64()
    }
}

/// The records of a log.
fn decoded(records: &[Vec<u8>]) -> Vec<Record> {
    let decode = |record: &Vec<u8>| serde_json::from_slice(record).expect("a record is JSON");
    records.iter().map(decode).collect()
}

/// The durable rows of a state as the records of a snapshot.
pub fn dump(state: &State) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    state.dump(&mut |record| records.push(record));
    records
}

/// Replays records, as a start does.
pub fn replay(state: &mut State, records: &[Record]) {
    for record in records {
        state.replay(record).expect("every record decodes");
    }
}

/// A task definition of one container that Fargate takes.
pub fn definition(family: &str) -> Value {
    json!({
        "family": family,
        "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE"],
        "cpu": "256",
        "memory": "512",
        "containerDefinitions": [{
            "name": "web",
            "image": "localhost:4566/web:1",
            "portMappings": [{ "containerPort": 80 }],
        }],
    })
}

/// A network configuration.
pub fn network() -> Value {
    json!({ "awsvpcConfiguration": { "subnets": ["subnet-1"], "securityGroups": ["sg-1"] } })
}

/// A service with a target group.
pub fn balanced(name: &str, definition: &str, count: u32) -> Value {
    json!({
        "serviceName": name,
        "taskDefinition": definition,
        "desiredCount": count,
        "launchType": "FARGATE",
        "networkConfiguration": network(),
        "loadBalancers": [{ "targetGroupArn": "arn:tg", "containerName": "web", "containerPort": 80 }],
    })
}
