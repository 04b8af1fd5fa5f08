//! The state directory: a room for each role, owned by the role's user, and root's copy of this binary.

use super::role::{ROLES, SUPERVISOR};
use crate::dirs::Dirs;
use crate::users::{CONTROL_UID, EDGE_UID, uid_of};
use anyhow::{Context, bail};
use sha2::{Digest, Sha256};
use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

/// What the roles need to start, roughly: files of a few KiB, and SQLite's.
const FREE_BYTES_MIN: u64 = 1024 * 1024;

/// Makes the state directory's rooms and returns the path of the binary that the roles run.
pub fn prepare(dirs: &Dirs) -> anyhow::Result<PathBuf> {
    if !nix::unistd::geteuid().is_root() {
        bail!(
            "`honmaru up` starts containers and needs root\nhint: run it with `sudo`; only the role `node` keeps root, \
             `control` and `edge` run as users without privileges"
        );
    }
    if fs::metadata(dirs.state()).is_ok_and(|found| !found.is_dir()) {
        bail!(
            "`{}` is no directory\nhint: name another place with `--state DIR`",
            dirs.state().display()
        );
    }
    check_reachable(dirs.state())?;
    room(dirs.state(), 0, 0o755)?;
    room(&dirs.bin(), 0, 0o755)?;
    room(&dirs.run(), CONTROL_UID, 0o755)?;
    room(&dirs.locks(), 0, 0o755)?;
    for role in ROLES.into_iter().chain([SUPERVISOR]) {
        let path = dirs.lock(role);
        let lock = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
        lock.with_context(|| format!("failed to make {}", path.display()))?;
        chown(&path, Some(uid_of(role)), Some(uid_of(role)))?;
    }
    room(&dirs.logs(), 0, 0o755)?;
    room(&dirs.control(), CONTROL_UID, 0o700)?;
    // Private images are nobody's else; node reads them as root. What it unpacks of them has programs with setuid, too,
    // which no user of this machine may run.
    room(&dirs.images(), CONTROL_UID, 0o700)?;
    room(&dirs.node(), 0, 0o700)?;
    room(&dirs.edge(), EDGE_UID, 0o700)?;
    install(dirs)
}

/// Whether the disk of a cloud has nothing more to give: neither blocks nor files.
pub(super) fn is_full(state: &Path) -> bool {
    rustix::fs::statvfs(state).is_ok_and(|disk| {
        disk.f_bavail.saturating_mul(disk.f_frsize) < FREE_BYTES_MIN || disk.f_files > 0 && disk.f_favail == 0
    })
}

fn room(path: &Path, uid: u32, mode: u32) -> anyhow::Result<()> {
    fs::create_dir_all(path).with_context(|| {
        format!(
            "failed to make {}\nhint: choose another place with `--state DIR`, if this one cannot be written",
            path.display()
        )
    })?;
    chown(path, Some(uid), Some(uid)).with_context(|| format!("failed to give {} away", path.display()))?;
    let permissions = Permissions::from_mode(mode);
    fs::set_permissions(path, permissions).with_context(|| format!("failed to set the mode of {}", path.display()))
}

/// The unprivileged users must be able to enter every directory above the state.
fn check_reachable(state: &Path) -> anyhow::Result<()> {
    for parent in state.ancestors().skip(1) {
        let mode = match fs::metadata(parent) {
            // It will be made, and then everybody may enter it.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            found => found
                .with_context(|| format!("failed to look at {}", parent.display()))?
                .mode(),
        };
        if mode & 0o001 == 0 {
            bail!(
                "`{}` cannot be entered by the users that `control` and `edge` run as\nhint: choose another place with \
                 `--state DIR`, for example `--state /var/lib/honmaru`",
                parent.display()
            );
        }
    }
    Ok(())
}

/// Copies this binary into the state directory, so that the original can be replaced or lie where only root may read.
fn install(dirs: &Dirs) -> anyhow::Result<PathBuf> {
    let this = std::env::current_exe().context("failed to find this binary")?;
    let reading = || format!("failed to read {}", this.display());
    // In pieces: this process stays, and would keep the memory of all of it.
    let mut digest = Sha256::new();
    std::io::copy(&mut fs::File::open(&this).with_context(reading)?, &mut digest).with_context(reading)?;
    let digest = hex::encode(digest.finalize());
    let path = dirs
        .bin()
        .join(format!("honmaru-{}", digest.get(..16).unwrap_or(&digest)));
    if path.exists() {
        return Ok(path);
    }
    let partial = path.with_extension(format!("partial-{}", std::process::id()));
    if let Err(error) = fs::copy(&this, &partial) {
        // On a full disk half of a binary would take the room of what is needed to clean up.
        let _ = fs::remove_file(&partial);
        let is_full = error.kind() == std::io::ErrorKind::StorageFull;
        let hint = if is_full {
            "\nhint: make room, or choose another place with `--state DIR`"
        } else {
            ""
        };
        return Err(error).with_context(|| format!("failed to write {}{hint}", partial.display()));
    }
    fs::set_permissions(&partial, Permissions::from_mode(0o755))?;
    fs::rename(&partial, &path).with_context(|| format!("failed to install {}", path.display()))?;
    Ok(path)
}
