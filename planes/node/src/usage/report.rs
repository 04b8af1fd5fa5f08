//! Reports to control: what the tasks of some clusters use, once an interval.

use super::{Interface, interfaces, per_second, since_start_ms};
use crate::clock::now;
use crate::shared::{Running, Shared};
use honmaru_base::Time;
use honmaru_contract::node::{ContainerUsage, FromNode, NetworkUsage, TaskUsage, UsageReport, UsageWanted};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

/// The interval where none is said.
const INTERVAL_MS_DEFAULT: u64 = 60_000;
/// The shortest interval.
const INTERVAL_MS_MIN: u64 = 100;

/// Counters of a task at the report before.
#[derive(Debug, Clone)]
struct Sample {
    at: Time,
    /// CPU time by container, in nanoseconds.
    cpu_ns: BTreeMap<String, u64>,
    interface: Interface,
}

type Samples = BTreeMap<String, Sample>;

/// Reports until the agent ends. Without clusters it sleeps.
pub(crate) async fn report(shared: Arc<Shared>, mut wanted: watch::Receiver<UsageWanted>) {
    let mut before = Samples::new();
    loop {
        let present = wanted.borrow_and_update().clone();
        if present.clusters.is_empty() {
            before.clear();
            if wanted.changed().await.is_err() {
                return;
            }
            continue;
        }
        let interval_ms = match present.interval_ms {
            0 => INTERVAL_MS_DEFAULT,
            some => some.max(INTERVAL_MS_MIN),
        };
        tokio::select! {
            () = sleep(until_next(interval_ms, now())) => {}
            changed = wanted.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
        }
        // Without control nobody stores a report; the next one says what was used meanwhile, on average.
        let Some(link) = shared.link() else { continue };
        let (tasks, of) = (shared.running(&present.clusters), Arc::clone(&shared));
        let at = floor(now(), interval_ms);
        let measured = spawn_blocking(move || {
            let report = measure(&of, at, &tasks, &mut before);
            (report, before)
        });
        // Only a panic of ours loses the samples; the next report then begins at the tasks' starts.
        let (report, samples) = measured
            .await
            .unwrap_or_else(|_| (UsageReport { at, tasks: Vec::new() }, Samples::new()));
        before = samples;
        // A connection that is gone: the next one brings the next report.
        let _ = link.bulk.send(FromNode::Usage(Box::new(report))).await;
    }
}

/// Until the next whole interval: minutes are those of the clock, as AWS's are.
fn until_next(interval_ms: u64, now: Time) -> Duration {
    let past = u64::try_from(now.as_ms()).unwrap_or(0) % interval_ms;
    Duration::from_millis(interval_ms - past)
}

fn floor(at: Time, interval_ms: u64) -> Time {
    let interval = i64::try_from(interval_ms).unwrap_or(i64::MAX);
    Time::from_ms(at.as_ms() - at.as_ms().rem_euclid(interval))
}

/// Reads everybody's counters. Afterwards `before` has those of these tasks and of no others.
fn measure(shared: &Shared, at: Time, tasks: &[Running], before: &mut Samples) -> UsageReport {
    let mut samples = Samples::new();
    let mut found = Vec::new();
    for running in tasks {
        // A task that has just been removed has no counters.
        let Ok(task) = shared.runtime.task(&running.task_id) else {
            continue;
        };
        let (read_at, last) = (now(), before.get(&running.task_id));
        let mut cpu_ns = BTreeMap::new();
        let mut containers = Vec::new();
        for (name, _, started_at) in &running.containers {
            let Some(stats) = task.container_stats(name) else {
                continue;
            };
            let (from, elapsed_ms) = match last.and_then(|last| Some((last.at, *last.cpu_ns.get(name)?))) {
                Some((at, from)) => (from, since_start_ms(at, read_at)),
                None => (0, since_start_ms(*started_at, read_at)),
            };
            cpu_ns.insert(name.clone(), stats.cpu_usage_ns);
            containers.push(ContainerUsage {
                name: name.clone(),
                // Nanoseconds each second, of 1,024 units for a whole processor.
                cpu_units: per_second(from, stats.cpu_usage_ns, elapsed_ms) * 1_024.0 / 1e9,
                memory_bytes: stats
                    .memory_usage_bytes
                    .saturating_sub(stats.memory_inactive_file_bytes),
                storage_read_bytes: stats.io.iter().map(|device| device.read_bytes).sum(),
                storage_write_bytes: stats.io.iter().map(|device| device.write_bytes).sum(),
            });
        }
        let first = running.containers.iter().min_by_key(|(_, _, started_at)| *started_at);
        let interface = first
            .filter(|_| running.has_network)
            .and_then(|(_, pid, _)| interfaces(*pid).into_values().next());
        let network = interface.zip(first).map(|(interface, (_, _, started_at))| {
            let (from, elapsed_ms) = match last {
                Some(last) => (last.interface, since_start_ms(last.at, read_at)),
                None => (Interface::default(), since_start_ms(*started_at, read_at)),
            };
            NetworkUsage {
                rx: interface.rx,
                tx: interface.tx,
                rx_bytes_per_s: per_second(from.rx.bytes, interface.rx.bytes, elapsed_ms),
                tx_bytes_per_s: per_second(from.tx.bytes, interface.tx.bytes, elapsed_ms),
            }
        });
        samples.insert(
            running.task_id.clone(),
            Sample {
                at: read_at,
                cpu_ns,
                interface: interface.unwrap_or_default(),
            },
        );
        found.push(TaskUsage {
            task_id: running.task_id.clone(),
            containers,
            network,
        });
    }
    *before = samples;
    UsageReport { at, tasks: found }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_come_at_whole_intervals() {
        assert_eq!(until_next(60_000, Time::from_ms(119_000)), Duration::from_secs(1));
        assert_eq!(until_next(60_000, Time::from_ms(120_000)), Duration::from_secs(60));
        assert_eq!(floor(Time::from_ms(120_017), 60_000), Time::from_ms(120_000));
    }
}
