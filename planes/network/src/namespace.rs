//! Network namespaces, kept alive by a bind mount of their file. Made in a thread of their own: `unshare` moves one
//! thread only, and the thread ends right after, so that no other code ever runs in there.

use crate::NetworkError;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::statfs::{FsType, statfs};
use rtnetlink::Handle;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use tokio::task::JoinHandle;

/// Ref: linux/magic.h, NSFS_MAGIC.
const NSFS_MAGIC: FsType = FsType(0x6e73_6673);

/// A netlink connection into a namespace; ends when it is dropped.
pub(crate) struct Inside {
    pub handle: Handle,
    connection: JoinHandle<()>,
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// Whether a namespace is mounted there.
pub(crate) fn exists(path: &Path) -> bool {
    statfs(path).is_ok_and(|stat| stat.filesystem_type() == NSFS_MAGIC)
}

/// Makes a namespace, mounts it at `path` and connects into it. What was mounted there is let go.
pub(crate) async fn create(path: &Path) -> Result<(File, Inside), NetworkError> {
    remove(path)?;
    File::create(path).map_err(|e| NetworkError::file("create", path, e))?;
    let target = path.to_path_buf();
    let made = in_thread(move || {
        unshare(CloneFlags::CLONE_NEWNET)?;
        mount(
            Some("/proc/thread-self/ns/net"),
            &target,
            None::<&str>,
            MsFlags::MS_BIND,
            None::<&str>,
        )?;
        // Containers run in user namespaces that do not own this one: without these two they could neither listen on
        // port 80 nor ping. Kernels that lack one of the files do without.
        let _ = fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
        let _ = fs::write("/proc/sys/net/ipv4/ping_group_range", "0 2147483647");
        let _ = fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
        let _ = fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
        connect()
    })
    .await;
    let inside = match made {
        Ok(inside) => inside,
        Err(source) => {
            let _ = remove(path);
            return Err(NetworkError::system(
                format!("make a network namespace at {}", path.display()),
                source,
            ));
        }
    };
    let file = File::open(path).map_err(|e| NetworkError::file("open", path, e))?;
    Ok((file, inside))
}

/// Connects into an existing namespace.
pub(crate) async fn enter(path: &Path) -> Result<Inside, NetworkError> {
    let file = File::open(path).map_err(|e| NetworkError::file("open", path, e))?;
    in_thread(move || {
        setns(file.as_fd(), CloneFlags::CLONE_NEWNET)?;
        connect()
    })
    .await
    .map_err(|source| NetworkError::system(format!("enter {}", path.display()), source))
}

/// Unmounts a namespace and removes its file; the kernel ends it when no process is left in it. None is no error.
pub(crate) fn remove(path: &Path) -> Result<(), NetworkError> {
    // More than one mount can lie there after a crash between two steps; the bound keeps the loop finite.
    for _ in 0..16 {
        if !exists(path) {
            break;
        }
        umount2(path, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW)
            .map_err(|e| NetworkError::file("unmount", path, e.into()))?;
    }
    match fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(NetworkError::file("remove", path, e)),
    }
}

/// A netlink socket stays in the namespace where it was opened, whoever uses it later.
fn connect() -> io::Result<Inside> {
    let (connection, handle, _) = rtnetlink::new_connection()?;
    Ok(Inside {
        handle,
        connection: tokio::spawn(connection),
    })
}

/// Runs `work` in a scratch OS thread within the caller's runtime.
async fn in_thread<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    let runtime = tokio::runtime::Handle::current();
    let (answer, wait) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name("netns".to_owned()).spawn(move || {
        let _runtime = runtime.enter();
        let _ = answer.send(work());
    })?;
    wait.await
        .map_err(|_| io::Error::other("the thread ended without an answer"))?
}
