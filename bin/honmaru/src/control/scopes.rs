//! The scopes that have their default VPC, and how one gets it.

use super::ranges::Ranges;
use honmaru_base::{ApiError, Scope};
use honmaru_engine::{Engine, EngineError};
use honmaru_machine::State;
use parking_lot::Mutex;
use std::collections::HashSet;

/// The scopes whose default VPC is known to exist, so that only the first call of each looks.
pub struct KnownScopes {
    known: Mutex<HashSet<Scope>>,
    ranges: Ranges,
}

/// Scopes remembered at most: any account and region may be named by a caller with credentials.
const SCOPES_MAX: usize = 1_024;

impl KnownScopes {
    /// Knows none, and has the ranges of the VPCs that are there.
    pub async fn open(engine: &Engine) -> Result<Self, EngineError> {
        let ranges = Ranges::default();
        ranges.adopt(&engine.read(honmaru_ec2::vpc_ranges).await?);
        let known = Mutex::default();
        Ok(Self { known, ranges })
    }

    /// Sees to it that a scope has its default VPC. The inner error says that there is no range left for one: then the
    /// scope goes without, as accounts in AWS may, and is not tried again.
    pub async fn ensure(&self, engine: &Engine, scope: &Scope) -> Result<Result<(), ApiError>, EngineError> {
        if self.knows(scope) {
            return Ok(Ok(()));
        }
        if engine
            .read(|state| honmaru_ec2::default_vpc(state, scope).is_none())
            .await?
        {
            let made = self.make(engine, scope).await?;
            if let Err(error) = made {
                tracing::warn!(%scope, err = %error, "no default VPC");
                self.remember(scope);
                return Ok(Err(error));
            }
        }
        self.remember(scope);
        Ok(Ok(()))
    }

    async fn make(&self, engine: &Engine, scope: &Scope) -> Result<Result<(), ApiError>, EngineError> {
        let own = engine.read(honmaru_ec2::vpc_ranges).await?;
        let Some(range) = self.ranges.choose(&own) else {
            return Ok(Err(honmaru_ec2::vpc_limit_exceeded()));
        };
        let row = scope.clone();
        let made = engine
            .write(move |tx| honmaru_ec2::ensure_default_vpc(tx, &row, range))
            .await;
        // Another call may have made it meanwhile, with another range.
        let is_used = engine
            .read(|state| honmaru_ec2::vpc_ranges(state).contains(&range))
            .await?;
        if !is_used {
            self.ranges.release(range);
        }
        Ok(made?.map(drop))
    }

    /// The same for what a call is signed for, which may be any region, once the caller `may` do something there: there
    /// are few ranges, and whoever has no permission shall not use them up.
    pub async fn ensure_for(
        &self,
        engine: &Engine,
        scope: &Scope,
        may: impl FnOnce(&State) -> bool,
    ) -> Result<Result<(), ApiError>, EngineError> {
        if !engine.read(may).await? {
            return Ok(Ok(()));
        }
        self.ensure(engine, scope).await
    }

    /// Whether nothing is left to do for a scope.
    pub fn knows(&self, scope: &Scope) -> bool {
        self.known.lock().contains(scope)
    }

    fn remember(&self, scope: &Scope) {
        let mut known = self.known.lock();
        if known.len() < SCOPES_MAX {
            known.insert(scope.clone());
        }
    }
}
