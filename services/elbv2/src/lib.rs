//! Elastic Load Balancing v2: load balancers, listeners, rules, target groups and their targets.
//!
//! Not here: serving traffic and checking targets (`edge`), web ACLs (`wafv2`), trust stores, Gateway Load Balancers.
//! Invariant: every load balancer has one interface per subnet; every action names target groups that exist.

#![forbid(unsafe_code)]

mod api;
mod attributes;
mod certified;
mod edge;
mod error;
mod glue;
mod machine;
mod model;
mod names;
mod reconcile;
mod tagged;
pub mod types;

pub use api::operations;
pub use certified::{certificate_renamed, certificate_user};
pub use edge::{EdgePart, edge_config};
pub use machine::{
    ObservedHealth, deregister_target, load_balancer_listeners, observe_all_health, observe_applied, observe_health,
    register_target, target_group, target_health,
};
pub use model::{HealthSettings, Listener, LoadBalancer, Rule, Target, TargetGroup, Zone};
pub use reconcile::Draining;
pub use tagged::tagged;

use honmaru_machine::{Reconciler, State};

/// The service's name in botocore.
pub const SERVICE: &str = "elbv2";

/// Adds this service's tables.
pub fn register(state: &mut State) {
    state.register::<model::LoadBalancer>();
    state.register::<model::Listener>();
    state.register::<model::Rule>();
    state.register::<model::TargetGroup>();
    state.register::<model::Target>();
    state.register::<model::Observed>();
    state.register::<model::ListenerFailure>();
}

/// This service's controllers.
pub fn reconcilers() -> Vec<Box<dyn Reconciler>> {
    vec![Box::new(Draining)]
}
