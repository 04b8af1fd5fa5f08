//! Controllers: lifecycle policies are carried out once a day, and layers of abandoned pushes are given up.

use crate::api::candidates;
use crate::lifecycle::{Policy, evaluate};
use crate::machine::{archive_image, delete_image};
use crate::model::{LAYER_LEFT_LIFE_S, LayerLink, LifecycleAction, Repository};
use honmaru_base::{Scope, Time};
use honmaru_machine::{Reconciler, Resource, Tx};

/// Ref: ECR: images expire within 24 hours after they meet a policy.
const EVALUATE_EVERY_S: i64 = 24 * 3_600;
/// A new policy is carried out this soon, so that a mistake can still be taken back.
const FIRST_EVALUATION_S: i64 = 60;
/// Rows removed in one step; the rest follow at once in the next.
const STEP_MAX: usize = 1_000;

/// Carries out lifecycle policies.
pub(crate) struct LifecycleRunner;

impl Reconciler for LifecycleRunner {
    fn name(&self) -> &'static str {
        "ecr.lifecycle"
    }

    fn watches(&self) -> &'static [&'static str] {
        &[Repository::KIND]
    }

    fn reconcile(&mut self, tx: &mut Tx<'_>) -> Option<Time> {
        let now = tx.now();
        let with_policy = tx.all::<Repository>().filter_map(|(scope, name, row)| {
            row.lifecycle_policy.as_ref()?;
            let due = row.lifecycle_evaluated_at.map(|last| last.plus_s(EVALUATE_EVERY_S));
            Some((due, scope.clone(), name.to_owned()))
        });
        let mut next: Option<Time> = None;
        let mut due_now: Vec<(Scope, String)> = Vec::new();
        for (due, scope, name) in with_policy {
            match due {
                Some(due) if due > now => next = Some(next.map_or(due, |next| next.min(due))),
                _ => due_now.push((scope, name)),
            }
        }
        for (scope, name) in due_now {
            let again = self.carry_out(tx, &scope, &name);
            next = Some(next.map_or(again, |next| next.min(again)));
        }
        next
    }
}

impl LifecycleRunner {
    /// Deletes what the policy expires, archives what it archives, and returns when to look again.
    fn carry_out(&self, tx: &mut Tx<'_>, scope: &Scope, name: &str) -> Time {
        let now = tx.now();
        let policy = tx
            .get::<Repository>(scope, name)
            .and_then(|row| row.lifecycle_policy.clone());
        let Some(Ok(policy)) = policy.as_deref().map(Policy::parse) else {
            // A stored policy was valid when it was stored. One that is no longer understood deletes nothing.
            tx.update::<Repository>(scope, name, |row| row.lifecycle_evaluated_at = Some(now));
            return now.plus_s(EVALUATE_EVERY_S);
        };
        let verdicts = evaluate(&policy, &candidates(tx, scope, name), now);
        let rest = verdicts.len() > STEP_MAX;
        for verdict in verdicts.into_iter().take(STEP_MAX) {
            // Parents come first, so that only an image that is gone already can refuse.
            match verdict.action {
                LifecycleAction::Expire => drop(delete_image(tx, scope, name, &verdict.digest)),
                LifecycleAction::Archive => drop(archive_image(tx, scope, name, &verdict.digest)),
            }
        }
        if rest {
            return now.plus_ms(1);
        }
        tx.update::<Repository>(scope, name, |row| row.lifecycle_evaluated_at = Some(now));
        now.plus_s(EVALUATE_EVERY_S)
    }
}

/// When a policy that was just written is first carried out: written as an evaluation in the past.
pub(crate) fn first_evaluation(now: Time) -> Time {
    now.plus_s(FIRST_EVALUATION_S - EVALUATE_EVERY_S)
}

/// Gives up layers that waited too long for their manifest.
#[derive(Default)]
pub(crate) struct LayerExpiry {
    /// No layer ends before: those that were there when all were looked at end later, and a newer one waits as long as
    /// any. Without it every upload would look at all that wait. Nothing after a start.
    not_before: Option<Time>,
}

impl Reconciler for LayerExpiry {
    fn name(&self) -> &'static str {
        "ecr.layer-expiry"
    }

    fn watches(&self) -> &'static [&'static str] {
        &[LayerLink::KIND]
    }

    fn reconcile(&mut self, tx: &mut Tx<'_>) -> Option<Time> {
        let now = tx.now();
        if self.not_before.is_some_and(|at| now < at) {
            return self.not_before;
        }
        // The shortest wait of any that may come.
        let mut next = now.plus_s(LAYER_LEFT_LIFE_S);
        let mut over: Vec<(Scope, String)> = Vec::new();
        for (scope, key, link) in tx.all::<LayerLink>() {
            let end = link.end();
            if end <= now && over.len() < STEP_MAX {
                over.push((scope.clone(), key.to_owned()));
            } else {
                next = next.min(end.max(now.plus_ms(1)));
            }
        }
        for (scope, key) in over {
            tx.delete::<LayerLink>(&scope, &key);
        }
        self.not_before = Some(next);
        self.not_before
    }
}
