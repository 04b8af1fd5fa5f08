//! As many calls as are answered in a time, by callers that each wait for their answer.

use crate::client::{Api, ECS, LOGS};
use anyhow::{Result, bail, ensure};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What is sent: the same bytes again (signatures are valid for five minutes), or a new request each time.
enum What {
    Replayed(Vec<u8>),
    NewLogGroup,
}

/// Runs `callers` callers for `seconds` and counts the answers with status 200.
pub async fn run(api: Api, operation: &str, callers: usize, seconds: f64) -> Result<Value> {
    api.json(ECS, "CreateCluster", &json!({})).await?;
    let what = Arc::new(match operation {
        "list-tasks" => What::Replayed(api.request(ECS, "ListTasks", r#"{"cluster":"default"}"#)),
        "register-task-definition" => {
            What::Replayed(api.request(ECS, "RegisterTaskDefinition", &definition().to_string()))
        }
        "create-log-group" => What::NewLogGroup,
        other => bail!("there is no load `{other}`"),
    });
    let numbers = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let until = started + Duration::from_secs_f64(seconds);
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..callers {
        running.spawn(caller(api.clone(), what.clone(), numbers.clone(), until));
    }
    let mut latencies_us = Vec::new();
    while let Some(ended) = running.join_next().await {
        latencies_us.extend(ended??);
    }
    let seconds = started.elapsed().as_secs_f64();
    latencies_us.sort_unstable();
    let at = |part: f64| {
        latencies_us
            .get((latencies_us.len() as f64 * part) as usize)
            .copied()
            .unwrap_or(0)
    };
    Ok(json!({"calls": latencies_us.len(), "seconds": seconds, "p50_us": at(0.5), "p99_us": at(0.99)}))
}

async fn caller(api: Api, what: Arc<What>, numbers: Arc<AtomicU64>, until: Instant) -> Result<Vec<u32>> {
    let mut connection = api.connect().await?;
    let mut latencies_us = Vec::new();
    while Instant::now() < until {
        let made;
        let request = match what.as_ref() {
            What::Replayed(bytes) => bytes,
            What::NewLogGroup => {
                let number = numbers.fetch_add(1, Ordering::Relaxed);
                let name = format!("/bench/{}/{number}", std::process::id());
                made = api.request(LOGS, "CreateLogGroup", &json!({"logGroupName": name}).to_string());
                &made
            }
        };
        let sent = Instant::now();
        let (status, body) = connection.call(request).await?;
        ensure!(status == 200, "status {status}: {}", String::from_utf8_lossy(&body));
        latencies_us.push(u32::try_from(sent.elapsed().as_micros()).unwrap_or(u32::MAX));
    }
    Ok(latencies_us)
}

/// A task definition of 1.6 KB.
fn definition() -> Value {
    let container = |name: &str, port: u16| {
        json!({"name": name, "image": "localhost:4566/shop/web:1", "cpu": 128, "memory": 256, "essential": true,
            "portMappings": [{"containerPort": port, "protocol": "tcp"}],
            "environment": [{"name": "LOG_LEVEL", "value": "info"}, {"name": "DATABASE_HOST", "value": "db.shop.internal"},
                {"name": "FEATURES", "value": "cart,search,recommendations"}],
            "healthCheck": {"command": ["CMD-SHELL", "wget -q -O- http://localhost/health || exit 1"], "interval": 10},
            "ulimits": [{"name": "nofile", "softLimit": 4096, "hardLimit": 8192}],
            "dockerLabels": {"team": "shop", "cost-center": "1234"}})
    };
    json!({"family": "bench-rate", "networkMode": "awsvpc", "cpu": "512", "memory": "1024",
        "requiresCompatibilities": ["FARGATE"],
        "containerDefinitions": [container("web", 8080), container("cache", 6379), container("metrics", 9100)],
        "tags": [{"key": "team", "value": "shop"}, {"key": "stage", "value": "production"}]})
}
