//! AWS IAM: users, roles, policies, access keys.
