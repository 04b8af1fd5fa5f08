//! The files of the trail: `<number>-<first moment in ms>.jsonl`, one record in a line.

use std::io;
use std::path::{Path, PathBuf};

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Segment {
    /// Its number; later files have greater ones.
    pub number: u64,
    /// When it was begun: milliseconds since the epoch.
    pub begun_ms: i64,
}

impl Segment {
    /// Its file.
    pub fn path(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{:08}-{}.jsonl", self.number, self.begun_ms))
    }

    fn of_name(name: &str) -> Option<Self> {
        let (number, begun) = name.strip_suffix(".jsonl")?.split_once('-')?;
        Some(Self {
            number: number.parse().ok()?,
            begun_ms: begun.parse().ok()?,
        })
    }
}

/// All files of a folder, the oldest first.
pub fn list(folder: &Path) -> io::Result<Vec<Segment>> {
    let mut segments = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        if let Some(segment) = entry?.file_name().to_str().and_then(Segment::of_name) {
            segments.push(segment);
        }
    }
    segments.sort();
    Ok(segments)
}
