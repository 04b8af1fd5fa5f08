//! Makes processes: a container's first one, and exec sessions in a running container.
//!
//! Both report over a message socket: `P` a pid, `T` a terminal, `X` just before exec, `E` a failure. The socket closes
//! on exec. So its end after `X` means that the command runs, and everything else that it does not. Nothing here waits.

use crate::capabilities;
use crate::cgroup::{Cgroup, Mode};
use crate::failure::{During, Failure, Step, cause};
use crate::identity::{self, Identity};
use crate::init;
use crate::rootfs::Root;
use crate::seccomp;
use crate::sys;
use honmaru_runtime_protocol::{Container, ExecStart, Ulimit};
use std::convert::Infallible;
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::PermissionsExt;

/// Longest report.
pub const REPORT_BYTES_MAX: usize = 8 * 1024;
/// Most open files when the task says nothing. Ref: ECS on Fargate.
const NOFILE: u64 = 65_535;
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The exit code of a process that could not become its command.
const EXIT_NOT_STARTED: i32 = 127;

/// A report from a process on its way.
#[derive(Debug)]
pub enum Report {
    /// An exec session's process id.
    Pid(libc::pid_t),
    /// The master of its terminal.
    Terminal(OwnedFd),
    /// It is about to exec; from here on it dies with the shim.
    Ready,
    /// It failed.
    Failed(Failure),
    /// The socket's end.
    End,
}

/// The next report; `WouldBlock` when there is none yet.
pub fn next_report(socket: &OwnedFd) -> io::Result<Report> {
    let mut buffer = [0; REPORT_BYTES_MAX];
    let (length, descriptor) = sys::receive(socket.as_raw_fd(), &mut buffer)?;
    let message = buffer.get(..length).unwrap_or_default();
    Ok(match (message.split_first(), descriptor) {
        (None, _) => Report::End,
        (Some((b'T', _)), Some(terminal)) => Report::Terminal(terminal),
        (Some((b'X', _)), _) => Report::Ready,
        (Some((b'P', pid)), _) => match pid.first_chunk() {
            Some(bytes) => Report::Pid(libc::pid_t::from_ne_bytes(*bytes)),
            None => Report::Failed(Failure::new("start", "a report without its pid")),
        },
        (Some((_, rest)), _) => Report::Failed(Failure::decode(rest)),
    })
}

/// What the processes of all containers of a task share.
pub struct Surroundings {
    pub task_dir: String,
    pub hostname: String,
    pub userns: Option<OwnedFd>,
    /// The host id of root inside.
    pub base: u32,
    pub cgroup_mode: Mode,
    /// Whether the shim's oom_score_adj is not the default, so that children set it back.
    pub oom_adjusted: bool,
    /// Files in each container's directory to bind into its /etc.
    pub etc_files: Vec<&'static str>,
}

/// A process on its way.
pub struct Starting {
    /// For a container its process 1, for an exec session the helper that ends at once.
    pub pid: libc::pid_t,
    /// Where it reports.
    pub report: OwnedFd,
    /// Our ends of standard input (exec only), output and error; none with a terminal.
    pub stdin: Option<OwnedFd>,
    pub stdout: Option<OwnedFd>,
    pub stderr: Option<OwnedFd>,
}

/// The directory of a container on the host.
pub fn container_dir(task_dir: &str, name: &str) -> String {
    format!("{task_dir}/c/{name}")
}

/// Begins to start a container in its cgroup.
pub fn start_container(container: &Container, around: &Surroundings, cgroup: &Cgroup) -> Step<Starting> {
    let (report, theirs) = sys::message_pair().during("start", "socketpair")?;
    let outputs = if container.pseudo_terminal {
        None
    } else {
        Some((
            sys::pipe().during("start", "pipe")?,
            sys::pipe().during("start", "pipe")?,
        ))
    };
    let cgroup_fd = cgroup.descriptor()?;
    let mut flags = libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWUTS | libc::CLONE_NEWIPC;
    if around.cgroup_mode == Mode::V2 {
        flags |= libc::CLONE_NEWCGROUP;
    }
    let pid = sys::clone3(flags, cgroup_fd.as_ref().map(AsFd::as_fd), libc::SIGCHLD).during("start", "clone3")?;
    if pid == 0 {
        let writers = outputs
            .as_ref()
            .map(|((_, stdout), (_, stderr))| (stdout.as_raw_fd(), stderr.as_raw_fd()));
        let Err(failure) = become_container(container, around, cgroup, theirs.as_raw_fd(), writers);
        give_up(theirs.as_raw_fd(), &failure);
    }
    let (stdout, stderr) = match outputs {
        Some(((stdout, _), (stderr, _))) => (Some(stdout), Some(stderr)),
        None => (None, None),
    };
    Ok(Starting {
        pid,
        report,
        stdin: None,
        stdout,
        stderr,
    })
}

/// The container's first process, from clone3 to execve.
fn become_container(
    container: &Container,
    around: &Surroundings,
    cgroup: &Cgroup,
    report: RawFd,
    outputs: Option<(RawFd, RawFd)>,
) -> Step<Infallible> {
    sys::reset_signals();
    hide()?;
    sys::setsid();
    sys::umask(0o022);
    cgroup.join()?;
    if around.cgroup_mode == Mode::V1 {
        // Once inside the cgroup, so that the container's view is rooted there.
        sys::unshare(libc::CLONE_NEWCGROUP).during("cgroup", "unshare the cgroup namespace")?;
    }
    if around.oom_adjusted {
        let _best_effort = fs::write("/proc/self/oom_score_adj", "0");
    }
    for (name, value) in &container.sysctls {
        set_sysctl(name, value)?;
    }
    sys::set_hostname(&around.hostname).during("hostname", &around.hostname)?;
    let root = Root {
        container,
        scratch: &format!("{}/mnt", around.task_dir),
        own_dir: &container_dir(&around.task_dir, &container.name),
        userns: around.userns.as_ref().map(AsFd::as_fd),
        base: around.base,
        cgroup_mode: around.cgroup_mode,
        etc_files: &around.etc_files,
    };
    root.enter()?;
    let identity = identity::resolve(container.user.as_deref())?;
    match outputs {
        None => give_terminal(report, around.base + identity.uid, around.base, (0, 0))?,
        Some((stdout, stderr)) => {
            let null = sys::open_at(libc::AT_FDCWD, "/dev/null", libc::O_RDONLY, 0, 0).during("start", "/dev/null")?;
            for (descriptor, target) in [(null.as_raw_fd(), 0), (stdout, 1), (stderr, 2)] {
                sys::duplicate_to(descriptor, target).during("start", "standard streams")?;
            }
        }
    }
    let working_directory = container.working_directory.as_deref().unwrap_or("/");
    let environment = environment(container, &[], &around.hostname, &identity, container.pseudo_terminal);
    drop_privileges(container, around, &identity, working_directory)?;
    announce(report)?;
    if container.init_process {
        init::run(report, container.pseudo_terminal, || {
            execute(&container.args, &environment)
        })
    } else {
        execute(&container.args, &environment)
    }
}

/// Where an exec session is to run.
pub struct Session<'a> {
    pub container: &'a Container,
    /// The container's process 1.
    pub target: libc::pid_t,
    pub cgroup: &'a Cgroup,
    /// The session's own cgroup, made already.
    pub session: &'a Cgroup,
}

/// Begins an exec session. With `quiet` its output goes nowhere (health checks).
pub fn start_session(request: &ExecStart, session: &Session, around: &Surroundings, quiet: bool) -> Step<Starting> {
    let target = sys::pidfd_open(session.target).during("exec", "pidfd_open")?;
    let (report, theirs) = sys::message_pair().during("exec", "socketpair")?;
    let pipes = if request.tty || quiet {
        None
    } else {
        let pipe = || sys::pipe().during("exec", "pipe");
        Some((pipe()?, pipe()?, pipe()?))
    };
    let cgroup_fd = session.session.descriptor()?;
    let pid = sys::clone3(0, cgroup_fd.as_ref().map(AsFd::as_fd), libc::SIGCHLD).during("exec", "clone3")?;
    if pid == 0 {
        let streams = pipes
            .as_ref()
            .map(|((stdin, _), (_, stdout), (_, stderr))| [stdin.as_raw_fd(), stdout.as_raw_fd(), stderr.as_raw_fd()]);
        let Err(failure) = become_session(
            request,
            session,
            around,
            target.as_raw_fd(),
            theirs.as_raw_fd(),
            streams,
        );
        give_up(theirs.as_raw_fd(), &failure);
    }
    let (stdin, stdout, stderr) = match pipes {
        Some(((_, stdin), (stdout, _), (stderr, _))) => (Some(stdin), Some(stdout), Some(stderr)),
        None => (None, None, None),
    };
    Ok(Starting {
        pid,
        report,
        stdin,
        stdout,
        stderr,
    })
}

/// A helper joins the container; its child becomes the command, and through CLONE_PARENT the shim's own child.
fn become_session(
    request: &ExecStart,
    session: &Session,
    around: &Surroundings,
    target: RawFd,
    report: RawFd,
    streams: Option<[RawFd; 3]>,
) -> Step<Infallible> {
    sys::reset_signals();
    hide()?;
    session.cgroup.join()?;
    session.session.join_session()?;
    let namespaces =
        libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWUTS | libc::CLONE_NEWIPC | libc::CLONE_NEWCGROUP;
    if around.oom_adjusted {
        let _best_effort = fs::write("/proc/self/oom_score_adj", "0");
    }
    sys::setns(target, namespaces).during("exec", "join the container's namespaces")?;
    let child = sys::clone3(libc::CLONE_PARENT, None, 0).during("exec", "clone3")?;
    if child > 0 {
        let mut message = vec![b'P'];
        message.extend(child.to_ne_bytes());
        tell(report, &message, &[])?;
        sys::exit(0);
    }
    sys::setsid();
    sys::umask(0o022);
    let user = request.user.as_deref().or(session.container.user.as_deref());
    let identity = identity::resolve(user)?;
    if request.tty {
        give_terminal(
            report,
            around.base + identity.uid,
            around.base,
            (request.cols, request.rows),
        )?;
    } else {
        let null = sys::open_at(libc::AT_FDCWD, "/dev/null", libc::O_RDWR, 0, 0).during("exec", "/dev/null")?;
        let streams = streams.unwrap_or([null.as_raw_fd(); 3]);
        for (descriptor, target) in streams.into_iter().zip(0..) {
            sys::duplicate_to(descriptor, target).during("exec", "standard streams")?;
        }
    }
    let working_directory = request
        .working_directory
        .as_deref()
        .or(session.container.working_directory.as_deref())
        .unwrap_or("/");
    let environment = environment(
        session.container,
        &request.env,
        &around.hostname,
        &identity,
        request.tty,
    );
    drop_privileges(session.container, around, &identity, working_directory)?;
    announce(report)?;
    execute(&request.command, &environment)
}

/// Until it execs this process holds the shim's memory (other containers' environment): nobody may look into it.
fn hide() -> Step<()> {
    sys::prctl(libc::PR_SET_DUMPABLE, 0).during("start", "PR_SET_DUMPABLE")
}

/// Tells the shim why and ends.
fn give_up(report: RawFd, failure: &Failure) -> ! {
    let mut message = vec![b'E'];
    message.extend(failure.encode());
    message.truncate(REPORT_BYTES_MAX);
    // When the shim is gone there is nobody to tell.
    let _shim_is_gone = sys::send(report, &message, &[]);
    sys::exit(EXIT_NOT_STARTED)
}

fn tell(report: RawFd, message: &[u8], descriptors: &[RawFd]) -> Step<()> {
    sys::send(report, message, descriptors)
        .map(|_| ())
        .during("start", "report to the shim")
}

/// Asks to die with the shim, then makes sure that it still lives: its end of the socket closes when it dies.
fn announce(report: RawFd) -> Step<()> {
    sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64).during("start", "PR_SET_PDEATHSIG")?;
    tell(report, b"X", &[])
}

/// Opens a terminal in the container, makes it this process's, and hands its master to the shim.
fn give_terminal(report: RawFd, uid: u32, base: u32, (cols, rows): (u16, u16)) -> Step<()> {
    let (master, slave) = sys::open_terminal().during("terminal", "/dev/pts/ptmx")?;
    sys::chown(slave.as_raw_fd(), uid, base + 5).during("terminal", "chown")?;
    let (cols, rows) = (if cols == 0 { 80 } else { cols }, if rows == 0 { 24 } else { rows });
    sys::set_terminal_size(master.as_raw_fd(), cols, rows).during("terminal", "TIOCSWINSZ")?;
    for target in 0..3 {
        sys::duplicate_to(slave.as_raw_fd(), target).during("terminal", "standard streams")?;
    }
    sys::control_terminal().during("terminal", "TIOCSCTTY")?;
    tell(report, b"T", &[master.as_raw_fd()])
}

/// Only parameters of namespaces that are the task's own. `net.` ones belong to its network namespace.
fn set_sysctl(name: &str, value: &str) -> Step<()> {
    let namespaced = name.starts_with("net.")
        || name.starts_with("kernel.shm")
        || name.starts_with("kernel.msg")
        || name == "kernel.sem"
        || name.starts_with("fs.mqueue.");
    let plain = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
    if !namespaced || !plain || name.contains("..") {
        return Err(Failure::new(
            "sysctl",
            format!("{name}: not a parameter of the task's own namespaces"),
        ));
    }
    let path = format!("/proc/sys/{}", name.replace('.', "/"));
    fs::write(&path, value).during("sysctl", format!("{name}={value}"))
}

/// Limits, user namespace, working directory, identity, capabilities, no_new_privs, filter: in this order.
fn drop_privileges(
    container: &Container,
    around: &Surroundings,
    identity: &Identity,
    working_directory: &str,
) -> Step<()> {
    // From here on all that is open, but the standard streams, closes on exec.
    sys::close_on_exec_from(3).during("start", "close_range")?;
    set_limits(&container.ulimits)?;
    let capabilities = capabilities::effective(&container.capabilities_add, &container.capabilities_drop)
        .map_err(|message| Failure::new("capabilities", message))?;
    let filter = seccomp::program(capabilities);
    if let Some(userns) = &around.userns {
        sys::setns(userns.as_raw_fd(), libc::CLONE_NEWUSER).during("user", "join the user namespace")?;
    }
    // As root first: a directory that only root may enter is still a working directory. Else as the user.
    let entered = std::env::set_current_dir(working_directory);
    for number in (0..capabilities::NUMBERS_MAX).filter(|number| capabilities & (1 << number) == 0) {
        match sys::prctl(libc::PR_CAPBSET_DROP, number) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => break,
            other => other.during("capabilities", "drop")?,
        }
    }
    sys::prctl(libc::PR_SET_KEEPCAPS, 1).during("capabilities", "keep")?;
    sys::set_identity(identity.uid, identity.gid, &identity.groups).during(
        "user",
        format!("become user {} and group {}", identity.uid, identity.gid),
    )?;
    sys::set_capabilities(if identity.uid == 0 { capabilities } else { 0 }).during("capabilities", "set")?;
    if entered.is_err() {
        std::env::set_current_dir(working_directory)
            .during("workdir", format!("chdir to cwd (\"{working_directory}\")"))?;
    }
    sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1).during("seccomp", "PR_SET_NO_NEW_PRIVS")?;
    sys::install_filter(&filter).during("seccomp", "install the filter")
}

/// Ref: ECS `Ulimit.name`.
fn set_limits(ulimits: &[Ulimit]) -> Step<()> {
    if !ulimits.iter().any(|limit| limit.name == "nofile") {
        clamp_limit("nofile", libc::RLIMIT_NOFILE, NOFILE, NOFILE)?;
    }
    for limit in ulimits {
        let resource = match limit.name.as_str() {
            "core" => libc::RLIMIT_CORE,
            "cpu" => libc::RLIMIT_CPU,
            "data" => libc::RLIMIT_DATA,
            "fsize" => libc::RLIMIT_FSIZE,
            "locks" => libc::RLIMIT_LOCKS,
            "memlock" => libc::RLIMIT_MEMLOCK,
            "msgqueue" => libc::RLIMIT_MSGQUEUE,
            "nice" => libc::RLIMIT_NICE,
            "nofile" => libc::RLIMIT_NOFILE,
            "nproc" => libc::RLIMIT_NPROC,
            "rss" => libc::RLIMIT_RSS,
            "rtprio" => libc::RLIMIT_RTPRIO,
            "rttime" => libc::RLIMIT_RTTIME,
            "sigpending" => libc::RLIMIT_SIGPENDING,
            "stack" => libc::RLIMIT_STACK,
            other => return Err(Failure::new("ulimit", format!("unknown limit `{other}`"))),
        };
        clamp_limit(&limit.name, resource, limit.soft, limit.hard)?;
    }
    Ok(())
}

/// Without CAP_SYS_RESOURCE a hard limit cannot be raised: then our own is the most that can be given.
fn clamp_limit(name: &str, resource: libc::__rlimit_resource_t, soft: u64, hard: u64) -> Step<()> {
    let (_, own_hard) = sys::resource_limit(resource).during("ulimit", name)?;
    if sys::set_resource_limit(resource, soft.min(hard), hard).is_ok() {
        return Ok(());
    }
    let hard = hard.min(own_hard);
    sys::set_resource_limit(resource, soft.min(hard), hard).during("ulimit", name)
}

/// The container's variables, then those of a session, with what Docker adds when it is missing.
fn environment(
    container: &Container,
    more: &[(String, String)],
    hostname: &str,
    identity: &Identity,
    terminal: bool,
) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    let defaults = [
        ("PATH", DEFAULT_PATH),
        ("HOSTNAME", hostname),
        ("HOME", identity.home.as_str()),
        ("TERM", "xterm"),
    ];
    let defaults = defaults.iter().filter(|(name, _)| *name != "TERM" || terminal);
    let defaults = defaults.map(|(name, value)| (name.to_string(), value.to_string()));
    for (name, value) in defaults
        .chain(container.env.iter().cloned())
        .chain(more.iter().cloned())
    {
        match all.iter_mut().find(|(known, _)| *known == name) {
            Some(known) => known.1 = value,
            None => all.push((name, value)),
        }
    }
    all
}

/// Finds the command as Docker does and becomes it.
fn execute(arguments: &[String], environment: &[(String, String)]) -> Step<Infallible> {
    let name = arguments.first().map(String::as_str).unwrap_or_default();
    let strings = |texts: &mut dyn Iterator<Item = String>| -> Step<Vec<CString>> {
        texts
            .map(|text| sys::c_string(&text).during("exec", "arguments and environment"))
            .collect()
    };
    let variables = strings(&mut environment.iter().map(|(name, value)| format!("{name}={value}")))?;
    let arguments = strings(&mut arguments.iter().cloned())?;
    let path = find(name, environment)?;
    let error = sys::execute(&sys::c_string(&path).during("exec", &path)?, &arguments, &variables);
    Err(Failure::new("exec", format!("exec {path}: {}", cause(&error))))
}

/// The path of a command. Ref: the messages are those of Go's os/exec, which Docker and ECS show.
fn find(name: &str, environment: &[(String, String)]) -> Step<String> {
    let failed = |text: &str| Err(Failure::new("exec", format!("exec: \"{name}\": {text}")));
    if name.contains('/') {
        return match usable(name) {
            Ok(()) => Ok(name.to_string()),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => failed("permission denied"),
            Err(error) => failed(&format!("stat {name}: {}", cause(&error))),
        };
    }
    let path = environment
        .iter()
        .find(|(variable, _)| variable == "PATH")
        .map_or(DEFAULT_PATH, |(_, value)| value);
    let mut denied = false;
    for dir in path.split(':').filter(|_| !name.is_empty()) {
        let candidate = format!("{}/{name}", if dir.is_empty() { "." } else { dir });
        match usable(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(error) => denied |= error.kind() == io::ErrorKind::PermissionDenied,
        }
    }
    failed(if denied {
        "permission denied"
    } else {
        "executable file not found in $PATH"
    })
}

/// Whether a path is a file that somebody may execute; the kernel decides whether we may.
fn usable(path: &str) -> io::Result<()> {
    let found = fs::metadata(path)?;
    if found.is_dir() || found.permissions().mode() & 0o111 == 0 {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    Ok(())
}
