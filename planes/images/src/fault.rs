//! Points at which a test kills the process, to see what a crash there leaves. Without the variable they do nothing.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Ends the process here, as SIGKILL would, when `HONMARU_FAULT` names this point: `blob.synced`, or `blob.synced:3` for
/// the third time that it is reached. In release builds too: what is tested is what people run. Whoever sets a
/// process's environment may kill it anyway.
pub(crate) fn point(name: &str) {
    /// The point, and how often it is still passed.
    static WANTED: OnceLock<Option<(String, AtomicU32)>> = OnceLock::new();
    let wanted = WANTED.get_or_init(|| {
        let text = std::env::var("HONMARU_FAULT").ok()?;
        let (point, nth) = text.split_once(':').unwrap_or((&text, "1"));
        Some((point.to_owned(), AtomicU32::new(nth.parse().unwrap_or(1))))
    });
    if let Some((point, left)) = wanted
        && point == name
        && left.fetch_sub(1, Ordering::AcqRel) == 1
    {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}
