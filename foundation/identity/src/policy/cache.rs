//! Compiled policies by document text: documents change rarely and are evaluated on every call.

use crate::Bounded;
use crate::policy::{Policy, PolicyError, PolicyKind};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// How many compiled documents are kept.
const POLICIES_MAX: usize = 2_048;

type Cache = Mutex<Bounded<String, Arc<Policy>>>;
static CACHE: LazyLock<Cache> = LazyLock::new(|| Mutex::new(Bounded::new(POLICIES_MAX)));

/// The compiled form of a stored document. A document that does not compile is an error every time: whoever
/// evaluates must then refuse, because the document may hold a Deny.
pub fn cached_policy(text: &str) -> Result<Arc<Policy>, PolicyError> {
    if let Some(policy) = CACHE.lock().unwrap_or_else(PoisonError::into_inner).get(text) {
        return Ok(policy);
    }
    let policy = Arc::new(Policy::parse(text, PolicyKind::Stored)?);
    CACHE
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(text.to_owned(), policy.clone());
    Ok(policy)
}
