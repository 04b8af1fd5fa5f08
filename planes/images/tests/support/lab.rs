//! A directory for one layer, inside another one whose content must stay as it was.

use super::TarWriter;
use honmaru_images::{Digest, Expected, UnpackError, UnpackLimits, Unpacked, unpack_layer};
use std::fs;
use std::os::unix::fs::MetadataExt;

pub struct Lab {
    pub outer: tempfile::TempDir,
}

impl Lab {
    pub fn new() -> Self {
        let outer = tempfile::tempdir().unwrap();
        fs::create_dir(outer.path().join("layer")).unwrap();
        fs::write(outer.path().join("secret"), "untouched").unwrap();
        Self { outer }
    }

    pub fn root(&self) -> std::path::PathBuf {
        self.outer.path().join("layer")
    }

    pub fn unpack_with(&self, stream: &[u8], tar: &[u8], limits: &UnpackLimits) -> Result<Unpacked, UnpackError> {
        let expected = Expected {
            digest: Digest::sha256(stream),
            diff_id: Digest::sha256(tar),
        };
        let result = unpack_layer(stream, &expected, &self.root(), limits);
        let mut outside: Vec<_> = fs::read_dir(self.outer.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        outside.sort();
        assert_eq!(outside, ["layer", "secret"], "something was written outside");
        let secret = self.outer.path().join("secret");
        assert_eq!(fs::read_to_string(&secret).unwrap(), "untouched");
        assert_eq!(fs::metadata(&secret).unwrap().nlink(), 1, "the secret was linked");
        result
    }

    pub fn unpack(&self, tar: TarWriter) -> Result<Unpacked, UnpackError> {
        let tar = tar.end();
        self.unpack_with(&tar, &tar, &limits())
    }

    pub fn text(&self, path: &str) -> String {
        fs::read_to_string(self.root().join(path)).unwrap()
    }

    pub fn meta(&self, path: &str) -> fs::Metadata {
        fs::symlink_metadata(self.root().join(path)).unwrap()
    }
}

pub fn limits() -> UnpackLimits {
    UnpackLimits {
        free_bytes_min: 0,
        ..UnpackLimits::default()
    }
}
