//! Associations end with the load balancer that they protect.

use crate::association::load_balancer_exists;
use crate::model::Association;
use honmaru_base::{Scope, Time};
use honmaru_machine::{Reconciler, Resource, Tx};

/// Removes associations whose load balancer is gone.
pub struct Associations;

impl Reconciler for Associations {
    fn name(&self) -> &'static str {
        "wafv2.associations"
    }

    fn watches(&self) -> &'static [&'static str] {
        const WATCHED: &[&str] = &[<honmaru_elbv2::LoadBalancer as Resource>::KIND, Association::KIND];
        WATCHED
    }

    fn reconcile(&mut self, tx: &mut Tx<'_>) -> Option<Time> {
        let gone: Vec<(Scope, String)> = tx
            .all::<Association>()
            .filter(|(owner, resource, _)| !load_balancer_exists(tx, owner, resource))
            .map(|(owner, resource, _)| (owner.clone(), resource.to_owned()))
            .collect();
        for (owner, resource) in gone {
            tx.delete::<Association>(&owner, &resource);
        }
        None
    }
}
