//! One connected node: it is told what shall run, and says what does.

use super::link::{Receiver, Sender};
use super::pace::Pace;
use super::{Control, insights, task_credentials};
use honmaru_contract::Hello;
use honmaru_contract::node::{FromNode, LogBatch, NodeDelta, NodeDesired, ToNode};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Serves one node until its connection ends.
pub async fn run(
    control: Arc<Control>,
    hello: Hello,
    mut receiver: Receiver<FromNode>,
    sender: Sender<ToNode>,
) -> anyhow::Result<()> {
    control.execs.attach(sender.clone());
    let pushing = tokio::spawn(push(control.clone(), sender.clone()));
    let heard = hear(&control, &hello.name, &mut receiver, &sender).await;
    pushing.abort();
    heard
}

/// Sends the desired state whenever it changed.
async fn push(control: Arc<Control>, sender: Sender<ToNode>) -> anyhow::Result<()> {
    let mut changes = control.engine.changes();
    let mut sent: Option<NodeDesired> = None;
    let mut pace = Pace::default();
    loop {
        changes.mark_unchanged();
        let generation_floor = control.engine.head();
        let mut desired = pace.measure(control.engine.read(honmaru_cloud::node_desired)).await?;
        desired.generation = generation_floor;
        desired.usage.interval_ms = control.options.insights_interval_ms();
        let message = match &sent {
            None => Some(ToNode::Desired(Box::new(desired.clone()))),
            Some(before) => delta(before, &desired).map(|delta| ToNode::Delta(Box::new(delta))),
        };
        if let Some(message) = message
            && sender.send(message).is_err()
        {
            return Ok(());
        }
        sent = Some(desired);
        pace.rest().await;
        changes.changed().await?;
    }
}

/// What changed between two desired states; nothing when they ask for the same.
fn delta(before: &NodeDesired, after: &NodeDesired) -> Option<NodeDelta> {
    fn part<T: Clone + PartialEq>(before: &T, after: &T) -> Option<T> {
        (before != after).then(|| after.clone())
    }
    let tasks: BTreeMap<_, _> = after
        .tasks
        .iter()
        .filter(|(id, task)| before.tasks.get(*id) != Some(task))
        .map(|(id, task)| (id.clone(), task.clone()))
        .collect();
    let forget: Vec<_> = before
        .tasks
        .keys()
        .filter(|id| !after.tasks.contains_key(*id))
        .cloned()
        .collect();
    let delta = NodeDelta {
        generation: after.generation,
        tasks,
        forget,
        security_groups: part(&before.security_groups, &after.security_groups),
        vpcs: part(&before.vpcs, &after.vpcs),
        host_addresses: part(&before.host_addresses, &after.host_addresses),
        dns: part(&before.dns, &after.dns),
        usage: part(&before.usage, &after.usage),
    };
    let nothing = NodeDelta {
        generation: delta.generation,
        ..NodeDelta::default()
    };
    (delta != nothing).then_some(delta)
}

async fn hear(
    control: &Arc<Control>,
    name: &str,
    receiver: &mut Receiver<FromNode>,
    sender: &Sender<ToNode>,
) -> anyhow::Result<()> {
    loop {
        let batch = receiver.batch().await?;
        if batch.is_empty() {
            return Ok(());
        }
        let mut observations = Vec::new();
        for message in batch {
            match message {
                FromNode::Observed(_) | FromNode::Task(_) => observations.push(message),
                FromNode::Logs(batch) => store_logs(control, *batch, sender).await?,
                FromNode::Usage(report) => insights::store_usage(control, name.to_owned(), *report).await?,
                FromNode::CredentialsWanted {
                    task_arn,
                    execution_role,
                } => {
                    let (control, sender) = (control.clone(), sender.clone());
                    tokio::spawn(async move {
                        let credentials = task_credentials::issue(&control, task_arn, execution_role).await;
                        // A node that is gone asks again when it is back.
                        let _ = sender.send(ToNode::Credentials(credentials));
                    });
                }
                FromNode::ExecOutput { session, stderr, data } => control.execs.output(&session, stderr, data),
                FromNode::ExecExited {
                    session,
                    exit_code,
                    error,
                } => {
                    control.execs.exited(&session, exit_code, error);
                }
                FromNode::Stale { generation_seen } => {
                    tracing::error!(
                        generation_seen,
                        "the node has seen a newer control; this one must not go on"
                    );
                }
                FromNode::Hello(_) => anyhow::bail!("a node greeted twice"),
            }
        }
        if !observations.is_empty() {
            observe(control, name.to_owned(), observations).await?;
        }
    }
}

async fn observe(control: &Control, name: String, observations: Vec<FromNode>) -> anyhow::Result<()> {
    let written = control.engine.write(move |tx| {
        for observation in &observations {
            match observation {
                FromNode::Observed(observed) => honmaru_ecs::observe_node(tx, &name, observed),
                FromNode::Task(task) => honmaru_ecs::observe_task(tx, task),
                _ => {}
            }
        }
        Ok::<_, std::convert::Infallible>(())
    });
    match written.await? {
        Ok(()) => Ok(()),
    }
}

async fn store_logs(control: &Control, batch: LogBatch, sender: &Sender<ToNode>) -> anyhow::Result<()> {
    let sequence = batch.sequence;
    super::container_logs::store(control, batch).await?;
    // A node that is gone sends the batch again; it is stored once.
    let _ = sender.send(ToNode::LogsStored { sequence });
    Ok(())
}
