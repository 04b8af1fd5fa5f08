//! Container Insights: performance log events into the log groups of clusters that want them. Which events there are
//! says `honmaru_ecs`; what tasks use, the node measures.
//!
//! Bound: one message of the node and one write for each log stream at every interval, however many tasks there are.

use super::{Control, events::stream_id};
use anyhow::Context;
use honmaru_base::{ApiError, Clock, Time};
use honmaru_contract::node::UsageReport;
use honmaru_ecs::{PerformanceEvent, PerformanceLog};
use honmaru_engine::SystemClock;
use honmaru_logs::StreamRef;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Ref: CloudWatch makes these log groups with a retention of one day; whoever wants another one sets it.
const RETENTION_DAYS: i32 = 1;

/// Writes the events of services and clusters at every interval, for ever.
pub async fn run(control: Arc<Control>) {
    let interval_ms = control.options.insights_interval_ms();
    loop {
        let (at, pause) = next(interval_ms, SystemClock.now());
        tokio::time::sleep(pause).await;
        let Ok(logs) = control
            .engine
            .read(move |state| honmaru_ecs::count_events(state, at))
            .await
        else {
            return;
        };
        store_all(&control, logs).await;
    }
}

/// The next whole interval of the clock, and how long it is until then.
fn next(interval_ms: u64, now: Time) -> (Time, Duration) {
    let past = u64::try_from(now.as_ms()).unwrap_or(0) % interval_ms;
    let left = interval_ms - past;
    let at = now.as_ms().saturating_add(i64::try_from(left).unwrap_or(0));
    (Time::from_ms(at), Duration::from_millis(left))
}

/// Writes the events of a node's report.
pub async fn store_usage(control: &Control, node: String, report: UsageReport) -> anyhow::Result<()> {
    let events = move |state: &honmaru_machine::State| honmaru_ecs::usage_events(state, &node, &report);
    let logs = control.engine.read(events).await?;
    store_all(control, logs).await;
    Ok(())
}

async fn store_all(control: &Control, logs: Vec<PerformanceLog>) {
    for log in logs {
        let group = log.group.clone();
        if let Err(error) = store(control, log).await {
            tracing::warn!(err = %format!("{error:#}"), group, "performance log events are dropped");
        }
    }
}

async fn store(control: &Control, log: PerformanceLog) -> anyhow::Result<()> {
    let mut by_stream: BTreeMap<String, Vec<(i64, String)>> = BTreeMap::new();
    for PerformanceEvent { stream, at, message } in log.events {
        by_stream.entry(stream).or_default().push((at.as_ms(), message));
    }
    let names: Vec<String> = by_stream.keys().cloned().collect();
    let streams = streams(control, &log.scope, &log.group, names).await?;
    let (journal, tails) = (control.journal.clone(), control.tails.clone());
    let now = SystemClock.now().as_ms();
    tokio::task::spawn_blocking(move || {
        for (stream, lines) in streams.iter().zip(by_stream.into_values()) {
            journal.append(&stream_id(stream), &lines, now, None)?;
            tails.offer(stream, &lines, now);
        }
        Ok::<_, honmaru_journal::JournalError>(())
    })
    .await
    .context("the journal's task panicked")?
    .context("failed to store performance log events")
}

/// The streams, in the order of their names; they and the group are made when they are missing.
async fn streams(
    control: &Control,
    scope: &honmaru_base::Scope,
    group: &str,
    names: Vec<String>,
) -> anyhow::Result<Vec<StreamRef>> {
    let (scope, group) = (scope.clone(), group.to_owned());
    let look = (scope.clone(), group.clone(), names.clone());
    // At nearly every interval everything is there, and nothing is written to the log.
    let found = control.engine.read(move |state| {
        let (scope, group, names) = look;
        let streams = names
            .iter()
            .map(|name| honmaru_logs::find_stream(state, &scope, &group, name));
        streams.collect::<Option<Vec<_>>>()
    });
    if let Some(found) = found.await? {
        return Ok(found);
    }
    let made: Result<Vec<StreamRef>, ApiError> = control
        .engine
        .write(move |tx| {
            honmaru_logs::ensure_group_kept_for(tx, &scope, &group, RETENTION_DAYS);
            let streams = names
                .iter()
                .map(|name| honmaru_logs::ensure_stream(tx, &scope, &group, name));
            streams.collect()
        })
        .await?;
    made.map_err(|error| anyhow::anyhow!("{error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_of_whole_intervals() {
        assert_eq!(
            next(60_000, Time::from_ms(119_000)),
            (Time::from_ms(120_000), Duration::from_secs(1))
        );
        assert_eq!(
            next(60_000, Time::from_ms(120_000)),
            (Time::from_ms(180_000), Duration::from_secs(60))
        );
    }
}
