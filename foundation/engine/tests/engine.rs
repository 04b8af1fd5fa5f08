//! The engine from outside: group commit, failed commands, replay, reconcilers, a failing log.

use honmaru_base::{Scope, SeededRng, Time};
use honmaru_engine::{Engine, EngineConfig, EngineError, SystemClock, WhenFull};
use honmaru_log::{Log, LogError, MemoryLog, Revision, SqliteLog};
use honmaru_machine::{Reconciler, Resource, State, Tx};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Counter {
    wanted: u64,
    seen: u64,
}

impl Resource for Counter {
    const KIND: &'static str = "test.counter";
}

struct Follow;

impl Reconciler for Follow {
    fn name(&self) -> &'static str {
        "follow"
    }
    fn watches(&self) -> &'static [&'static str] {
        &[Counter::KIND]
    }
    fn reconcile(&mut self, tx: &mut Tx<'_>) -> Option<Time> {
        let behind: Vec<(Scope, String, Counter)> = tx
            .all::<Counter>()
            .filter(|(_, _, c)| c.seen < c.wanted)
            .map(|(scope, key, c)| (scope.clone(), key.to_owned(), c.clone()))
            .collect();
        for (scope, key, mut counter) in behind {
            counter.seen += 1;
            tx.put(&scope, &key, counter);
        }
        None
    }
}

fn open(log: Arc<dyn Log>) -> (Engine, std::sync::mpsc::Receiver<String>) {
    let mut state = State::new();
    state.register::<Counter>();
    let (failed, failure) = std::sync::mpsc::channel();
    let engine = Engine::open(EngineConfig {
        log,
        state,
        reconcilers: vec![Box::new(Follow)],
        clock: Arc::new(SystemClock),
        rng: SeededRng::from_u64(7),
        on_failure: Box::new(move |error| failed.send(error.to_string()).expect("the test listens")),
    })
    .expect("the log is readable");
    (engine, failure)
}

fn scope() -> Scope {
    Scope::new("000000000000", "us-east-1").expect("a scope")
}

async fn set(engine: &Engine, key: &str, wanted: u64) {
    let key = key.to_owned();
    engine
        .write(move |tx| {
            tx.put(&scope(), &key, Counter { wanted, seen: 0 });
            Ok::<_, ()>(())
        })
        .await
        .expect("the engine runs")
        .expect("the command succeeds");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("log.db");
    {
        let (engine, _) = open(Arc::new(SqliteLog::open(&path).expect("open")));
        let writers = (0..64).map(|n| {
            let engine = engine.clone();
            tokio::spawn(async move { set(&engine, &format!("c{n}"), 3).await })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.expect("no panic");
        }
    }
    let (engine, _) = open(Arc::new(SqliteLog::open(&path).expect("open")));
    let counters = engine
        .read(|state| {
            state
                .list::<Counter>(&scope())
                .map(|(_, c)| c.clone())
                .collect::<Vec<_>>()
        })
        .await
        .expect("the engine runs");
    assert_eq!(counters.len(), 64);
    assert!(counters.iter().all(|c| c.wanted == 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn reconcilers_run_until_nothing_is_left_to_do() {
    let (engine, _) = open(Arc::new(MemoryLog::new()));
    let mut changes = engine.changes();
    set(&engine, "a", 100).await;
    loop {
        let seen = engine
            .read(|state| state.get::<Counter>(&scope(), "a").expect("written").seen)
            .await;
        if seen == Ok(100) {
            return;
        }
        tokio::time::timeout(std::time::Duration::from_secs(60), changes.changed())
            .await
            .expect("it goes on")
            .expect("the engine runs");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_or_panicking_command_leaves_nothing() {
    let log = Arc::new(MemoryLog::new());
    let (engine, _) = open(log.clone());
    let failed = engine
        .write(|tx| {
            tx.put(&scope(), "x", Counter { wanted: 0, seen: 0 });
            Err::<(), _>("refused")
        })
        .await;
    assert_eq!(failed, Ok(Err("refused")));
    let panicked = engine
        .write(|tx| -> Result<(), ()> {
            tx.put(&scope(), "x", Counter { wanted: 0, seen: 0 });
            panic!("on purpose")
        })
        .await;
    assert_eq!(panicked, Err(EngineError::Panicked));
    assert_eq!(
        engine.read(|state| state.get::<Counter>(&scope(), "x").cloned()).await,
        Ok(None)
    );
    assert_eq!(log.head().expect("head"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_finished_after_the_change_and_its_panic_takes_nothing_back() {
    let (engine, _failure) = open(Arc::new(MemoryLog::new()));
    let put = |key: &'static str| {
        move |tx: &mut Tx<'_>| {
            tx.put(&scope(), key, Counter { wanted: 0, seen: 0 });
            Ok::<_, ()>(key)
        }
    };
    let finished = engine
        .write_then(WhenFull::Write, put("x"), |key| format!("{key} is there"))
        .await;
    assert_eq!(finished, Ok(Ok("x is there".to_owned())));
    let refused = engine
        .write_then(
            WhenFull::Write,
            |_| Err::<(), _>("no"),
            |()| unreachable!("there is no answer"),
        )
        .await;
    assert_eq!(refused, Ok(Err("no")));
    let panicked = engine
        .write_then(WhenFull::Write, put("y"), |key| {
            if key == "y" {
                panic!("an answer that panics")
            }
        })
        .await;
    assert_eq!(panicked, Err(EngineError::Panicked));
    let is_there = |key: &str| engine.peek(|state| state.get::<Counter>(&scope(), key).is_some());
    assert!(is_there("x") && is_there("y"), "what was written stays");
    set(&engine, "z", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_log_answers_nobody_and_stops() {
    let log = Arc::new(MemoryLog::new());
    let (engine, failure) = open(log.clone());
    log.set_failing(true);
    let answer = engine
        .write(|tx| {
            tx.put(&scope(), "x", Counter { wanted: 0, seen: 0 });
            Ok::<_, ()>(())
        })
        .await;
    assert_eq!(answer, Err(EngineError::Stopped));
    assert!(failure.recv().expect("the failure is told").contains("append"));
    assert_eq!(
        engine.read(|_| ()).await,
        Err(EngineError::Stopped),
        "memory is ahead of the log"
    );
}

/// Goal: on a full disk what can wait is refused whole, and the rest goes on; room again is seen at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_log_takes_only_what_cannot_wait() {
    let log = Arc::new(MemoryLog::new());
    let (engine, _failure) = open(log.clone());
    let put = |key: &'static str| {
        move |tx: &mut Tx<'_>| {
            tx.put(&scope(), key, Counter { wanted: 1, seen: 0 });
            Ok::<_, ()>(())
        }
    };
    log.set_full(true);
    let head = engine.head();
    assert_eq!(engine.write_if_room(put("x")).await, Err(EngineError::Full));
    assert_eq!(engine.head(), head, "it left no record");
    let is_there = |key: &'static str| engine.read(move |state| state.get::<Counter>(&scope(), key).is_some());
    assert_eq!(is_there("x").await, Ok(false));
    assert_eq!(
        engine.write_if_room(|_| Ok::<_, ()>(7)).await,
        Ok(Ok(7)),
        "it leaves nothing"
    );
    assert_eq!(engine.write_if_room(|_| Err::<(), _>("no")).await, Ok(Err("no")));
    assert_eq!(engine.write(put("y")).await, Ok(Ok(())));
    assert_eq!(is_there("y").await, Ok(true));
    log.set_full(false);
    assert_eq!(engine.write_if_room(put("x")).await, Ok(Ok(())));
    assert_eq!(is_there("x").await, Ok(true));
}

/// A log whose appends stand still until it is let go.
struct Held {
    inner: MemoryLog,
    gate: std::sync::Mutex<std::sync::mpsc::Receiver<()>>,
}

impl Log for Held {
    fn append(&self, head_expected: Revision, batch: &[Vec<u8>]) -> Result<Revision, LogError> {
        // An error: the test is over.
        let _ = self.gate.lock().expect("one writer").recv();
        self.inner.append(head_expected, batch)
    }
    fn read(&self, from: Revision, records_max: usize) -> Result<Vec<(Revision, Vec<u8>)>, LogError> {
        self.inner.read(from, records_max)
    }
    fn head(&self) -> Result<Revision, LogError> {
        self.inner.head()
    }
    fn snapshot_put(&self, at: Revision, bytes: &[u8]) -> Result<(), LogError> {
        self.inner.snapshot_put(at, bytes)
    }
    fn snapshot_get(&self) -> Result<Option<(Revision, Vec<u8>)>, LogError> {
        self.inner.snapshot_get()
    }
    fn compact(&self, through: Revision) -> Result<(), LogError> {
        self.inner.compact(through)
    }
}

/// Goal: nobody is told of what a crash could take back, though one may look at it.
/// Method: a write whose record the log holds back is seen by a peek; a read and `settled` wait, until the log goes on.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_durable_is_seen_by_a_peek_and_told_by_nobody() {
    let (go_on, gate) = std::sync::mpsc::channel();
    let (engine, _failure) = open(Arc::new(Held {
        inner: MemoryLog::new(),
        gate: std::sync::Mutex::new(gate),
    }));
    let writer = engine.clone();
    let write = tokio::spawn(async move { set(&writer, "x", 0).await });
    let wanted = |state: &State| state.get::<Counter>(&scope(), "x").map(|counter| counter.wanted);
    while engine.peek(wanted).is_none() {
        tokio::task::yield_now().await;
    }
    let mut read = std::pin::pin!(engine.read(wanted));
    let mut settled = std::pin::pin!(engine.settled());
    tokio::select! {
        biased;
        _ = &mut read => panic!("a read told what is not durable"),
        _ = &mut settled => panic!("what is not durable is settled"),
        () = std::future::ready(()) => {}
    }
    assert!(!write.is_finished());
    go_on.send(()).expect("the log waits");
    assert_eq!(read.await, Ok(Some(0)));
    assert_eq!(settled.await, Ok(()));
    write.await.expect("it was told");
    assert_eq!(engine.settled().await, Ok(()), "nothing is left to wait for");
}
