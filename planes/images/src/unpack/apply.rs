//! From the entries of a tar to files: which call for which entry, and the whiteouts.
//! Ref: OCI image specification, layer.md.

use super::stream::LayerStream;
use super::tar::{Entry, Kind, Tar};
use super::tree::{Meta, Tree, TreePath, shown};
use super::{UnpackError, UnpackLimits};
use std::io::{Read, Seek, SeekFrom, Write};

/// File content is copied in such pieces.
const COPY_BYTES: usize = 128 * 1024;
/// The disk's reserve is looked at again after so many bytes.
const ROOM_CHECK_BYTES: u64 = 64 * 1024 * 1024;
/// The disk's reserve is looked at again after so many entries.
const ROOM_CHECK_ENTRIES: u64 = 8_192;
/// Of a disk with few inodes no more than this part of them is kept.
const RESERVE_PART: u64 = 16;
/// Bytes of the names of directories whose times are remembered to the end; those beyond keep the time of unpacking.
const DIRECTORY_TIMES_BYTES_MAX: usize = 32 * 1024 * 1024;
/// What remembering costs beside the name: the time, and the allocator.
const DIRECTORY_TIME_BYTES: usize = 64;

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Marks of aufs' own bookkeeping, which every other tool passes over.
const AUFS: &[u8] = b".wh..wh.";

/// Unpacks all entries; returns bytes of content and the number of entries.
pub(super) fn apply<'a, R: Read>(
    stream: &mut LayerStream<'a, R>,
    tree: &mut Tree,
    limits: &'a UnpackLimits,
) -> Result<(u64, u64), UnpackError> {
    let mut tar = Tar::new(stream, limits);
    let mut times: Vec<(Box<[u8]>, i64, u32)> = Vec::new();
    let mut times_bytes = 0;
    let mut buffer = vec![0; COPY_BYTES];
    let (mut bytes, mut entries) = (0_u64, 0_u64);
    // Where the disk is looked at next, in bytes and in inodes.
    let (mut room_bytes, mut room_inodes, mut attribute_bytes) = (ROOM_CHECK_BYTES, 0, 0_u64);
    while let Some(entry) = tar.next()? {
        let inodes = entries + tree.implied();
        if inodes >= limits.entries_max {
            return Err(UnpackError::Limit {
                what: "entries",
                max: limits.entries_max,
            });
        }
        attribute_bytes += entry
            .xattrs
            .iter()
            .map(|(name, value)| (name.len() + value.len()) as u64)
            .sum::<u64>();
        if inodes >= room_inodes || bytes + attribute_bytes >= room_bytes {
            check_room(tree, limits)?;
            room_inodes = inodes + ROOM_CHECK_ENTRIES;
            room_bytes = bytes + attribute_bytes + ROOM_CHECK_BYTES;
        }
        entries += 1;
        let path = TreePath::parse(&entry.path, limits.depth_max)?;
        if apply_whiteout(tree, &entry, &path)? {
            continue;
        }
        let meta = meta(&entry)?;
        match entry.kind {
            Kind::File => {
                if entry
                    .sparse
                    .as_ref()
                    .is_some_and(|sparse| sparse.size > limits.tar_bytes_max)
                {
                    // Holes are no bytes of the tar, but a copy of the file has them.
                    return Err(UnpackError::Limit {
                        what: "bytes of a sparse file",
                        max: limits.tar_bytes_max,
                    });
                }
                let mut file = tree.file(&path, &entry.path)?;
                let mut pieces = entry.sparse.iter().flat_map(|sparse| &sparse.pieces);
                // Of the piece that is being written; a file without holes is one piece that ends where its content does.
                let mut left = if entry.sparse.is_some() { 0 } else { u64::MAX };
                loop {
                    while left == 0 {
                        let Some((offset, length)) = pieces.next() else { break };
                        file.seek(SeekFrom::Start(*offset))
                            .map_err(|source| write_failed(&entry, source))?;
                        left = *length;
                    }
                    let want = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
                    let n = tar.read(buffer.get_mut(..want).unwrap_or_default())?;
                    if n == 0 {
                        break;
                    }
                    let piece = buffer.get(..n).unwrap_or_default();
                    file.write_all(piece).map_err(|source| write_failed(&entry, source))?;
                    left -= n as u64;
                    bytes += n as u64;
                    if bytes + attribute_bytes >= room_bytes {
                        check_room(tree, limits)?;
                        room_bytes = bytes + attribute_bytes + ROOM_CHECK_BYTES;
                    }
                }
                if let Some(sparse) = &entry.sparse {
                    file.set_len(sparse.size)
                        .map_err(|source| write_failed(&entry, source))?;
                }
                tree.finish_file(&file, &meta, &entry.path)?;
            }
            Kind::Directory => {
                tree.directory(&path, &entry.path)?;
                tree.finish_directory(&path, &meta, &entry.path)?;
                let cost = entry.path.len() + DIRECTORY_TIME_BYTES;
                if times_bytes + cost <= DIRECTORY_TIMES_BYTES_MAX {
                    times_bytes += cost;
                    times.push((entry.path.into_boxed_slice(), entry.mtime_s, entry.mtime_ns));
                }
            }
            Kind::Symlink => {
                if entry.link.is_empty() || entry.link.contains(&0) {
                    return Err(UnpackError::Path(shown(&entry.path)));
                }
                tree.symlink(&path, &entry.link, &entry.path)?;
                tree.finish_other(&path, &meta, true, &entry.path)?;
            }
            Kind::HardLink => {
                let target = TreePath::parse(&entry.link, limits.depth_max)?;
                tree.hard_link(&path, &target, &entry.path)?;
            }
            Kind::Fifo => {
                tree.fifo(&path, &entry.path)?;
                tree.finish_other(&path, &meta, false, &entry.path)?;
            }
            // Containers get their devices from the runtime; root file systems are mounted nodev.
            Kind::Device => tracing::debug!(path = %shown(&entry.path), "device of a layer skipped"),
        }
    }
    for (name, mtime_s, mtime_ns) in times.into_iter().rev() {
        let path = TreePath::parse(&name, limits.depth_max)?;
        tree.directory_time(&path, mtime_s, mtime_ns, &name)?;
    }
    Ok((bytes, entries))
}

/// Whether the entry was a whiteout, which it then made.
fn apply_whiteout(tree: &mut Tree, entry: &Entry, path: &TreePath) -> Result<bool, UnpackError> {
    let Some(name) = path.name.as_deref() else {
        return Ok(false);
    };
    if name == OPAQUE {
        tree.opaque_contents(&path.parents, &entry.path)?;
    } else if name.starts_with(AUFS) {
        // Nothing to do: see AUFS.
    } else if let Some(hidden) = name.strip_prefix(WHITEOUT) {
        if matches!(hidden, b"" | b"." | b"..") {
            return Err(UnpackError::Path(shown(&entry.path)));
        }
        let target = TreePath {
            parents: path.parents.clone(),
            name: Some(hidden.to_vec()),
        };
        tree.whiteout(&target, &entry.path)?;
    } else {
        return Ok(false);
    }
    Ok(true)
}

fn meta(entry: &Entry) -> Result<Meta<'_>, UnpackError> {
    // The highest number means "leave as it is" to chown.
    let id = |id: u64| {
        let id = u32::try_from(id).ok().filter(|id| *id != u32::MAX);
        id.ok_or(UnpackError::Tar("an owner is out of range"))
    };
    Ok(Meta {
        uid: id(entry.uid)?,
        gid: id(entry.gid)?,
        mode: entry.mode,
        mtime_s: entry.mtime_s,
        mtime_ns: entry.mtime_ns,
        xattrs: &entry.xattrs,
    })
}

fn check_room(tree: &Tree, limits: &UnpackLimits) -> Result<(), UnpackError> {
    let (bytes, inodes) = tree.free()?;
    if bytes < limits.free_bytes_min {
        return Err(UnpackError::Full);
    }
    if let Some((free, all)) = inodes {
        let reserve = limits.free_inodes_min.min(all / RESERVE_PART);
        if free < reserve {
            return Err(UnpackError::NoInodes { free, reserve });
        }
    }
    Ok(())
}

fn write_failed(entry: &Entry, source: std::io::Error) -> UnpackError {
    match source.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => UnpackError::Full,
        _ => UnpackError::Io {
            doing: "write",
            path: shown(&entry.path),
            source,
        },
    }
}
