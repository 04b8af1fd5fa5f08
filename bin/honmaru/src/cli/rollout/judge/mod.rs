//! What a look at a service means for a roll-out. Pure: the same look gives the same verdict.

mod goal;
mod look;
mod reasons;
#[cfg(test)]
mod tests;
mod verdict;
mod words;

pub use goal::{Goal, RolledOut};
pub use look::{Look, Memory};
pub use verdict::{Verdict, judge};
pub use words::{lines, state};
