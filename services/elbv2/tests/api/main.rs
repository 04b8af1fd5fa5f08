//! Goal: the API answers with AWS's shapes, codes and idempotency. Method: operations by name, JSON in, JSON out.

mod attributes;
mod certificates;
mod foreign;
mod listeners;
mod load_balancers;
mod recorded;
#[path = "../support/mod.rs"]
mod support;
mod tags;
mod target_groups;
mod weighted;
