//! The engine from outside: group commit, failed commands, replay, reconcilers, a failing log.

use honmaru_base::{Scope, SeededRng, Time};
use honmaru_engine::{Engine, EngineConfig, EngineError, SystemClock};
use honmaru_log::{Log, MemoryLog, SqliteLog};
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
