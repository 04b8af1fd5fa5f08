//! The directory that a layer is unpacked into: every name is resolved by the kernel inside it.

use super::UnpackError;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags, chmodat, chownat,
    fsetxattr, linkat, mkdirat, mknodat, openat, openat2, statat, symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::path::Path;

/// Ref: linux/limits.h.
const PATH_BYTES_MAX: usize = 4_096;
/// Ref: linux/limits.h.
const NAME_BYTES_MAX: usize = 255;
/// Directories inside directories that [`Tree::remove`] goes into; what is deeper cannot have been made by a layer: see
/// [`Tree::check_depth`].
const REMOVE_DEPTH_MAX: usize = 512;
/// A tree's root is reached through this name.
const DOT: &CStr = c".";

/// Overlay's mark of a directory that hides the lower ones. Ref: Documentation/filesystems/overlayfs.rst.
const OPAQUE: &CStr = c"trusted.overlay.opaque";

/// A path of the layer: directories and a last name, none of them empty, `.` or `..`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TreePath {
    pub(super) parents: Vec<Vec<u8>>,
    /// Nothing for the root itself.
    pub(super) name: Option<Vec<u8>>,
}

impl TreePath {
    /// Reads a path from a tar. A leading `/` or `./` means the root; `..` is refused, also where it would be harmless.
    pub(super) fn parse(path: &[u8], depth_max: usize) -> Result<Self, UnpackError> {
        let refuse = || UnpackError::Path(shown(path));
        if path.len() > PATH_BYTES_MAX || path.contains(&0) {
            return Err(refuse());
        }
        let mut parts = Vec::new();
        for part in path.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." => return Err(refuse()),
                part if part.len() > NAME_BYTES_MAX => return Err(refuse()),
                part => parts.push(part.to_vec()),
            }
        }
        if parts.len() > depth_max {
            return Err(UnpackError::Limit {
                what: "directories inside each other",
                max: depth_max as u64,
            });
        }
        let name = parts.pop();
        Ok(Self { parents: parts, name })
    }
}

/// Owner, mode, times and attributes of an entry.
pub(super) struct Meta<'a> {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mode: u32,
    pub(super) mtime_s: i64,
    pub(super) mtime_ns: u32,
    pub(super) xattrs: &'a [(Vec<u8>, Vec<u8>)],
}

/// The directory that a layer is unpacked into.
pub(super) struct Tree {
    root: OwnedFd,
    depth_max: usize,
    /// Directories above the root, as the kernel names it.
    root_depth: usize,
    /// Directories that were made because they lay on the way.
    implied: u64,
    /// The directory of the last entry: most entries lie beside the one before.
    last: Option<(Vec<Vec<u8>>, OwnedFd)>,
}

type Outcome<T> = Result<T, UnpackError>;

impl Tree {
    pub(super) fn open(dir: &Path, depth_max: usize) -> Outcome<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let root =
            openat(CWD, dir, flags, Mode::empty()).map_err(failed("open", dir.as_os_str().as_encoded_bytes()))?;
        let root_depth = real_depth(&root, b"/")?;
        Ok(Self {
            root,
            depth_max,
            root_depth,
            implied: 0,
            last: None,
        })
    }

    /// Bytes that are free on its disk; inodes, free and all, where there is a fixed number of them.
    pub(super) fn free(&self) -> Outcome<(u64, Option<(u64, u64)>)> {
        let disk = rustix::fs::fstatvfs(&self.root).map_err(failed("look at the disk of", b"/"))?;
        let inodes = (disk.f_files > 0).then_some((disk.f_favail, disk.f_files));
        Ok((disk.f_bavail.saturating_mul(disk.f_frsize), inodes))
    }

    /// How many directories were made that no entry named.
    pub(super) fn implied(&self) -> u64 {
        self.implied
    }

    /// The directory of `path`, made where it is missing, and the last name in it.
    pub(super) fn parent(&mut self, path: &TreePath) -> Outcome<BorrowedFd<'_>> {
        if self.last.as_ref().is_none_or(|(parents, _)| *parents != path.parents) {
            let fd = self.make_dirs(&path.parents)?;
            self.last = Some((path.parents.clone(), fd));
        }
        match &self.last {
            Some((_, fd)) => Ok(fd.as_fd()),
            None => Ok(self.root.as_fd()),
        }
    }

    /// Forgets the remembered directory: something was replaced or removed.
    fn forget(&mut self) {
        self.last = None;
    }

    fn resolve(&self, parts: &[Vec<u8>]) -> Result<OwnedFd, Errno> {
        let path = if parts.is_empty() {
            b".".to_vec()
        } else {
            parts.join(&b'/')
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
        openat2(&self.root, path, flags, Mode::empty(), resolve)
    }

    fn make_dirs(&mut self, parts: &[Vec<u8>]) -> Outcome<OwnedFd> {
        match self.resolve(parts) {
            Ok(fd) => {
                self.check_depth(&fd, parts)?;
                return Ok(fd);
            }
            Err(Errno::NOENT) => {}
            Err(error) => return Err(failed("open the directory", &parts.join(&b'/'))(error)),
        }
        let mut dir = self.resolve(&[]).map_err(failed("open the directory", b"/"))?;
        for depth in 1..=parts.len() {
            let upto = parts.get(..depth).unwrap_or_default();
            dir = match self.resolve(upto) {
                Ok(fd) => fd,
                Err(Errno::NOENT) => {
                    self.check_depth(&dir, upto)?;
                    self.implied += 1;
                    let name = upto.last().map(Vec::as_slice).unwrap_or_default();
                    let mode = Mode::from_raw_mode(0o755);
                    // A dangling symlink makes this fail with EEXIST: the layer is refused.
                    mkdirat(&dir, name, mode).map_err(failed("make the directory", &upto.join(&b'/')))?;
                    self.resolve(upto)
                        .map_err(failed("open the directory", &upto.join(&b'/')))?
                }
                Err(error) => return Err(failed("open the directory", &upto.join(&b'/'))(error)),
            };
        }
        Ok(dir)
    }

    /// Symlinks could lead from one deep directory into the next one: what lies under `dir` must not be deeper than a path
    /// may be, or nobody could walk through the tree and remove it.
    fn check_depth(&self, dir: &OwnedFd, parts: &[Vec<u8>]) -> Outcome<()> {
        let depth = real_depth(dir, &parts.join(&b'/'))?;
        if depth.saturating_sub(self.root_depth) >= self.depth_max {
            return Err(UnpackError::Limit {
                what: "directories inside each other",
                max: self.depth_max as u64,
            });
        }
        Ok(())
    }

    /// Makes a file, replacing whatever has its name, and opens it for writing.
    pub(super) fn file(&mut self, path: &TreePath, shown: &[u8]) -> Outcome<File> {
        self.replacing(path, shown, "create", |dir, name| {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            openat(dir, name, flags, Mode::from_raw_mode(0o600)).map(File::from)
        })
    }

    /// Makes a symlink. Its target is not looked at: it is resolved inside the container, when it is used.
    pub(super) fn symlink(&mut self, path: &TreePath, target: &[u8], shown: &[u8]) -> Outcome<()> {
        self.replacing(path, shown, "create the symlink", |dir, name| {
            symlinkat(target, dir, name)
        })
    }

    pub(super) fn fifo(&mut self, path: &TreePath, shown: &[u8]) -> Outcome<()> {
        self.replacing(path, shown, "create the pipe", |dir, name| {
            mknodat(dir, name, FileType::Fifo, Mode::from_raw_mode(0o600), 0)
        })
    }

    /// Makes a directory, or keeps the one that this layer made before.
    pub(super) fn directory(&mut self, path: &TreePath, shown: &[u8]) -> Outcome<()> {
        let Some(name) = path.name.clone() else { return Ok(()) };
        let dir = self.parent(path)?;
        match mkdirat(dir, &*name, Mode::from_raw_mode(0o700)) {
            Ok(()) => return Ok(()),
            Err(Errno::EXIST) => {}
            Err(error) => return Err(failed("make the directory", shown)(error)),
        }
        let there = statat(dir, &*name, AtFlags::SYMLINK_NOFOLLOW).map_err(failed("look at", shown))?;
        if FileType::from_raw_mode(there.st_mode) == FileType::Directory {
            return Ok(());
        }
        let hidden = is_whiteout(&there);
        self.remove(path, shown)?;
        let dir = self.parent(path)?;
        mkdirat(dir, &*name, Mode::from_raw_mode(0o700)).map_err(failed("make the directory", shown))?;
        if hidden { self.opaque(path, shown) } else { Ok(()) }
    }

    /// Makes a hard link to a file that the layer holds already.
    pub(super) fn hard_link(&mut self, path: &TreePath, target: &TreePath, shown: &[u8]) -> Outcome<()> {
        let missing = || UnpackError::HardLink {
            path: self::shown(shown),
            target: self::shown(&joined(target)),
        };
        let Some(target_name) = &target.name else {
            return Err(missing());
        };
        let target_dir = self.resolve(&target.parents).map_err(|_| missing())?;
        let source = statat(&target_dir, &**target_name, AtFlags::SYMLINK_NOFOLLOW).map_err(|_| missing())?;
        if FileType::from_raw_mode(source.st_mode) == FileType::Directory || is_whiteout(&source) {
            return Err(missing());
        }
        if let Some(name) = path.name.clone() {
            let there = statat(self.parent(path)?, &*name, AtFlags::SYMLINK_NOFOLLOW);
            if there.is_ok_and(|there| (there.st_dev, there.st_ino) == (source.st_dev, source.st_ino)) {
                return Ok(());
            }
        }
        self.replacing(path, shown, "create the hard link", |dir, name| {
            linkat(&target_dir, &**target_name, dir, name, AtFlags::empty())
        })
    }

    /// Hides what the lower layers have under this name.
    pub(super) fn whiteout(&mut self, path: &TreePath, shown: &[u8]) -> Outcome<()> {
        let Some(name) = path.name.clone() else {
            return Err(UnpackError::Path(self::shown(shown)));
        };
        let dir = self.parent(path)?;
        match mknodat(dir, &*name, FileType::CharacterDevice, Mode::empty(), 0) {
            Ok(()) => Ok(()),
            // The layer has this name itself, and whiteouts are about lower layers only. Ref: layer.md, "Whiteouts".
            Err(Errno::EXIST) => {
                let there = statat(dir, &*name, AtFlags::SYMLINK_NOFOLLOW).map_err(failed("look at", shown))?;
                if FileType::from_raw_mode(there.st_mode) == FileType::Directory {
                    self.opaque(path, shown)?;
                }
                Ok(())
            }
            Err(error) => Err(failed("create the whiteout", shown)(error)),
        }
    }

    /// Hides what the lower layers have inside this directory.
    pub(super) fn opaque(&mut self, path: &TreePath, shown: &[u8]) -> Outcome<()> {
        let dir = self.open_directory(path, shown)?;
        fsetxattr(&dir, OPAQUE, b"y", XattrFlags::empty()).map_err(failed("make opaque", shown))
    }

    /// Opens a directory itself, not through a symlink. Its parents are made where they are missing.
    fn open_directory(&mut self, path: &TreePath, shown: &[u8]) -> Outcome<OwnedFd> {
        let name = path.name.clone();
        let dir = self.parent(path)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = match &name {
            Some(name) => openat(dir, &**name, flags, Mode::empty()),
            None => openat(dir, DOT, flags, Mode::empty()),
        };
        opened.map_err(failed("open the directory", shown))
    }

    /// The directory that a path names, made where it is missing: what an opaque mark is about.
    pub(super) fn opaque_contents(&mut self, parents: &[Vec<u8>], shown: &[u8]) -> Outcome<()> {
        drop(self.make_dirs(parents)?);
        // The mark belongs on the real directory, so symlinks on the way are resolved, inside the root.
        let path = if parents.is_empty() {
            b".".to_vec()
        } else {
            parents.join(&b'/')
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
        let dir = openat2(&self.root, path, flags, Mode::empty(), resolve).map_err(failed("open", shown))?;
        fsetxattr(&dir, OPAQUE, b"y", XattrFlags::empty()).map_err(failed("make opaque", shown))
    }

    /// Sets what a file is beside its content. Owner before mode and capabilities: chown clears both.
    pub(super) fn finish_file(&self, file: &File, meta: &Meta<'_>, shown: &[u8]) -> Outcome<()> {
        rustix::fs::fchown(file, Some(Uid::from_raw(meta.uid)), Some(Gid::from_raw(meta.gid)))
            .map_err(failed("change the owner of", shown))?;
        rustix::fs::fchmod(file, Mode::from_raw_mode(meta.mode)).map_err(failed("change the mode of", shown))?;
        set_xattrs(file, meta.xattrs, shown)?;
        rustix::fs::futimens(file, &times(meta)).map_err(failed("set the time of", shown))
    }

    /// The same for a directory, but for its time, which its content would change again.
    pub(super) fn finish_directory(&mut self, path: &TreePath, meta: &Meta<'_>, shown: &[u8]) -> Outcome<()> {
        let dir = self.open_directory(path, shown)?;
        rustix::fs::fchown(&dir, Some(Uid::from_raw(meta.uid)), Some(Gid::from_raw(meta.gid)))
            .map_err(failed("change the owner of", shown))?;
        rustix::fs::fchmod(&dir, Mode::from_raw_mode(meta.mode)).map_err(failed("change the mode of", shown))?;
        set_xattrs(&dir, meta.xattrs, shown)
    }

    /// The same for a symlink or a pipe, which cannot be opened.
    pub(super) fn finish_other(
        &mut self,
        path: &TreePath,
        meta: &Meta<'_>,
        is_link: bool,
        shown: &[u8],
    ) -> Outcome<()> {
        let Some(name) = path.name.clone() else { return Ok(()) };
        let dir = self.parent(path)?;
        let owner = (Some(Uid::from_raw(meta.uid)), Some(Gid::from_raw(meta.gid)));
        chownat(dir, &*name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(failed("change the owner of", shown))?;
        if !is_link {
            // Nobody else writes here, and the pipe was made a moment ago: it is no symlink that could be followed.
            chmodat(dir, &*name, Mode::from_raw_mode(meta.mode), AtFlags::empty())
                .map_err(failed("change the mode of", shown))?;
        }
        utimensat(dir, &*name, &times(meta), AtFlags::SYMLINK_NOFOLLOW).map_err(failed("set the time of", shown))
    }

    /// Sets a directory's time, if it is still there.
    pub(super) fn directory_time(&mut self, path: &TreePath, mtime_s: i64, mtime_ns: u32, shown: &[u8]) -> Outcome<()> {
        let meta = Meta {
            uid: 0,
            gid: 0,
            mode: 0,
            mtime_s,
            mtime_ns,
            xattrs: &[],
        };
        let Ok(dir) = self.resolve(&path.parents) else {
            return Ok(());
        };
        let set = match &path.name {
            Some(name) => utimensat(&dir, &**name, &times(&meta), AtFlags::SYMLINK_NOFOLLOW),
            None => utimensat(&dir, DOT, &times(&meta), AtFlags::SYMLINK_NOFOLLOW),
        };
        match set {
            Err(error) if error != Errno::NOENT => Err(failed("set the time of", shown)(error)),
            _ => Ok(()),
        }
    }

    fn replacing<T>(
        &mut self,
        path: &TreePath,
        shown: &[u8],
        doing: &'static str,
        make: impl Fn(BorrowedFd<'_>, &CStr) -> Result<T, Errno>,
    ) -> Outcome<T> {
        let Some(name) = &path.name else {
            return Err(UnpackError::Path(self::shown(shown)));
        };
        let name = CString::new(name.as_slice()).map_err(|_| UnpackError::Path(self::shown(shown)))?;
        match make(self.parent(path)?, &name) {
            Err(Errno::EXIST) => {}
            made => return made.map_err(failed(doing, shown)),
        }
        self.remove(path, shown)?;
        make(self.parent(path)?, &name).map_err(failed(doing, shown))
    }

    /// Removes what has this name: a file, a symlink (not what it names), or a directory with all it holds.
    fn remove(&mut self, path: &TreePath, shown: &[u8]) -> Outcome<()> {
        let Some(name) = path.name.clone() else {
            return Err(UnpackError::Path(self::shown(shown)));
        };
        let name = CString::new(name).map_err(|_| UnpackError::Path(self::shown(shown)))?;
        let dir = self.parent(path)?;
        remove_at(dir, &name, 0).map_err(failed("replace", shown))?;
        self.forget();
        Ok(())
    }
}

fn remove_at(dir: BorrowedFd<'_>, name: &CStr, depth: usize) -> Result<(), Errno> {
    match unlinkat(dir, name, AtFlags::empty()) {
        Err(Errno::ISDIR | Errno::PERM) if depth < REMOVE_DEPTH_MAX => {}
        done => return done,
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let inside = openat(dir, name, flags, Mode::empty())?;
    for entry in rustix::fs::Dir::read_from(&inside)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            remove_at(inside.as_fd(), entry.file_name(), depth + 1)?;
        }
    }
    unlinkat(dir, name, AtFlags::REMOVEDIR)
}

/// How many directories lie above a directory, as the kernel names it.
fn real_depth(dir: &OwnedFd, shown: &[u8]) -> Outcome<usize> {
    let link = format!("/proc/self/fd/{}", dir.as_raw_fd());
    match rustix::fs::readlink(link, Vec::new()) {
        Ok(path) => Ok(path.as_bytes().iter().filter(|byte| **byte == b'/').count()),
        // The kernel does not write out names longer than a page.
        Err(Errno::NAMETOOLONG) => Err(UnpackError::Path(self::shown(shown))),
        Err(error) => Err(failed("look for the place of", shown)(error)),
    }
}

fn is_whiteout(stat: &rustix::fs::Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// Attributes that a layer may set. Overlay's own would let it reach into other layers; labels belong to the host.
fn is_allowed(name: &[u8]) -> bool {
    name == b"security.capability" || (name.starts_with(b"user.") && !name.starts_with(b"user.overlay."))
}

fn set_xattrs(fd: impl AsFd, xattrs: &[(Vec<u8>, Vec<u8>)], shown: &[u8]) -> Outcome<()> {
    for (name, value) in xattrs.iter().filter(|(name, _)| is_allowed(name)) {
        match fsetxattr(&fd, &**name, value, XattrFlags::empty()) {
            // A file system without attributes keeps the file, as containerd does.
            Ok(()) | Err(Errno::OPNOTSUPP) => {}
            // Not `failed`: ext4 says that there is no space when an attribute is longer than it has room for in an inode
            // and a block, however empty the disk is.
            Err(error) => {
                return Err(UnpackError::Io {
                    doing: "set an attribute of",
                    path: self::shown(shown),
                    source: error.into(),
                });
            }
        }
    }
    Ok(())
}

fn times(meta: &Meta<'_>) -> Timestamps {
    let time = Timespec {
        tv_sec: meta.mtime_s,
        tv_nsec: meta.mtime_ns.into(),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

fn joined(path: &TreePath) -> Vec<u8> {
    let mut parts = path.parents.clone();
    parts.extend(path.name.clone());
    parts.join(&b'/')
}

/// A path for a person: what is no UTF-8 is replaced, and it has an end.
pub(super) fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path.get(..path.len().min(512)).unwrap_or_default()).into_owned()
}

fn failed(doing: &'static str, path: &[u8]) -> impl FnOnce(Errno) -> UnpackError {
    move |error| match error {
        Errno::NOSPC | Errno::DQUOT => UnpackError::Full,
        error => UnpackError::Io {
            doing,
            path: shown(path),
            source: error.into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_taken_apart_and_dots_refused() {
        let parse = |path: &[u8]| TreePath::parse(path, 8);
        assert_eq!(
            parse(b"./").unwrap(),
            TreePath {
                parents: vec![],
                name: None
            }
        );
        let usual = TreePath {
            parents: vec![b"a".to_vec()],
            name: Some(b"b".to_vec()),
        };
        for path in [&b"a/b"[..], b"/a/b", b"./a//b/", b"a/./b"] {
            assert_eq!(parse(path).unwrap(), usual);
        }
        for path in [
            &b"../a"[..],
            b"a/../b",
            b"/..",
            b"a\0b",
            &[b'x'; 256][..],
            &[b'/'; 5000][..],
        ] {
            assert!(matches!(parse(path), Err(UnpackError::Path(_))), "{}", shown(path));
        }
        assert!(matches!(parse(b"1/2/3/4/5/6/7/8/9"), Err(UnpackError::Limit { .. })));
    }

    #[test]
    fn only_harmless_attributes_pass() {
        assert!(is_allowed(b"user.note") && is_allowed(b"security.capability"));
        assert!(!is_allowed(b"trusted.overlay.redirect") && !is_allowed(b"user.overlay.opaque"));
    }
}
