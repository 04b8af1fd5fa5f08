//! A directory for a run, and everything that must be ended and removed with it.

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a process may take to end when it is asked.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// A directory in /tmp that goes with its value.
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes it.
    pub fn new() -> Result<Self> {
        let dir = PathBuf::from(format!("/tmp/honmaru-bench-{}", std::process::id()));
        std::fs::create_dir_all(&dir).with_context(|| format!("failed to make {}", dir.display()))?;
        Ok(Self(dir))
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("failed to remove {}: {error}", self.0.display());
        }
    }
}

/// A process that ends with its value.
pub struct Running(Child);

impl Running {
    /// Starts a command, its output to `<dir>/<name>.log`.
    pub fn start(command: &mut Command, dir: &Path, name: &str) -> Result<Self> {
        let path = dir.join(format!("{name}.log"));
        let log = std::fs::File::create(&path).with_context(|| format!("failed to make {}", path.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn();
        Ok(Self(child.with_context(|| format!("failed to start {name}"))?))
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = Command::new("kill")
            .args(["-TERM", &self.pid().to_string()])
            .stderr(Stdio::null())
            .status();
        let deadline = Instant::now() + STOP_TIMEOUT;
        while !self.has_ended() {
            if Instant::now() > deadline {
                let _ = self.0.kill();
                let _ = self.0.wait();
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A network namespace by name that goes with its value.
pub struct Namespace(String);

impl Namespace {
    /// Makes it, with its loopback interface up.
    pub fn new(name: &str) -> Result<Self> {
        crate::tools::run(Command::new("ip").args(["netns", "add", name]))?;
        let namespace = Self(name.to_owned());
        crate::tools::run(namespace.enter("ip").args(["link", "set", "lo", "up"]))?;
        Ok(namespace)
    }

    /// A command inside. Not `ip netns exec`: that hides the cgroup mounts.
    pub fn enter(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.0)).arg(program);
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "delete", &self.0]).status();
    }
}

/// Waits until something is true.
pub fn wait_until(what: &str, limit: Duration, mut is_true: impl FnMut() -> bool) -> Result<()> {
    let deadline = Instant::now() + limit;
    while !is_true() {
        if Instant::now() > deadline {
            anyhow::bail!("{what}: not within {} s", limit.as_secs());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
