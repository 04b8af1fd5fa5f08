//! One run: what the seed draws, what is done, and what must come of it.

use super::check::{is_gone, is_steady};
use super::control::scope;
use super::node::Version;
use super::world::World;
use honmaru_base::Rng;
use honmaru_ecs::{LastStatus, Task};
use honmaru_machine::Record;
use serde_json::{Value, json};

/// How long the service may take to come to rest, in virtual milliseconds. The slowest way there is a deployment whose
/// back-off has grown to its limit of five minutes.
const REST_MS_MAX: i64 = 1_200_000;

/// What a run did, for the curious and for checking that runs repeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// Whether faults were part of it.
    pub faults: bool,
    /// Events that happened.
    pub steps: u64,
    /// Virtual milliseconds.
    pub virtual_ms: i64,
    /// Requests sent while they were counted.
    pub requests: u64,
    /// Records in the log at the end.
    pub records: usize,
    /// What was done, in order.
    pub actions: Vec<String>,
}

struct Run {
    world: World,
    faults: bool,
    breaker: bool,
    actions: Vec<String>,
    /// Whether the newest version is a good one.
    newest: Version,
    revision: u32,
}

/// Runs a seed. Odd seeds have faults. The error tells what was wrong, when, and what was done before.
pub fn run(seed: u64) -> Result<Outcome, String> {
    let mut run = Run {
        world: World::new(seed),
        faults: seed % 2 == 1,
        breaker: false,
        actions: Vec::new(),
        newest: Version::Good,
        revision: 1,
    };
    let start = run.world.now;
    let result = run.all();
    let outcome = Outcome {
        seed,
        faults: run.faults,
        steps: run.world.steps,
        virtual_ms: run.world.now - start,
        requests: run.world.requests,
        records: run.world.control.records.len(),
        actions: run.actions.clone(),
    };
    result.map(|()| outcome).map_err(|error| {
        let at = run.world.now - start;
        let mut events: Vec<String> = run
            .world
            .control
            .state
            .all::<honmaru_ecs::ServiceEvent>()
            .map(|(_, _, event)| format!("{:>8} {}", event.at - start, event.message))
            .collect();
        events.reverse();
        events.truncate(20);
        format!(
            "seed {seed} at {at} ms: {error}\n  done: {:#?}\n  newest events first: {events:#?}",
            run.actions
        )
    })
}

impl Run {
    fn all(&mut self) -> Result<(), String> {
        self.build()?;
        self.rest("the first deployment")?;
        self.world.counting = !self.faults;
        self.note_floor();
        let actions = 4 + self.world.rng.below(6);
        for _ in 0..actions {
            self.note_floor();
            self.act()?;
            let ms = self.world.rng.below(40_000) as i64;
            self.pass(ms)?;
        }
        self.world.run(30_000, |_| false)?;
        if self.newest != Version::Good {
            self.old_one_serves()?;
            self.deploy(Version::Good)?;
        }
        self.rest("the last deployment")?;
        if self.world.counting && self.world.failed_requests > 0 {
            let World {
                failed_requests,
                requests,
                last_failure,
                ..
            } = &self.world;
            return Err(format!(
                "{failed_requests} requests of {requests} failed, the last at {last_failure}"
            ));
        }
        self.world.counting = false;
        self.world.floor = None;
        self.world.restart_control()?;
        self.rest("the last restart")?;
        // What is steady may still have old tasks on their way out.
        self.world.run(60_000, |_| false)?;
        let before = self.world.control.records.len();
        self.world.run(120_000, |_| false)?;
        let written = self.world.control.records.len() - before;
        // Stopped tasks and tokens expire; nothing else may be written while nothing happens.
        let expired = self.world.control.records[before..]
            .iter()
            .filter(|record| serde_json::from_slice::<Record>(record).is_ok_and(|record| record.body.is_none()))
            .count();
        if written != expired {
            return Err(format!("{} records while nothing happened", written - expired));
        }
        self.destroy()
    }

    fn call(&mut self, service: &'static str, name: &'static str, input: Value) -> Result<Value, String> {
        let answer = self.world.control.call(self.world.now, service, name, input);
        self.world.settle()?;
        answer.map_err(|err| format!("{name} failed: {err}"))
    }

    fn build(&mut self) -> Result<(), String> {
        let range = "172.31.0.0/16"
            .parse::<ipnet::Ipv4Net>()
            .map_err(|err| err.to_string())?;
        let now = self.world.now;
        let made = self
            .world
            .control
            .write(now, |tx| honmaru_ec2::ensure_default_vpc(tx, &scope(), range));
        let vpc = made.map_err(|err| err.to_string())?;
        let subnets: Vec<String> = honmaru_ec2::default_subnets(&self.world.control.state, &scope())
            .iter()
            .map(|s| s.id.clone())
            .collect();
        self.call("ecs", "CreateCluster", json!({}))?;
        let balancer = self.call(
            "elbv2",
            "CreateLoadBalancer",
            json!({ "Name": "app", "Subnets": subnets, "Type": "application" }),
        )?;
        let balancer = text(&balancer, "/LoadBalancers/0/LoadBalancerArn")?;
        let group = self.call(
            "elbv2",
            "CreateTargetGroup",
            json!({ "Name": "app", "Protocol": "HTTP", "Port": 80, "VpcId": vpc, "TargetType": "ip" }),
        )?;
        let group = text(&group, "/TargetGroups/0/TargetGroupArn")?;
        let delay = [0, 2, 5, 20][self.world.rng.below(4) as usize];
        self.call(
            "elbv2",
            "ModifyTargetGroupAttributes",
            json!({ "TargetGroupArn": group, "Attributes": [
                { "Key": "deregistration_delay.timeout_seconds", "Value": delay.to_string() }] }),
        )?;
        self.call(
            "elbv2",
            "CreateListener",
            json!({ "LoadBalancerArn": balancer, "Protocol": "HTTP", "Port": 80,
                "DefaultActions": [{ "Type": "forward", "TargetGroupArn": group }] }),
        )?;
        self.register()?;
        let count = 1 + self.world.rng.below(6);
        let (min, max) = [(100, 200), (50, 200), (100, 150), (50, 100), (75, 125)][self.world.rng.below(5) as usize];
        // One task cannot be replaced within these bounds without a gap: ECS would be stuck, or have the gap.
        let (min, max) = if count < 4 && max < 200 { (100, 200) } else { (min, max) };
        // With half of one task healthy enough there may be none: that is what was asked for.
        let min = if count == 1 { 100 } else { min };
        self.breaker = self.world.rng.below(2) == 0;
        self.actions.push(format!(
            "create: {count} tasks, {min} to {max} percent, breaker {}, delay {delay} s",
            self.breaker
        ));
        self.call(
            "ecs",
            "CreateService",
            json!({
                "serviceName": "app", "taskDefinition": "app", "desiredCount": count, "launchType": "FARGATE",
                "networkConfiguration": { "awsvpcConfiguration": { "subnets": subnets } },
                "loadBalancers": [{ "targetGroupArn": group, "containerName": "app", "containerPort": 80 }],
                "deploymentConfiguration": {
                    "minimumHealthyPercent": min, "maximumPercent": max,
                    "deploymentCircuitBreaker": { "enable": self.breaker, "rollback": self.breaker },
                },
            }),
        )?;
        Ok(())
    }

    fn register(&mut self) -> Result<(), String> {
        let input = json!({
            "family": "app", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"],
            "cpu": "256", "memory": "512",
            "containerDefinitions": [{
                "name": "app", "image": "docker.io/library/app:1", "portMappings": [{ "containerPort": 80 }],
            }],
        });
        self.call("ecs", "RegisterTaskDefinition", input).map(drop)
    }

    /// Does something that a user might do, or breaks something.
    fn act(&mut self) -> Result<(), String> {
        match self.world.rng.below(10) {
            0..=2 => self.deploy(Version::Good),
            3 => self.deploy(Version::Sick),
            4 => self.deploy(Version::Crashes),
            5 => self.deploy(Version::NoImage),
            6 => {
                self.actions.push("force".to_owned());
                self.call(
                    "ecs",
                    "UpdateService",
                    json!({ "service": "app", "forceNewDeployment": true }),
                )
                .map(drop)
            }
            7 if self.newest == Version::Good => {
                let count = 4 + self.world.rng.below(4);
                self.actions.push(format!("scale to {count}"));
                self.call(
                    "ecs",
                    "UpdateService",
                    json!({ "service": "app", "desiredCount": count }),
                )
                .map(drop)
            }
            _ => Ok(()),
        }
    }

    fn deploy(&mut self, version: Version) -> Result<(), String> {
        self.revision += 1;
        self.newest = version;
        self.world.node.set_version(self.revision, version);
        self.actions.push(format!(
            "{} deploy app:{} {version:?}",
            self.world.now.as_ms() % 10_000_000,
            self.revision
        ));
        self.register()?;
        let definition = format!("app:{}", self.revision);
        self.call(
            "ecs",
            "UpdateService",
            json!({ "service": "app", "taskDefinition": definition }),
        )
        .map(drop)
    }

    /// Lets time pass, with faults if the seed has them.
    fn pass(&mut self, ms: i64) -> Result<(), String> {
        let end = self.world.now + ms;
        while self.world.now < end {
            let step = 1 + self.world.rng.below(8_000) as i64;
            self.world.run(step.min(end - self.world.now), |_| false)?;
            if self.faults {
                self.fault()?;
            }
        }
        Ok(())
    }

    fn fault(&mut self) -> Result<(), String> {
        let kind = self.world.rng.below(12);
        let name = match kind {
            0 | 1 => "control restarts",
            2 | 3 => "the node's connection breaks",
            4 => "the edge's connection breaks",
            5 | 6 => "a container ends",
            7 => "the machine reboots",
            _ => return Ok(()),
        };
        self.actions
            .push(format!("{} {name}", self.world.now.as_ms() % 10_000_000));
        match kind {
            0 | 1 => self.world.restart_control()?,
            2 | 3 => self.world.break_node_link(),
            4 => self.world.break_edge_link(),
            5 | 6 => self.world.crash_one(),
            _ => self.world.reboot(),
        }
        Ok(())
    }

    /// From here on the service has at least as many healthy tasks as its minimum asks for now. Nothing is promised
    /// while something is broken.
    fn note_floor(&mut self) {
        if !self.faults && is_steady(&self.world) {
            self.world.floor = self.world.service().map(|service| service.healthy_min() as usize);
        }
    }

    /// Everything must come to rest.
    fn rest(&mut self, what: &str) -> Result<(), String> {
        if self.world.run(REST_MS_MAX, is_steady)? {
            return Ok(());
        }
        let service = self
            .world
            .service()
            .map(|s| (s.desired_count, s.deployments.clone(), s.failures, s.start_after));
        let tasks: Vec<_> = self
            .world
            .control
            .state
            .all::<Task>()
            .filter(|(_, _, task)| task.last_status != LastStatus::Stopped)
            .map(|(_, id, task)| (id, task.revision, task.last_status, &task.stop))
            .collect();
        Err(format!("{what} never came to rest: {service:?} {tasks:?}"))
    }

    /// While the newest version is bad and nothing else failed, the one before it serves.
    fn old_one_serves(&self) -> Result<(), String> {
        let good = self
            .world
            .node
            .tasks
            .values()
            .filter(|task| task.version == Version::Good && task.serves())
            .count();
        let healthy_min = self.world.service().map_or(0, |service| service.healthy_min() as usize);
        // Tasks of an old deployment that a fault took are not replaced while the new one is in progress, as on ECS.
        if !self.faults && good < healthy_min {
            return Err(format!("{good} good tasks serve, {healthy_min} must"));
        }
        Ok(())
    }

    fn destroy(&mut self) -> Result<(), String> {
        self.call("ecs", "DeleteService", json!({ "service": "app", "force": true }))?;
        self.world.run(REST_MS_MAX, |world| is_gone(world).is_ok())?;
        is_gone(&self.world)
    }
}

fn text(answer: &Value, path: &str) -> Result<String, String> {
    let found = answer.pointer(path).and_then(Value::as_str);
    found.map(str::to_owned).ok_or_else(|| format!("no {path} in {answer}"))
}
