//! `cargo xtask bench`: ratios against peers, measured in one run.

use anyhow::{Result, bail};

/// Runs the benches that are named, or all.
pub fn run(_arguments: &[&str]) -> Result<()> {
    bail!("no bench is written yet")
}
