//! From the command line to the poll loop: leaves the parent, takes the lock, makes what all containers share.

use crate::cgroup::{self, Cgroup};
use crate::failure::{During, Failure, Step};
use crate::logs::Log;
use crate::process::{Surroundings, container_dir};
use crate::supervisor::Supervisor;
use crate::sys;
use crate::unit::Unit;
use honmaru_runtime_protocol::{
    Bundle, Container, IdRange, LOCK_FILE, PROTOCOL, SOCKET_FILE, ShimTask, StartFailure, StartOutcome, TASK_FILE,
    container_cgroup, log_file,
};
use std::fs;
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::process::ExitCode;

/// The largest task file.
const TASK_BYTES_MAX: u64 = 16 * 1024 * 1024;
const OOM_SCORE_ADJ: &str = "-998";

/// Runs a task to its end.
pub fn run(task_dir: &str) -> ExitCode {
    // Nothing but the standard streams is ours; what a careless parent left open must not live on in containers.
    sys::close_from(3);
    match leave_parent() {
        Ok(true) => {}
        Ok(false) => return ExitCode::SUCCESS,
        Err(failure) => return refuse(&failure),
    }
    match prepare(task_dir) {
        Ok((supervisor, _lock)) => {
            supervisor.run();
            ExitCode::SUCCESS
        }
        Err(failure) => refuse(&failure),
    }
}

/// Double fork: false in the processes that end.
fn leave_parent() -> Step<bool> {
    if sys::fork().during("start", "fork")? > 0 {
        return Ok(false);
    }
    sys::setsid();
    if sys::fork().during("start", "fork")? > 0 {
        return Ok(false);
    }
    sys::set_name(c"honmaru-shim");
    Ok(true)
}

fn refuse(failure: &Failure) -> ExitCode {
    let message = format!("CannotStartContainerError: {}: {}", failure.step, failure.message);
    tell(&StartOutcome::Failed(StartFailure {
        container: String::new(),
        step: failure.step.clone(),
        message,
    }));
    ExitCode::FAILURE
}

/// Prints the outcome, once, and lets go of the parent's pipe. Standard error stays: it is a file of the task's.
pub fn tell(outcome: &StartOutcome) {
    let mut line = serde_json::to_vec(outcome).unwrap_or_default();
    line.push(b'\n');
    // The parent may have died: then nobody wants to know, and the task goes on.
    let _nobody_reads = std::io::stdout()
        .write_all(&line)
        .and_then(|()| std::io::stdout().flush());
    if let Ok(null) = sys::open_at(libc::AT_FDCWD, "/dev/null", libc::O_RDWR, 0, 0) {
        for target in 0..2 {
            let _stays_as_it_is = sys::duplicate_to(null.as_raw_fd(), target);
        }
    }
}

fn prepare(task_dir: &str) -> Step<(Supervisor, fs::File)> {
    let during = |what: &str| format!("{task_dir}/{what}");
    let lock_path = format!("{task_dir}/{LOCK_FILE}");
    let mut lock = fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&lock_path)
        .during("lock", &lock_path)?;
    sys::try_lock(lock.as_raw_fd()).during("lock", format!("{lock_path}: another shim runs this task"))?;
    let own_pid = std::process::id();
    lock.set_len(0)
        .and_then(|()| write!(lock, "{own_pid}"))
        .during("lock", &lock_path)?;

    let task = read_task(&format!("{task_dir}/{TASK_FILE}"))?;
    let bundle = task.bundle;
    sys::prctl(libc::PR_SET_CHILD_SUBREAPER, 1).during("start", "PR_SET_CHILD_SUBREAPER")?;
    sys::umask(0o022);
    std::env::set_current_dir("/").during("start", "chdir")?;
    let oom_adjusted = fs::write("/proc/self/oom_score_adj", OOM_SCORE_ADJ).is_ok();
    let signals = sys::signalfd(&[
        libc::SIGCHLD,
        libc::SIGTERM,
        libc::SIGINT,
        libc::SIGHUP,
        libc::SIGPIPE,
        libc::SIGTTOU,
    ])
    .during("start", "signalfd")?;

    let socket = during(SOCKET_FILE);
    let _left_over = fs::remove_file(&socket);
    let listener = UnixListener::bind(&socket).during("start", &socket)?;
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o600)).during("start", &socket)?;
    listener.set_nonblocking(true).during("start", &socket)?;

    enter_network(bundle.network_namespace.as_deref())?;
    let userns = bundle.user_namespace.map(make_user_namespace).transpose()?;
    let hostname = if bundle.hostname.is_empty() {
        bundle.task_id.clone()
    } else {
        bundle.hostname.clone()
    };
    let etc_files = write_etc_files(task_dir, &bundle, &hostname)?;
    let scratch = during("mnt");
    fs::create_dir_all(&scratch).during("start", &scratch)?;

    let cgroup_mode = cgroup::mode();
    let task_cgroup = Cgroup::new(cgroup_mode, &task.cgroup);
    task_cgroup.create_for_task(&bundle.limits)?;
    let around = Surroundings {
        task_dir: task_dir.to_string(),
        hostname,
        userns,
        base: bundle.user_namespace.map_or(0, |range| range.base),
        cgroup_mode,
        oom_adjusted,
        etc_files,
    };
    let unit = |container: Container| {
        let cgroup = task_cgroup.child(&container_cgroup(&container.name));
        let log = Log::new(format!("{task_dir}/{}", log_file(&container.name)));
        Unit::new(container, cgroup, log)
    };
    let units = bundle.containers.into_iter().map(unit).collect();
    let supervisor = Supervisor::new(bundle.task_id, around, task_cgroup, units, listener, signals);
    Ok((supervisor, lock))
}

fn read_task(path: &str) -> Step<ShimTask> {
    let size = fs::metadata(path).during("task", path)?.len();
    if size > TASK_BYTES_MAX {
        return Err(Failure::new(
            "task",
            format!("{path}: {size} bytes; {TASK_BYTES_MAX} are possible"),
        ));
    }
    let text = fs::read(path).during("task", path)?;
    let task: ShimTask =
        serde_json::from_slice(&text).map_err(|error| Failure::new("task", format!("{path}: {error}")))?;
    if task.protocol != PROTOCOL {
        return Err(Failure::new(
            "task",
            format!("{path}: protocol {}, not {PROTOCOL}", task.protocol),
        ));
    }
    Ok(task)
}

/// The shim itself enters the task's network namespace: every container is then born in it, and `/proc/sys/net` is the
/// task's. It needs no network of its own.
fn enter_network(path: Option<&str>) -> Step<()> {
    match path {
        Some(path) => {
            let namespace = fs::File::open(path).during("network", path)?;
            sys::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET).during("network", path)?;
        }
        None => {
            sys::unshare(libc::CLONE_NEWNET).during("network", "unshare")?;
            sys::loopback_up().during("network", "lo up")?;
        }
    }
    // The namespace belongs to the host's user namespace: no capability of a container counts in it. Without these a
    // container could neither listen on port 80 nor ping.
    for (name, value) in [
        ("ip_unprivileged_port_start", "0"),
        ("ping_group_range", "0 2147483647"),
    ] {
        let path = format!("/proc/sys/net/ipv4/{name}");
        fs::write(&path, value).during("network", path)?;
    }
    Ok(())
}

/// A user namespace with its map; the process that made it is not needed any longer.
fn make_user_namespace(range: IdRange) -> Step<OwnedFd> {
    let pid = sys::clone3(libc::CLONE_NEWUSER, None, libc::SIGCHLD).during("user", "clone3 CLONE_NEWUSER")?;
    if pid == 0 {
        sys::wait_for_kill();
    }
    let map = format!("0 {} {}\n", range.base, range.size);
    let write =
        |file: &str| fs::write(format!("/proc/{pid}/{file}"), &map).during("user", format!("write {file} {map}"));
    let made = write("uid_map").and_then(|()| write("gid_map")).and_then(|()| {
        fs::File::open(format!("/proc/{pid}/ns/user"))
            .map(OwnedFd::from)
            .during("user", "open the user namespace")
    });
    sys::kill(pid, libc::SIGKILL);
    sys::reap(pid, true);
    made
}

/// The files that each container finds in /etc, one copy for each container: it may change its own.
fn write_etc_files(task_dir: &str, bundle: &Bundle, hostname: &str) -> Step<Vec<&'static str>> {
    let hosts = bundle
        .hosts
        .clone()
        .unwrap_or_else(|| format!("127.0.0.1\tlocalhost {hostname}\n::1\tlocalhost ip6-localhost ip6-loopback\n"));
    let mut files = vec![("hostname", format!("{hostname}\n")), ("hosts", hosts)];
    files.extend(bundle.resolv_conf.clone().map(|text| ("resolv.conf", text)));
    let owner = bundle.user_namespace.map_or(0, |range| range.base);
    for container in &bundle.containers {
        let dir = container_dir(task_dir, &container.name);
        fs::create_dir_all(&dir).during("start", &dir)?;
        for (name, text) in &files {
            let path = format!("{dir}/{name}");
            fs::write(&path, text).during("start", &path)?;
            std::os::unix::fs::chown(&path, Some(owner), Some(owner)).during("start", &path)?;
        }
    }
    Ok(files.into_iter().map(|(name, _)| name).collect())
}
