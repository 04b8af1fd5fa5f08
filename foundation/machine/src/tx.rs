//! A transition: the one way to change the state. What it changed can be logged, or taken back whole.

use crate::{Resource, State, record};
use honmaru_base::{Rng, Scope, Time};
use std::ops::Deref;
use std::sync::Arc;

type Undo = Box<dyn FnOnce(&mut State) + Send>;

/// Changes to the state, at one moment, with one source of randomness. Reads see the changes made so far.
///
/// Dereferences to [`State`]. A handler that fails leaves no trace: its driver calls [`Tx::roll_back`].
pub struct Tx<'a> {
    state: &'a mut State,
    now: Time,
    rng: &'a mut dyn Rng,
    records: Vec<Vec<u8>>,
    undo: Vec<Undo>,
}

impl<'a> Tx<'a> {
    /// A transition at the moment `now`.
    pub fn new(state: &'a mut State, now: Time, rng: &'a mut dyn Rng) -> Self {
        Self {
            state,
            now,
            rng,
            records: Vec::new(),
            undo: Vec::new(),
        }
    }

    /// The moment of this transition.
    pub fn now(&self) -> Time {
        self.now
    }

    /// The source of new ids and secrets.
    pub fn rng(&mut self) -> &mut dyn Rng {
        self.rng
    }

    /// Writes a row.
    pub fn put<R: Resource>(&mut self, scope: &Scope, key: &str, row: R) {
        self.replace(scope, key, Some(Arc::new(row)));
    }

    /// Removes a row and returns it.
    pub fn delete<R: Resource>(&mut self, scope: &Scope, key: &str) -> Option<Arc<R>> {
        self.state.get::<R>(scope, key)?;
        self.replace(scope, key, None)
    }

    /// Changes a row in place and returns its new value; nothing when there is no such row.
    pub fn update<R: Resource>(&mut self, scope: &Scope, key: &str, change: impl FnOnce(&mut R)) -> Option<&R> {
        let mut row = self.state.get::<R>(scope, key)?.clone();
        change(&mut row);
        self.put(scope, key, row);
        self.state.get::<R>(scope, key)
    }

    fn replace<R: Resource>(&mut self, scope: &Scope, key: &str, row: Option<Arc<R>>) -> Option<Arc<R>> {
        if R::DURABLE {
            self.records.push(record::encode::<R>(scope, key, row.as_deref()));
        }
        let before = self.state.table_mut::<R>().replace(scope, key, row);
        let (undo_scope, undo_key, undo_row) = (scope.clone(), key.to_owned(), before.clone());
        self.undo.push(Box::new(move |state| {
            state.table_mut::<R>().replace(&undo_scope, &undo_key, undo_row);
        }));
        before
    }

    /// Whether anything changed so far.
    pub fn is_changed(&self) -> bool {
        !self.undo.is_empty()
    }

    /// Keeps the changes and returns the records that the log must hold before anybody is answered, as it keeps them:
    /// each is a [`crate::Record`] in JSON.
    pub fn commit(self) -> Vec<Vec<u8>> {
        self.records
    }

    /// Takes every change back.
    pub fn roll_back(mut self) {
        while let Some(undo) = self.undo.pop() {
            undo(self.state);
        }
    }
}

impl Deref for Tx<'_> {
    type Target = State;
    fn deref(&self) -> &State {
        self.state
    }
}
