//! Statistics in Docker's form, which AWS passes on.

use crate::clock::now;
use crate::ids::runtime_id;
use crate::shared::Shared;
use honmaru_runtime::ContainerStats;
use serde_json::{Map, Value, json};

/// All running containers of a task: runtime id to statistics. Nothing when the task does not run.
pub(super) async fn task(shared: &Shared, task_id: &str) -> Option<Map<String, Value>> {
    let task = shared.runtime.task(task_id).ok()?;
    let status = task.status().await.ok()?;
    let (system_ns, processors) = machine();
    let found = task.stats(&status);
    Some(
        found
            .iter()
            .map(|(name, stats)| {
                let id = runtime_id(task_id, name);
                (id.clone(), container(name, &id, stats, system_ns, processors))
            })
            .collect(),
    )
}

fn container(name: &str, id: &str, stats: &ContainerStats, system_ns: u64, processors: usize) -> Value {
    let mut memory = json!({
        "usage": stats.memory_usage_bytes,
        "max_usage": stats.memory_max_usage_bytes,
        "stats": {"inactive_file": stats.memory_inactive_file_bytes},
    });
    if let (Some(limit), Value::Object(memory)) = (stats.memory_limit_bytes, &mut memory) {
        memory.insert("limit".to_owned(), json!(limit));
    }
    json!({
        "read": now().rfc3339(),
        "name": name,
        "id": id,
        "num_procs": 0,
        "pids_stats": {"current": stats.pids},
        "cpu_stats": {
            "cpu_usage": {"total_usage": stats.cpu_usage_ns},
            "system_cpu_usage": system_ns,
            "online_cpus": processors,
        },
        "memory_stats": memory,
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
