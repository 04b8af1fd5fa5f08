//! A directory for what one test makes, gone with it.

use anyhow::Result;
use std::path::{Path, PathBuf};

/// A directory in `/tmp`.
pub struct Scratch(PathBuf);

impl Scratch {
    /// A new one for the test of that name.
    pub fn new(name: &str) -> Result<Self> {
        let path = PathBuf::from(format!("/tmp/honmaru-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
