//! Requests for each CPU second of a proxy: the edge and nginx in front of one backend, in turn.

use super::process::cpu_with_children_s;
use super::scratch::{Running, wait_until};
use super::{Bench, example, median, wrk};
use crate::tools;
use anyhow::Result;
use serde_json::json;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Rounds in which both are measured, one after the other; the order changes from round to round. Many short ones: what
/// else the machine does hits both sides of a ratio alike.
const ROUNDS: usize = 15;
/// Seconds of one measurement.
const SECONDS: &str = "1";
const CONNECTIONS: &str = "64";
/// The proxy that is measured has a processor of its own; the client and the backend share the other one.
const PROXY_CPU: &str = "0";
const OTHER_CPU: &str = "1";
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// One worker each, both with keep-alive on both sides and X-Forwarded-For, no access log.
pub fn run(bench: &mut Bench) -> Result<()> {
    let proxy = example(&bench.root, "honmaru-edge", "proxy")?;
    let Some(nginx) = tools::find("nginx") else {
        bench
            .report
            .without_peer("proxy_per_cpu", f64::NAN, "nginx", "requests/CPU s");
        return Ok(());
    };
    let dir = bench.scratch.path().join("proxy");
    std::fs::create_dir_all(dir.join("www"))?;
    std::fs::write(dir.join("www/1k.txt"), "x".repeat(1_024))?;
    let [backend_port, nginx_port, edge_port] = [free_port()?, free_port()?, free_port()?];
    let _backend = nginx_with(
        pinned(OTHER_CPU, &nginx),
        &dir,
        "backend",
        &backend_config(backend_port, &dir),
    )?;
    let peer = nginx_with(
        pinned(PROXY_CPU, &nginx),
        &dir,
        "nginx",
        &proxy_config(nginx_port, backend_port),
    )?;
    let config = dir.join("edge.json");
    std::fs::write(&config, edge_config(edge_port, backend_port).to_string())?;
    let edge = Running::start(pinned(PROXY_CPU, &proxy).arg(&config), &dir, "edge")?;
    for port in [backend_port, nginx_port, edge_port] {
        wait_until("the proxies answer", START_TIMEOUT, || is_open(port))?;
    }
    for port in [nginx_port, edge_port] {
        requests(port, SECONDS, &dir)?;
    }
    let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let mut measured = [0.0; 2];
        for n in [round % 2, 1 - round % 2] {
            let (port, pid) = if n == 0 {
                (edge_port, edge.pid())
            } else {
                (nginx_port, peer.pid())
            };
            measured[n] = per_cpu_s(port, pid, &dir)?;
        }
        let [a, b] = measured;
        eprintln!(
            "  round {}: edge {a:.0}, nginx {b:.0} requests/CPU s, ratio {:.3}",
            round + 1,
            a / b
        );
        ours.push(a);
        theirs.push(b);
        ratios.push(a / b);
    }
    // Of the rounds' ratios, not of the medians, which may come from different minutes.
    let ratio = median(&ratios)?;
    let (ours, theirs) = (median(&ours)?, median(&theirs)?);
    bench
        .report
        .add_ratio("proxy_per_cpu", ours, "nginx", theirs, "requests/CPU s", ratio);
    Ok(())
}

/// A command on one processor, where there are two.
fn pinned(cpu: &str, program: &Path) -> Command {
    if std::thread::available_parallelism().is_ok_and(|n| n.get() < 2) {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.args(["-c", cpu]).arg(program);
    command
}

fn per_cpu_s(port: u16, pid: u32, dir: &Path) -> Result<f64> {
    let before = cpu_with_children_s(pid)?;
    let answered = requests(port, SECONDS, dir)?;
    Ok(answered / (cpu_with_children_s(pid)? - before))
}

/// Requests answered.
fn requests(port: u16, seconds: &str, dir: &Path) -> Result<f64> {
    let url = format!("http://127.0.0.1:{port}/1k.txt");
    Ok(wrk::run(
        pinned(OTHER_CPU, Path::new("wrk")),
        dir,
        CONNECTIONS,
        seconds,
        &[],
        &url,
    )?
    .requests)
}

fn nginx_with(mut nginx: Command, dir: &Path, name: &str, config: &str) -> Result<Running> {
    let path = dir.join(format!("{name}.conf"));
    let head = format!(
        "daemon off; pid {0}/{name}.pid; error_log {0}/{name}.err; worker_processes 1;\n\
         events {{ worker_connections 4096; }}\nhttp {{ access_log off; client_body_temp_path {0}/{name}-body;\n\
         proxy_temp_path {0}/{name}-proxy; fastcgi_temp_path {0}/{name}-f; uwsgi_temp_path {0}/{name}-u;\n\
         scgi_temp_path {0}/{name}-s; keepalive_requests 100000000;\n",
        dir.display()
    );
    std::fs::write(&path, format!("{head}{config}\n}}\n"))?;
    Running::start(nginx.arg("-c").arg(&path), dir, name)
}

fn backend_config(port: u16, dir: &Path) -> String {
    format!(
        "open_file_cache max=100; sendfile off; tcp_nodelay on;\n\
         server {{ listen 127.0.0.1:{port} backlog=4096; root {}; }}",
        dir.join("www").display()
    )
}

fn proxy_config(port: u16, backend: u16) -> String {
    format!(
        "upstream b {{ server 127.0.0.1:{backend}; keepalive 256; keepalive_requests 100000000; }}\n\
         server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ proxy_pass http://b; proxy_http_version 1.1;\n\
         proxy_set_header Connection \"\"; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n\
         proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Port $server_port; }} }}"
    )
}

/// One load balancer with one listener and one target, as `control` would send it.
fn edge_config(port: u16, backend: u16) -> serde_json::Value {
    json!({
        "generation": 1,
        "load_balancers": {"lb": {
            "name": "web", "dns_name": "web.elb.localhost", "addresses": ["127.0.0.1"], "attributes": {},
            "listeners": [{"arn": "l", "protocol": "HTTP", "port": port, "certificates": [], "rules": [{
                "arn": "r", "conditions": [],
                "actions": [{"forward": {"groups": [["tg", 1]], "stickiness_s": null}}],
            }]}],
            "web_acl": null,
        }},
        "target_groups": {"tg": {
            "name": "tg", "protocol": "HTTP", "protocol_version": "HTTP1", "attributes": {},
            "health_check": {"enabled": true, "protocol": "HTTP", "port": null, "path": "/1k.txt", "interval_s": 30,
                "timeout_s": 5, "healthy_threshold": 5, "unhealthy_threshold": 2, "matcher": "200"},
            "targets": [{"address": "127.0.0.1", "port": backend, "draining_since": null}],
        }},
        "web_acls": {},
        "host_names": {},
    })
}

fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn is_open(port: u16) -> bool {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok()
}
