//! Refused calls: the first of a kind in a window of time are recorded, the others counted; the count is a record too.
//!
//! Whoever has no keys can then neither fill the disk nor push what others did out of the trail, which is bounded.

use honmaru_base::Time;
use honmaru_cloudtrail::{Recorded, Repeated};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

/// How long refused calls of one kind are counted together.
const WINDOW_MS: i64 = 5 * 60 * 1_000;
/// Calls of strangers of one kind that are recorded one by one in a window.
const STRANGERS_BURST: u64 = 1;
/// Kinds of calls of strangers in a window; all further ones are one kind.
const STRANGERS_KINDS_MAX: usize = 64;
/// The same for known identities that may not do what they try: each attempt matters more, and each has a name.
const DENIED_BURST: u64 = 100;
const DENIED_KINDS_MAX: usize = 256;
/// A record of a refused call at most, roughly: see `input`.
const RECORD_BYTES_MAX: u64 = 2 * 1024;
/// What strangers can write in a day. The trail's default bound holds the 90 days of it.
const STRANGERS_BYTES_A_DAY: u64 =
    (STRANGERS_KINDS_MAX as u64 + 1) * (STRANGERS_BURST + 1) * RECORD_BYTES_MAX * (24 * 3_600_000 / WINDOW_MS as u64);
const _: () = assert!(STRANGERS_BYTES_A_DAY < 80 * 1024 * 1024);

/// Calls of one kind in one window.
#[derive(Debug)]
struct Kind {
    begun_ms: i64,
    passed: u64,
    /// How many were not recorded, since when, and the last of them.
    folded: Option<(u64, Time, Box<Recorded>)>,
}

/// The kinds of one group of callers.
#[derive(Debug)]
struct Group {
    burst: u64,
    kinds_max: usize,
    kinds: HashMap<String, Kind>,
}

/// What the name of the kind is that all kinds beyond the limit are.
const OTHERS: &str = "";

impl Group {
    fn new(burst: u64, kinds_max: usize) -> Self {
        Self {
            burst,
            kinds_max,
            kinds: HashMap::new(),
        }
    }

    fn pass(&mut self, mut record: Recorded, key: String) -> Option<Recorded> {
        let key = if self.kinds.contains_key(&key) || self.kinds.len() < self.kinds_max {
            key
        } else {
            record.name = "RefusedCalls".to_owned();
            record.from = "multiple".to_owned();
            OTHERS.to_owned()
        };
        let kind = self.kinds.entry(key).or_insert_with(|| Kind {
            begun_ms: record.at.as_ms(),
            passed: 0,
            folded: None,
        });
        if kind.passed < self.burst {
            kind.passed += 1;
            return Some(record);
        }
        let (count, since) = kind
            .folded
            .take()
            .map_or((0, record.at), |(count, since, _)| (count, since));
        kind.folded = Some((count + 1, since, Box::new(record)));
        None
    }

    /// Ends the windows that `is_over` says are, and returns the counts.
    fn end(&mut self, is_over: impl Fn(&Kind) -> bool) -> Vec<Recorded> {
        let over = self.kinds.extract_if(|_, kind| is_over(kind));
        let folded = over.filter_map(|(_, kind)| kind.folded);
        let counted = folded.map(|(count, since, mut record)| {
            record.repeated = Some(Repeated { count, since });
            *record
        });
        counted.collect()
    }
}

/// The gate of the trail.
#[derive(Debug)]
pub(super) struct Gate {
    strangers: Group,
    denied: Group,
}

impl Gate {
    pub(super) fn new() -> Self {
        Self {
            strangers: Group::new(STRANGERS_BURST, STRANGERS_KINDS_MAX),
            denied: Group::new(DENIED_BURST, DENIED_KINDS_MAX),
        }
    }

    /// The record, if it is to be written; otherwise it was counted.
    pub(super) fn pass(&mut self, record: Recorded) -> Option<Recorded> {
        if record.status < 400 {
            return Some(record);
        }
        let code = record.code.as_deref().unwrap_or_default();
        if record.who.kind == "Unknown" {
            let key = format!("{} {} {} {code}", network(&record.from), record.source, record.name);
            return self.strangers.pass(record, key);
        }
        if is_denied(record.status, code) {
            let arn = record.who.arn.as_deref().unwrap_or_default();
            let key = format!("{arn} {} {} {code}", record.source, record.name);
            return self.denied.pass(record, key);
        }
        Some(record)
    }

    /// The counts of windows that are over.
    pub(super) fn due(&mut self, now: Time) -> Vec<Recorded> {
        let is_over = |kind: &Kind| now.as_ms().saturating_sub(kind.begun_ms) >= WINDOW_MS;
        let mut due = self.strangers.end(is_over);
        due.extend(self.denied.end(is_over));
        due
    }

    /// All counts, at the end.
    pub(super) fn rest(&mut self) -> Vec<Recorded> {
        let mut rest = self.strangers.end(|_| true);
        rest.extend(self.denied.end(|_| true));
        rest
    }
}

fn is_denied(status: u16, code: &str) -> bool {
    matches!(status, 401 | 403) || code.starts_with("AccessDenied") || code == "UnauthorizedOperation"
}

/// An address; of IPv6 the network, because one customer has 2^64 addresses in it.
fn network(address: &str) -> String {
    match address.parse() {
        Ok(IpAddr::V6(ip)) if ip.to_ipv4_mapped().is_none() => {
            let [a, b, c, d, ..] = ip.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).to_string()
        }
        _ => address.to_owned(),
    }
}
