//! What an exec session writes, line by line into its log group, as it goes. The stream's name is the session's id.
//!
//! Ref: ECS developer guide, "Logging using ECS Exec". A log group that is missing or cannot be written to does not end a
//! session, as on AWS without encryption; the operator's log tells it.

use super::Control;
use super::events::stream_id;
use anyhow::Context;
use honmaru_base::{ApiError, Clock, Scope};
use honmaru_engine::SystemClock;
use honmaru_journal::JournalError;
use honmaru_logs::StreamRef;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long a whole line may wait.
const WAIT: Duration = Duration::from_secs(1);
/// Bytes and events that are written at once. Ref: PutLogEvents: 1 MiB with 26 bytes for each event, 10,000 events.
const BATCH_BYTES_MAX: usize = 256 * 1024;
const EVENTS_MAX: usize = 10_000;
const EVENT_EXTRA_BYTES: usize = 26;
/// A longer line becomes several events. What is not UTF-8 grows to three times its length, and still fits an event.
const LINE_BYTES_MAX: usize = 256 * 1024;

/// The record of one session; one that nobody wanted records nothing.
pub struct SessionLog(Option<Record>);

struct Record {
    scope: Scope,
    group: String,
    session: String,
    lines: Lines,
    /// When the oldest of the whole lines must be written.
    due: Option<Instant>,
    /// Whether the operator knows that writing does not work.
    is_told: bool,
}

impl SessionLog {
    /// The record of a session of an account.
    pub fn new(scope: &Scope, session: &str, wanted: Option<honmaru_ecs::SessionLog>) -> Self {
        let record = wanted.and_then(|log| match Scope::new(scope.account.as_str(), &log.region) {
            Ok(scope) => Some(Record {
                scope,
                group: log.group,
                session: session.to_owned(),
                lines: Lines::default(),
                due: None,
                is_told: false,
            }),
            Err(error) => {
                tracing::warn!(%error, session, region = log.region, "an exec session is not recorded");
                None
            }
        });
        Self(record)
    }

    /// Output, which is written when there is enough of it.
    pub async fn add(&mut self, control: &Control, data: &[u8]) {
        if let Some(record) = &mut self.0 {
            let at_ms = SystemClock.now().as_ms();
            let mut rest = data;
            while !rest.is_empty() {
                rest = record.lines.add(at_ms, rest);
                if record.lines.is_full() {
                    record.write(control).await;
                }
            }
            if record.due.is_none() && !record.lines.whole.is_empty() {
                record.due = Some(Instant::now() + WAIT);
            }
        }
    }

    /// Returns when whole lines have waited long enough; never when none wait.
    pub async fn wait(&self) {
        match self.0.as_ref().and_then(|record| record.due) {
            Some(due) => tokio::time::sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    /// Writes the whole lines.
    pub async fn write(&mut self, control: &Control) {
        if let Some(record) = &mut self.0 {
            record.write(control).await;
        }
    }

    /// Writes what is left, the line that has no end too.
    pub async fn finish(&mut self, control: &Control) {
        if let Some(record) = &mut self.0 {
            record.lines.end();
            record.write(control).await;
        }
    }
}

impl Record {
    async fn write(&mut self, control: &Control) {
        self.due = None;
        let lines = self.lines.take();
        if lines.is_empty() {
            return;
        }
        match self.store(control, lines).await {
            Ok(()) => self.is_told = false,
            Err(_) if self.is_told => {}
            Err(error) => {
                self.is_told = true;
                let error = format!("{error:#}");
                let (session, group) = (&self.session, &self.group);
                tracing::warn!(%error, session, group, "what an exec session writes is not recorded");
            }
        }
    }

    async fn store(&self, control: &Control, lines: Vec<(i64, String)>) -> anyhow::Result<()> {
        let stream = self.stream(control).await?;
        let (journal, tails) = (control.journal.clone(), control.tails.clone());
        let now = SystemClock.now().as_ms();
        tokio::task::spawn_blocking(move || {
            journal.append(&stream_id(&stream), &lines, now, None)?;
            tails.offer(&stream, &lines, now);
            Ok::<(), JournalError>(())
        })
        .await
        .context("the journal's task panicked")?
        .context("the journal failed")
    }

    /// The stream, made when it is missing. Looked for each time: somebody may delete it, and the group.
    async fn stream(&self, control: &Control) -> anyhow::Result<StreamRef> {
        let name = Arc::new((self.scope.clone(), self.group.clone(), self.session.clone()));
        let look = name.clone();
        let found = control.engine.read(move |state| {
            let (scope, group, stream) = &*look;
            honmaru_logs::find_stream(state, scope, group, stream)
        });
        if let Some(found) = found.await? {
            return Ok(found);
        }
        let made: Result<StreamRef, ApiError> = control
            .engine
            .write(move |tx| {
                let (scope, group, stream) = &*name;
                honmaru_logs::ensure_stream(tx, scope, group, stream)
            })
            .await?;
        Ok(made?)
    }
}

/// Lines that wait to be written, and the one that goes on.
#[derive(Default)]
struct Lines {
    whole: Vec<(i64, String)>,
    bytes: usize,
    open: Vec<u8>,
    open_since_ms: i64,
}

impl Lines {
    /// Takes the first line of some output, or as much of it as fits, and returns the rest.
    fn add<'a>(&mut self, at_ms: i64, data: &'a [u8]) -> &'a [u8] {
        if self.open.is_empty() {
            self.open_since_ms = at_ms;
        }
        let room = LINE_BYTES_MAX.saturating_sub(self.open.len());
        let (taken, rest) = data.split_at(data.len().min(room));
        let Some(end) = taken.iter().position(|byte| *byte == b'\n') else {
            self.open.extend_from_slice(taken);
            if self.open.len() >= LINE_BYTES_MAX {
                self.cut(at_ms);
            }
            return rest;
        };
        let (line, _) = taken.split_at(end);
        self.open.extend_from_slice(line);
        if self.open.last() == Some(&b'\r') {
            self.open.pop();
        }
        self.event();
        data.get(end + 1..).unwrap_or_default()
    }

    /// Makes an event of a line that is too long; a character that is not all there yet goes on in the next one.
    fn cut(&mut self, at_ms: i64) {
        let whole = self.open.len() - unfinished(&self.open);
        let next = self.open.split_off(whole);
        self.event();
        self.open = next;
        self.open_since_ms = at_ms;
    }

    /// The output has ended.
    fn end(&mut self) {
        if !self.open.is_empty() {
            self.event();
        }
    }

    fn event(&mut self) {
        let text = String::from_utf8_lossy(&self.open).into_owned();
        self.open = Vec::new();
        // Ref: `InputLogEvent`: a message has at least one character.
        if !text.is_empty() {
            self.bytes += text.len() + EVENT_EXTRA_BYTES;
            self.whole.push((self.open_since_ms, text));
        }
    }

    fn is_full(&self) -> bool {
        self.bytes >= BATCH_BYTES_MAX || self.whole.len() >= EVENTS_MAX
    }

    fn take(&mut self) -> Vec<(i64, String)> {
        self.bytes = 0;
        std::mem::take(&mut self.whole)
    }
}

/// Bytes at the end that begin a UTF-8 character and do not end it: at most three.
fn unfinished(text: &[u8]) -> usize {
    let wanted = |lead: u8| match lead {
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        _ => 1,
    };
    let lead = text.iter().rev().take(3).position(|byte| byte & 0xC0 != 0x80);
    let Some(back) = lead else { return 0 };
    let there = back + 1;
    let byte = text.iter().rev().nth(back).copied().unwrap_or_default();
    if wanted(byte) > there { there } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pieces: &[&[u8]], wanted: &[(i64, &str)]) {
        let mut lines = Lines::default();
        for (at_ms, piece) in pieces.iter().enumerate() {
            let mut rest = *piece;
            while !rest.is_empty() {
                rest = lines.add(i64::try_from(at_ms).expect("few pieces"), rest);
            }
        }
        lines.end();
        let made = lines.take();
        let made: Vec<(i64, &str)> = made.iter().map(|(at, text)| (*at, text.as_str())).collect();
        assert_eq!(made, wanted);
    }

    #[test]
    fn each_line_is_an_event_of_the_time_it_began() {
        check(&[b"one\ntwo\n"], &[(0, "one"), (0, "two")]);
        check(
            &[b"/ # l", b"s\r", b"\nbin\r\n", b"/ # "],
            &[(0, "/ # ls"), (2, "bin"), (3, "/ # ")],
        );
        check(&[b"\r\n\n", b""], &[]);
        check(&[b"10%\r20%\r30%\n"], &[(0, "10%\r20%\r30%")]);
    }

    #[test]
    fn what_is_not_utf8_is_replaced() {
        check(&[b"a\xFFb\n"], &[(0, "a\u{FFFD}b")]);
        check(&[b"\xC3", b"\xA9\n"], &[(0, "\u{E9}")]);
        check(&[b"\xE2\x82"], &[(0, "\u{FFFD}")]);
    }

    #[test]
    fn a_line_without_end_does_not_grow() {
        let mut lines = Lines::default();
        let piece = vec![0xFF; 64 * 1024];
        for _ in 0..64 {
            let mut rest: &[u8] = &piece;
            while !rest.is_empty() {
                rest = lines.add(0, rest);
                assert!(lines.open.len() < LINE_BYTES_MAX);
                if lines.is_full() {
                    let batch = lines.take();
                    let bytes: usize = batch.iter().map(|(_, text)| text.len() + EVENT_EXTRA_BYTES).sum();
                    assert!(bytes <= 1_048_576 && batch.len() <= EVENTS_MAX, "{bytes} bytes");
                }
            }
        }
    }

    #[test]
    fn short_lines_are_written_before_they_are_too_many() {
        let mut lines = Lines::default();
        let output = b"y\n".repeat(3 * EVENTS_MAX);
        let (mut rest, mut seen) = (&output[..], 0);
        while !rest.is_empty() {
            rest = lines.add(0, rest);
            if lines.is_full() {
                let batch = lines.take();
                assert!(batch.len() <= EVENTS_MAX);
                seen += batch.len();
            }
        }
        assert_eq!(seen + lines.take().len(), 3 * EVENTS_MAX);
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let mut lines = Lines::default();
        let text = format!("x{}\n", "\u{20AC}".repeat(LINE_BYTES_MAX / 2));
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            rest = lines.add(0, rest);
        }
        let made: String = lines.take().into_iter().map(|(_, text)| text).collect();
        assert_eq!(made, text.trim_end());
    }

    #[test]
    fn only_what_begins_a_character_is_unfinished() {
        for (text, wanted) in [
            (&b""[..], 0),
            (b"abc", 0),
            (b"\xC3", 1),
            (b"\xC3\xA9", 0),
            (b"\xE2\x82", 2),
            (b"\xF0\x9F\x92", 3),
            (b"\xF0\x9F\x92\xA9", 0),
            (b"\x80\x80\x80\x80", 0),
            (b"\xFF", 0),
        ] {
            assert_eq!(unfinished(text), wanted, "{text:?}");
        }
    }
}
