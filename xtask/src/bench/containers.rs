//! Containers: from the call to the first HTTP answer, and fifty of them running; against docker and podman.

use super::cloud::{Lab, number};
use super::docker::{Docker, Peer};
use super::podman::Podman;
use super::report::Better;
use super::{Bench, median};
use crate::tools;
use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// The image's name at the peers.
pub const IMAGE: &str = "localhost/bench:latest";
/// Its repository here.
const REPOSITORY: &str = "bench/httpd";
/// What the server answers 200 for: a file of the image.
const PATH: &str = "/mark";
const PORT: u16 = 8080;
/// The port of the host that the peers publish.
const PUBLISHED: &str = "127.0.0.1:26101:8080";

/// Starts of each, one after the other; the first round only warms up.
const ROUNDS: usize = 12;
/// Times that many containers are started; the first counts too.
const MANY_ROUNDS: usize = 2;
/// Fifty, as one RunTask takes at most ten. Ref: ECS RunTask, `count`.
const CALLS: &str = "5";
const COUNT: &str = "10";
const CONTAINERS: usize = 50;
/// docker's clients at once: the fastest for both peers on two cores.
const AT_ONCE: usize = 8;
const TIMEOUT: Duration = Duration::from_secs(60);

/// The peers that are installed, and the cloud.
struct Field {
    lab: Lab,
    docker: Option<Docker>,
    podman: Option<Podman>,
}

impl Field {
    fn prepare(bench: &Bench) -> Result<Self> {
        let dir = bench.scratch.path().join("containers");
        let layout = dir.join("layout");
        tools::run(
            Command::new("python3")
                .arg(bench.root.join("tests/clients/image.py"))
                .arg(&layout)
                .stdout(std::process::Stdio::null()),
        )?;
        let archive = dir.join("image.tar");
        let oci = format!("oci:{}:latest", layout.display());
        if !archive.exists() {
            skopeo(&[
                "copy",
                "-q",
                &oci,
                &format!("docker-archive:{}:{IMAGE}", archive.display()),
            ])?;
        }
        let lab = Lab::start(bench)?;
        let token = lab.load(&["repository", REPOSITORY])?;
        let own = format!("localhost:{}/{REPOSITORY}:1", lab.port());
        push(&oci, &own, token["token"].as_str().context("no token")?, &dir)?;
        lab.load(&["prepare", &own, &PORT.to_string()])?;
        let docker = Docker::start(&dir, &archive)?;
        let podman = Podman::start(&dir, &archive)?;
        Ok(Self { lab, docker, podman })
    }

    fn peers(&self) -> Vec<&Peer> {
        self.docker
            .iter()
            .map(Docker::peer)
            .chain(self.podman.iter().map(Podman::peer))
            .collect()
    }
}

pub fn skopeo(arguments: &[&str]) -> Result<()> {
    tools::run(Command::new("skopeo").arg("--insecure-policy").args(arguments))
}

/// A file with a registry's token; without one, of nobody's.
pub fn auth_file(host: &str, token: &str, dir: &Path) -> Result<String> {
    let path = dir.join("auth.json");
    let auths = if token.is_empty() {
        json!({})
    } else {
        json!({host: {"auth": token}})
    };
    std::fs::write(&path, json!({"auths": auths}).to_string())?;
    Ok(path.display().to_string())
}

/// Pushes into a registry, ours with the token that GetAuthorizationToken gave.
pub fn push(from: &str, to: &str, token: &str, dir: &Path) -> Result<()> {
    let authfile = auth_file(to.split('/').next().unwrap_or_default(), token, dir)?;
    skopeo(&[
        "copy",
        "-q",
        "--dest-tls-verify=false",
        "--authfile",
        &authfile,
        from,
        &format!("docker://{to}"),
    ])
}

/// RunTask to the first HTTP answer.
pub fn run_task_to_http(bench: &mut Bench) -> Result<()> {
    const NAME: &str = "run_task_to_http";
    let field = Field::prepare(bench)?;
    let peers = field.peers();
    let mut ours = Vec::new();
    let mut theirs = vec![Vec::new(); peers.len()];
    for round in 0..ROUNDS {
        let answer = field.lab.load(&["task", PATH, &PORT.to_string()])?;
        let ms = number(&answer, "ms")?;
        let mut line = format!(
            "  round {round}: ours {ms:.1} (address known {:.1})",
            number(&answer, "address_ms")?
        );
        let mut all = Vec::new();
        for peer in &peers {
            let ms = within(peer, "http")?;
            line.push_str(&format!(", {} {ms:.1}", peer.name));
            all.push(ms);
        }
        eprintln!("{line} ms");
        if round > 0 {
            ours.push(ms);
            all.into_iter().zip(&mut theirs).for_each(|(ms, peer)| peer.push(ms));
        }
    }
    report(bench, &field, NAME, &ours, &theirs, "ms, median")
}

/// Fifty containers running.
pub fn tasks_running(bench: &mut Bench) -> Result<()> {
    const NAME: &str = "tasks_50_running";
    let field = Field::prepare(bench)?;
    let peers = field.peers();
    let mut ours = Vec::new();
    let mut theirs = vec![Vec::new(); peers.len()];
    for round in 0..MANY_ROUNDS {
        let answer = field.lab.load(&["many", CALLS, COUNT])?;
        let s = number(&answer, "ms")? / 1e3;
        let mut line = format!(
            "  round {round}: ours {s:.2} (stopped in {:.2})",
            number(&answer, "stopped_ms")? / 1e3
        );
        ours.push(s);
        for (peer, all) in peers.iter().zip(&mut theirs) {
            let s = within(peer, "many")? / 1e3;
            line.push_str(&format!(", {} {s:.2}", peer.name));
            all.push(s);
        }
        eprintln!("{line} s");
    }
    // Two rounds have no median: the best of each.
    let best = |values: &[f64]| vec![super::least(values)];
    let theirs: Vec<Vec<f64>> = theirs.iter().map(|values| best(values)).collect();
    report(bench, &field, NAME, &best(&ours), &theirs, "s, best of 2")
}

fn report(
    bench: &mut Bench,
    field: &Field,
    name: &str,
    ours: &[f64],
    theirs: &[Vec<f64>],
    unit: &'static str,
) -> Result<()> {
    let ours = median(ours)?;
    for (peer, values) in field.peers().iter().zip(theirs) {
        bench
            .report
            .add(name, ours, peer.name, median(values)?, unit, Better::Less);
    }
    if field.docker.is_none() {
        bench.report.without_peer(name, ours, "dockerd", unit);
    }
    if field.podman.is_none() {
        bench.report.without_peer(name, ours, "podman", unit);
    }
    Ok(())
}

/// Measures a peer in its network namespace, with this program run again there. Milliseconds.
fn within(peer: &Peer, what: &str) -> Result<f64> {
    let mut command = Command::new("nsenter");
    command
        .args(&peer.namespaces)
        .arg(std::env::current_exe()?)
        .args(["bench", "--inside", what])
        .args(&peer.words);
    for (name, value) in &peer.variables {
        command.env(name, value);
    }
    let output = command.output().context("failed to run nsenter")?;
    ensure!(
        output.status.success(),
        "{}: {}",
        peer.name,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).trim().parse()?)
}

/// The part that runs inside: prints milliseconds.
pub fn inside(arguments: &[&str]) -> Result<()> {
    let [what, words @ ..] = arguments else {
        bail!("what is to be measured?")
    };
    let ms = match *what {
        "http" => one(words)?,
        "many" => many(words)?,
        other => bail!("`{other}` is not measured inside"),
    };
    println!("{ms}");
    Ok(())
}

fn peer_command(words: &[&str], arguments: &[&str]) -> Result<Command> {
    let [program, rest @ ..] = words else {
        bail!("no command")
    };
    let mut command = Command::new(PathBuf::from(program));
    command.args(rest).args(arguments);
    command
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null());
    Ok(command)
}

/// `run -d -p` to the first answer at the published port. Asked only once `run -d` has returned, which is kinder to
/// docker: a client that asks from the start waits a second for its proxy's lost packet.
fn one(words: &[&str]) -> Result<f64> {
    let started = Instant::now();
    let port = PORT.to_string();
    let run = [
        "run",
        "-d",
        "--name",
        "bench-one",
        "-p",
        PUBLISHED,
        IMAGE,
        "/bin/httpd",
        "-f",
        "-p",
        &port,
        "-h",
        "/etc",
    ];
    tools::run(&mut peer_command(words, &run)?)?;
    let answered = loop {
        if get(26_101, PATH).is_ok_and(|ok| ok) {
            break Ok(started.elapsed().as_secs_f64() * 1e3);
        }
        if started.elapsed() > TIMEOUT {
            break Err(anyhow::anyhow!("no answer in time"));
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    remove(words, &["bench-one".to_owned()])?;
    answered
}

fn get(port: u16, path: &str) -> Result<bool> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_millis(20)))?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer)?;
    Ok(answer.ends_with(b" 200"))
}

/// Fifty `run -d` with a bridge network, several at once, until the last has returned.
fn many(words: &[&str]) -> Result<f64> {
    let started = Instant::now();
    let port = PORT.to_string();
    let outcome = std::thread::scope(|scope| -> Result<()> {
        let workers: Vec<_> = (0..AT_ONCE)
            .map(|worker| {
                let port = &port;
                scope.spawn(move || -> Result<()> {
                    for n in (worker..CONTAINERS).step_by(AT_ONCE) {
                        let name = format!("bench-{n}");
                        let run = [
                            "run",
                            "-d",
                            "--name",
                            &name,
                            IMAGE,
                            "/bin/httpd",
                            "-f",
                            "-p",
                            port,
                            "-h",
                            "/etc",
                        ];
                        tools::run(&mut peer_command(words, &run)?)?;
                    }
                    Ok(())
                })
            })
            .collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().map_err(|_| anyhow::anyhow!("a worker panicked"))?)
    });
    let ms = started.elapsed().as_secs_f64() * 1e3;
    let names: Vec<String> = (0..CONTAINERS).map(|n| format!("bench-{n}")).collect();
    remove(words, &names)?;
    outcome.map(|()| ms)
}

/// Removes containers. Killed first: podman would ask them to end, and the server is a process 1 that does not listen.
/// What was not made cannot be removed; that is no failure beside the first.
fn remove(words: &[&str], names: &[String]) -> Result<()> {
    for what in [&["kill"][..], &["rm", "-f"]] {
        let mut command = peer_command(words, what)?;
        command.args(names).stderr(std::process::Stdio::null()).status()?;
    }
    Ok(())
}
