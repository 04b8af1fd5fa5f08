//! Room on the disk: what the log keeps of it for itself, and whether there is any beside that.
//!
//! What must go on while the disk is full (what was seen of tasks, what takes things away, the way back) is written into blocks
//! that the log's write-ahead file has before it needs them. Nobody else on the machine can take those.

use rustix::fs::{FallocateFlags, StatVfs, fallocate, statvfs};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Blocks that the write-ahead file has beyond its end: some thousand turns of the writer.
const WAL_BYTES_KEPT: u64 = 32 * 1024 * 1024;
/// What the index of the write-ahead file takes for the longest one: 32 KiB for each 4,096 pages. Ref: SQLite, "WAL-mode File
/// Format", section 2.
const INDEX_BYTES_KEPT: u64 = 256 * 1024;
/// With less than this the disk is full for whatever can wait.
const FREE_BYTES_MIN: u64 = 4 * 1024 * 1024;
/// With fewer inodes than this it is full, too: what can wait makes files, such as uploads, and new tasks need dozens.
const FREE_INODES_MIN: u64 = 128;
/// Of a disk with few inodes no more than this part of them.
const FREE_PART: u64 = 32;
/// Nothing is kept on a disk that has less than so many times that: it would be the one that fills it.
const FREE_FACTOR_MIN: u64 = 2;

/// The disk below the log.
pub(crate) struct Room {
    dir: PathBuf,
    wal: File,
    /// Held open as long as the log is: closing any descriptor of it would release SQLite's locks. Ref: fcntl(2), "Advisory
    /// record locking".
    index: File,
}

impl Room {
    /// Of a log that is open.
    pub(crate) fn open(log: &Path) -> io::Result<Self> {
        let beside = |suffix: &str| {
            let mut path = log.as_os_str().to_owned();
            path.push(suffix);
            File::options().write(true).open(PathBuf::from(path))
        };
        Ok(Self {
            dir: log.parent().map_or_else(|| PathBuf::from("."), Path::to_owned),
            wal: beside("-wal")?,
            index: beside("-shm")?,
        })
    }

    /// Whether the disk has room for more than what must go on. A disk that cannot be asked has it.
    pub(crate) fn is_there(&self) -> bool {
        !statvfs(&self.dir).is_ok_and(|disk| {
            // btrfs and others make inodes as they need them, and say that they have none.
            let inodes_run_out = disk.f_files > 0 && disk.f_favail < FREE_INODES_MIN.min(disk.f_files / FREE_PART);
            bytes_free(&disk) < FREE_BYTES_MIN || inodes_run_out
        })
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(bytes_free(&statvfs(&self.dir)?))
    }

    /// Takes the blocks that are missing, once half of them are.
    pub(crate) fn keep(&self) -> io::Result<()> {
        let wal_bytes = self.wal.metadata()?.len();
        self.keep_in(&self.wal, wal_bytes + WAL_BYTES_KEPT, WAL_BYTES_KEPT)?;
        self.keep_in(&self.index, INDEX_BYTES_KEPT, INDEX_BYTES_KEPT)
    }

    /// Of `bytes` the last `kept` are in advance. A file system that gives none in advance is no error.
    fn keep_in(&self, file: &File, bytes: u64, kept: u64) -> io::Result<()> {
        // Ref: stat(2): in units of 512 bytes.
        let taken = file.metadata()?.blocks() * 512;
        if taken + kept / 2 >= bytes || self.free_bytes()? < kept * FREE_FACTOR_MIN {
            return Ok(());
        }
        match fallocate(file, FallocateFlags::KEEP_SIZE, 0, bytes) {
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSPC) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn bytes_free(disk: &StatVfs) -> u64 {
    disk.f_bavail.saturating_mul(disk.f_frsize)
}
