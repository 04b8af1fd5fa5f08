//! The control role without threads: state, log, reconcilers in the engine's order, and what each plane was told last.

use honmaru_base::{ApiError, Scope, SeededRng, Time};
use honmaru_contract::edge::{EdgeConfig, FromEdge};
use honmaru_contract::node::{FromNode, NodeDelta, NodeDesired, ToNode};
use honmaru_machine::{Call, Handler, Operation, Principal, PrincipalKind, Reconciler, Record, State, Tx};
use serde_json::Value;
use std::collections::BTreeMap;

/// Passes of all reconcilers after one event. More means that two of them undo each other's work.
const PASSES_MAX: usize = 500;

struct Scheduled {
    reconciler: Box<dyn Reconciler>,
    seen: Option<u64>,
    wake_at: Option<Time>,
}

/// The control role.
pub(super) struct Control {
    pub(super) state: State,
    /// Everything that was ever durable: the log.
    pub(super) records: Vec<Vec<u8>>,
    reconcilers: Vec<Scheduled>,
    operations: BTreeMap<(&'static str, &'static str), Operation>,
    rng: SeededRng,
    pub(super) node_sent: Option<NodeDesired>,
    pub(super) edge_sent: Option<EdgeConfig>,
}

/// The account and region of everything.
pub(super) fn scope() -> Scope {
    Scope::new("000000000000", "us-east-1").expect("both are valid")
}

fn scheduled() -> Vec<Scheduled> {
    let all = honmaru_cloud::reconcilers().into_iter();
    all.map(|reconciler| Scheduled {
        reconciler,
        seen: None,
        wake_at: None,
    })
    .collect()
}

fn empty_state() -> State {
    let mut state = State::new();
    honmaru_cloud::register_all(&mut state);
    state
}

impl Control {
    pub(super) fn new(seed: u64) -> Self {
        let services = [
            ("elbv2", honmaru_elbv2::operations()),
            ("ecs", honmaru_cloud::ecs_operations()),
        ]
        .into_iter();
        let operations = services.flat_map(|(service, operations)| {
            operations
                .into_iter()
                .map(move |operation| ((service, operation.name), operation))
        });
        Self {
            state: empty_state(),
            records: Vec::new(),
            reconcilers: scheduled(),
            operations: operations.collect(),
            rng: SeededRng::from_u64(seed ^ 0x5eed),
            node_sent: None,
            edge_sent: None,
        }
    }

    /// Dies and comes back: the state is what the log says, and must be what it was.
    pub(super) fn restart(&mut self) -> Result<(), String> {
        let mut state = empty_state();
        for record in &self.records {
            let record: Record = serde_json::from_slice(record).map_err(|err| err.to_string())?;
            state.replay(&record).map_err(|err| honmaru_base::chain(&err))?;
        }
        let rows = |state: &State| {
            let mut rows = Vec::new();
            state.dump(&mut |row| rows.push(String::from_utf8_lossy(&row).into_owned()));
            rows
        };
        let (before, after) = (rows(&self.state), rows(&state));
        if before != after {
            let row = before.iter().zip(&after).find(|(b, a)| b != a);
            return Err(format!("replay differs from the state, first at {row:?}"));
        }
        self.state = state;
        self.reconcilers = scheduled();
        self.node_sent = None;
        self.edge_sent = None;
        Ok(())
    }

    /// Changes the state and makes the change durable.
    pub(super) fn write<T>(&mut self, now: Time, work: impl FnOnce(&mut Tx<'_>) -> T) -> T {
        let mut tx = Tx::new(&mut self.state, now, &mut self.rng);
        let result = work(&mut tx);
        self.records.extend(tx.commit());
        result
    }

    /// A call of the API.
    pub(super) fn call(
        &mut self,
        now: Time,
        service: &'static str,
        name: &'static str,
        input: Value,
    ) -> Result<Value, ApiError> {
        let call = Call {
            scope: scope(),
            principal: Principal {
                account: scope().account,
                arn: "arn:aws:iam::000000000000:root".to_owned(),
                user_id: "000000000000".to_owned(),
                kind: PrincipalKind::Root,
                access_key_id: "simulation".to_owned(),
                tags: Vec::new(),
                session_policies: Vec::new(),
                session: None,
            },
            request_id: "simulation".to_owned(),
            now,
            source_ip: None,
            user_agent: String::new(),
            referer: String::new(),
            host: "localhost:4566".to_owned(),
            secure: false,
        };
        let operation = self.operations.get(&(service, name));
        let handler = operation.map(|operation| operation.handler.clone());
        let unknown = || Err(ApiError::new("NoSuchOperation", format!("{service}:{name}")));
        let Some(handler) = handler else { return unknown() };
        if let Handler::Read(read) = handler {
            return read(&self.state, &call, input);
        }
        let mut tx = Tx::new(&mut self.state, now, &mut self.rng);
        match handler.write(&mut tx, &call, input) {
            Some(Ok(answer)) => {
                self.records.extend(tx.commit());
                Ok(answer)
            }
            Some(Err(error)) => {
                tx.roll_back();
                Err(error)
            }
            None => unknown(),
        }
    }

    /// Runs the reconcilers that are due until none is, in the engine's way: after a change of what they watch, or at
    /// their time.
    pub(super) fn settle(&mut self, now: Time) -> Result<(), String> {
        for _ in 0..PASSES_MAX {
            let mut ran = false;
            for scheduled in &mut self.reconcilers {
                let watches = scheduled.reconciler.watches();
                let seen: u64 = watches.iter().map(|kind| self.state.version(kind)).sum();
                if scheduled.seen == Some(seen) && scheduled.wake_at.is_none_or(|at| at > now) {
                    continue;
                }
                ran = true;
                scheduled.seen = Some(seen);
                let mut tx = Tx::new(&mut self.state, now, &mut self.rng);
                scheduled.wake_at = scheduled.reconciler.reconcile(&mut tx);
                self.records.extend(tx.commit());
            }
            if !ran {
                return Ok(());
            }
        }
        Err("the reconcilers do not come to rest".to_owned())
    }

    /// When a reconciler wants to look again.
    pub(super) fn next_wake(&self) -> Option<Time> {
        self.reconcilers.iter().filter_map(|scheduled| scheduled.wake_at).min()
    }

    /// Takes a node's message.
    pub(super) fn hear_node(&mut self, now: Time, message: &FromNode) {
        self.write(now, |tx| match message {
            FromNode::Observed(seen) => honmaru_ecs::observe_node(tx, super::node::NAME, seen),
            FromNode::Task(seen) => honmaru_ecs::observe_task(tx, seen),
            _ => {}
        });
    }

    /// Takes an edge's message.
    pub(super) fn hear_edge(&mut self, now: Time, message: &FromEdge) {
        self.write(now, |tx| match message {
            FromEdge::Applied(applied) => honmaru_cloud::observe_edge_applied(tx, applied),
            FromEdge::Health(all) => honmaru_elbv2::observe_all_health(tx, all),
            FromEdge::HealthChanged(changed) => honmaru_elbv2::observe_health(tx, changed),
            FromEdge::Hello(_) | FromEdge::Samples(_) => {}
        });
    }

    /// What the node must be told now.
    pub(super) fn for_node(&mut self) -> Option<ToNode> {
        let mut desired = honmaru_cloud::node_desired(&self.state);
        desired.generation = self.records.len() as u64;
        let message = match &self.node_sent {
            None => Some(ToNode::Desired(Box::new(desired.clone()))),
            Some(before) => delta(before, &desired).map(|delta| ToNode::Delta(Box::new(delta))),
        };
        self.node_sent = Some(desired);
        message
    }

    /// What the edge must be told now.
    pub(super) fn for_edge(&mut self) -> Option<EdgeConfig> {
        let mut config = honmaru_cloud::edge_config(&self.state);
        config.generation = self.edge_sent.as_ref().map_or(0, |sent| sent.generation);
        if self.edge_sent.as_ref() == Some(&config) {
            return None;
        }
        config.generation = self.records.len() as u64;
        self.edge_sent = Some(config.clone());
        Some(config)
    }
}

fn delta(before: &NodeDesired, after: &NodeDesired) -> Option<NodeDelta> {
    let delta = NodeDelta {
        generation: after.generation,
        tasks: after
            .tasks
            .iter()
            .filter(|(id, task)| before.tasks.get(*id) != Some(task))
            .map(|(id, task)| (id.clone(), task.clone()))
            .collect(),
        forget: before
            .tasks
            .keys()
            .filter(|id| !after.tasks.contains_key(*id))
            .cloned()
            .collect(),
        ..NodeDelta::default()
    };
    // Groups, names and addresses do nothing in the simulated node.
    (!delta.tasks.is_empty() || !delta.forget.is_empty()).then_some(delta)
}
