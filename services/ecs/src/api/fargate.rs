//! Task sizes. Ref: ECS RegisterTaskDefinition, `cpu` and `memory`.

use crate::error::{client, invalid};
use honmaru_base::ApiError;

const GIB: u32 = 1_024;

/// Whether Fargate offers that many CPU units with that many MiB.
pub(super) fn is_fargate_size(cpu: u32, memory: u32) -> bool {
    let stepped = |min: u32, max: u32, step: u32| {
        (min * GIB..=max * GIB).contains(&memory) && (memory - min * GIB).is_multiple_of(step * GIB)
    };
    match cpu {
        256 => [512, GIB, 2 * GIB].contains(&memory),
        512 => stepped(1, 4, 1),
        1_024 => stepped(2, 8, 1),
        2_048 => stepped(4, 16, 1),
        4_096 => stepped(8, 30, 1),
        8_192 => stepped(16, 60, 4),
        16_384 => stepped(32, 120, 8),
        _ => false,
    }
}

/// What AWS says of a pair that Fargate does not offer.
pub(super) fn no_fargate_size(cpu: u32, memory: u32) -> String {
    format!(
        "No Fargate configuration exists for given values: {cpu} CPU, {memory} memory. See the Amazon ECS documentation \
         for the valid values."
    )
}

/// CPU units from `1024`, `1 vCPU` or `.5 vcpu`.
pub(super) fn cpu_units(text: &str) -> Result<u32, ApiError> {
    let bad = || client("Invalid 'cpu' setting for task.");
    let lower = text.trim().to_ascii_lowercase();
    let units = match lower.strip_suffix("vcpu") {
        Some(number) => scaled(number.trim(), 1_024).ok_or_else(bad)?,
        None => lower.parse().map_err(|_| bad())?,
    };
    // Ref: RegisterTaskDefinition `cpu`: 128 units (0.125 vCPU) to 196,608 units (192 vCPU).
    if (128..=196_608).contains(&units) {
        Ok(units)
    } else {
        Err(bad())
    }
}

/// MiB from `1024`, `1GB` or `0.5 gb`.
pub(super) fn memory_mib(text: &str) -> Result<u32, ApiError> {
    let bad = || client("Invalid 'memory' setting for task.");
    let lower = text.trim().to_ascii_lowercase();
    let mib: u32 = match lower.strip_suffix("gb") {
        Some(number) => scaled(number.trim(), 1_024).ok_or_else(bad)?,
        None => lower.parse().map_err(|_| bad())?,
    };
    if mib >= 4 { Ok(mib) } else { Err(bad()) }
}

fn scaled(number: &str, by: u32) -> Option<u32> {
    let value: f64 = number.parse().ok()?;
    let scaled = value * f64::from(by);
    (scaled.is_finite() && (0.0..=f64::from(u32::MAX)).contains(&scaled)).then_some(scaled as u32)
}

/// CPU and memory of a task override; nothing where none is given.
pub(super) fn override_size(cpu: Option<&str>, memory: Option<&str>) -> Result<(Option<u32>, Option<u32>), ApiError> {
    let as_invalid = |err: ApiError| invalid(err.message);
    Ok((
        cpu.map(cpu_units).transpose().map_err(as_invalid)?,
        memory.map(memory_mib).transpose().map_err(as_invalid)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_documented_pairs_are_fargate_sizes() {
        for (cpu, memory) in [
            (256, 512),
            (256, 2_048),
            (512, 4_096),
            (1_024, 8_192),
            (4_096, 30_720),
            (16_384, 122_880),
        ] {
            assert!(is_fargate_size(cpu, memory), "{cpu} and {memory}");
        }
        for (cpu, memory) in [
            (256, 4_096),
            (256, 768),
            (512, 512),
            (1_024, 1_024),
            (8_192, 18_432),
            (300, 512),
            (0, 0),
        ] {
            assert!(!is_fargate_size(cpu, memory), "{cpu} and {memory}");
        }
    }

    #[test]
    fn sizes_are_read_in_all_their_forms() {
        assert_eq!(cpu_units("256"), Ok(256));
        assert_eq!(cpu_units(".5 vCPU"), Ok(512));
        assert_eq!(cpu_units("1vcpu"), Ok(1_024));
        assert!(cpu_units("many").is_err());
        assert!(cpu_units("64").is_err());
        assert_eq!(memory_mib("1 GB"), Ok(1_024));
        assert_eq!(memory_mib("0.5GB"), Ok(512));
        assert!(memory_mib("-1").is_err());
        assert!(memory_mib("NaN GB").is_err());
    }
}
