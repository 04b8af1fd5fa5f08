//! Goal: `kill -9` of control at any point of a push or a collection loses nothing that was acknowledged: after the
//! restart every image is whole, `honmaru registry verify` is clean, and a collection removes every leftover.
//! Method: the real control, killed by itself at named points (`HONMARU_FAULT`) and from outside at moments that a fixed
//! seed draws, while a client pushes and deletes and the operator collects without any grace period.

use anyhow::{Context, Result, bail, ensure};
use honmaru_tests::cloud::{Cloud, bounded, phase, python, root, text, wait_until};
use serde_json::Value;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The user that control runs as.
const CONTROL_UID: u32 = 70_001;
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(90);
/// Images that a client pushes in a round at most.
const IMAGES_MAX: usize = 12;
/// Draws the moments at which control is killed from outside.
const SEED: u64 = 4;

/// The points at which control kills itself, and at which time: during pushes.
const PUSH_POINTS: [&str; 9] = [
    "upload.begun:7",
    "upload.written:12",
    "blob.synced:5",
    "blob.synced:17",
    "blob.renamed:11",
    "push.committed:8",
    "push.linked:9",
    "manifest.stored:4",
    "manifest.recorded:6",
];
/// The same during collections that run beside pushes.
const COLLECT_POINTS: [&str; 3] = ["collect.removed:1", "collect.removed:3", "collect.upload_removed:1"];
/// How often control is killed from outside.
const KILLS: u64 = 6;

/// A control without supervisor, so that every start can have its own environment.
struct Control<'a> {
    cloud: &'a Cloud,
    child: Child,
}

impl<'a> Control<'a> {
    fn start(cloud: &'a Cloud, fault: Option<&str>) -> Result<Self> {
        let log = std::fs::File::options()
            .append(true)
            .create(true)
            .open(cloud.state.join("logs/control.log"))?;
        let mut command = Command::new(installed(cloud)?);
        command
            .args([
                "role",
                "control",
                "--dev",
                "--account",
                "000000000000",
                "--region",
                "us-east-1",
                "--state",
            ])
            .arg(&cloud.state)
            .args(["--listen", &format!("127.0.0.1:{}", cloud.port)])
            .args(["--http", &format!("127.0.0.1:{}", cloud.http_port)])
            .uid(CONTROL_UID)
            .gid(CONTROL_UID)
            .current_dir("/")
            .env_remove("HONMARU_FAULT")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        if let Some(fault) = fault {
            command.env("HONMARU_FAULT", fault);
        }
        let child = command.spawn().context("failed to start control")?;
        let mut control = Self { cloud, child };
        let deadline = Instant::now() + PATIENCE;
        while !matches!(cloud.http(cloud.port, "localhost", "/_honmaru/health"), Ok((200, _))) {
            if let Some(status) = control.child.try_wait()? {
                bail!("control ended: {status}");
            }
            ensure!(Instant::now() < deadline, "control gives no answer");
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(control)
    }

    /// Waits until control has killed itself.
    fn dies(&mut self) -> Result<()> {
        let child = &mut self.child;
        wait_until("control kills itself", PATIENCE, || {
            let status = child.try_wait()?.context("it still runs")?;
            ensure!(status.signal() == Some(9), "control ended otherwise: {status}");
            Ok(())
        })
    }

    fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// `honmaru registry ...`, which must succeed, and its JSON.
    fn registry(&self, arguments: &[&str]) -> Result<Value> {
        let arguments: Vec<&str> = ["registry"]
            .iter()
            .chain(arguments)
            .chain(&["--json"])
            .copied()
            .collect();
        let output = self.cloud.honmaru(&arguments)?;
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        ensure!(
            output.status.success(),
            "`honmaru {}` failed: {out}\n{err}",
            arguments.join(" ")
        );
        serde_json::from_str(&out).with_context(|| format!("no JSON: {out}"))
    }
}

impl Drop for Control<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The copy of the binary that every user may run.
fn installed(cloud: &Cloud) -> Result<PathBuf> {
    let entries = std::fs::read_dir(cloud.state.join("bin"))?
        .flatten()
        .map(|entry| entry.path());
    let is_binary = |path: &PathBuf| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("honmaru-"))
    };
    entries.into_iter().find(is_binary).context("`up` installs the binary")
}

fn client(cloud: &Cloud, arguments: &[&str]) -> Result<Value> {
    let mut command = Command::new(python());
    command
        .arg(root().join("tests/clients/crash.py"))
        .args(arguments)
        .env("HONMARU_PORT", cloud.port.to_string())
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let output = bounded(&mut command, PATIENCE)?;
    let said = text(&output.stderr);
    ensure!(
        output.status.success(),
        "crash.py {} failed: {said}",
        arguments.join(" ")
    );
    Ok(serde_json::from_str(&text(&output.stdout))?)
}

/// Small numbers from a seed; splitmix64.
fn draw(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// One life of control that ends in a kill, with a client that pushes and, if wanted, collections beside it.
fn life(cloud: &Cloud, journal: &str, seed: u64, fault: Option<&str>, kill_after: Option<Duration>) -> Result<()> {
    let collects = kill_after.is_some() || fault.is_some_and(|fault| fault.starts_with("collect"));
    let idle = if fault.is_some_and(|fault| fault.starts_with("collect.upload")) {
        "0"
    } else {
        "1h"
    };
    let mut control = Control::start(cloud, fault)?;
    std::thread::scope(|scope| {
        let (seed, count) = (seed.to_string(), IMAGES_MAX.to_string());
        let pushes = scope.spawn(move || client(cloud, &["push", &seed, &count, journal]));
        let ended = match kill_after {
            Some(after) => {
                let deadline = Instant::now() + after;
                // The delay is what is tested: it decides where in the push the kill falls.
                while Instant::now() < deadline && collects {
                    let _may_be_cut_off = cloud.honmaru(&["registry", "gc", "--grace", "0", "--idle", idle]);
                }
                control.child.kill().map_err(Into::into)
            }
            None => {
                let deadline = Instant::now() + PATIENCE;
                while collects && control.is_alive() && Instant::now() < deadline {
                    let _is_cut_off = cloud.honmaru(&["registry", "gc", "--grace", "0", "--idle", idle]);
                }
                control.dies()
            }
        };
        // With nobody to talk to any more the client ends.
        drop(control);
        let pushed = pushes
            .join()
            .map_err(|_| anyhow::anyhow!("the client's thread panicked"))?;
        ended?;
        pushed.map(drop)
    })
}

/// What must hold after any kill.
fn whole(cloud: &Cloud, journal: &str) -> Result<()> {
    let control = Control::start(cloud, None)?;
    let verified = control.registry(&["verify"]).context("after the restart")?;
    ensure!(verified["summary"]["findings"] == 0, "{verified}");
    control.registry(&["gc", "--grace", "0", "--idle", "0"])?;
    let usage = control.registry(&["usage"])?;
    let total = &usage["total"];
    ensure!(
        total["unneeded_blobs"] == 0 && total["uploads"] == 0,
        "leftovers stay after a collection: {total}"
    );
    let verified = control.registry(&["verify"]).context("after the collection")?;
    let summary = &verified["summary"];
    ensure!(summary["findings"] == 0 && summary["unneeded_blobs"] == 0, "{verified}");
    client(cloud, &["check", journal]).map(drop)
}

#[test]
fn a_kill_at_any_point_of_a_push_or_a_collection_loses_nothing() -> Result<()> {
    let mut cloud = Cloud::start()?;
    let journal = cloud.state.join("acknowledged").display().to_string();
    for name in ["app", "team/other"] {
        cloud.aws(&["ecr", "create-repository", "--repository-name", name])?;
    }
    cloud.stop();
    let mut seed = 0;
    for fault in PUSH_POINTS.into_iter().chain(COLLECT_POINTS) {
        phase(&format!("killed at {fault}"), || {
            seed += 1;
            life(&cloud, &journal, seed, Some(fault), None)?;
            whole(&cloud, &journal)
        })?;
    }
    let mut moments = SEED;
    for kill in 0..KILLS {
        let after = Duration::from_millis(100 + draw(&mut moments) % 1_000);
        phase(&format!("killed after {} ms", after.as_millis()), || {
            life(&cloud, &journal, 100 + kill, None, Some(after))?;
            whole(&cloud, &journal)
        })?;
    }
    let acknowledged = std::fs::read_to_string(&journal)?.matches("\"pushed\"").count();
    println!("     {acknowledged} images were acknowledged");
    ensure!(
        acknowledged > 30,
        "only {acknowledged} images were acknowledged: the kills came too early to show anything"
    );
    phase("destroy leaves the host clean", || cloud.finish())
}
