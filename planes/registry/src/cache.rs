//! Manifests in memory: their content never changes, so a digest is a perfect key.

use bytes::Bytes;
use honmaru_images::Digest;
use parking_lot::RwLock;
use std::collections::{HashMap, VecDeque};

/// Manifests larger than this are read from the store each time.
const ENTRY_BYTES_MAX: usize = 256 * 1024;

pub(crate) struct ManifestCache {
    bytes_max: usize,
    inner: RwLock<Inner>,
}

#[derive(Default)]
struct Inner {
    entries: HashMap<Digest, Bytes>,
    /// In the order they came: the oldest goes first. Cheaper than "least used", and readers share the lock.
    order: VecDeque<Digest>,
    bytes: usize,
}

impl ManifestCache {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            inner: RwLock::default(),
        }
    }

    pub(crate) fn get(&self, digest: &Digest) -> Option<Bytes> {
        self.inner.read().entries.get(digest).cloned()
    }

    pub(crate) fn put(&self, digest: &Digest, bytes: &Bytes) {
        if bytes.len() > ENTRY_BYTES_MAX {
            return;
        }
        let mut inner = self.inner.write();
        // A copy: a slice of a connection's buffer would keep the whole buffer alive.
        if inner
            .entries
            .insert(digest.clone(), Bytes::copy_from_slice(bytes))
            .is_some()
        {
            return;
        }
        inner.order.push_back(digest.clone());
        inner.bytes += bytes.len();
        while inner.bytes > self.bytes_max {
            let Some(oldest) = inner.order.pop_front() else { break };
            if let Some(gone) = inner.entries.remove(&oldest) {
                inner.bytes -= gone.len();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_when_it_is_full() {
        let cache = ManifestCache::new(8);
        let [a, b, c] = [b"aaaa", b"bbbb", b"cccc"].map(|text| (Digest::sha256(text), Bytes::from_static(text)));
        for (digest, bytes) in [&a, &b, &a, &c] {
            cache.put(digest, bytes);
        }
        assert_eq!(cache.get(&a.0), None);
        assert_eq!(cache.get(&b.0), Some(b.1));
        assert_eq!(cache.get(&c.0), Some(c.1));
    }
}
