//! A map that forgets: two generations, the older one dropped when the younger is full.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// A map with at most `limit` entries. What was not used for a whole generation is forgotten first.
#[derive(Debug)]
pub struct Bounded<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    limit: usize,
}

impl<K: Eq + Hash, V: Clone> Bounded<K, V> {
    /// An empty map of at most `limit` entries; at least 2.
    pub fn new(limit: usize) -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            limit: limit.max(2),
        }
    }

    /// The value of `key`; using it keeps it.
    pub fn get<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        if let Some(value) = self.young.get(key) {
            return Some(value.clone());
        }
        let (key, value) = self.old.remove_entry(key)?;
        self.insert(key, value.clone());
        Some(value)
    }

    /// Sets the value of `key`.
    pub fn insert(&mut self, key: K, value: V) {
        if self.young.len() >= self.limit / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    /// How many entries are kept.
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.young.is_empty() && self.old.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::Bounded;

    #[test]
    fn never_grows_beyond_its_limit_and_keeps_what_is_used() {
        let mut map = Bounded::new(10);
        map.insert(0, 0);
        for key in 1..1_000 {
            map.insert(key, key);
            assert_eq!(map.get(&0), Some(0), "0 was used after every insertion");
            assert!(map.len() <= 10);
        }
        assert_eq!(map.get(&1), None);
    }
}
