//! Time as data: milliseconds since the Unix epoch, passed in as an argument, never read here.

use serde::{Deserialize, Serialize};
use std::ops::{Add, Sub};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// A moment: milliseconds since 1970-01-01T00:00:00Z. Serialises as that number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(pub i64);

impl Time {
    /// A moment from whole milliseconds since the epoch.
    pub const fn from_ms(ms: i64) -> Self {
        Self(ms)
    }

    /// Milliseconds since the epoch.
    pub const fn as_ms(self) -> i64 {
        self.0
    }

    /// Seconds since the epoch with a fraction: the form of a timestamp in awsJson.
    pub fn as_epoch_s(self) -> f64 {
        self.0 as f64 / 1_000.0
    }

    /// This moment plus `s` seconds.
    pub const fn plus_s(self, s: i64) -> Self {
        Self(self.0 + s * 1_000)
    }

    /// This moment plus `ms` milliseconds.
    pub const fn plus_ms(self, ms: i64) -> Self {
        Self(self.0 + ms)
    }

    /// Milliseconds from `earlier` to this moment; negative when `earlier` is later.
    pub const fn since_ms(self, earlier: Time) -> i64 {
        self.0 - earlier.0
    }

    /// RFC 3339 in UTC, for example `2026-11-22T00:49:20.123Z`.
    pub fn rfc3339(self) -> String {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000)
            .ok()
            .and_then(|at| at.format(&Rfc3339).ok())
            .unwrap_or_else(|| self.0.to_string())
    }
}

impl Add<i64> for Time {
    type Output = Time;
    /// Adds milliseconds.
    fn add(self, ms: i64) -> Time {
        Time(self.0 + ms)
    }
}

impl Sub<Time> for Time {
    type Output = i64;
    /// Milliseconds between two moments.
    fn sub(self, other: Time) -> i64 {
        self.0 - other.0
    }
}

/// Where the present comes from. The real one lives with whoever does I/O; simulations pass their own.
pub trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> Time;
}
