//! Delivers container logs: reads each log file from a position that survives us, sends batches, and moves the position
//! when control has stored them. The bounds of a batch are on disk before it is sent, so that after a crash the same
//! batch goes out again, and control, which knows where its last one ended, stores it once.

use crate::clock::now;
use crate::shared::{Link, Shared};
use crate::store::LogPosition;
use honmaru_base::{Time, chain};
use honmaru_contract::node::{FromNode, LogBatch, LogEvent, LogTarget, TaskSpec};
use honmaru_runtime::{LogLine, LogStream, read_log};
use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

/// Bytes of log text in a batch, about.
const BATCH_BYTES_MAX: u64 = 256 * 1024;

/// The longest event. Ref: PutLogEvents, 1 MiB with 26 bytes of overhead; longer lines become several events.
const EVENT_BYTES_MAX: usize = 1_048_576 - 26;

/// Batches of all containers that wait for control to store them; one for each container at most.
const IN_FLIGHT_MAX: usize = 16;

/// How often files are looked at.
const PERIOD: Duration = Duration::from_millis(200);

/// Commands that wait.
pub(crate) const COMMANDS_MAX: usize = 256;

/// What the delivery is told.
pub(crate) enum Command {
    /// Deliver a task's logs, from where it was left.
    Follow(Box<TaskSpec>),
    /// Answer when all that the task's containers wrote is stored. For tasks that have ended.
    Drained(String, oneshot::Sender<()>),
    /// The task's logs are about to go.
    Forget(String),
    /// Control stored all batches up to this one.
    Stored(u64),
}

struct Tail {
    path: PathBuf,
    target: Target,
    position: LogPosition,
    in_flight: Option<InFlight>,
    /// Length and inode of the file when it was last read to its end.
    seen: Option<(u64, u64)>,
}

struct Target {
    account: String,
    region: String,
    group: String,
    stream: String,
}

#[derive(Clone, Copy)]
struct InFlight {
    sequence: u64,
    link: u64,
}

type Key = (String, String);

/// Delivers until the agent ends.
pub(crate) async fn deliver(shared: Arc<Shared>, mut commands: mpsc::Receiver<Command>) {
    // Sequence numbers go on growing over restarts: from the clock, a thousand for each millisecond.
    let start = u64::try_from(now().as_ms()).unwrap_or(0).saturating_mul(1_000);
    let mut delivery = Delivery {
        shared,
        tails: BTreeMap::new(),
        waiting: Vec::new(),
        sequence: start,
        last: None,
    };
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            command = commands.recv() => match command {
                Some(command) => delivery.command(command),
                None => return,
            },
            _ = ticks.tick() => {}
        }
        delivery.step().await;
    }
}

struct Delivery {
    shared: Arc<Shared>,
    tails: BTreeMap<Key, Tail>,
    waiting: Vec<(String, oneshot::Sender<()>)>,
    sequence: u64,
    /// The log that was sent from last.
    last: Option<Key>,
}

impl Delivery {
    fn command(&mut self, command: Command) {
        match command {
            Command::Follow(spec) => self.follow(&spec),
            Command::Drained(task_id, answer) => self.waiting.push((task_id, answer)),
            Command::Forget(task_id) => {
                self.tails.retain(|(task, _), _| *task != task_id);
                self.waiting.retain(|(task, _)| *task != task_id);
                if let Err(error) = self.shared.store.remove_log_positions(&task_id) {
                    warn!(task_id, err = %chain(&error), "failed to remove log positions");
                }
            }
            Command::Stored(sequence) => self.stored(sequence),
        }
    }

    fn follow(&mut self, spec: &TaskSpec) {
        for container in &spec.containers {
            let LogTarget::Stream {
                account,
                region,
                group,
                stream,
            } = &container.log
            else {
                continue;
            };
            let key = (spec.task_id.clone(), container.name.clone());
            if self.tails.contains_key(&key) {
                continue;
            }
            let position = self.shared.store.log_position(&key.0, &key.1).unwrap_or_else(|error| {
                warn!(task_id = %key.0, err = %chain(&error), "a log position is unreadable; the log goes from its begin");
                LogPosition::default()
            });
            let tail = Tail {
                path: self.shared.runtime.log_path(&key.0, &key.1),
                target: Target {
                    account: account.clone(),
                    region: region.clone(),
                    group: group.clone(),
                    stream: stream.clone(),
                },
                position,
                in_flight: None,
                seen: None,
            };
            self.tails.insert(key, tail);
        }
    }

    fn stored(&mut self, sequence: u64) {
        for ((task_id, container), tail) in &mut self.tails {
            if tail.in_flight.is_none_or(|batch| batch.sequence > sequence) {
                continue;
            }
            tail.in_flight = None;
            if let Some(end) = tail.position.sent.take() {
                tail.position.stored = end;
            }
            put(&self.shared, task_id, container, tail.position);
        }
    }

    async fn step(&mut self) {
        let link = self.shared.link();
        if let Some(link) = &link {
            let lost = |batch: &InFlight| batch.link != link.number;
            self.tails
                .values_mut()
                .filter(|t| t.in_flight.as_ref().is_some_and(lost))
                .for_each(|t| t.in_flight = None);
            let mut room = IN_FLIGHT_MAX.saturating_sub(self.tails.values().filter(|t| t.in_flight.is_some()).count());
            // Each in its turn: from the one after the last that was sent.
            let after = self.last.clone().map_or(Unbounded, Excluded);
            let mut keys: Vec<Key> = self
                .tails
                .range((after, Unbounded))
                .map(|(key, _)| key.clone())
                .collect();
            let rest = self.tails.len() - keys.len();
            keys.extend(self.tails.keys().take(rest).cloned());
            for key in keys {
                if room == 0 {
                    break;
                }
                let Some(tail) = self.tails.get_mut(&key).filter(|tail| tail.in_flight.is_none()) else {
                    continue;
                };
                if send(&self.shared, link, &key, tail, &mut self.sequence).await {
                    room -= 1;
                    self.last = Some(key);
                }
            }
        }
        let tails = &self.tails;
        let drained = |task_id: &String| {
            let unread = |tail: &Tail| tail.in_flight.is_some() || tail.position.sent.is_some() || !tail.at_end();
            !tails.iter().any(|((task, _), tail)| task == task_id && unread(tail))
        };
        let (done, waiting) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|(task, _)| drained(task));
        self.waiting = waiting;
        for (_, answer) in done {
            // The task may have given up waiting.
            let _ = answer.send(());
        }
    }
}

impl Tail {
    /// The file's length and inode.
    fn file(&self) -> Option<(u64, u64)> {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata(&self.path)
            .ok()
            .map(|found| (found.len(), found.ino()))
    }

    fn at_end(&self) -> bool {
        self.file().is_none_or(|file| self.seen == Some(file))
    }
}

fn put(shared: &Shared, task_id: &str, container: &str, position: LogPosition) {
    if let Err(error) = shared.store.put_log_position(task_id, container, position) {
        warn!(task_id, container, err = %chain(&error), "failed to write a log position; lines may be sent twice");
    }
}

/// Sends the next batch of a log, or the one that was sent before and not stored. Gives whether one went out.
async fn send(shared: &Shared, link: &Link, key: &Key, tail: &mut Tail, sequence: &mut u64) -> bool {
    let file = tail.file();
    if tail.position.sent.is_none() && (file.is_none() || tail.seen == file) {
        return false;
    }
    let from = tail.position.stored;
    let limit = tail
        .position
        .sent
        .map_or(BATCH_BYTES_MAX, |end| end.saturating_sub(from));
    let chunk = match read_log(&tail.path, from, limit) {
        Ok(chunk) => chunk,
        Err(error) => {
            warn!(task_id = %key.0, container = %key.1, err = %chain(&error), "failed to read a log");
            return false;
        }
    };
    if chunk.lost_bytes > 0 {
        warn!(task_id = %key.0, container = %key.1, bytes = chunk.lost_bytes, "a log rotated away before it was delivered");
    }
    if chunk.next_offset == from {
        // A batch that was announced but is gone: the log began anew. Nothing of it can be sent again.
        tail.position.sent = None;
        tail.seen = file;
        return false;
    }
    let position = LogPosition {
        stored: from,
        sent: Some(chunk.next_offset),
    };
    if tail.position != position {
        tail.position = position;
        put(shared, &key.0, &key.1, position);
    }
    *sequence += 1;
    let batch = LogBatch {
        sequence: *sequence,
        task_id: key.0.clone(),
        container: key.1.clone(),
        account: tail.target.account.clone(),
        region: tail.target.region.clone(),
        group: tail.target.group.clone(),
        stream: tail.target.stream.clone(),
        events: events(chunk.lines),
        offset: chunk.next_offset,
    };
    if link.bulk.send(FromNode::Logs(Box::new(batch))).await.is_err() {
        return false;
    }
    tail.in_flight = Some(InFlight {
        sequence: *sequence,
        link: link.number,
    });
    true
}

/// Records become events: the parts of a long line are joined again. A line that goes on in the next batch is cut there,
/// so that a batch depends on nothing but its bounds.
fn events(lines: Vec<LogLine>) -> Vec<LogEvent> {
    let mut events = Vec::new();
    let mut open: [Option<(i64, Vec<u8>)>; 2] = [None, None];
    let event = |(at_ms, text): (i64, Vec<u8>)| LogEvent {
        at: Time::from_ms(at_ms),
        message: String::from_utf8_lossy(&text).into_owned(),
    };
    for line in lines {
        let slot = &mut open[usize::from(line.stream == LogStream::Stderr)];
        let whole = match slot.take() {
            Some((at_ms, mut text)) if text.len() + line.text.len() <= EVENT_BYTES_MAX => {
                text.extend(line.text);
                (at_ms, text)
            }
            Some(full) => {
                events.push(event(full));
                (line.at_ms, line.text)
            }
            None => (line.at_ms, line.text),
        };
        if line.partial {
            *slot = Some(whole);
        } else {
            events.push(event(whole));
        }
    }
    events.extend(open.into_iter().flatten().map(event));
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(lines: &[(i64, LogStream, bool, &str)], wanted: &[(i64, &str)]) {
        let lines = lines
            .iter()
            .map(|(at_ms, stream, partial, text)| LogLine {
                at_ms: *at_ms,
                stream: *stream,
                partial: *partial,
                text: text.as_bytes().to_vec(),
            })
            .collect();
        let found = events(lines);
        let found: Vec<(i64, &str)> = found.iter().map(|e| (e.at.as_ms(), e.message.as_str())).collect();
        assert_eq!(found, wanted);
    }

    #[test]
    fn joins_the_parts_of_long_lines_by_stream() {
        use LogStream::{Stderr, Stdout};
        check(
            &[(1, Stdout, false, "a"), (2, Stderr, false, "b")],
            &[(1, "a"), (2, "b")],
        );
        check(
            &[
                (1, Stdout, true, "a"),
                (2, Stderr, false, "x"),
                (3, Stdout, false, "b"),
                (4, Stdout, true, "c"),
            ],
            &[(2, "x"), (1, "ab"), (4, "c")],
        );
    }
}
