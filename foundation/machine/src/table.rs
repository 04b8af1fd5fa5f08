//! One table: rows of one type by scope and key, with the secondary indexes that the type declares.

use crate::{Record, RecordError};
use honmaru_base::Scope;
use serde::{Serialize, de::DeserializeOwned};
use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A type whose values are rows of a table.
pub trait Resource: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// The table's name in the log, for example `ecs.service`. It must never change.
    const KIND: &'static str;
    /// Whether rows are written to the log. Rows that are not durable hold observations that a plane repeats
    /// whenever it connects (target health); they are empty after a restart.
    const DURABLE: bool = true;

    /// The row's secondary index entries: calls `add(index name, value)` for each.
    fn index(&self, _add: &mut dyn FnMut(&'static str, String)) {}
}

#[derive(Clone)]
pub(crate) struct Table<R> {
    pub(crate) rows: BTreeMap<Scope, BTreeMap<String, Arc<R>>>,
    pub(crate) index: BTreeMap<(Scope, &'static str, String), BTreeSet<String>>,
}

impl<R> Default for Table<R> {
    fn default() -> Self {
        Self {
            rows: BTreeMap::new(),
            index: BTreeMap::new(),
        }
    }
}

impl<R: Resource> Table<R> {
    /// Sets or removes a row and returns the one that was there before.
    pub(crate) fn replace(&mut self, scope: &Scope, key: &str, row: Option<Arc<R>>) -> Option<Arc<R>> {
        let before = match &row {
            Some(row) => self
                .rows
                .entry(scope.clone())
                .or_default()
                .insert(key.to_owned(), row.clone()),
            None => {
                let rows = self.rows.get_mut(scope);
                let before = rows.and_then(|rows| rows.remove(key));
                if self.rows.get(scope).is_some_and(BTreeMap::is_empty) {
                    self.rows.remove(scope);
                }
                before
            }
        };
        if let Some(before) = &before {
            before.index(&mut |name, value| {
                let entry = (scope.clone(), name, value);
                if let Some(keys) = self.index.get_mut(&entry) {
                    keys.remove(key);
                    if keys.is_empty() {
                        self.index.remove(&entry);
                    }
                }
            });
        }
        if let Some(row) = &row {
            row.index(&mut |name, value| {
                self.index
                    .entry((scope.clone(), name, value))
                    .or_default()
                    .insert(key.to_owned());
            });
        }
        before
    }
}

/// A table whose row type is not known: what snapshots and replay see.
pub(crate) trait AnyTable: Any + Send + Sync {
    fn apply(&mut self, record: &Record) -> Result<(), RecordError>;
    fn dump(&self, out: &mut dyn FnMut(Vec<u8>));
    fn as_any(&self) -> &dyn Any;
    fn as_any_mut(&mut self) -> &mut dyn Any;
}

impl<R: Resource> AnyTable for Table<R> {
    fn apply(&mut self, record: &Record) -> Result<(), RecordError> {
        let row = match &record.body {
            Some(body) => Some(Arc::new(serde_json::from_str::<R>(body.get()).map_err(|source| {
                RecordError::Body {
                    kind: record.kind.clone(),
                    key: record.key.clone(),
                    source,
                }
            })?)),
            None => None,
        };
        self.replace(&record.scope, &record.key, row);
        Ok(())
    }

    fn dump(&self, out: &mut dyn FnMut(Vec<u8>)) {
        if !R::DURABLE {
            return;
        }
        for (scope, rows) in &self.rows {
            for (key, row) in rows {
                out(crate::record::encode::<R>(scope, key, Some(row)));
            }
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}
