//! All of the cloud's state: typed tables in memory.

use crate::table::{AnyTable, Resource, Table};
use crate::{RECORD_FORMAT, Record, RecordError};
use honmaru_base::Scope;
use std::any::TypeId;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Bound;
use std::sync::Arc;

/// Typed tables by kind. Read freely; change it through [`crate::Tx`] only.
#[derive(Default)]
pub struct State {
    slots: Vec<Slot>,
    /// The place of each row type's table: a call looks up a dozen rows, and text is slow to compare.
    by_type: HashMap<TypeId, usize, BuildHasherDefault<TypeIdHasher>>,
    by_kind: BTreeMap<&'static str, usize>,
    changes: u64,
}

struct Slot {
    table: Box<dyn AnyTable>,
    /// `State::changes` at its last change; 0 before the first one.
    version: u64,
}

/// Some tables of a state, found once.
#[derive(Debug)]
pub struct Tables(Box<[usize]>);

/// A `TypeId` is a hash already.
#[derive(Default)]
struct TypeIdHasher(u64);

impl Hasher for TypeIdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, n: u64) {
        self.0 ^= n;
    }
}

impl State {
    /// A state without tables; register each resource before use.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the table of `R`. Registering twice is a programming error and panics.
    pub fn register<R: Resource>(&mut self) {
        let place = self.slots.len();
        let before = self.by_kind.insert(R::KIND, place);
        assert!(before.is_none(), "table `{}` is registered twice", R::KIND);
        self.by_type.insert(TypeId::of::<R>(), place);
        self.slots.push(Slot {
            table: Box::<Table<R>>::default(),
            version: 0,
        });
    }

    fn place<R: Resource>(&self) -> usize {
        let place = self.by_type.get(&TypeId::of::<R>());
        *place.unwrap_or_else(|| panic!("table `{}` is not registered", R::KIND))
    }

    pub(crate) fn table<R: Resource>(&self) -> &Table<R> {
        let slot = self.slots.get(self.place::<R>());
        slot.and_then(|slot| slot.table.as_any().downcast_ref())
            .unwrap_or_else(|| panic!("table `{}` is not registered", R::KIND))
    }

    pub(crate) fn table_mut<R: Resource>(&mut self) -> &mut Table<R> {
        let place = self.place::<R>();
        self.changes += 1;
        let slot = self.slots.get_mut(place);
        slot.and_then(|slot| {
            slot.version = self.changes;
            slot.table.as_any_mut().downcast_mut()
        })
        .unwrap_or_else(|| panic!("table `{}` is not registered", R::KIND))
    }

    /// The row of that key, if there is one.
    pub fn get<R: Resource>(&self, scope: &Scope, key: &str) -> Option<&R> {
        self.table::<R>().rows.get(scope)?.get(key).map(Arc::as_ref)
    }

    /// How many rows a scope has. Costs as much as a look at one row.
    pub fn count<R: Resource>(&self, scope: &Scope) -> usize {
        self.table::<R>().rows.get(scope).map_or(0, |rows| rows.len())
    }

    /// How many rows [`State::find`] would find. Costs as much as a look at one row.
    pub fn count_found<R: Resource>(&self, scope: &Scope, index: &'static str, value: &str) -> usize {
        let keys = self.table::<R>().index.get(&(scope.clone(), index, value.to_owned()));
        keys.map_or(0, |keys| keys.len())
    }

    /// All rows of a scope in the order of their keys.
    pub fn list<R: Resource>(&self, scope: &Scope) -> impl DoubleEndedIterator<Item = (&str, &R)> {
        self.table::<R>()
            .rows
            .get(scope)
            .into_iter()
            .flatten()
            .map(|(key, row)| (key.as_str(), row.as_ref()))
    }

    /// The rows of a scope whose keys start with `prefix`, in the order of their keys.
    pub fn prefixed<'a, R: Resource>(
        &'a self,
        scope: &Scope,
        prefix: &'a str,
    ) -> impl DoubleEndedIterator<Item = (&'a str, &'a R)> {
        let rows = self.table::<R>().rows.get(scope);
        // No key can lie between the last one with this prefix and the prefix followed by the largest character.
        let end = format!("{prefix}{}", char::MAX);
        rows.into_iter()
            .flat_map(move |rows| rows.range::<str, _>((Bound::Included(prefix), Bound::Excluded(end.as_str()))))
            .map(|(key, row)| (key.as_str(), row.as_ref()))
    }

    /// The rows whose index `index` holds `value`, in the order of their keys.
    pub fn find<'a, R: Resource>(
        &'a self,
        scope: &'a Scope,
        index: &'static str,
        value: &str,
    ) -> impl DoubleEndedIterator<Item = (&'a str, &'a R)> + use<'a, R> {
        let table = self.table::<R>();
        let keys = table.index.get(&(scope.clone(), index, value.to_owned()));
        keys.into_iter().flatten().filter_map(move |key| {
            let row = table.rows.get(scope)?.get(key)?;
            Some((key.as_str(), row.as_ref()))
        })
    }

    /// The rows of all scopes whose index `index` holds `value`. For reconcilers that would look at every row else.
    pub fn find_everywhere<'a, R: Resource>(
        &'a self,
        index: &'static str,
        value: &'a str,
    ) -> impl Iterator<Item = (&'a Scope, &'a str, &'a R)> {
        let scopes = self.table::<R>().rows.keys();
        scopes.flat_map(move |scope| {
            let found = self.find::<R>(scope, index, value);
            found.map(move |(key, row)| (scope, key, row))
        })
    }

    /// All rows of all scopes.
    pub fn all<R: Resource>(&self) -> impl Iterator<Item = (&Scope, &str, &R)> {
        self.table::<R>()
            .rows
            .iter()
            .flat_map(|(scope, rows)| rows.iter().map(move |(key, row)| (scope, key.as_str(), row.as_ref())))
    }

    /// A number that grows whenever the table of that kind changes.
    pub fn version(&self, kind: &str) -> u64 {
        self.version_of(&self.tables(&[kind]))
    }

    /// The tables of some kinds, for [`State::version_of`]; of a kind that is not registered there is none.
    pub fn tables(&self, kinds: &[&str]) -> Tables {
        let places = kinds.iter().filter_map(|kind| self.by_kind.get(kind).copied());
        Tables(places.collect())
    }

    /// A number that grows whenever one of these tables changes.
    pub fn version_of(&self, tables: &Tables) -> u64 {
        let slots = tables.0.iter().filter_map(|place| self.slots.get(*place));
        slots.map(|slot| slot.version).max().unwrap_or(0)
    }

    /// A number that grows whenever any table changes.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Replays one record of the log.
    pub fn replay(&mut self, record: &Record) -> Result<(), RecordError> {
        if record.v > RECORD_FORMAT {
            return Err(RecordError::Format(record.v));
        }
        let place = self.by_kind.get(record.kind.as_str()).copied();
        let slot = place
            .and_then(|place| self.slots.get_mut(place))
            .ok_or_else(|| RecordError::Kind(record.kind.clone()))?;
        slot.table.apply(record)?;
        self.changes += 1;
        Ok(())
    }

    /// Gives every durable row to `out` as a record in JSON: the content of a snapshot.
    pub fn dump(&self, out: &mut dyn FnMut(Vec<u8>)) {
        for slot in self.by_kind.values().filter_map(|place| self.slots.get(*place)) {
            slot.table.dump(out);
        }
    }
}
