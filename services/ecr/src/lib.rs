//! Amazon ECR: repositories and images.

pub mod types;
