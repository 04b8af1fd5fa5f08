//! The service from outside: operations on a state, as the engine runs them.

mod associations;
mod lists;
mod permissions;
mod recorded;
mod rule_groups;
mod sets;
mod support;
mod web_acls;
