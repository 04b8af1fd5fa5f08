//! Identifiers that the node gives: user id ranges and runtime ids.

use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// User ids that each task has.
pub(crate) const UIDS_PER_TASK: u32 = 65_536;

/// The first id: above what login, container engines and systemd hand out. Ref: systemd.io/UIDS-GIDS.
const FIRST: u32 = 0x1000_0000;

/// Ranges of one instance. Instances on one host get one of [`SLICES`] by their id, to be apart where possible.
const RANGES: u32 = 4_096;

/// 7 times 4,096 ranges fill the ids from 2^28 to 2^31; some tools take larger ones for negative numbers.
const SLICES: u32 = 7;
const _: () = assert!(FIRST as u64 + RANGES as u64 * SLICES as u64 * UIDS_PER_TASK as u64 <= 1 << 31);

/// The lowest range that nobody has; nothing when all are given.
pub(crate) fn free_uid_base(instance: &str, taken: &BTreeSet<u32>) -> Option<u32> {
    let slice = u32::from_str_radix(instance, 16).unwrap_or(0) % SLICES;
    let base = FIRST + slice * RANGES * UIDS_PER_TASK;
    (0..RANGES)
        .map(|n| base + n * UIDS_PER_TASK)
        .find(|base| !taken.contains(base))
}

/// A container's runtime id as Fargate forms it: the task id, a hyphen, ten digits.
pub(crate) fn runtime_id(task_id: &str, container: &str) -> String {
    let digest = Sha256::digest(format!("{task_id}/{container}"));
    let number = digest.iter().take(5).fold(0u64, |n, b| n << 8 | u64::from(*b));
    format!("{task_id}-{:010}", number % 10_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_do_not_overlap_and_end() {
        let first = free_uid_base("a1b2c3", &BTreeSet::new()).expect("a range");
        assert_eq!(first % UIDS_PER_TASK, 0);
        let mut taken: BTreeSet<u32> = (1..RANGES).map(|n| first + n * UIDS_PER_TASK).collect();
        assert_eq!(free_uid_base("a1b2c3", &taken), Some(first));
        taken.insert(first);
        assert_eq!(free_uid_base("a1b2c3", &taken), None);
        let freed = *taken.iter().nth(7).expect("a range");
        taken.remove(&freed);
        assert_eq!(free_uid_base("a1b2c3", &taken), Some(freed));
    }

    #[test]
    fn runtime_ids_differ_and_stay() {
        assert_eq!(runtime_id("t", "a"), runtime_id("t", "a"));
        assert_ne!(runtime_id("t", "a"), runtime_id("t", "b"));
        assert_eq!(runtime_id("t", "a").len(), 12);
    }
}
