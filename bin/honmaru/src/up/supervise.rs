//! Keeps the roles running: adopts what runs with the same binary and options, restarts what ends.

use super::UpOptions;
use super::role::{ROLES, Role, SUPERVISOR, arguments};
use crate::dirs::Dirs;
use crate::lock::{self, Holder};
use anyhow::Context;
use nix::sys::signal::Signal;
use std::path::Path;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// How long a role may take to end after SIGTERM.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// The first pause before a restart; it doubles with every early end.
const BACKOFF_MIN: Duration = Duration::from_millis(50);
/// The longest pause before a restart.
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// A role that ran this long starts again without a pause.
const STEADY_AFTER: Duration = Duration::from_secs(10);

/// What a role's lock says when it was started with these options.
pub fn holder_of(role: &str, binary: &Path, options: &UpOptions, dirs: &Dirs) -> Holder {
    let pid = i32::try_from(std::process::id()).unwrap_or(0);
    Holder {
        pid,
        binary: binary.display().to_string(),
        options: arguments(role, options, dirs).join(" "),
    }
}

/// Starts or adopts one role and restarts it whenever it ends, for ever.
pub async fn supervise(name: &'static str, binary: &Path, options: &UpOptions, dirs: &Dirs) -> anyhow::Result<()> {
    let mut backoff = BACKOFF_MIN;
    let mut next = adopt_or_stop(name, binary, options, dirs).await?;
    loop {
        let role = match next.take() {
            Some(role) => role,
            None => Role::start(name, binary, options, dirs)?,
        };
        let started = Instant::now();
        role.ended().await?;
        backoff = if started.elapsed() >= STEADY_AFTER {
            BACKOFF_MIN
        } else {
            (backoff * 2).min(BACKOFF_MAX)
        };
        let pause_ms = u64::try_from(backoff.as_millis()).unwrap_or(u64::MAX);
        tracing::warn!(
            role = name,
            pid = role.pid,
            pause_ms,
            "a role ended; it is started again"
        );
        sleep(backoff).await;
    }
}

/// The running process of a role, if it was started with this binary and these options; another one is ended.
async fn adopt_or_stop(
    name: &'static str,
    binary: &Path,
    options: &UpOptions,
    dirs: &Dirs,
) -> anyhow::Result<Option<Role>> {
    let Some(holder) = lock::holder(&dirs.lock(name)) else {
        return Ok(None);
    };
    let Ok(role) = Role::adopt(name, holder.pid) else {
        return Ok(None);
    };
    let wanted = holder_of(name, binary, options, dirs);
    if holder.binary == wanted.binary && holder.options == wanted.options {
        tracing::info!(role = name, pid = holder.pid, "adopted a running role");
        return Ok(Some(role));
    }
    tracing::info!(
        role = name,
        pid = holder.pid,
        "a role runs with another binary or other options; it is replaced"
    );
    stop(&role).await?;
    Ok(None)
}

async fn stop(role: &Role) -> anyhow::Result<()> {
    role.signal(Signal::SIGTERM);
    if timeout(STOP_TIMEOUT, role.ended()).await.is_err() {
        tracing::warn!(
            role = role.name,
            pid = role.pid,
            "a role did not end in time; it is killed"
        );
        role.signal(Signal::SIGKILL);
        timeout(STOP_TIMEOUT, role.ended())
            .await
            .with_context(|| format!("role `{}` (pid {}) does not end, even when killed", role.name, role.pid))??;
    }
    Ok(())
}

/// Ends the `honmaru up` of a state directory, which would start again what is stopped, then every running role.
/// Containers keep running.
pub async fn stop_all(dirs: &Dirs) -> anyhow::Result<()> {
    if let Some(holder) = lock::holder(&dirs.lock(SUPERVISOR))
        && let Ok(supervisor) = Role::adopt(SUPERVISOR, holder.pid)
    {
        // It ends the roles itself, each of which has a time-out of its own.
        supervisor.signal(Signal::SIGTERM);
        if timeout(STOP_TIMEOUT * 4, supervisor.ended()).await.is_err() {
            supervisor.signal(Signal::SIGKILL);
            timeout(STOP_TIMEOUT, supervisor.ended())
                .await
                .with_context(|| format!("`honmaru up` (pid {}) does not end, even when killed", supervisor.pid))??;
        }
    }
    stop_roles(dirs).await
}

/// Ends every running role of a state directory; containers keep running.
pub async fn stop_roles(dirs: &Dirs) -> anyhow::Result<()> {
    // Edge and node first: control would report them as lost.
    for name in ROLES.into_iter().rev() {
        if let Some(holder) = lock::holder(&dirs.lock(name))
            && let Ok(role) = Role::adopt(name, holder.pid)
        {
            stop(&role).await?;
        }
    }
    Ok(())
}
