//! AWS IAM: users, roles, policies, access keys.

pub mod types;
