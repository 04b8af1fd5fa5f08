//! A log in memory: for tests and simulations. It can be told to fail.

use crate::{Log, LogError, Revision};
use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Default)]
struct Inner {
    first: Revision,
    records: Vec<Vec<u8>>,
    snapshot: Option<(Revision, Vec<u8>)>,
    failing: bool,
    is_full: bool,
}

/// A log that lives as long as the value.
#[derive(Default)]
pub struct MemoryLog(Mutex<Inner>);

impl MemoryLog {
    /// An empty log.
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on every append fails (or, with `false`, works again).
    pub fn set_failing(&self, failing: bool) {
        self.lock().failing = failing;
    }

    /// From now on the log has no room for more than what must go on (or, with `false`, has it again).
    pub fn set_full(&self, is_full: bool) {
        self.lock().is_full = is_full;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn head(&self) -> Revision {
        self.first + self.records.len() as Revision
    }
}

impl Log for MemoryLog {
    fn append(&self, head_expected: Revision, batch: &[Vec<u8>]) -> Result<Revision, LogError> {
        let mut inner = self.lock();
        if inner.failing {
            return Err(LogError::Storage {
                doing: "append",
                source: "told to fail".into(),
            });
        }
        let head = inner.head();
        if head != head_expected {
            return Err(LogError::Conflict {
                expected: head_expected,
                head,
            });
        }
        inner.records.extend_from_slice(batch);
        Ok(inner.head())
    }

    fn read(&self, from: Revision, records_max: usize) -> Result<Vec<(Revision, Vec<u8>)>, LogError> {
        let inner = self.lock();
        let skip = from.saturating_sub(inner.first + 1) as usize;
        let first = inner.first + 1 + skip as Revision;
        Ok((first..)
            .zip(inner.records.iter().skip(skip).take(records_max).cloned())
            .collect())
    }

    fn head(&self) -> Result<Revision, LogError> {
        Ok(self.lock().head())
    }

    fn has_room(&self) -> bool {
        !self.lock().is_full
    }

    fn snapshot_put(&self, at: Revision, bytes: &[u8]) -> Result<(), LogError> {
        self.lock().snapshot = Some((at, bytes.to_vec()));
        Ok(())
    }

    fn snapshot_get(&self) -> Result<Option<(Revision, Vec<u8>)>, LogError> {
        Ok(self.lock().snapshot.clone())
    }

    fn compact(&self, through: Revision) -> Result<(), LogError> {
        let mut inner = self.lock();
        let drop = (through.saturating_sub(inner.first) as usize).min(inner.records.len());
        inner.records.drain(..drop);
        inner.first += drop as Revision;
        Ok(())
    }
}
