//! A cloud of the demo's own: `honmaru up` as a child, and the commands against it.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How long `honmaru up` may take.
const UP_TIMEOUT: Duration = Duration::from_secs(30);

/// A running cloud.
pub struct Cloud {
    pub state: PathBuf,
    pub listen_port: u16,
    pub http_port: u16,
    /// Where the shared entry speaks TLS; nothing: at the usual address, if that is free.
    https_port: Option<u16>,
    binary: PathBuf,
    python: Option<PathBuf>,
    up: Mutex<Option<Child>>,
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

impl Cloud {
    /// A cloud in a temporary directory on free ports.
    pub fn temporary(binary: &Path, python: &Path) -> Result<Self> {
        let state = PathBuf::from(format!("/tmp/honmaru-demo-{}", std::process::id()));
        let mut cloud = Self::start(binary, state, [free_port()?, free_port()?], Some(free_port()?))?;
        cloud.python = Some(python.to_owned());
        Ok(cloud)
    }

    /// A cloud on the usual ports, for people.
    pub fn to_look_at(binary: &Path) -> Result<Self> {
        Self::start(binary, PathBuf::from("/var/lib/honmaru-demo"), [4566, 8080], None)
    }

    fn start(
        binary: &Path,
        state: PathBuf,
        [listen_port, http_port]: [u16; 2],
        https_port: Option<u16>,
    ) -> Result<Self> {
        let cloud = Self {
            state,
            listen_port,
            http_port,
            https_port,
            binary: binary.to_owned(),
            python: None,
            up: Mutex::new(None),
        };
        cloud.up()?;
        Ok(cloud)
    }

    /// Starts `honmaru up` and waits for its first answer.
    pub fn up(&self) -> Result<()> {
        let mut child = Command::new(&self.binary)
            .args(["up", "--state"])
            .arg(&self.state)
            .args(["--listen", &format!("127.0.0.1:{}", self.listen_port)])
            .args(["--http", &format!("127.0.0.1:{}", self.http_port)])
            .args(
                self.https_port
                    .into_iter()
                    .flat_map(|port| ["--https".to_owned(), format!("127.0.0.1:{port}")]),
            )
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("failed to start `honmaru up`")?;
        let deadline = Instant::now() + UP_TIMEOUT;
        while self.get("/_honmaru/health").is_err() {
            if let Some(status) = child.try_wait()? {
                bail!("`honmaru up` ended: {status}");
            }
            if Instant::now() > deadline {
                let _ = child.kill();
                bail!("`honmaru up` did not answer within {} s", UP_TIMEOUT.as_secs());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        *self.up.lock().expect("no holder panics") = Some(child);
        Ok(())
    }

    fn get(&self, path: &str) -> Result<()> {
        let url = format!("http://127.0.0.1:{}{path}", self.listen_port);
        let status = Command::new("curl")
            .args(["-sf", "-o", "/dev/null", "--max-time", "2", &url])
            .status()?;
        if status.success() { Ok(()) } else { bail!("no answer") }
    }

    /// The process of `honmaru up`.
    pub fn up_pid(&self) -> Option<u32> {
        self.up.lock().expect("no holder panics").as_ref().map(Child::id)
    }

    /// Takes over the child that was killed, so that it leaves no zombie.
    pub fn reap_up(&self) {
        if let Some(mut child) = self.up.lock().expect("no holder panics").take() {
            let _ = child.wait();
        }
    }

    /// The process id of a role, from its lock.
    pub fn role_pid(&self, role: &str) -> Result<i32> {
        let text = std::fs::read_to_string(self.state.join(format!("lock/{role}.lock")))?;
        let holder: Value = serde_json::from_str(&text).with_context(|| format!("role {role} has not started"))?;
        holder["pid"]
            .as_i64()
            .and_then(|pid| i32::try_from(pid).ok())
            .context("the lock names no process")
    }

    /// Runs a command of ours, its output shown.
    pub fn honmaru(&self, arguments: &[&str]) -> Result<()> {
        let status = self
            .honmaru_command(arguments)
            .status()
            .context("failed to run honmaru")?;
        if !status.success() {
            bail!("`honmaru {}` failed: {status}", arguments.join(" "));
        }
        Ok(())
    }

    /// Runs a command of ours and returns its standard output.
    pub fn honmaru_output(&self, arguments: &[&str]) -> Result<String> {
        output(&mut self.honmaru_command(arguments))
    }

    fn honmaru_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .args(arguments)
            .env("HONMARU_STATE", &self.state)
            .stdin(Stdio::null());
        for name in [
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "AWS_ENDPOINT_URL",
        ] {
            command.env_remove(name);
        }
        command
    }

    /// Runs the real aws CLI against the cloud and returns its JSON.
    pub fn aws(&self, arguments: &[&str]) -> Result<Value> {
        let text = std::fs::read_to_string(self.state.join("control/credentials.json"))?;
        let keys: Value = serde_json::from_str(&text)?;
        let key = |name: &str| keys[name].as_str().unwrap_or_default().to_owned();
        let aws = self
            .python
            .as_ref()
            .and_then(|python| python.parent())
            .map(|bin| bin.join("aws"));
        let mut command = Command::new(aws.unwrap_or_else(|| PathBuf::from("aws")));
        command
            .args(arguments)
            .args(["--output", "json", "--no-cli-pager"].iter().take(2))
            .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", self.listen_port))
            .env("AWS_ACCESS_KEY_ID", key("access_key_id"))
            .env("AWS_SECRET_ACCESS_KEY", key("secret_access_key"))
            .env("AWS_DEFAULT_REGION", key("region"))
            .env_remove("AWS_SESSION_TOKEN");
        let text = output(&mut command)?;
        if text.trim().is_empty() {
            Ok(Value::Null)
        } else {
            Ok(serde_json::from_str(&text)?)
        }
    }

    /// Waits until Ctrl-C ends `honmaru up`, which is in this terminal's group too.
    pub fn wait_for_interrupt(&self) -> Result<()> {
        // This process must outlive the interrupt to clean up: the default action is replaced by waiting.
        let child = self.up.lock().expect("no holder panics").take();
        if let Some(mut child) = child {
            crate::demo::host::ignore_interrupt();
            child.wait()?;
        }
        Ok(())
    }

    /// Removes the cloud with `honmaru destroy`.
    pub fn destroy(&self) -> Result<()> {
        if let Some(pid) = self.up_pid() {
            crate::demo::host::signal(i32::try_from(pid)?, "TERM")?;
            self.reap_up();
        }
        let status = Command::new(&self.binary)
            .args(["destroy", "--yes", "--state"])
            .arg(&self.state)
            .stdout(Stdio::null())
            .status()
            .context("failed to run `honmaru destroy`")?;
        if !status.success() {
            bail!("`honmaru destroy` failed: {status}");
        }
        Ok(())
    }
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("failed to run {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
