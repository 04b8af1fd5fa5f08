//! The certificates that apps serve HTTPS with: read from their owner's files and checked before anything is changed, and
//! found again among IAM's server certificates.
//!
//! Invariant: a private key is read, compared and sent to IAM. It is in no message and in no `Debug`.

mod chain;
mod facts;
mod kept;
mod key;
mod pair;

pub use facts::Facts;
pub use kept::{Kept, app_of, ends_soon, forget_others, of_all, read, upload};
pub use pair::Pair;

use crate::cli::failure::Usage;

/// A certificate that ends sooner is warned of.
pub const SOON_DAYS: i64 = 30;
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// What is wrong and what to do about it.
fn wrong(what: String, hint: &str) -> Usage {
    Usage(format!("{what}\nhint: {hint}"))
}

/// The day of a moment, `2027-01-31`.
pub fn day(ms: i64) -> String {
    let text = honmaru_base::Time::from_ms(ms).rfc3339();
    text.split('T').next().unwrap_or_default().to_owned()
}

/// `ends on 2027-01-31`, with the days that are left when they are few.
pub fn end_words(ends_ms: i64, now_ms: i64) -> String {
    let on = day(ends_ms);
    match (ends_ms - now_ms).div_euclid(DAY_MS) {
        ..0 => format!("ended on {on}"),
        0 => format!("ends within a day, on {on}"),
        1 => format!("ends in 1 day, on {on}"),
        days if days < SOON_DAYS => format!("ends in {days} days, on {on}"),
        _ => format!("ends on {on}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_in_words() {
        let end = 1_769_860_800_000; // 2026-01-31T12:00:00Z
        for (days, words) in [
            (-1, "ended on 2026-01-31"),
            (0, "ends within a day, on 2026-01-31"),
            (1, "ends in 1 day, on 2026-01-31"),
            (29, "ends in 29 days, on 2026-01-31"),
            (30, "ends on 2026-01-31"),
        ] {
            assert_eq!(end_words(end, end - days * DAY_MS), words);
        }
    }
}
