//! The simulated edge: follows its configuration, checks targets and sends requests to them.

use super::node::{Node, Version};
use honmaru_base::Time;
use honmaru_contract::edge::{EdgeConfig, TargetHealth};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Between two checks of a target.
pub(super) const CHECK_INTERVAL_MS: i64 = 1_000;
/// Checks in a row until a target changes its state.
const HEALTHY_THRESHOLD: u32 = 2;
const UNHEALTHY_THRESHOLD: u32 = 3;

#[derive(Debug, Clone, Default)]
struct Check {
    healthy: Option<bool>,
    passed: u32,
    failed: u32,
}

type Key = (String, Ipv4Addr, u16);

/// A request on its way: to which address, since when.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) address: Ipv4Addr,
    /// The task that took it.
    pub(super) task: String,
}

/// The edge.
#[derive(Default)]
pub(super) struct Edge {
    pub(super) config: EdgeConfig,
    checks: BTreeMap<Key, Check>,
    turn: usize,
}

impl Edge {
    /// Serves a new configuration.
    pub(super) fn apply(&mut self, config: EdgeConfig) {
        self.config = config;
        let known: Vec<Key> = self.targets().map(|(key, _)| key).collect();
        self.checks.retain(|key, _| known.contains(key));
    }

    fn targets(&self) -> impl Iterator<Item = (Key, Option<Time>)> + '_ {
        self.config.target_groups.iter().flat_map(|(arn, group)| {
            group
                .targets
                .iter()
                .map(move |t| ((arn.clone(), t.address, t.port), t.draining_since))
        })
    }

    /// Checks every target once; returns those whose state changed.
    pub(super) fn check(&mut self, node: &Node) -> Vec<TargetHealth> {
        let mut changed = Vec::new();
        let targets: Vec<Key> = self
            .targets()
            .filter(|(_, draining)| draining.is_none())
            .map(|(key, _)| key)
            .collect();
        for key in targets {
            let passes = node.at(key.1).is_some_and(|task| task.version != Version::Sick);
            let check = self.checks.entry(key.clone()).or_default();
            let before = check.healthy;
            if passes {
                check.passed += 1;
                check.failed = 0;
            } else {
                check.failed += 1;
                check.passed = 0;
            }
            if check.passed >= HEALTHY_THRESHOLD {
                check.healthy = Some(true);
            }
            if check.failed >= UNHEALTHY_THRESHOLD {
                check.healthy = Some(false);
            }
            if check.healthy != before {
                changed.push(health(&key, check));
            }
        }
        changed
    }

    /// The health of all targets.
    pub(super) fn all(&self) -> Vec<TargetHealth> {
        self.checks.iter().map(|(key, check)| health(key, check)).collect()
    }

    /// Sends a request to the next healthy target; to any when none is healthy, as an ALB does. Nothing: there was no
    /// target, or nobody answered.
    pub(super) fn send(&mut self, node: &Node) -> Option<Request> {
        let all: Vec<Key> = self
            .targets()
            .filter(|(_, draining)| draining.is_none())
            .map(|(key, _)| key)
            .collect();
        let healthy: Vec<Key> = all
            .iter()
            .filter(|key| self.checks.get(*key).is_some_and(|check| check.healthy == Some(true)))
            .cloned()
            .collect();
        let candidates = if healthy.is_empty() { all } else { healthy };
        self.turn = self.turn.wrapping_add(1);
        let address = candidates.get(self.turn % candidates.len().max(1))?.1;
        let task = node.at(address).filter(|task| task.version != Version::Sick)?;
        Some(Request {
            address,
            task: task.spec.task_id.clone(),
        })
    }
}

fn health(key: &Key, check: &Check) -> TargetHealth {
    let (state, reason, description) = match check.healthy {
        None => ("initial", Some("Elb.InitialHealthChecking"), None),
        Some(true) => ("healthy", None, None),
        Some(false) => {
            let text = "Health checks failed with these codes: [500]";
            ("unhealthy", Some("Target.ResponseCodeMismatch"), Some(text))
        }
    };
    TargetHealth {
        target_group: key.0.clone(),
        address: key.1,
        port: key.2,
        state: state.to_owned(),
        reason: reason.map(str::to_owned),
        description: description.map(str::to_owned),
    }
}
