//! The embedded shim and its copy on disk.

use crate::error::{At, RuntimeError};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The shim: a static ELF executable, built by `build.rs` from `bin/shim`.
pub static SHIM: &[u8] = include_bytes!(env!("HONMARU_SHIM"));

/// Writes the shim to `<dir>/shim-<sha256>` unless it is there. Old ones stay: running shims use them.
pub(crate) fn extract(dir: &Path) -> Result<PathBuf, RuntimeError> {
    let path = dir.join(format!("shim-{}", hex::encode(Sha256::digest(SHIM))));
    if fs::metadata(&path).is_ok_and(|found| found.len() == SHIM.len() as u64) {
        return Ok(path);
    }
    fs::create_dir_all(dir).at("create", dir)?;
    let temporary = dir.join(format!(".shim-{}", std::process::id()));
    let mut file = fs::OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o555)
        .open(&temporary)
        .at("create", &temporary)?;
    file.write_all(SHIM).at("write", &temporary)?;
    file.sync_all().at("sync", &temporary)?;
    // Closed before the rename: exec of a file that is open for writing gives ETXTBSY.
    drop(file);
    fs::rename(&temporary, &path).at("rename to", &path)?;
    Ok(path)
}
