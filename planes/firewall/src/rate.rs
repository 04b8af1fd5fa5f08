//! Counting requests by key over a sliding window, in bounded memory.
//!
//! Invariant: a table never holds more than [`INSTANCES_MAX`] keys. When it is full, the keys with the fewest requests
//! go first, as AWS keeps the highest senders.

use honmaru_base::Time;
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

/// Keys beyond this push out the smallest. AWS limits the 10,000 highest senders; twice that leaves room to tell them.
pub(crate) const INSTANCES_MAX: usize = 20_000;
const INSTANCES_KEPT: usize = 10_000;
/// Requests are counted in slices of this length; AWS looks about every ten seconds.
const SLICE_MS: i64 = 10_000;
/// Keys longer than this are cut: they stay different enough, and memory stays bounded.
const KEY_LEN_MAX: usize = 512;

/// The counts of one rate-based rule.
#[derive(Debug, Default)]
pub(crate) struct RateTable(Mutex<HashMap<Vec<u8>, Counts>>);

/// Requests by slice, oldest first: the slice's number, its count.
#[derive(Debug, Default)]
struct Counts {
    slices: VecDeque<(i64, u32)>,
    total: u64,
}

impl Counts {
    fn forget_before(&mut self, slice: i64) {
        while let Some((at, count)) = self.slices.front().copied() {
            if at >= slice {
                break;
            }
            self.total -= u64::from(count);
            self.slices.pop_front();
        }
    }
}

impl RateTable {
    /// Counts a request and gives the count of its key in the window, this request included.
    pub(crate) fn count(&self, key: &[u8], now: Time, window_s: u32) -> u64 {
        let slice = now.as_ms().div_euclid(SLICE_MS);
        let oldest = slice - i64::from(window_s) * 1_000 / SLICE_MS + 1;
        let key = key.get(..KEY_LEN_MAX).unwrap_or(key);
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if table.len() >= INSTANCES_MAX && !table.contains_key(key) {
            make_room(&mut table, oldest);
        }
        let counts = match table.get_mut(key) {
            Some(counts) => counts,
            None => table.entry(key.to_vec()).or_default(),
        };
        counts.forget_before(oldest);
        match counts.slices.back_mut() {
            // A clock that went back counts into the newest slice.
            Some((at, count)) if *at >= slice => *count = count.saturating_add(1),
            _ => counts.slices.push_back((slice, 1)),
        }
        counts.total += 1;
        counts.total
    }

    /// Keys with more than `limit` requests in the window.
    pub(crate) fn over(&self, limit: u64, now: Time, window_s: u32) -> Vec<Vec<u8>> {
        let slice = now.as_ms().div_euclid(SLICE_MS);
        let oldest = slice - i64::from(window_s) * 1_000 / SLICE_MS + 1;
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut over = Vec::new();
        for (key, counts) in table.iter_mut() {
            counts.forget_before(oldest);
            if counts.total > limit {
                over.push(key.clone());
            }
        }
        over
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// Drops what is out of the window, then, if that was not enough, the keys with the fewest requests.
fn make_room(table: &mut HashMap<Vec<u8>, Counts>, oldest: i64) {
    table.retain(|_, counts| {
        counts.forget_before(oldest);
        counts.total > 0
    });
    if table.len() < INSTANCES_MAX {
        return;
    }
    let mut totals: Vec<u64> = table.values().map(|counts| counts.total).collect();
    let cut = totals.len() - INSTANCES_KEPT;
    let (_, border, _) = totals.select_nth_unstable(cut);
    let border = *border;
    let mut spare = INSTANCES_KEPT.saturating_sub(table.values().filter(|counts| counts.total > border).count());
    table.retain(|_, counts| {
        if counts.total != border {
            return counts.total > border;
        }
        let kept = spare > 0;
        spare = spare.saturating_sub(1);
        kept
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_a_sliding_window() {
        let table = RateTable::default();
        let start = Time::from_ms(1_000_000_000);
        for expected in 1..=5 {
            assert_eq!(table.count(b"a", start, 60), expected);
        }
        assert_eq!(table.count(b"b", start, 60), 1);
        assert_eq!(table.count(b"a", start.plus_s(50), 60), 6);
        assert_eq!(
            table.count(b"a", start.plus_s(60), 60),
            2,
            "the first five are out of the window"
        );
        assert_eq!(table.over(1, start.plus_s(60), 60), vec![b"a".to_vec()]);
    }

    #[test]
    fn stays_bounded_and_keeps_the_highest_senders() {
        let table = RateTable::default();
        let now = Time::from_ms(5_000_000);
        for _ in 0..50 {
            table.count(b"loud", now, 300);
        }
        for key in 0..60_000u32 {
            table.count(&key.to_be_bytes(), now, 300);
            assert!(table.len() <= INSTANCES_MAX);
        }
        assert_eq!(
            table.count(b"loud", now, 300),
            51,
            "the highest sender is never pushed out"
        );
    }
}
