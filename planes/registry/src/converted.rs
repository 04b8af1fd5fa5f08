//! Manifests that were sent in their other form, by the digest of what was sent: a client that asked for a tag's digest
//! asks for the manifest by it a moment later. The bytes are made anew each time; a restart forgets them.

use honmaru_images::Digest;
use parking_lot::RwLock;
use std::collections::{HashMap, VecDeque};

/// Conversions that are remembered: the oldest is forgotten first.
const CONVERSIONS_MAX: usize = 4_096;

#[derive(Default)]
pub(crate) struct Conversions {
    inner: RwLock<Inner>,
}

/// A repository with its namespace, and the digest of what was sent.
type Key = (String, Digest);

#[derive(Default)]
struct Inner {
    sources: HashMap<Key, Digest>,
    order: VecDeque<Key>,
}

impl Conversions {
    /// Notes that `owner`'s manifest `source` was sent as one that has the digest `sent`.
    pub(crate) fn note(&self, owner: String, sent: &Digest, source: &Digest) {
        let key = (owner, sent.clone());
        if self.inner.read().sources.get(&key) == Some(source) {
            return;
        }
        let mut inner = self.inner.write();
        if inner.sources.insert(key.clone(), source.clone()).is_none() {
            inner.order.push_back(key);
        }
        if inner.order.len() > CONVERSIONS_MAX
            && let Some(oldest) = inner.order.pop_front()
        {
            inner.sources.remove(&oldest);
        }
    }

    /// What was sent as this.
    pub(crate) fn source(&self, owner: impl FnOnce() -> String, sent: &Digest) -> Option<Digest> {
        let inner = self.inner.read();
        if inner.sources.is_empty() {
            return None;
        }
        inner.sources.get(&(owner(), sent.clone())).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversions_are_of_one_repository_and_have_a_limit() {
        let conversions = Conversions::default();
        let (sent, source) = (Digest::sha256(b"sent"), Digest::sha256(b"source"));
        let found = |owner: &str| conversions.source(|| owner.to_owned(), &sent);
        assert_eq!(found("ns/app"), None);
        conversions.note("ns/app".to_owned(), &sent, &source);
        conversions.note("ns/app".to_owned(), &sent, &source);
        assert_eq!((found("ns/app"), found("ns/other")), (Some(source.clone()), None));
        for n in 0..CONVERSIONS_MAX {
            conversions.note(n.to_string(), &sent, &source);
        }
        assert_eq!((found("ns/app"), found("0")), (None, Some(source)));
        assert_eq!(conversions.inner.read().sources.len(), CONVERSIONS_MAX);
    }
}
