//! One process for each role of a state directory: a lock that lives exactly as long as the process.

use anyhow::Context;
use nix::fcntl::{Flock, FlockArg};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;

/// What the holder of a lock says about itself.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Holder {
    /// Its process id.
    pub pid: i32,
    /// The binary that it runs.
    pub binary: String,
    /// The options that it was started with, to tell whether a new `up` wants others.
    pub options: String,
}

/// The lock of a running role; the kernel releases it when the process ends, however it ends.
pub struct RoleLock(#[expect(dead_code, reason = "held, not used: dropping it releases the lock")] Flock<File>);

/// Takes a role's lock, or says who has it.
pub fn take(path: &Path, me: &Holder) -> anyhow::Result<Result<RoleLock, Option<Holder>>> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .with_context(|| format!("failed to open {}", path.display()))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(mut lock) => {
            let mut text = serde_json::to_vec(me)?;
            // Over what a former holder wrote, and never cut: a full disk has no other room. JSON may end with blanks.
            let former = lock.metadata().map_or(0, |found| found.len());
            text.resize(text.len().max(usize::try_from(former).unwrap_or(0)), b' ');
            lock.write_all(&text)
                .with_context(|| format!("failed to write {}", path.display()))?;
            Ok(Ok(RoleLock(lock)))
        }
        Err((mut file, nix::errno::Errno::EWOULDBLOCK)) => {
            let mut text = String::new();
            file.read_to_string(&mut text)?;
            Ok(Err(serde_json::from_str(&text).ok()))
        }
        Err((_, errno)) => Err(errno).with_context(|| format!("failed to lock {}", path.display())),
    }
}

/// Who holds a role's lock right now, if anybody.
pub fn holder(path: &Path) -> Option<Holder> {
    let mut file = OpenOptions::new().read(true).write(true).open(path).ok()?;
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        // Nobody had it. It is released again at once.
        Ok(_) => None,
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => serde_json::from_str(&text).ok(),
        Err(_) => None,
    }
}
