//! The host: its kernel, its clock, its disk. All of it can be read without root.

use crate::Seen;
use std::fs;
use std::path::Path;

const REBOOT_REQUIRED: &str = "/var/run/reboot-required";
const REBOOT_PACKAGES: &str = "/var/run/reboot-required.pkgs";
const APT_CONFIGURATION: &str = "/etc/apt/apt.conf.d";
/// Layers of devices below a file system at most: partition, encryption, volume, array.
const DEVICES_DEEP_MAX: usize = 8;

/// What was looked at.
#[derive(Debug, Clone)]
pub struct Host {
    /// The kernel that runs, and the newest that is installed.
    pub kernel: Seen<Kernel>,
    /// Why the host wants to be started anew, in its own words; nothing: it does not say so.
    pub reboot: Option<String>,
    /// The line of apt's configuration that installs security updates by itself; nothing: there is none.
    pub unattended: Seen<Option<String>>,
    /// The clock.
    pub clock: Seen<Clock>,
    /// The file system of the state directory.
    pub disk: Seen<Disk>,
    /// The memory.
    pub memory: Seen<Memory>,
}

/// The kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// `uname -r`.
    pub running: String,
    /// The kernels in /boot; empty: it came from elsewhere, as in many virtual machines.
    pub installed: Vec<String>,
}

/// The clock, as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clock {
    /// Whether something keeps it in time.
    pub is_synchronised: bool,
    /// The kernel's status word and greatest error.
    pub raw: String,
}

/// A file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// Bytes in all.
    pub bytes: u64,
    /// Bytes that may still be written.
    pub bytes_free: u64,
    /// Files in all; 0 where there is no such limit.
    pub files: u64,
    /// Files that may still be made.
    pub files_free: u64,
    /// What it lies on, from the file system down: names, and for device mappers what they are.
    pub devices: Seen<Vec<String>>,
}

/// The memory, in KiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// All of it.
    pub total_kib: u64,
    /// What programs can still get.
    pub available_kib: u64,
}

/// Looks at the host; `state` is the cloud's directory.
pub fn host(state: &Path) -> Host {
    Host {
        kernel: kernel(),
        reboot: reboot(),
        unattended: unattended(Path::new(APT_CONFIGURATION)),
        clock: clock(),
        disk: disk(state),
        memory: memory(),
    }
}

/// The kernel's id of this run of the machine.
pub(crate) fn boot_id() -> Option<String> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned())
}

/// The kernel's modules that can confine a program by a profile.
pub(crate) fn confining_modules() -> Vec<String> {
    let listed = fs::read_to_string("/sys/kernel/security/lsm").unwrap_or_default();
    let mut found: Vec<String> = listed
        .trim()
        .split(',')
        .filter(|name| ["apparmor", "selinux", "smack"].contains(name))
        .map(str::to_owned)
        .collect();
    let enabled = fs::read_to_string("/sys/module/apparmor/parameters/enabled").unwrap_or_default();
    if enabled.trim() == "Y" && !found.iter().any(|name| name == "apparmor") {
        found.push("apparmor".to_owned());
    }
    found
}

fn kernel() -> Seen<Kernel> {
    let running = fs::read_to_string("/proc/sys/kernel/osrelease").map_err(|error| format!("osrelease: {error}"))?;
    let entries = fs::read_dir("/boot").into_iter().flatten().flatten();
    let installed = entries.filter_map(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        Some(name.strip_prefix("vmlinuz-")?.to_owned())
    });
    Ok(Kernel {
        running: running.trim().to_owned(),
        installed: installed.collect(),
    })
}

fn reboot() -> Option<String> {
    let said = fs::read_to_string(REBOOT_REQUIRED).ok()?;
    let packages = fs::read_to_string(REBOOT_PACKAGES).unwrap_or_default();
    let packages: Vec<&str> = packages.lines().collect();
    let said = said.trim().trim_matches('*').trim();
    Some(match packages.as_slice() {
        [] => format!("{REBOOT_REQUIRED}: {said}"),
        packages => format!("{REBOOT_REQUIRED}: {said} ({})", packages.join(", ")),
    })
}

fn unattended(dir: &Path) -> Seen<Option<String>> {
    let entries =
        fs::read_dir(dir).map_err(|_| "this is no Debian: how it gets updates is not known here".to_owned())?;
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    let mut found = None;
    for file in files {
        for line in fs::read_to_string(&file).unwrap_or_default().lines() {
            let line = line.trim();
            if let Some(value) = line.strip_prefix("APT::Periodic::Unattended-Upgrade") {
                // The last file that says it counts.
                let days = value.trim().trim_end_matches(';').trim().trim_matches('"');
                found = (days != "0").then(|| format!("{}: {line}", file.display()));
            }
        }
    }
    Ok(found)
}

fn clock() -> Seen<Clock> {
    // SAFETY: all-zero is a valid timex; with `modes` 0 the kernel writes into it and changes nothing.
    let (state, status, error_us) = unsafe {
        let mut time: libc::timex = std::mem::zeroed();
        let state = libc::adjtimex(&raw mut time);
        (state, time.status, time.maxerror)
    };
    if state < 0 {
        return Err(format!("adjtimex: {}", std::io::Error::last_os_error()));
    }
    Ok(Clock {
        is_synchronised: status & libc::STA_UNSYNC == 0,
        raw: format!("adjtimex: status {status:#x}, greatest error {error_us} us"),
    })
}

fn disk(state: &Path) -> Seen<Disk> {
    let found = rustix::fs::statvfs(state).map_err(|error| format!("{}: {error}", state.display()))?;
    Ok(Disk {
        bytes: found.f_blocks * found.f_frsize,
        bytes_free: found.f_bavail * found.f_frsize,
        files: found.f_files,
        files_free: found.f_favail,
        devices: devices(state),
    })
}

/// What a file system lies on, by sysfs.
fn devices(state: &Path) -> Seen<Vec<String>> {
    use std::os::unix::fs::MetadataExt;
    let device = fs::metadata(state).map_err(|error| error.to_string())?.dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let mut wanted = vec![Path::new("/sys/dev/block").join(format!("{major}:{minor}"))];
    let mut seen = Vec::new();
    for _ in 0..DEVICES_DEEP_MAX {
        let mut below = Vec::new();
        for dir in &wanted {
            let real =
                fs::canonicalize(dir).map_err(|_| format!("device {major}:{minor} is no disk of this kernel's"))?;
            let name = real.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let mapper = fs::read_to_string(real.join("dm/uuid")).unwrap_or_default();
            seen.push(match mapper.trim() {
                "" => name,
                uuid => format!("{name} ({uuid})"),
            });
            let slaves = fs::read_dir(real.join("slaves")).into_iter().flatten().flatten();
            below.extend(slaves.map(|slave| slave.path()));
        }
        wanted = below;
    }
    Ok(seen)
}

fn memory() -> Seen<Memory> {
    let text = fs::read_to_string("/proc/meminfo").map_err(|error| format!("meminfo: {error}"))?;
    let field = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name))?;
        value.trim().trim_end_matches("kB").trim().parse().ok()
    };
    let missing = "/proc/meminfo lacks a field";
    Ok(Memory {
        total_kib: field("MemTotal:").ok_or(missing)?,
        available_kib: field("MemAvailable:").ok_or(missing)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_is_seen() {
        let host = host(Path::new("/"));
        assert!(!host.kernel.expect("seen").running.is_empty());
        let disk = host.disk.expect("seen");
        assert!(disk.bytes > 0 && disk.bytes_free <= disk.bytes);
        assert!(host.clock.expect("seen").raw.contains("status"));
        let memory = host.memory.expect("seen");
        assert!(memory.available_kib <= memory.total_kib);
    }

    #[test]
    fn the_last_word_on_updates_counts() {
        let dir = tempfile::tempdir().expect("a directory");
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).expect("written");
        assert_eq!(unattended(dir.path()), Ok(None));
        write("20auto", "APT::Periodic::Unattended-Upgrade \"1\";\n");
        assert!(unattended(dir.path()).expect("seen").is_some());
        write("99mine", "// no\nAPT::Periodic::Unattended-Upgrade \"0\";\n");
        assert_eq!(unattended(dir.path()), Ok(None));
        assert!(unattended(Path::new("/nonexistent")).is_err());
    }
}
