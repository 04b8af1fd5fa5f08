//! Goal: a layer becomes exactly the files that it describes, and a hostile one harms nothing outside its directory.
//! Method: tars made byte by byte; the directory lies inside another one, whose content must stay as it was.

mod entries;
mod paths;
mod streams;
#[path = "../support/mod.rs"]
mod support;

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

fn is_whiteout(meta: &fs::Metadata) -> bool {
    meta.file_type().is_char_device() && meta.rdev() == 0
}

fn xattr(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 256];
    let n = rustix::fs::lgetxattr(path, name, &mut value).ok()?;
    value.truncate(n);
    Some(value)
}
