//! Keeps the roles running: adopts what runs with the same binary and options, restarts what ends. A role's listening
//! sockets are kept while it is away, so that a restart refuses no connection.

use super::UpOptions;
use super::role::{ROLES, Role, SUPERVISOR, arguments};
use crate::dirs::Dirs;
use crate::lock::{self, Holder};
use crate::sockets::Store;
use anyhow::Context;
use nix::sys::signal::Signal;
use std::path::Path;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// How long a role may take to end after SIGTERM.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// The pause before the second restart in a row; it doubles with every further one. The first has none.
const BACKOFF_MIN: Duration = Duration::from_millis(50);
/// The longest pause before a restart.
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// Ends of a role that ran this long do not count as ends in a row.
const STEADY_AFTER: Duration = Duration::from_secs(2);
/// After so many ends in a row a role's sockets are closed: it is broken, and clients shall hear so instead of waiting.
const SOCKETS_KEPT_FOR: u32 = 6;
/// The roles that listen for clients.
const WITH_SOCKETS: [&str; 2] = ["control", "edge"];
/// How long a role that is replaced may take to hand its sockets over.
const HANDOVER_TIMEOUT: Duration = Duration::from_secs(1);

/// What a role's lock says when it was started with these options.
pub fn holder_of(role: &str, binary: &Path, options: &UpOptions, dirs: &Dirs) -> Holder {
    let pid = i32::try_from(std::process::id()).unwrap_or(0);
    Holder {
        pid,
        binary: binary.display().to_string(),
        options: arguments(role, options, dirs).join(" "),
    }
}

/// The pause before a restart, after so many ends in a row.
fn pause(ends: u32) -> Duration {
    match ends {
        0 | 1 => Duration::ZERO,
        more => BACKOFF_MIN.saturating_mul(1 << (more - 2).min(16)).min(BACKOFF_MAX),
    }
}

/// Starts or adopts one role and restarts it whenever it ends, for ever.
pub async fn supervise(
    name: &'static str,
    binary: &Path,
    options: &UpOptions,
    dirs: &Dirs,
    sockets: &Store,
) -> anyhow::Result<()> {
    let mut ends: u32 = 0;
    let mut next = adopt_or_stop(name, binary, options, dirs, sockets).await?;
    loop {
        let role = match next.take() {
            Some(role) => role,
            None => Role::start(name, binary, options, dirs)?,
        };
        // Nothing was awaited since the start: the role cannot have asked for its sockets before it is expected.
        sockets.expect(name, role.pid);
        let started = Instant::now();
        role.ended().await?;
        sockets.ended(name);
        ends = if started.elapsed() >= STEADY_AFTER {
            1
        } else {
            ends.saturating_add(1)
        };
        if ends == SOCKETS_KEPT_FOR {
            tracing::warn!(
                role = name,
                ends,
                "a role ends again and again; connections are refused until it stays"
            );
        }
        if ends >= SOCKETS_KEPT_FOR {
            sockets.forget(name);
        }
        let pause = pause(ends);
        let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        tracing::warn!(
            role = name,
            pid = role.pid,
            pause_ms,
            "a role ended; it is started again"
        );
        sleep(pause).await;
    }
}

/// The running process of a role, if it was started with this binary and these options; another one is ended.
async fn adopt_or_stop(
    name: &'static str,
    binary: &Path,
    options: &UpOptions,
    dirs: &Dirs,
    sockets: &Store,
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
    sockets.expect(name, role.pid);
    if WITH_SOCKETS.contains(&name) && timeout(HANDOVER_TIMEOUT, sockets.handed_over(name)).await.is_err() {
        tracing::info!(role = name, "a role that is replaced did not hand its sockets over");
    }
    stop(&role).await?;
    sockets.ended(name);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_restart_comes_at_once_and_later_ones_wait_longer() {
        let pauses: Vec<u128> = (1..=10).map(|ends| pause(ends).as_millis()).collect();
        assert_eq!(pauses, [0, 50, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        assert_eq!(pause(u32::MAX), BACKOFF_MAX);
    }
}
