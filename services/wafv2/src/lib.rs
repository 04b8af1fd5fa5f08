//! AWS WAFv2: web ACLs, rule groups, IP sets, associations.

pub mod types;
