//! Goal: the API answers as AWS does. Method: calls through the operations, as the wire makes them.

#[path = "../lab/mod.rs"]
mod lab;

mod clusters;
mod definitions;
mod permissions;
mod recorded;
mod tasks;
mod unserved;
