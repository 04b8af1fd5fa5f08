//! Paths inside a container's root, resolved by the kernel so that no link of the image leads out of it.

use crate::failure::{During, Failure, Step};
use crate::sys::{self, RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// Most components of a path that we make.
const COMPONENTS_MAX: usize = 256;

/// Opens what a path names inside `root`, links followed inside it. O_PATH.
pub fn open(root: RawFd, path: &str) -> io::Result<OwnedFd> {
    sys::open_at(
        root,
        relative(path),
        libc::O_PATH,
        0,
        RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
    )
}

/// Opens what a path names inside `root` if no component is a link. O_PATH.
pub fn open_strict(root: RawFd, path: &str) -> io::Result<OwnedFd> {
    sys::open_at(
        root,
        relative(path),
        libc::O_PATH | libc::O_NOFOLLOW,
        0,
        RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS,
    )
}

/// Opens a directory inside `root`, making what is missing; new ones belong to `owner`.
pub fn make_dir(root: RawFd, path: &str, owner: u32) -> Step<OwnedFd> {
    let mut reached = String::from(".");
    let mut dir = open(root, ".").during("mount", path)?;
    for (index, name) in components(path)?.into_iter().enumerate() {
        if index >= COMPONENTS_MAX {
            return Err(Failure::new(
                "mount",
                format!("{path}: more than {COMPONENTS_MAX} components"),
            ));
        }
        let next = format!("{reached}/{name}");
        let opened = match open(root, &next) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                sys::mkdir_at(dir.as_raw_fd(), name, 0o755).during("mount", format!("create {path}"))?;
                let made = open(root, &next).during("mount", path)?;
                own(root, &next, owner).during("mount", format!("chown {path}"))?;
                made
            }
            other => other.during("mount", path)?,
        };
        (dir, reached) = (opened, next);
    }
    Ok(dir)
}

/// Opens a file inside `root`, making it and its directory when missing.
pub fn make_file(root: RawFd, path: &str, owner: u32) -> Step<OwnedFd> {
    if let Ok(found) = open(root, path) {
        return Ok(found);
    }
    let mut names = components(path)?;
    let Some(name) = names.pop() else {
        return Err(Failure::new("mount", format!("{path}: not a file's path")));
    };
    let dir = make_dir(root, &names.join("/"), owner)?;
    let flags = libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW | libc::O_WRONLY;
    let made = sys::open_at(dir.as_raw_fd(), name, flags, 0o644, 0).during("mount", format!("create {path}"))?;
    sys::chown(made.as_raw_fd(), owner, owner).during("mount", format!("chown {path}"))?;
    open(root, path).during("mount", path)
}

fn own(root: RawFd, path: &str, owner: u32) -> io::Result<()> {
    let flags = libc::O_DIRECTORY | libc::O_RDONLY;
    let dir = sys::open_at(root, path, flags, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)?;
    sys::chown(dir.as_raw_fd(), owner, owner)
}

/// The names in a path; `.` is passed over, `..` refused.
fn components(path: &str) -> Step<Vec<&str>> {
    let names: Vec<&str> = path
        .split('/')
        .filter(|name| !name.is_empty() && *name != ".")
        .collect();
    if names.contains(&"..") {
        return Err(Failure::new("mount", format!("{path}: it contains `..`")));
    }
    Ok(names)
}

/// openat2 resolves in its directory; an empty path means the directory itself.
fn relative(path: &str) -> &str {
    if path.is_empty() { "." } else { path }
}
