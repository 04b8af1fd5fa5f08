//! Tasks, timed: from the call to the first answer of the container, and to many of them RUNNING.

use crate::client::{Api, EC2, ECR, ECS};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long tasks may take to come or go.
const TIMEOUT: Duration = Duration::from_secs(120);
/// One task is looked at this often.
const LOOK_AT_ONE: Duration = Duration::from_millis(2);
/// Many tasks are looked at this often: an answer about 50 is large.
const LOOK_AT_MANY: Duration = Duration::from_millis(10);

/// What is run.
struct What {
    family: &'static str,
    launch_type: &'static str,
}

const ONE: What = What {
    family: "bench-httpd",
    launch_type: "FARGATE",
};
/// Fifty of Fargate's smallest tasks need 25 GiB, which not every machine has.
const SMALL: What = What {
    family: "bench-small",
    launch_type: "EC2",
};
const GROUP: &str = "bench";

/// Makes a repository; prints the password of `AWS`.
pub async fn repository(api: &Api, name: &str) -> Result<Value> {
    api.json(ECR, "CreateRepository", &json!({"repositoryName": name}))
        .await?;
    let answer = api.json(ECR, "GetAuthorizationToken", &json!({})).await?;
    let token = answer["authorizationData"][0]["authorizationToken"]
        .as_str()
        .context("no token")?;
    Ok(json!({"token": token}))
}

/// A cluster, a security group that lets everybody in, and a task definition.
pub async fn prepare(api: &Api, image: &str, port: u16) -> Result<Value> {
    api.json(ECS, "CreateCluster", &json!({})).await?;
    let vpcs = api.call(EC2, "DescribeVpcs", "").await?;
    let vpc = between(&vpcs, "<vpcId>", "</vpcId>").context("no VPC")?;
    let input = format!("GroupName={GROUP}&GroupDescription=bench&VpcId={vpc}");
    let made = api.call(EC2, "CreateSecurityGroup", &input).await?;
    let group = between(&made, "<groupId>", "</groupId>").context("no group")?;
    let input = format!(
        "GroupId={group}&IpPermissions.1.IpProtocol=tcp&IpPermissions.1.FromPort={port}&IpPermissions.1.ToPort={port}\
         &IpPermissions.1.IpRanges.1.CidrIp=0.0.0.0%2F0"
    );
    api.call(EC2, "AuthorizeSecurityGroupIngress", &input).await?;
    let container = json!({"name": "httpd", "image": image, "essential": true,
        // As process 1 the server does not listen to SIGTERM.
        "stopTimeout": 2,
        "command": ["/bin/httpd", "-f", "-p", port.to_string(), "-h", "/etc"],
        "portMappings": [{"containerPort": port}]});
    let mut definition = json!({"family": ONE.family, "networkMode": "awsvpc", "cpu": "256", "memory": "512",
        "requiresCompatibilities": ["FARGATE"], "containerDefinitions": [container]});
    api.json(ECS, "RegisterTaskDefinition", &definition).await?;
    definition["family"] = json!(SMALL.family);
    definition["requiresCompatibilities"] = json!(["EC2"]);
    definition["memory"] = json!("64");
    definition
        .as_object_mut()
        .and_then(|definition| definition.remove("cpu"));
    api.json(ECS, "RegisterTaskDefinition", &definition).await?;
    Ok(json!({"group": group}))
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.split_once(before)?.1.split_once(after).map(|(found, _)| found)
}

/// What RunTask is given.
async fn run_input(api: &Api, what: &What, count: u32) -> Result<Value> {
    let subnets = api.call(EC2, "DescribeSubnets", "").await?;
    let subnet = between(&subnets, "<subnetId>", "</subnetId>").context("no subnet")?;
    let filter = format!("Filter.1.Name=group-name&Filter.1.Value.1={GROUP}");
    let groups = api.call(EC2, "DescribeSecurityGroups", &filter).await?;
    let group = between(&groups, "<groupId>", "</groupId>").context("run `load prepare` first")?;
    Ok(
        json!({"taskDefinition": what.family, "launchType": what.launch_type, "count": count,
        "networkConfiguration": {"awsvpcConfiguration": {"subnets": [subnet], "securityGroups": [group]}}}),
    )
}

fn arns(answer: &Value) -> Result<Vec<String>> {
    let failures = &answer["failures"];
    ensure!(
        failures.as_array().is_none_or(Vec::is_empty),
        "RunTask failed: {failures}"
    );
    let tasks = answer["tasks"].as_array().context("no tasks")?;
    Ok(tasks
        .iter()
        .filter_map(|task| task["taskArn"].as_str())
        .map(str::to_owned)
        .collect())
}

/// Milliseconds from RunTask to the first 200 for `path`.
pub async fn one(api: &Api, path: &str, port: u16) -> Result<Value> {
    let input = run_input(api, &ONE, 1).await?;
    let started = Instant::now();
    let arns = arns(&api.json(ECS, "RunTask", &input).await?)?;
    let measured = answered(api, &arns, path, port, started).await;
    let called_ms = stop(api, &arns).await;
    let (address_ms, answered_ms) = measured?;
    called_ms?;
    Ok(json!({"ms": answered_ms, "address_ms": address_ms}))
}

async fn answered(api: &Api, arns: &[String], path: &str, port: u16, started: Instant) -> Result<(f64, f64)> {
    let mut connection = api.connect().await?;
    let describe = api.request(ECS, "DescribeTasks", &json!({"tasks": arns}).to_string());
    let address = loop {
        let (_, body) = connection.call(&describe).await?;
        let body: Value = serde_json::from_slice(&body)?;
        let task = &body["tasks"][0];
        ensure!(
            task["lastStatus"] != "STOPPED",
            "the task stopped: {}",
            task["stoppedReason"]
        );
        let details = task["attachments"][0]["details"].as_array().into_iter().flatten();
        let mut address = details.filter(|detail| detail["name"] == "privateIPv4Address");
        if let Some(address) = address.next().and_then(|detail| detail["value"].as_str()) {
            break address.to_owned();
        }
        ensure!(started.elapsed() < TIMEOUT, "no address in time: {task}");
        tokio::time::sleep(LOOK_AT_ONE).await;
    };
    let address_ms = started.elapsed().as_secs_f64() * 1e3;
    while !get(&format!("{address}:{port}"), path).await {
        ensure!(started.elapsed() < TIMEOUT, "no answer from {address}:{port} in time");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok((address_ms, started.elapsed().as_secs_f64() * 1e3))
}

/// Whether a GET is answered with 200. A connection that nobody answers is given up soon: the kernel would repeat its
/// first packet only after a second.
async fn get(address: &str, path: &str) -> bool {
    let asked = async {
        let mut stream = TcpStream::connect(address).await?;
        stream
            .write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes())
            .await?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await?;
        Ok::<_, std::io::Error>(answer.ends_with(b" 200"))
    };
    matches!(
        tokio::time::timeout(Duration::from_millis(20), asked).await,
        Ok(Ok(true))
    )
}

/// Milliseconds from the first of `calls` calls of RunTask until all tasks are RUNNING.
pub async fn many(api: &Api, calls: u32, count: u32) -> Result<Value> {
    let input = run_input(api, &SMALL, count).await?;
    let started = Instant::now();
    let mut all = Vec::new();
    for _ in 0..calls {
        all.extend(arns(&api.json(ECS, "RunTask", &input).await?)?);
    }
    let called_ms = started.elapsed().as_secs_f64() * 1e3;
    let measured = wait_for(api, &all, "RUNNING", started).await;
    let ms = started.elapsed().as_secs_f64() * 1e3;
    let stopping = Instant::now();
    stop(api, &all).await?;
    let stopped_ms = stopping.elapsed().as_secs_f64() * 1e3;
    measured?;
    Ok(json!({"tasks": all.len(), "ms": ms, "called_ms": called_ms, "stopped_ms": stopped_ms}))
}

async fn wait_for(api: &Api, arns: &[String], status: &str, since: Instant) -> Result<()> {
    let mut connection = api.connect().await?;
    loop {
        let mut there = 0;
        // Ref: ECS DescribeTasks: up to 100 tasks in a call.
        for part in arns.chunks(100) {
            let (code, body) = connection
                .call(&api.request(ECS, "DescribeTasks", &json!({"tasks": part}).to_string()))
                .await?;
            ensure!(code == 200, "DescribeTasks: {}", String::from_utf8_lossy(&body));
            let body: Value = serde_json::from_slice(&body)?;
            for task in body["tasks"].as_array().into_iter().flatten() {
                let last = task["lastStatus"].as_str().unwrap_or_default();
                if last == "STOPPED" && status != "STOPPED" {
                    bail!("a task stopped: {}", task["stoppedReason"]);
                }
                there += usize::from(last == status);
            }
        }
        if there == arns.len() {
            return Ok(());
        }
        ensure!(
            since.elapsed() < TIMEOUT,
            "{there} of {} tasks are {status} in time",
            arns.len()
        );
        tokio::time::sleep(LOOK_AT_MANY).await;
    }
}

async fn stop(api: &Api, arns: &[String]) -> Result<()> {
    for arn in arns {
        api.json(ECS, "StopTask", &json!({"task": arn})).await?;
    }
    wait_for(api, arns, "STOPPED", Instant::now()).await
}
