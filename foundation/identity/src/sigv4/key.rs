//! Signing keys: four HMACs from a secret, a date, a region and a service, and a cache of them.

use crate::Bounded;
use crate::sigv4::TERMINATOR;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::sync::{Mutex, PoisonError};

/// How many derived keys are kept: one for each access key, day, region and service.
const KEYS_MAX: usize = 4_096;

pub(crate) type SigningKey = [u8; 32];

pub(crate) fn hmac(key: &[u8], message: &[u8]) -> SigningKey {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

pub(crate) fn derive(secret: &str, date: &str, region: &str, service: &str) -> SigningKey {
    let key = hmac(format!("AWS4{secret}").as_bytes(), date.as_bytes());
    let key = hmac(&key, region.as_bytes());
    let key = hmac(&key, service.as_bytes());
    hmac(&key, TERMINATOR.as_bytes())
}

/// Date, region, service and secret.
type Scope = String;

/// Derived signing keys, bounded. Only keys that verified a signature enter it, so strangers cannot fill it.
#[derive(Debug)]
pub struct KeyCache(Mutex<Bounded<Scope, SigningKey>>);

impl Default for KeyCache {
    fn default() -> Self {
        Self(Mutex::new(Bounded::new(KEYS_MAX)))
    }
}

impl KeyCache {
    /// An empty cache.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn get(&self, scope: &Scope) -> Option<SigningKey> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(scope)
    }

    pub(crate) fn insert(&self, scope: Scope, key: SigningKey) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(scope, key);
    }
}
