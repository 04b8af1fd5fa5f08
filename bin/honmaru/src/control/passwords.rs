//! Where passwords of IAM users are hashed: on threads of their own, one for two processors.
//!
//! Invariant: however many callers set passwords, they have at most half of the machine, and 19 MiB for each hash under way.

use honmaru_base::ApiError;
use honmaru_engine::{Engine, EngineError, system_rng};
use honmaru_iam::{PasswordChange, Passwords, Work, Worked};
use honmaru_machine::BoxFuture;
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Changes that may wait for their turn; a change takes tens of milliseconds, at worst half a second.
const WAITING_MAX: usize = 32;

/// The turns of those who hash.
pub struct Hashing {
    engine: Engine,
    /// One for each change that is under way or waits.
    places: Arc<Semaphore>,
    /// One for each hash that is made now.
    turns: Arc<Semaphore>,
}

impl Hashing {
    /// Nobody hashes yet.
    pub fn new(engine: Engine) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let turns = (processors / 2).max(1);
        Self {
            engine,
            places: Arc::new(Semaphore::new(turns + WAITING_MAX)),
            turns: Arc::new(Semaphore::new(turns)),
        }
    }
}

/// Does the work once it is its turn. A caller that goes away gives its turn back when the work is done, not before.
async fn run(work: Work, places: Arc<Semaphore>, turns: Arc<Semaphore>) -> Result<Worked, ApiError> {
    let place = places.try_acquire_owned().map_err(|_| too_many())?;
    let turn = turns.acquire_owned().await.map_err(|_| failed(&"no turns are left"))?;
    let worked = tokio::task::spawn_blocking(move || {
        let worked = work.run(&mut system_rng());
        drop((place, turn));
        worked
    });
    worked.await.map_err(|error| failed(&error))?
}

fn too_many() -> ApiError {
    ApiError::new("Throttling", "Rate exceeded").with_status(400)
}

/// The caller learns that it did not work, the operator why.
fn failed(error: &dyn std::fmt::Display) -> ApiError {
    tracing::error!(%error, "failed to set a password");
    let text = "The request processing has failed because of an unknown error, exception or failure.";
    ApiError::new("ServiceFailureException", text).with_status(500)
}

fn stopped(error: EngineError) -> ApiError {
    failed(&honmaru_base::chain(&error))
}

impl Passwords for Hashing {
    fn change(&self, change: PasswordChange) -> BoxFuture<Result<Value, ApiError>> {
        let (engine, places, turns) = (self.engine.clone(), self.places.clone(), self.turns.clone());
        Box::pin(async move {
            let worked = match engine.read(|state| change.look(state)).await.map_err(stopped)?? {
                Some(work) => Some(run(work, places, turns).await?),
                None => None,
            };
            engine
                .write(move |tx| change.write(tx, worked))
                .await
                .map_err(stopped)?
        })
    }
}
