//! Statistics in Docker's form, which AWS passes on, with the rates that AWS adds.
//! Ref: "Task metadata endpoint version 4", ECS developer guide: `/stats`; Docker Engine API, `ContainerStats`.

use crate::clock::now;
use crate::ids::runtime_id;
use crate::shared::{Shared, View};
use crate::usage::{Interface, interfaces, per_second, since_start_ms};
use honmaru_base::Time;
use honmaru_contract::node::NetworkCounters;
use honmaru_runtime::{ContainerPhase, ContainerStats, DeviceIo};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// An earlier reading counts as the one before only when it is so old: rates over less say nothing.
const BEFORE_MS_MIN: i64 = 1_000;
/// What Docker shows as the moment before the first reading.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// What was read of a task at one moment.
#[derive(Debug, Clone)]
struct Reading {
    at: Time,
    /// The machine's CPU time in nanoseconds.
    system_ns: u64,
    containers: BTreeMap<String, ContainerStats>,
    interfaces: BTreeMap<String, Interface>,
}

/// The readings before, by task: what rates are told from.
#[derive(Default)]
pub(crate) struct Statistics(Mutex<BTreeMap<String, Reading>>);

impl Statistics {
    /// Keeps a reading and gives the one before it, if that is old enough.
    fn turn(&self, task_id: &str, reading: &Reading) -> Option<Reading> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = all.get(task_id).cloned();
        let is_old = |before: &Reading| reading.at.as_ms() - before.at.as_ms() >= BEFORE_MS_MIN;
        if before.as_ref().is_none_or(is_old) {
            all.insert(task_id.to_owned(), reading.clone());
        }
        before.filter(is_old)
    }

    /// The task is gone.
    pub fn forget(&self, task_id: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(task_id);
    }
}

/// A container may ask before its shim has noted that it runs: so long, and so often, do we look again.
const NOTED_TIMEOUT: Duration = Duration::from_secs(2);
const NOTED_PAUSE: Duration = Duration::from_millis(20);

/// All running containers of a task: runtime id to statistics. Nothing when the task does not run. `asker` is the
/// container that asks.
pub(super) async fn task(shared: &Shared, view: &View, asker: &str) -> Option<Map<String, Value>> {
    let spec = &view.record.spec;
    let task = shared.runtime.task(&spec.task_id).ok()?;
    let deadline = Instant::now() + NOTED_TIMEOUT;
    let status = loop {
        let status = task.status().await.ok()?;
        let is_noted = status
            .container(asker)
            .is_some_and(|container| !matches!(container.phase, ContainerPhase::Pending));
        if is_noted || Instant::now() >= deadline {
            break status;
        }
        sleep(NOTED_PAUSE).await;
    };
    let running = status.containers.iter().filter_map(|container| match container.phase {
        ContainerPhase::Running { pid, started_at_ms } => Some((pid, Time::from_ms(started_at_ms))),
        ContainerPhase::Pending | ContainerPhase::Stopped { .. } => None,
    });
    let (pid, started_at) = running.min_by_key(|(_, started_at)| *started_at)?;
    let (system_ns, processors) = machine();
    let reading = Reading {
        at: now(),
        system_ns,
        containers: task.stats(&status),
        interfaces: if spec.network.is_some() {
            interfaces(pid)
        } else {
            BTreeMap::new()
        },
    };
    let before = shared.statistics.turn(&spec.task_id, &reading);
    let scene = Scene {
        reading: &reading,
        before: before.as_ref(),
        started_at,
        processors,
        task_memory_bytes: spec.memory_mib.map(|mib| u64::from(mib) << 20),
    };
    let containers = reading.containers.keys();
    Some(
        containers
            .map(|name| {
                let id = runtime_id(&spec.task_id, name);
                (id.clone(), container(name, &id, &scene))
            })
            .collect(),
    )
}

/// What one answer is made from.
struct Scene<'a> {
    reading: &'a Reading,
    before: Option<&'a Reading>,
    /// Since when the first of the containers runs.
    started_at: Time,
    processors: usize,
    /// What limits a container that has no limit of its own.
    task_memory_bytes: Option<u64>,
}

fn container(name: &str, id: &str, scene: &Scene<'_>) -> Value {
    let of = |reading: &Reading| {
        let stats = reading.containers.get(name).cloned().unwrap_or_default();
        let cpu = cpu(&stats, reading.system_ns, scene.processors);
        (stats, cpu)
    };
    let (stats, cpu_stats) = of(scene.reading);
    let before = scene.before;
    // Before the first reading there were zeroes, as Docker has it.
    let precpu_stats = before.map_or_else(|| cpu(&ContainerStats::default(), 0, 0), |before| of(before).1);
    let mut kinds = stats.memory_stat.clone();
    kinds.insert("inactive_file".to_owned(), stats.memory_inactive_file_bytes);
    let mut memory = json!({
        "usage": stats.memory_usage_bytes,
        "max_usage": stats.memory_max_usage_bytes,
        "stats": kinds,
    });
    if let Some(limit) = stats.memory_limit_bytes.or(scene.task_memory_bytes) {
        memory["limit"] = json!(limit);
    }
    let mut document = json!({
        "read": scene.reading.at.rfc3339(),
        "preread": before.map_or_else(|| NEVER.to_owned(), |before| before.at.rfc3339()),
        "name": name,
        "id": id,
        "num_procs": 0,
        "pids_stats": {"current": stats.pids},
        "blkio_stats": blkio(&stats.io),
        "storage_stats": {},
        "cpu_stats": cpu_stats,
        "precpu_stats": precpu_stats,
        "memory_stats": memory,
    });
    if !scene.reading.interfaces.is_empty() {
        let networks = scene.reading.interfaces.iter();
        let networks: Map<String, Value> = networks.map(|(name, found)| (name.clone(), network(found))).collect();
        document["networks"] = Value::Object(networks);
        document["network_rate_stats"] = rates(scene);
    }
    document
}

fn cpu(stats: &ContainerStats, system_ns: u64, processors: usize) -> Value {
    json!({
        "cpu_usage": {
            "total_usage": stats.cpu_usage_ns,
            "usage_in_kernelmode": stats.cpu_system_ns,
            "usage_in_usermode": stats.cpu_user_ns,
        },
        "system_cpu_usage": system_ns,
        "online_cpus": processors,
        "throttling_data": {
            "periods": stats.throttling.periods,
            "throttled_periods": stats.throttling.throttled_periods,
            "throttled_time": stats.throttling.throttled_ns,
        },
    })
}

/// Docker's list has a row for each device and kind. Operations are there where the kernel counts them.
fn blkio(devices: &[DeviceIo]) -> Value {
    let rows = |of: &dyn Fn(&DeviceIo) -> Option<(u64, u64)>| -> Vec<Value> {
        let mut rows = Vec::new();
        for device in devices {
            let Some((read, written)) = of(device) else { continue };
            for (op, value) in [("Read", read), ("Write", written), ("Total", read + written)] {
                rows.push(json!({"major": device.major, "minor": device.minor, "op": op, "value": value}));
            }
        }
        rows
    };
    json!({
        "io_service_bytes_recursive": rows(&|device| Some((device.read_bytes, device.write_bytes))),
        "io_serviced_recursive": rows(&|device| device.operations),
        "io_queue_recursive": [],
        "io_service_time_recursive": [],
        "io_wait_time_recursive": [],
        "io_merged_recursive": [],
        "io_time_recursive": [],
        "sectors_recursive": [],
    })
}

fn network(interface: &Interface) -> Value {
    let mut members = Map::new();
    for (direction, counters) in [("rx", &interface.rx), ("tx", &interface.tx)] {
        let NetworkCounters {
            bytes,
            packets,
            errors,
            dropped,
        } = counters;
        for (name, value) in [
            ("bytes", bytes),
            ("packets", packets),
            ("errors", errors),
            ("dropped", dropped),
        ] {
            members.insert(format!("{direction}_{name}"), json!(value));
        }
    }
    Value::Object(members)
}

/// Bytes each second since the reading before; at the first one, since the task's start.
fn rates(scene: &Scene<'_>) -> Value {
    let sum = |reading: &Reading, of: fn(&Interface) -> u64| reading.interfaces.values().map(of).sum::<u64>();
    let rate = |of: fn(&Interface) -> u64| {
        let after = sum(scene.reading, of);
        match scene.before {
            Some(before) => per_second(sum(before, of), after, since_start_ms(before.at, scene.reading.at)),
            None => per_second(0, after, since_start_ms(scene.started_at, scene.reading.at)),
        }
    };
    json!({
        "rx_bytes_per_sec": rate(|interface| interface.rx.bytes),
        "tx_bytes_per_sec": rate(|interface| interface.tx.bytes),
    })
}

/// The machine's CPU time in nanoseconds, and its processors. Ref: proc_stat(5); a tick is 1/100 s on Linux.
fn machine() -> (u64, usize) {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let first = text.lines().next().unwrap_or_default();
    let ticks: u64 = first
        .split_whitespace()
        .skip(1)
        .take(8)
        .filter_map(|n| n.parse::<u64>().ok())
        .sum();
    (
        ticks.saturating_mul(10_000_000),
        std::thread::available_parallelism().map_or(1, usize::from),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(at_ms: i64, cpu_usage_ns: u64, rx_bytes: u64) -> Reading {
        let stats = ContainerStats {
            cpu_usage_ns,
            memory_usage_bytes: 4_096,
            io: vec![DeviceIo {
                major: 8,
                minor: 1,
                read_bytes: 10,
                write_bytes: 20,
                operations: None,
            }],
            ..ContainerStats::default()
        };
        let rx = NetworkCounters {
            bytes: rx_bytes,
            packets: 3,
            ..NetworkCounters::default()
        };
        let interface = Interface {
            rx,
            ..Interface::default()
        };
        Reading {
            at: Time::from_ms(at_ms),
            system_ns: 7,
            containers: [("web".to_owned(), stats)].into(),
            interfaces: [("eth0".to_owned(), interface)].into(),
        }
    }

    #[test]
    fn a_container_in_dockers_form() {
        let (first, second) = (reading(10_000, 100, 1_000), reading(12_000, 300, 5_000));
        let mut scene = Scene {
            reading: &first,
            before: None,
            started_at: Time::from_ms(9_000),
            processors: 2,
            task_memory_bytes: Some(1 << 20),
        };
        let document = container("web", "id-1", &scene);
        assert_eq!(document["preread"], NEVER);
        assert_eq!(document["precpu_stats"]["cpu_usage"]["total_usage"], 0);
        assert_eq!(document["network_rate_stats"]["rx_bytes_per_sec"], 1_000.0);
        assert_eq!(document["memory_stats"]["limit"], 1 << 20);
        (scene.reading, scene.before) = (&second, Some(&first));
        let document = container("web", "id-1", &scene);
        assert_eq!(document["precpu_stats"]["cpu_usage"]["total_usage"], 100);
        assert_eq!(document["cpu_stats"]["cpu_usage"]["total_usage"], 300);
        assert_eq!(document["cpu_stats"]["online_cpus"], 2);
        assert_eq!(document["networks"]["eth0"]["rx_packets"], 3);
        assert_eq!(document["networks"]["eth0"]["tx_bytes"], 0);
        assert_eq!(document["network_rate_stats"]["rx_bytes_per_sec"], 2_000.0);
        let bytes = &document["blkio_stats"]["io_service_bytes_recursive"];
        assert_eq!(bytes[0], json!({"major": 8, "minor": 1, "op": "Read", "value": 10}));
        assert_eq!(bytes[2]["value"], 30);
        assert_eq!(document["blkio_stats"]["io_serviced_recursive"], json!([]));
    }

    #[test]
    fn the_reading_before_is_at_least_a_second_old() {
        let statistics = Statistics::default();
        let turn = |at_ms| {
            statistics
                .turn("t", &reading(at_ms, 0, 0))
                .map(|before| before.at.as_ms())
        };
        assert_eq!(turn(1_000), None);
        assert_eq!(turn(1_500), None, "too soon");
        assert_eq!(turn(2_100), Some(1_000));
        assert_eq!(turn(3_200), Some(2_100));
        statistics.forget("t");
        assert_eq!(turn(4_300), None);
    }
}
