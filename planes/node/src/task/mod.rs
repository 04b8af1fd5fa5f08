//! One task: an actor from its first mention to its last trace.

mod actor;
mod images;
mod volumes;

pub(crate) use actor::{Found, Goal, Wish, live};
