//! Kernel parameters of the host: IPv4 forwarding while any instance needs it, and what it was before.

use crate::NetworkError;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";

/// Where the former value is kept: on a file system that a reboot clears, as it clears the parameter itself.
const MEMORY_DIR: &str = "/run/honmaru";

/// One file for each network namespace that instances have as their host.
fn memory() -> Result<PathBuf, NetworkError> {
    let namespace = "/proc/thread-self/ns/net";
    let inode = fs::metadata(namespace)
        .map_err(|e| NetworkError::file("read", namespace, e))?
        .ino();
    Ok(Path::new(MEMORY_DIR).join(format!("ip_forward.{inode}")))
}

/// Switches forwarding on; the first one to do so remembers what it was.
pub(crate) fn forward_on() -> Result<(), NetworkError> {
    let before = fs::read_to_string(FORWARD).map_err(|e| NetworkError::file("read", FORWARD, e))?;
    if before.trim() == "1" {
        return Ok(());
    }
    let memory = memory()?;
    fs::create_dir_all(MEMORY_DIR).map_err(|e| NetworkError::file("create", MEMORY_DIR, e))?;
    fs::write(&memory, before.trim()).map_err(|e| NetworkError::file("write", &memory, e))?;
    fs::write(FORWARD, "1").map_err(|e| NetworkError::file("write", FORWARD, e))
}

/// Gives forwarding its former value; for the last instance to leave. Nothing remembered: nothing to do.
pub(crate) fn forward_restore() -> Result<(), NetworkError> {
    let memory = memory()?;
    match fs::read_to_string(&memory) {
        Ok(before) => {
            fs::write(FORWARD, before.trim()).map_err(|e| NetworkError::file("write", FORWARD, e))?;
            fs::remove_file(&memory).map_err(|e| NetworkError::file("remove", &memory, e))?;
            // Others may still have files in it; then it stays.
            let _ = fs::remove_dir(MEMORY_DIR);
            Ok(())
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(NetworkError::file("read", &memory, e)),
    }
}

/// Sets a parameter of one interface.
pub(crate) fn interface(name: &str, parameter: &str, value: &str) -> Result<(), NetworkError> {
    let path = format!("/proc/sys/net/ipv4/conf/{name}/{parameter}");
    fs::write(&path, value).map_err(|e| NetworkError::file("write", path, e))
}

/// Keeps IPv6 off an interface; a kernel without IPv6 has nothing to keep off.
pub(crate) fn no_ipv6(name: &str) {
    let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"), "1");
}
