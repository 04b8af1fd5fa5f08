//! A runtime of its own for each test: own directory, own cgroup name, an image of busybox, all gone afterwards.

use honmaru_runtime::{
    Bundle, Container, ExecEvent, ExecSession, ExecStart, HealthCheck, IdRange, LogStream, Runtime, RuntimeConfig,
    Task, TaskEvent, TaskStatus, read_log,
};
use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// Longest wait for anything in a test. The machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(60);
pub const UID_BASE: u32 = 3_000_000;

static COUNT: AtomicU32 = AtomicU32::new(0);

pub struct World {
    pub runtime: Runtime,
    pub dir: tempfile::TempDir,
    pub cgroup: String,
}

impl World {
    pub fn new() -> Self {
        assert!(
            rustix_is_root(),
            "these tests need root: they make namespaces, mounts and cgroups"
        );
        let dir = tempfile::Builder::new().prefix("hm-").tempdir_in("/tmp").unwrap();
        let cgroup = format!(
            "hm-test-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        make_image(&dir.path().join("image"));
        let runtime = Self::open(dir.path(), &cgroup);
        Self { runtime, dir, cgroup }
    }

    pub fn open(dir: &Path, cgroup: &str) -> Runtime {
        let config = RuntimeConfig {
            state_dir: dir.join("state"),
            cgroup_name: cgroup.into(),
        };
        Runtime::new(config).unwrap()
    }

    pub fn image(&self) -> String {
        self.dir.path().join("image").to_str().unwrap().to_string()
    }

    /// A container that runs a shell script.
    pub fn shell(&self, name: &str, script: &str) -> Container {
        self.container(name, &["/bin/sh", "-c", script])
    }

    pub fn container(&self, name: &str, args: &[&str]) -> Container {
        Container {
            name: name.into(),
            essential: true,
            args: strings(args),
            layers: vec![self.image()],
            stop_timeout_s: Some(10),
            ..Container::default()
        }
    }

    pub fn bundle(&self, task_id: &str, containers: Vec<Container>) -> Bundle {
        Bundle {
            task_id: task_id.into(),
            user_namespace: Some(IdRange {
                base: UID_BASE,
                size: 65_536,
            }),
            containers,
            ..Bundle::default()
        }
    }

    /// Runs one script in a task of its own to its end.
    pub async fn run(&self, container: Container) -> (TaskStatus, Output) {
        let bundle = self.bundle("t", vec![container.clone()]);
        self.run_bundle(bundle, &container.name).await
    }

    pub async fn run_bundle(&self, bundle: Bundle, container: &str) -> (TaskStatus, Output) {
        let task = self.runtime.start(bundle).await.unwrap();
        let status = ended(&task).await;
        (status, output(&task, container))
    }

    /// What of our cgroups is left.
    pub fn cgroups_left(&self) -> Vec<PathBuf> {
        let roots = ["memory", "cpu", "cpuacct", "pids", ""];
        let dirs = roots.map(|controller| Path::new("/sys/fs/cgroup").join(controller).join(&self.cgroup));
        dirs.into_iter()
            .flat_map(|dir| fs::read_dir(dir).into_iter().flatten())
            .flatten()
            .filter(|entry| entry.file_type().unwrap().is_dir())
            .map(|entry| entry.path())
            .collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let runtime = self.runtime.clone();
        let sweep = move || {
            let tokio = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            tokio.block_on(runtime.sweep()).unwrap()
        };
        let swept = std::thread::spawn(sweep).join();
        if !std::thread::panicking() {
            assert_eq!(swept.unwrap().failed, Vec::<String>::new());
            assert_eq!(self.cgroups_left(), Vec::<PathBuf>::new());
        }
    }
}

fn rustix_is_root() -> bool {
    fs::read_to_string("/proc/self/status")
        .unwrap()
        .lines()
        .any(|line| line == "Uid:\t0\t0\t0\t0")
}

/// A busybox with its applets, and files that tests look for.
fn make_image(image: &Path) {
    for dir in ["bin", "etc", "tmp", "proc", "var/lib"] {
        fs::create_dir_all(image.join(dir)).unwrap();
    }
    fs::copy("/bin/busybox", image.join("bin/busybox")).expect("Debian's busybox-static is installed");
    let list = Command::new("/bin/busybox").arg("--list").output().unwrap();
    for applet in String::from_utf8(list.stdout)
        .unwrap()
        .lines()
        .filter(|applet| *applet != "busybox")
    {
        std::os::unix::fs::symlink("busybox", image.join("bin").join(applet)).unwrap();
    }
    fs::write(
        image.join("etc/passwd"),
        "root:x:0:0:root:/root:/bin/sh\nweb:x:101:102:Web:/srv/web:/bin/sh\n",
    )
    .unwrap();
    fs::write(image.join("etc/group"), "root:x:0:\nweb:x:102:\ndocs:x:200:web\n").unwrap();
    fs::write(image.join("etc/resolv.conf"), "nameserver 192.0.2.1\n").unwrap();
    fs::write(image.join("bin/not-executable"), "#!/bin/sh\n").unwrap();
}

pub fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

/// A container's log as two texts.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Output {
    pub stdout: String,
    pub stderr: String,
}

pub fn output(task: &Task, container: &str) -> Output {
    let mut output = Output::default();
    let chunk = read_log(&task.log_path(container), 0, u64::MAX / 2).unwrap();
    for line in chunk.lines {
        let text = match line.stream {
            LogStream::Stdout => &mut output.stdout,
            LogStream::Stderr => &mut output.stderr,
        };
        text.push_str(&String::from_utf8_lossy(&line.text));
        if !line.partial {
            text.push('\n');
        }
    }
    output
}

pub async fn ended(task: &Task) -> TaskStatus {
    timeout(PATIENCE, task.ended()).await.expect("the task ends").unwrap()
}

/// Waits until the status is as wanted.
pub async fn status_is(task: &Task, what: &str, wanted: impl Fn(&TaskStatus) -> bool) -> TaskStatus {
    let mut events = task.events();
    let mut last = None;
    let found = timeout(PATIENCE, async {
        while let Some(event) = events.recv().await {
            match event {
                TaskEvent::Changed(status) | TaskEvent::Ended(status) => {
                    if wanted(&status) {
                        return Some(status);
                    }
                    last = Some(status);
                }
                TaskEvent::Lost { reason } => panic!("lost: {reason}"),
            }
        }
        None
    });
    match found.await {
        Ok(Some(status)) => status,
        Ok(None) | Err(_) => panic!("{what} did not come; last: {last:#?}"),
    }
}

/// Waits for a condition.
pub async fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    wait_for(what, || std::future::ready(condition().then_some(()))).await
}

pub async fn wait_for<T, F: Future<Output = Option<T>>>(what: &str, mut condition: impl FnMut() -> F) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = condition().await {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} did not come");
        sleep(Duration::from_millis(5)).await;
    }
}

pub async fn exec(task: &Task, container: &str, command: &[&str]) -> ExecSession {
    let request = ExecStart {
        container: container.into(),
        command: strings(command),
        ..ExecStart::default()
    };
    task.exec(request).await.unwrap()
}

/// Everything that a session writes, and its exit code.
pub async fn collect(session: &mut ExecSession) -> (Output, Option<i32>) {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let exit_code = timeout(PATIENCE, async {
        while let Some(event) = session.events.recv().await {
            match event {
                ExecEvent::Output { stderr: false, data } => stdout.extend(data),
                ExecEvent::Output { stderr: true, data } => stderr.extend(data),
                ExecEvent::Exited { exit_code } => return Some(exit_code),
                ExecEvent::Lost => return None,
            }
        }
        None
    });
    let exit_code = exit_code.await.expect("the session ends");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (
        Output {
            stdout: text(stdout),
            stderr: text(stderr),
        },
        exit_code,
    )
}

pub fn health(command: &[&str], interval_ms: u64, timeout_ms: u64) -> HealthCheck {
    HealthCheck {
        command: strings(command),
        interval_ms,
        timeout_ms,
        retries: 2,
        start_period_ms: 0,
    }
}

/// Whether a process lives; a zombie does not. PID 1 of the machine may reap slowly.
pub fn alive(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return false;
    };
    !stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .trim_start()
        .starts_with(['Z', 'X'])
}
