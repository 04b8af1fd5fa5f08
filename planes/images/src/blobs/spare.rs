//! Empty files that are there before somebody waits for them. Creating a file can cost more than all else of a small
//! upload: ext4 without a journal looks at every inode near by that was deleted in the last minutes.
//!
//! Invariants: a file under `spare/` is empty and nobody's; whoever takes one renames it first. Without one a file is
//! created as ever.

use super::error::at;
use super::{StoreError, make_dir};
use parking_lot::Mutex;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

/// So many lie ready after a while of uploads.
const SPARES_MAX: usize = 64;
/// With fewer, new ones are made in the background.
const SPARES_LOW: usize = 48;

/// The spare files of one store.
pub(super) struct Spares {
    dir: PathBuf,
    ready: Mutex<Vec<PathBuf>>,
    is_filling: AtomicBool,
    /// A spare file could not be given its new name: this file system cannot do so, and no more are made.
    is_off: AtomicBool,
}

impl Spares {
    /// Those of the store at `dir`; none yet.
    pub(super) fn new(dir: &Path) -> Arc<Self> {
        Arc::new(Self {
            dir: dir.join("spare"),
            ready: Mutex::default(),
            is_filling: AtomicBool::new(false),
            is_off: AtomicBool::new(false),
        })
    }

    /// Takes over what an earlier process left.
    pub(super) fn open(&self) -> Result<(), StoreError> {
        make_dir(&self.dir)?;
        let mut ready = self.ready.lock();
        for entry in fs::read_dir(&self.dir).map_err(at("list", &self.dir))? {
            ready.push(entry.map_err(at("list", &self.dir))?.path());
        }
        Ok(())
    }

    /// A new empty file at `path`, open for reading and writing. It fails when there is one already.
    pub(super) fn create(self: &Arc<Self>, path: &Path) -> Result<File, StoreError> {
        let spare = {
            let mut ready = self.ready.lock();
            let spare = ready.pop();
            if ready.len() < SPARES_LOW {
                self.fill();
            }
            spare
        };
        match spare.and_then(|spare| self.give(&spare, path)) {
            Some(file) => Ok(file),
            None => File::create_new(path).map_err(at("create", path)),
        }
    }

    /// The spare file under its new name; nothing when it cannot be had.
    fn give(&self, spare: &Path, path: &Path) -> Option<File> {
        let given = File::options().read(true).write(true).open(spare).and_then(|file| {
            // How long nobody wrote to an upload is told by this.
            file.set_modified(SystemTime::now())?;
            rustix::fs::renameat_with(
                rustix::fs::CWD,
                spare,
                rustix::fs::CWD,
                path,
                rustix::fs::RenameFlags::NOREPLACE,
            )?;
            Ok(file)
        });
        given
            .inspect_err(|error| {
                tracing::debug!(%error, spare = %spare.display(), "a spare file is of no use");
                if error.kind() != io::ErrorKind::AlreadyExists {
                    self.is_off.store(true, Ordering::Relaxed);
                }
                let _ = fs::remove_file(spare);
            })
            .ok()
    }

    /// Makes new ones, unless somebody is about to.
    fn fill(self: &Arc<Self>) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        if self.is_off.load(Ordering::Relaxed) || self.is_filling.swap(true, Ordering::AcqRel) {
            return;
        }
        let spares = Arc::downgrade(self);
        runtime.spawn_blocking(move || {
            // No longer than the store lives: whoever removes its directory then finds nothing new in it.
            while let Some(spares) = spares.upgrade() {
                if !spares.make_one() {
                    spares.is_filling.store(false, Ordering::Release);
                    return;
                }
            }
        });
    }

    /// Makes one more; false when there are enough, or it could not be made.
    fn make_one(&self) -> bool {
        if self.ready.lock().len() >= SPARES_MAX {
            return false;
        }
        let path = self.dir.join(uuid::Uuid::new_v4().to_string());
        match File::create_new(&path) {
            Ok(_) => {
                self.ready.lock().push(path);
                true
            }
            Err(error) => {
                tracing::debug!(%error, path = %path.display(), "no spare file was made");
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Seek, Write};

    #[tokio::test(flavor = "multi_thread")]
    async fn files_are_new_and_empty_whoever_made_them() {
        let dir = tempfile::tempdir().unwrap();
        let spares = Spares::new(dir.path());
        spares.open().unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        for n in 0..200 {
            // Some are made on the spot and some lay ready.
            while n == 10 && spares.ready.lock().len() < SPARES_MAX {
                assert!(std::time::Instant::now() < deadline, "no spare files were made");
                tokio::task::yield_now().await;
            }
            let path = dir.path().join(n.to_string());
            let mut file = spares.create(&path).unwrap();
            file.write_all(b"content").unwrap();
            file.rewind().unwrap();
            let mut text = String::new();
            file.read_to_string(&mut text).unwrap();
            assert_eq!(
                (text.as_str(), fs::read(&path).unwrap().as_slice()),
                ("content", &b"content"[..])
            );
            assert!(spares.create(&path).is_err(), "a file was replaced");
        }
        // What is left serves the next process, which looks for it.
        while spares.ready.lock().is_empty() {
            assert!(std::time::Instant::now() < deadline, "no spare files were made");
            tokio::task::yield_now().await;
        }
        let left = Spares::new(dir.path());
        left.open().unwrap();
        let path = left.ready.lock().last().cloned().unwrap();
        left.create(&dir.path().join("again")).unwrap();
        assert!(!path.exists());
    }
}
