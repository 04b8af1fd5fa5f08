//! The ECR API as a client sees it: operations by name, a file for each subject.

#![allow(missing_docs, reason = "helpers of tests")]

mod archive;
mod errors;
mod images;
mod layers;
mod lifecycle;
mod pull_through;
mod registry;
mod replication;
mod repositories;
mod support;
