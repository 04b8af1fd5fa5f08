//! Deregistered targets go when the group's delay is over.

use crate::machine::{deregistration_delay_s, remove_target};
use crate::model::{Target, TargetGroup};
use honmaru_base::{Scope, Time};
use honmaru_machine::{Reconciler, Resource, Tx};

/// Removes targets whose deregistration delay is over.
#[derive(Debug, Default)]
pub struct Draining;

impl Reconciler for Draining {
    fn name(&self) -> &'static str {
        "elbv2.draining"
    }

    fn watches(&self) -> &'static [&'static str] {
        &[Target::KIND, TargetGroup::KIND]
    }

    fn reconcile(&mut self, tx: &mut Tx<'_>) -> Option<Time> {
        let now = tx.now();
        let ends = |scope: &Scope, target: &Target| {
            let since = target.draining_since?;
            let delay_s = tx
                .get::<TargetGroup>(scope, &target.group_arn)
                .map_or(0, deregistration_delay_s);
            Some(since.plus_s(delay_s))
        };
        let draining: Vec<(Scope, String, Time)> = tx
            .all::<Target>()
            .filter_map(|(scope, key, target)| Some((scope.clone(), key.to_owned(), ends(scope, target)?)))
            .collect();
        let mut next = None;
        for (scope, key, end) in draining {
            if end <= now {
                remove_target(tx, &scope, &key);
            } else {
                next = Some(next.map_or(end, |next: Time| next.min(end)));
            }
        }
        next
    }
}
