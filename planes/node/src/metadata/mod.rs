//! What containers ask their node: task metadata (version 4), statistics, credentials of the task's role.
//! Ref: "Amazon ECS task metadata endpoint version 4 for tasks on Fargate", ECS developer guide.

mod credentials;
mod document;
mod server;
mod stats;

pub(crate) use credentials::Credentials;
pub(crate) use server::serve;
pub(crate) use stats::Statistics;
