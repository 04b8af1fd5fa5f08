//! Capabilities by name, and the set that a container gets.

/// Names by number. Ref: linux/capability.h.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// How many the kernel may know: numbers up to 63 are tried when the bounding set is cut.
pub const NUMBERS_MAX: u64 = 64;

/// Docker's default set without MKNOD: a task gets no devices. Ref: ECS `KernelCapabilities`.
const DEFAULT: [&str; 13] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SYS_CHROOT",
    "AUDIT_WRITE",
    "SETFCAP",
];

/// The bit of a name, with or without `CAP_`, in any case.
pub fn bit(name: &str) -> Option<u64> {
    let upper = name.to_ascii_uppercase();
    let short = upper.strip_prefix("CAP_").unwrap_or(&upper);
    NAMES.iter().position(|known| *known == short).map(|number| 1 << number)
}

/// The default set, minus `drop`, plus `add`; `ALL` in either stands for all. An unknown name is the error.
pub fn effective(add: &[String], drop: &[String]) -> Result<u64, String> {
    let mut bits: u64 = DEFAULT.iter().filter_map(|name| bit(name)).sum();
    for name in drop {
        bits &= !named(name)?;
    }
    for name in add {
        bits |= named(name)?;
    }
    Ok(bits)
}

fn named(name: &str) -> Result<u64, String> {
    if name.eq_ignore_ascii_case("ALL") {
        return Ok((1 << NAMES.len()) - 1);
    }
    bit(name).ok_or_else(|| format!("unknown capability `{name}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_dockers_without_mknod() {
        assert_eq!(effective(&[], &[]), Ok(0xa004_25fb));
    }

    #[test]
    fn add_wins_over_drop_all() {
        let strings = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            effective(&strings(&["CAP_CHOWN", "sys_ptrace"]), &strings(&["ALL"])),
            Ok(1 | 1 << 19)
        );
        assert_eq!(
            effective(&strings(&["FLY"]), &[]),
            Err("unknown capability `FLY`".into())
        );
    }
}
