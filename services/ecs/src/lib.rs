//! Amazon ECS: clusters, task definitions, tasks, services.

pub mod types;
