//! One role as the supervisor sees it: how it is started, and how its end is noticed.

use super::UpOptions;
use super::privileges::become_user;
use crate::dirs::Dirs;
use crate::users::uid_of;
use anyhow::Context;
use std::fs::OpenOptions;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use tokio::io::unix::AsyncFd;

/// How mimalloc takes memory. By default it takes arenas of huge pages, which the kernel fills with zeroes first: the three
/// roles need 117 MiB when idle. Without arenas they need 68, but what is freed goes back to the kernel at once, and
/// calls that change something cost `control` a fifth more CPU; so `control` has arenas of small pages: 83 MiB.
/// (`cargo xtask bench startup wire`; ref: mimalloc, "Environment Options".) Not for `node`: the setting goes over to
/// the processes that it starts. Ref: prctl(2), PR_SET_THP_DISABLE.
fn memory(role: &str) -> (&'static str, &'static str) {
    match role {
        "control" => ("MIMALLOC_ALLOW_THP", "0"),
        _ => ("MIMALLOC_ARENA_RESERVE", "0"),
    }
}

/// The roles, in the order in which they start.
pub const ROLES: [&str; 3] = ["control", "node", "edge"];

/// The name under which `honmaru up` itself holds a lock.
pub const SUPERVISOR: &str = "up";

/// A running process of a role.
pub struct Role {
    /// `control`, `node` or `edge`.
    pub name: &'static str,
    /// Its process id.
    pub pid: i32,
    pidfd: AsyncFd<OwnedFd>,
}

/// The arguments of a role's process: also what tells whether a running one was started with the same options.
pub(super) fn arguments(role: &str, options: &UpOptions, dirs: &Dirs) -> Vec<String> {
    let mut arguments = vec!["role".to_owned(), role.to_owned()];
    let mut add = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
    add("--state", dirs.state().display().to_string());
    add("--listen", options.listen.to_string());
    add("--http", options.http.to_string());
    add("--account", options.account.to_string());
    add("--region", options.region.to_string());
    // Where it is follows from what was free: a node shall not begin anew for that.
    if let Some(https) = options.https.filter(|_| role != "node") {
        add("--https", https.to_string());
    }
    // Control pulls for mirrors, the node for tasks.
    if role != "edge" {
        add("--local-registries", options.local_registries.to_string());
    }
    // The files that only control reads: the other roles go on when a certificate is renewed.
    if role == "control" {
        let files = [
            ("--tls-cert", &options.tls_cert),
            ("--tls-key", &options.tls_key),
            ("--oidc-ca", &options.oidc_ca),
            ("--upstream-ca", &options.upstream_ca),
            ("--upstream-secrets", &options.upstream_secrets),
            ("--replicas", &options.replicas),
            ("--tls-ca", &options.tls_ca),
        ];
        for (name, file) in files {
            if let Some(file) = file {
                add(name, file.display().to_string());
            }
        }
        add("--audit-days", options.audit_days.to_string());
        add("--audit-mib", options.audit_mib.to_string());
        add("--insights-seconds", options.insights_seconds.to_string());
        if let Some(size) = options.registry_bytes_max {
            add("--registry-bytes-max", size.0.to_string());
        }
    }
    if options.dev {
        arguments.push("--dev".to_owned());
    }
    arguments
}

impl Role {
    /// Starts a role's process as its user, its output appended to `<state>/logs/<role>.log`.
    pub fn start(name: &'static str, binary: &Path, options: &UpOptions, dirs: &Dirs) -> anyhow::Result<Self> {
        let path = dirs.logs().join(format!("{name}.log"));
        let log = OpenOptions::new().create(true).append(true).open(&path);
        let log = log.with_context(|| format!("failed to open {}", path.display()))?;
        let mut command = Command::new(binary);
        command
            .args(arguments(name, options, dirs))
            .envs([memory(name)])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .current_dir("/");
        let (uid, bind_low_ports) = (uid_of(name), name == "edge");
        // Needed: a capability must be raised after the user changes and before the exec; Command has no way to.
        // SAFETY: the closure makes system calls only; it neither allocates nor takes locks.
        unsafe { command.pre_exec(move || become_user(uid, bind_low_ports)) };
        let child = command
            .spawn()
            .with_context(|| format!("failed to start role `{name}`"))?;
        let pid = i32::try_from(child.id()).context("a process id is positive")?;
        Self::adopt(name, pid)
    }

    /// Takes over a process that already runs.
    pub fn adopt(name: &'static str, pid: i32) -> anyhow::Result<Self> {
        // SAFETY: pidfd_open takes two numbers and returns a new descriptor or an error.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, libc::PIDFD_NONBLOCK) };
        if fd < 0 {
            return Err(std::io::Error::last_os_error()).with_context(|| format!("role `{name}` (pid {pid}) is gone"));
        }
        let fd = i32::try_from(fd).context("a descriptor is small")?;
        // SAFETY: the kernel just made this descriptor for us; nobody else owns it.
        let pidfd = unsafe { OwnedFd::from_raw_fd(fd) };
        // Needed: tokio cannot know that nobody closes a descriptor behind its back.
        // SAFETY: `pidfd` is owned and moved in; it is closed only when the registration is dropped.
        let pidfd = unsafe { AsyncFd::register(pidfd)? };
        Ok(Self { name, pid, pidfd })
    }

    /// Waits for its end and reaps it when it is our child.
    pub async fn ended(&self) -> anyhow::Result<()> {
        let _ready = self.pidfd.readable().await?;
        let pid = nix::unistd::Pid::from_raw(self.pid);
        // An adopted process is nobody's child here; then there is nothing to reap.
        let _ = nix::sys::wait::waitpid(pid, Some(nix::sys::wait::WaitPidFlag::WNOHANG));
        Ok(())
    }

    /// Sends it a signal; a process that is gone needs none.
    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid), signal);
    }
}
