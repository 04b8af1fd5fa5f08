//! A cloud for one end-to-end test: `honmaru up` with a state directory and ports of its own, real clients against it,
//! and `honmaru destroy` at the end, with a look at what is left on the host.
//!
//! Nothing of it survives the value: dropping it, after a failure too, removes the cloud. `HONMARU_E2E_KEEP=1` leaves
//! the cloud of a failed test running, to look at.

use crate::host::Traces;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long `honmaru up` may take until the endpoint answers.
const UP_TIMEOUT: Duration = Duration::from_secs(90);
/// How long one run of a client may take.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(150);
/// How long `honmaru destroy` may take.
const DESTROY_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a process may take to end once it was asked to.
const END_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a test with a cloud may take: less than `.config/nextest.toml` allows, so that the test cleans up itself.
const TEST_TIMEOUT: Duration = Duration::from_secs(460);
/// Lines of each role's log that a failed test shows.
const LOG_LINES_SHOWN: usize = 30;
/// Pause between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(20);

/// Clouds started by this process: makes their directories differ.
static STARTED: AtomicU32 = AtomicU32::new(0);

/// The process of the running `honmaru up`; 0 when there is none.
static UP: AtomicU32 = AtomicU32::new(0);

/// A running cloud.
pub struct Cloud {
    /// Its state directory.
    pub state: PathBuf,
    /// The port of the AWS endpoint and the registry.
    pub port: u16,
    /// The port of the load balancers' shared entry.
    pub http_port: u16,
    /// The port of the shared entry with TLS.
    pub https_port: u16,
    binary: PathBuf,
    options: Vec<String>,
    up: Option<Child>,
    before: Traces,
    is_finished: bool,
    /// Ends the watchdog when it is dropped.
    _over: Option<mpsc::Sender<()>>,
}

/// The repository's root.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// The binary under test: `HONMARU_BINARY`, else that of a debug build.
fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("HONMARU_BINARY").map(PathBuf::from) {
        ensure!(path.is_file(), "HONMARU_BINARY={} does not exist", path.display());
        return Ok(path);
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let path = target.join("debug/honmaru");
    ensure!(path.is_file(), "run cargo xtask test");
    Ok(path)
}

/// The Python that has boto3: `HONMARU_PYTHON`, else the first on the PATH.
pub fn python() -> PathBuf {
    std::env::var_os("HONMARU_PYTHON").map_or_else(|| PathBuf::from("python3"), PathBuf::from)
}

/// The aws CLI beside that Python, else the first on the PATH.
fn aws() -> PathBuf {
    let beside = python().with_file_name("aws");
    if beside.is_absolute() && beside.is_file() {
        beside
    } else {
        PathBuf::from("aws")
    }
}

/// A port that nobody listens on. None that the kernel gives to whoever asks for any: those go to others while the cloud
/// starts, and while a role of it is away.
fn free_port() -> Result<u16> {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    let own = 12_000 + u16::try_from(std::process::id() % 1_000)? * 20;
    for _ in 0..200 {
        let port = own + TAKEN.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port is free from {own} on")
}

impl Cloud {
    /// Starts a cloud and waits until it answers.
    pub fn start() -> Result<Self> {
        Self::start_with(&[])
    }

    /// Starts a cloud with further options of `honmaru up`.
    pub fn start_with(options: &[&str]) -> Result<Self> {
        let binary = binary()?;
        sweep(&binary)?;
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let state = PathBuf::from(format!("/tmp/honmaru-e2e-{}-{number}", std::process::id()));
        let mut cloud = Self {
            port: free_port()?,
            http_port: free_port()?,
            https_port: free_port()?,
            binary,
            options: options.iter().map(|option| (*option).to_owned()).collect(),
            up: None,
            before: Traces::look(&state)?,
            state,
            is_finished: false,
            _over: None,
        };
        cloud._over = Some(watch(cloud.binary.clone(), cloud.state.clone()));
        cloud.up()?;
        Ok(cloud)
    }

    /// Starts `honmaru up` and waits for the first answer.
    pub fn up(&mut self) -> Result<()> {
        let child = Command::new(&self.binary)
            .args(["up", "--state"])
            .arg(&self.state)
            .args(["--listen", &format!("127.0.0.1:{}", self.port)])
            .args(["--http", &format!("127.0.0.1:{}", self.http_port)])
            .args(["--https", &format!("127.0.0.1:{}", self.https_port)])
            .args(&self.options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("failed to start {} up", self.binary.display()))?;
        UP.store(child.id(), Ordering::Relaxed);
        self.up = Some(child);
        let deadline = Instant::now() + UP_TIMEOUT;
        loop {
            if let Ok((200, _)) = self.http(self.port, "localhost", "/_honmaru/health") {
                return Ok(());
            }
            if let Some(status) = self.up.as_mut().map(Child::try_wait).transpose()?.flatten() {
                bail!("`honmaru up` ended: {status}");
            }
            ensure!(
                Instant::now() < deadline,
                "`honmaru up` gave no answer in {} s",
                UP_TIMEOUT.as_secs()
            );
            std::thread::sleep(PAUSE);
        }
    }

    /// The binary under test.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// The endpoint's URL.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Status and body of a GET to a port of this machine.
    pub fn http(&self, port: u16, host: &str, path: &str) -> std::io::Result<(u16, String)> {
        crate::load::request(port, host, path)
    }

    /// The administrator's keys, the region and the endpoint, as the environment that AWS's clients read.
    pub fn environment(&self) -> Result<Vec<(&'static str, String)>> {
        let path = self.state.join("control/credentials.json");
        let text = std::fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
        let keys: Value = serde_json::from_str(&text)?;
        let key = |name: &str| -> Result<String> {
            let value = keys[name].as_str();
            Ok(value
                .with_context(|| format!("credentials.json has no {name}"))?
                .to_owned())
        };
        Ok(vec![
            ("AWS_ENDPOINT_URL", self.endpoint()),
            ("AWS_ACCESS_KEY_ID", key("access_key_id")?),
            ("AWS_SECRET_ACCESS_KEY", key("secret_access_key")?),
            ("AWS_DEFAULT_REGION", key("region")?),
            ("AWS_REGION", key("region")?),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            // No configuration of the person who runs the tests takes part.
            ("AWS_CONFIG_FILE", "/dev/null".to_owned()),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null".to_owned()),
            ("HONMARU_STATE", self.state.display().to_string()),
            ("HONMARU_PORT", self.port.to_string()),
            ("HONMARU_HTTP_PORT", self.http_port.to_string()),
        ])
    }

    /// A command with the cloud's environment, its output caught.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Result<Command> {
        let mut command = Command::new(program);
        for name in ["AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_SECURITY_TOKEN"] {
            command.env_remove(name);
        }
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .envs(self.environment()?)
            .env("PATH", format!("{path}:/usr/sbin:/sbin"))
            .stdin(Stdio::null());
        Ok(command)
    }

    /// Runs the real aws CLI and returns its JSON.
    pub fn aws(&self, arguments: &[&str]) -> Result<Value> {
        let output = self.aws_output(arguments)?;
        ensure!(
            output.status.success(),
            "`aws {}` failed: {}",
            arguments.join(" "),
            text(&output.stderr)
        );
        let answer = text(&output.stdout);
        if answer.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&answer).with_context(|| format!("`aws {}` printed no JSON", arguments.join(" ")))
    }

    /// Runs the real aws CLI and returns what became of it.
    pub fn aws_output(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = self.command(aws())?;
        command.args(arguments).args(["--output", "json"]);
        bounded(&mut command, CLIENT_TIMEOUT)
    }

    /// Runs a script of `tests/clients` and returns the JSON of its last line, if it printed any. The script asserts;
    /// its words are the error's.
    pub fn python(&self, script: &str, arguments: &[&str]) -> Result<Value> {
        let mut command = self.command(python())?;
        command
            .arg(root().join("tests/clients").join(script))
            .args(arguments)
            .env("PYTHONDONTWRITEBYTECODE", "1");
        let output = bounded(&mut command, CLIENT_TIMEOUT)?;
        let printed = text(&output.stdout);
        ensure!(
            output.status.success(),
            "{script} {} failed:\n{printed}\n{}",
            arguments.join(" "),
            text(&output.stderr)
        );
        let last = printed.lines().last().unwrap_or_default();
        Ok(serde_json::from_str(last).unwrap_or(Value::Null))
    }

    /// Runs a command of ours against this cloud and returns what became of it.
    pub fn honmaru(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = self.command(&self.binary)?;
        // The CLI finds endpoint and keys by the state directory.
        for name in ["AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
            command.env_remove(name);
        }
        command.args(arguments);
        bounded(&mut command, CLIENT_TIMEOUT)
    }

    /// The process of a role.
    pub fn role_pid(&self, role: &str) -> Result<i32> {
        let path = self.state.join(format!("lock/{role}.lock"));
        let text = std::fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
        let holder: Value = serde_json::from_str(&text).with_context(|| format!("{role} has not started"))?;
        let pid = holder["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
        pid.context("the lock names no process")
    }

    /// Kills a role with SIGKILL and returns the process that was killed.
    pub fn kill(&self, role: &str) -> Result<i32> {
        let pid = self.role_pid(role)?;
        signal(pid, "KILL")?;
        Ok(pid)
    }

    /// Waits until another process than `before` runs a role and the endpoint answers.
    pub fn wait_for_restart(&self, role: &str, before: i32) -> Result<()> {
        wait_until(&format!("{role} is started again"), UP_TIMEOUT, || {
            let pid = self.role_pid(role)?;
            ensure!(
                pid != before && Path::new(&format!("/proc/{pid}")).exists(),
                "the lock still names {before}"
            );
            let health = self.http(self.port, "localhost", "/_honmaru/health")?;
            ensure!(health.0 == 200, "the endpoint answers {}", health.0);
            Ok(())
        })
    }

    /// Kills `honmaru up` and starts it anew from another build of the same program, which then replaces every role.
    pub fn upgrade(&mut self) -> Result<()> {
        self.kill("up")?;
        if let Some(mut up) = self.up.take() {
            up.wait()?;
        }
        let other = self.state.join("upgraded");
        std::fs::copy(&self.binary, &other)?;
        std::fs::OpenOptions::new()
            .append(true)
            .open(&other)?
            .write_all(b"another")?;
        self.binary = other;
        self.up()
    }

    /// A reboot, simulated: everything of the cloud is killed and what a reboot clears is cleared; then `up`.
    pub fn reboot(&mut self) -> Result<()> {
        if let Some(mut up) = self.up.take() {
            up.kill()?;
            up.wait()?;
        }
        for pid in crate::host::processes_of(&self.state)? {
            // It may be gone already: a container dies with its shim.
            let _ = signal(pid, "KILL");
        }
        wait_until("every process is gone", END_TIMEOUT, || {
            let left = crate::host::processes_of(&self.state)?;
            ensure!(left.is_empty(), "{left:?} still run");
            Ok(())
        })?;
        self.destroy_with(&["--keep-state"])?;
        self.before.compare(&self.state).context("after the simulated reboot")?;
        self.up()
    }

    /// Ends the cloud with `honmaru destroy` and fails when anything of it is left on the host.
    pub fn finish(mut self) -> Result<()> {
        self.is_finished = true;
        self.stop();
        self.destroy_with(&[])?;
        self.check_gone()
    }

    /// The same while `honmaru up` still runs in its terminal: it ends, and starts nothing again.
    pub fn finish_beside_up(mut self) -> Result<()> {
        self.destroy_with(&[])?;
        self.is_finished = true;
        wait_until("`honmaru up` ends", END_TIMEOUT, || {
            let up = self.up.as_mut().context("up runs")?;
            ensure!(up.try_wait()?.is_some(), "it still runs");
            Ok(())
        })?;
        self.check_gone()
    }

    fn check_gone(&self) -> Result<()> {
        ensure!(!self.state.exists(), "{} is still there", self.state.display());
        let left = crate::host::processes_of(&self.state)?;
        ensure!(left.is_empty(), "processes still run: {left:?}");
        wait_until("the host is clean", END_TIMEOUT, || self.before.compare(&self.state))
    }

    /// Asks `honmaru up` to end, which ends the roles, and waits for it. Containers keep running.
    pub fn stop(&mut self) {
        let Some(mut up) = self.up.take() else { return };
        let _ = i32::try_from(up.id()).map(|pid| signal(pid, "TERM"));
        let deadline = Instant::now() + END_TIMEOUT;
        while matches!(up.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                eprintln!("`honmaru up` did not end on SIGTERM");
                let _ = up.kill();
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn destroy_with(&self, more: &[&str]) -> Result<()> {
        destroy(&self.binary, &self.state, more)
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        if self.is_finished {
            return;
        }
        show_logs(&self.state);
        if std::env::var_os("HONMARU_E2E_KEEP").is_some() {
            eprintln!(
                "left running: {} on {}, apps on {}",
                self.state.display(),
                self.port,
                self.http_port
            );
            // The child goes on without us.
            self.up.take();
            return;
        }
        self.stop();
        if let Err(error) = self.destroy_with(&[]) {
            eprintln!("{error:#}");
        }
    }
}

fn destroy(binary: &Path, state: &Path, more: &[&str]) -> Result<()> {
    let mut command = Command::new(binary);
    command.args(["destroy", "--yes", "--state"]).arg(state);
    let output = bounded(command.args(more).stdin(Stdio::null()), DESTROY_TIMEOUT)?;
    let said = text(&output.stderr);
    ensure!(output.status.success(), "`honmaru destroy` failed: {said}");
    Ok(())
}

fn show_logs(state: &Path) {
    for role in ["control", "node", "edge"] {
        let path = state.join(format!("logs/{role}.log"));
        let log = std::fs::read_to_string(&path).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        eprintln!("--- {} ---", path.display());
        for line in lines.iter().skip(lines.len().saturating_sub(LOG_LINES_SHOWN)) {
            eprintln!("{line}");
        }
    }
}

/// Removes the clouds of test processes that ended without cleaning up, killed for example.
fn sweep(binary: &Path) -> Result<()> {
    for entry in std::fs::read_dir("/tmp")? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let of_a_test = name
            .strip_prefix("honmaru-e2e-")
            .and_then(|rest| rest.split('-').next());
        let Some(pid) = of_a_test.and_then(|pid| pid.parse::<u32>().ok()) else {
            continue;
        };
        if !Path::new(&format!("/proc/{pid}")).exists() {
            eprintln!("removing {name}, which a test left behind");
            destroy(binary, &entry.path(), &[])?;
        }
    }
    Ok(())
}

/// A thread that removes the cloud and ends the process when the test takes too long.
fn watch(binary: PathBuf, state: PathBuf) -> mpsc::Sender<()> {
    let (over, is_over) = mpsc::channel();
    std::thread::spawn(move || {
        if !matches!(is_over.recv_timeout(TEST_TIMEOUT), Err(mpsc::RecvTimeoutError::Timeout)) {
            return;
        }
        eprintln!("the test did not end within {} s", TEST_TIMEOUT.as_secs());
        show_logs(&state);
        let _ = i32::try_from(UP.load(Ordering::Relaxed)).map(|pid| signal(pid, "KILL"));
        if let Err(error) = destroy(&binary, &state, &[]) {
            eprintln!("{error:#}");
        }
        std::process::exit(1);
    });
    over
}

/// Runs one phase of a test: prints its name and time, and names it in the error.
pub fn phase<T>(name: &str, run: impl FnOnce() -> Result<T>) -> Result<T> {
    let started = Instant::now();
    let ended = run();
    let (word, took) = (
        if ended.is_ok() { "ok  " } else { "FAIL" },
        started.elapsed().as_secs_f64(),
    );
    println!("{word} {name} ({took:.1} s)");
    if let Err(error) = &ended {
        println!("     {error:#}");
    }
    ended.with_context(|| name.to_owned())
}

/// Waits until a condition holds; after `limit` its last error is the error.
pub fn wait_until(what: &str, limit: Duration, mut condition: impl FnMut() -> Result<()>) -> Result<()> {
    let deadline = Instant::now() + limit;
    loop {
        match condition() {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() > deadline => {
                return Err(error).with_context(|| format!("{what}: not within {} s", limit.as_secs()));
            }
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

/// Sends a signal by name.
pub fn signal(pid: i32, name: &str) -> Result<()> {
    let status = Command::new("kill")
        .args([&format!("-{name}"), &pid.to_string()])
        .stderr(Stdio::null())
        .status()?;
    ensure!(status.success(), "kill -{name} {pid} failed");
    Ok(())
}

/// Runs a command with its output caught, and kills it when it takes too long.
pub fn bounded(command: &mut Command, limit: Duration) -> Result<Output> {
    let shown = shown(command);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("failed to run {shown}"))?;
    // Threads read, so that a full pipe holds nobody up.
    let out = child.stdout.take().map(reader);
    let err = child.stderr.take().map(reader);
    let deadline = Instant::now() + limit;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            bail!("{shown} did not end within {} s", limit.as_secs());
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let read =
        |reader: Option<std::thread::JoinHandle<Vec<u8>>>| reader.and_then(|r| r.join().ok()).unwrap_or_default();
    Ok(Output {
        status,
        stdout: read(out),
        stderr: read(err),
    })
}

fn reader(mut pipe: impl std::io::Read + Send + 'static) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        bytes
    })
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// Bytes as text without the white space around it.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}
