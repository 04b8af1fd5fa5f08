//! How much a layer may ask for.

use std::time::Duration;

/// Limits of one layer. The defaults are far above real images and far below what harms a machine.
#[derive(Debug, Clone)]
pub struct UnpackLimits {
    /// Bytes of the uncompressed tar.
    pub tar_bytes_max: u64,
    /// Entries of the tar, and directories that no entry names but that lie on the way to one. An inode costs about 256
    /// bytes of disk and 1 KiB of memory.
    pub entries_max: u64,
    /// How many times larger the tar may be than the stream, once it has passed `ratio_from_bytes`.
    /// gzip cannot pass about 1,032; real layers stay under 20.
    pub ratio_max: u64,
    /// The ratio counts from here on: small layers of zeros are harmless.
    pub ratio_from_bytes: u64,
    /// Names deep in directories: components of a path, and directories above a file where symlinks lead to it.
    pub depth_max: usize,
    /// Bytes of a pax header or a GNU long name.
    pub header_bytes_max: u64,
    /// Bytes of all extended attributes of one entry, names and values.
    pub xattr_bytes_max: u64,
    /// How long the work may take; waiting for the source is no work.
    pub work_time_max: Duration,
    /// Space that must stay free on the disk.
    pub free_bytes_min: u64,
    /// Inodes that must stay free on the disk, where it has a fixed number of them; of a small disk a sixteenth of its own.
    pub free_inodes_min: u64,
}

impl Default for UnpackLimits {
    fn default() -> Self {
        Self {
            tar_bytes_max: 64 * 1024 * 1024 * 1024,
            entries_max: 2_000_000,
            ratio_max: 200,
            ratio_from_bytes: 256 * 1024 * 1024,
            depth_max: 256,
            header_bytes_max: 1024 * 1024,
            xattr_bytes_max: 256 * 1024,
            work_time_max: Duration::from_secs(3_600),
            free_bytes_min: 256 * 1024 * 1024,
            free_inodes_min: 16_384,
        }
    }
}
