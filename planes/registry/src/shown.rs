//! Blobs that clients were told their repository has: because they asked, uploaded or mounted them. Such a client sends its
//! manifest a moment later; when another image that had the blob is deleted in between, the push goes on all the same.

use honmaru_images::Digest;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long a client may take from the question to its manifest. The store keeps what was asked for as long.
const LIFE: Duration = Duration::from_secs(3_600);
/// Answers that are remembered. When there are as many, those that are over are forgotten, and if none is, all are.
const ANSWERS_MAX: usize = 65_536;

#[derive(Default)]
pub(crate) struct Shown {
    answers: Mutex<HashMap<(String, Digest), Instant>>,
}

impl Shown {
    /// Notes that somebody was told that `owner`, a repository with its namespace, has a blob.
    pub(crate) fn note(&self, owner: String, digest: &Digest) {
        let mut answers = self.answers.lock();
        if answers.len() >= ANSWERS_MAX {
            answers.retain(|_, at| at.elapsed() < LIFE);
            if answers.len() >= ANSWERS_MAX {
                answers.clear();
            }
        }
        answers.insert((owner, digest.clone()), Instant::now());
    }

    /// When somebody was told so last; nothing when that is long ago.
    pub(crate) fn noted_at(&self, owner: &str, digest: &Digest) -> Option<Instant> {
        let key = (owner.to_owned(), digest.clone());
        self.answers.lock().get(&key).copied().filter(|at| at.elapsed() < LIFE)
    }

    /// Forgets it: the blob was taken from the repository by name.
    pub(crate) fn forget(&self, owner: &str, digest: &Digest) {
        self.answers.lock().remove(&(owner.to_owned(), digest.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_of_one_repository_and_have_a_limit() {
        let (shown, digest) = (Shown::default(), Digest::sha256(b"x"));
        shown.note("ns/app".to_owned(), &digest);
        let is_noted = |owner: &str, digest: &Digest| shown.noted_at(owner, digest).is_some();
        assert!(is_noted("ns/app", &digest));
        assert!(!is_noted("ns/other", &digest) && !is_noted("ns/app", &Digest::sha256(b"y")));
        shown.forget("ns/app", &digest);
        assert!(!is_noted("ns/app", &digest));
        for n in 0..=ANSWERS_MAX {
            shown.note(n.to_string(), &digest);
        }
        assert!(is_noted(&ANSWERS_MAX.to_string(), &digest));
        assert!(shown.answers.lock().len() <= ANSWERS_MAX);
    }
}
