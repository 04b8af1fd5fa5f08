//! What the machine has.

use std::fs;

/// CPU units, memory in MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Machine {
    pub cpu_units: u32,
    pub memory_mib: u32,
}

impl Machine {
    pub fn read() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            cpu_units: u32::try_from(processors).unwrap_or(1).saturating_mul(1_024),
            memory_mib: memory_mib(&fs::read_to_string("/proc/meminfo").unwrap_or_default()),
        }
    }
}

fn memory_mib(meminfo: &str) -> u32 {
    let kib = meminfo.lines().find_map(|line| {
        line.strip_prefix("MemTotal:")?
            .trim()
            .strip_suffix("kB")?
            .trim()
            .parse::<u64>()
            .ok()
    });
    kib.map_or(0, |kib| u32::try_from(kib / 1_024).unwrap_or(u32::MAX))
}

/// The kernel's boot id.
pub(crate) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .unwrap_or_default()
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_meminfo() {
        assert_eq!(memory_mib("MemTotal:       24576000 kB\nMemFree: 1 kB\n"), 24_000);
        assert_eq!(memory_mib("nonsense"), 0);
        assert!(Machine::read().memory_mib > 0);
        assert_eq!(boot_id().len(), 36);
    }
}
