//! The kernel's calls that std lacks, each as a small safe function. All `unsafe` of process making is here.
//!
//! The shim has one thread. That is what makes running Rust code between clone3 and execve sound.

use std::ffi::{CStr, CString, c_char};
use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

/// Most descriptors in one message.
pub const DESCRIPTORS_MAX: usize = 3;

/// Ref: linux/openat2.h.
pub const RESOLVE_NO_MAGICLINKS: u64 = 0x02;
/// Ref: linux/openat2.h.
pub const RESOLVE_NO_SYMLINKS: u64 = 0x04;
/// Ref: linux/openat2.h.
pub const RESOLVE_IN_ROOT: u64 = 0x10;

/// Ref: linux/mount.h.
pub const MOUNT_ATTR_RDONLY: u64 = 0x01;
/// Ref: linux/mount.h.
pub const MOUNT_ATTR_NODEV: u64 = 0x04;
/// Ref: linux/mount.h.
pub const MOUNT_ATTR_IDMAP: u64 = 0x0010_0000;

const OPEN_TREE_CLONE: libc::c_uint = 1;
const AT_RECURSIVE: libc::c_uint = 0x8000;
const MOVE_MOUNT_F_EMPTY_PATH: libc::c_uint = 0x04;
const MOVE_MOUNT_T_EMPTY_PATH: libc::c_uint = 0x40;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
const CLOSE_RANGE_CLOEXEC: libc::c_uint = 4;
const CAPABILITY_VERSION_3: u32 = 0x2008_0522;

/// A C string; text with a NUL inside is an error.
pub fn c_string(text: &str) -> io::Result<CString> {
    CString::new(text).map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "it contains a NUL byte"))
}

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

fn check_int(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// Owns a descriptor that the kernel has just returned.
fn own(descriptor: libc::c_long) -> OwnedFd {
    // SAFETY: only called with a descriptor that a system call returned in the line before; nobody else has it.
    unsafe { OwnedFd::from_raw_fd(descriptor as RawFd) }
}

#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Like fork, with namespace flags and, on cgroup v2, straight into a cgroup. 0 in the child.
pub fn clone3(flags: libc::c_int, cgroup: Option<BorrowedFd>, exit_signal: libc::c_int) -> io::Result<libc::pid_t> {
    let mut arguments = CloneArgs {
        flags: u64::from(flags as u32),
        exit_signal: exit_signal as u64,
        ..CloneArgs::default()
    };
    if let Some(cgroup) = cgroup {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: no CLONE_VM: the child has its own copy of everything; one thread, so no lock is held by another.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const arguments, size_of::<CloneArgs>()) };
    check(pid).map(|pid| pid as libc::pid_t)
}

/// fork(2). 0 in the child.
pub fn fork() -> io::Result<libc::pid_t> {
    // SAFETY: one thread.
    check_int(unsafe { libc::fork() })
}

/// Ends the process without running destructors or flushing what belongs to the parent.
pub fn exit(code: i32) -> ! {
    // SAFETY: always sound.
    unsafe { libc::_exit(code) }
}

/// setsid(2). Fails only for a process group leader, which then has its session already.
pub fn setsid() {
    // SAFETY: no memory involved.
    unsafe { libc::setsid() };
}

/// kill(2). An error means that the process is gone, which is what callers want or will learn from waitpid.
pub fn kill(pid: libc::pid_t, signal: i32) {
    // SAFETY: no memory involved; pids come from clone3 and are reaped by us only.
    unsafe { libc::kill(pid, signal) };
}

/// Reaps one child if there is one: its pid and exit code (128 + signal for a killed one).
pub fn reap(pid: libc::pid_t, block: bool) -> Option<(libc::pid_t, i32)> {
    let mut status = 0;
    let flags = if block {
        libc::__WALL
    } else {
        libc::__WALL | libc::WNOHANG
    };
    loop {
        // SAFETY: `status` is valid for writing.
        let found = unsafe { libc::waitpid(pid, &raw mut status, flags) };
        if found > 0 {
            let code = if libc::WIFEXITED(status) {
                libc::WEXITSTATUS(status)
            } else {
                128 + libc::WTERMSIG(status)
            };
            return Some((found, code));
        }
        if found == 0 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return None;
        }
    }
}

/// A pipe: reading end, writing end.
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: the array has room for two.
    check_int(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) })?;
    Ok((own(ends[0].into()), own(ends[1].into())))
}

/// A pair of sockets that keep message boundaries and report the other side's end.
pub fn message_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    // SAFETY: the array has room for two.
    check_int(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) })?;
    Ok((own(ends[0].into()), own(ends[1].into())))
}

/// Makes a descriptor non-blocking.
pub fn set_nonblocking(descriptor: &OwnedFd) -> io::Result<()> {
    let mut on: libc::c_int = 1;
    // SAFETY: FIONBIO reads one int.
    check_int(unsafe { libc::ioctl(descriptor.as_raw_fd(), libc::FIONBIO, &raw mut on) }).map(|_| ())
}

/// read(2).
pub fn read(descriptor: RawFd, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the buffer is valid for its length.
    check(unsafe { libc::read(descriptor, buffer.as_mut_ptr().cast(), buffer.len()) } as libc::c_long)
        .map(|read| read as usize)
}

/// Sends bytes, with descriptors beside them. Never raises SIGPIPE.
pub fn send(socket: RawFd, data: &[u8], descriptors: &[RawFd]) -> io::Result<usize> {
    let mut part = libc::iovec {
        iov_base: data.as_ptr().cast_mut().cast(),
        iov_len: data.len(),
    };
    let mut control = [0u64; 8];
    // SAFETY: all-zero is a valid msghdr.
    let mut message: libc::msghdr = unsafe { zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    if !descriptors.is_empty() {
        let bytes = (size_of::<RawFd>() * descriptors.len().min(DESCRIPTORS_MAX)) as u32;
        message.msg_control = control.as_mut_ptr().cast();
        // SAFETY: the control buffer (64 bytes, aligned) holds a header and three descriptors.
        unsafe {
            message.msg_controllen = libc::CMSG_SPACE(bytes) as _;
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(bytes) as _;
            ptr::copy_nonoverlapping(
                descriptors.as_ptr().cast::<u8>(),
                libc::CMSG_DATA(header),
                bytes as usize,
            );
        }
    }
    // SAFETY: the message points to live buffers.
    let sent = unsafe { libc::sendmsg(socket, &raw const message, libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT) };
    check(sent as libc::c_long).map(|sent| sent as usize)
}

/// Receives one message and at most one descriptor, without waiting. Empty bytes: the other side is closed.
pub fn receive(socket: RawFd, buffer: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut part = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    let mut control = [0u64; 4];
    // SAFETY: all-zero is a valid msghdr.
    let mut message: libc::msghdr = unsafe { zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control) as _;
    // SAFETY: the message points to live buffers.
    let received = unsafe { libc::recvmsg(socket, &raw mut message, libc::MSG_CMSG_CLOEXEC | libc::MSG_DONTWAIT) };
    let received = check(received as libc::c_long)? as usize;
    // SAFETY: the kernel filled the control buffer; the header is only read when it is there.
    let descriptor = unsafe {
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        if !header.is_null() && (*header).cmsg_level == libc::SOL_SOCKET && (*header).cmsg_type == libc::SCM_RIGHTS {
            let mut raw: RawFd = -1;
            ptr::copy_nonoverlapping(libc::CMSG_DATA(header), (&raw mut raw).cast::<u8>(), size_of::<RawFd>());
            Some(OwnedFd::from_raw_fd(raw))
        } else {
            None
        }
    };
    Ok((received, descriptor))
}

/// An eventfd, non-blocking.
pub fn eventfd() -> io::Result<OwnedFd> {
    // SAFETY: no memory involved.
    check_int(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) }).map(|fd| own(fd.into()))
}

/// Blocks the signals and returns a descriptor that reads them.
pub fn signalfd(signals: &[i32]) -> io::Result<OwnedFd> {
    // SAFETY: all-zero is a valid set; the set is live for both calls.
    let descriptor = unsafe {
        let mut set: libc::sigset_t = zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in signals {
            libc::sigaddset(&raw mut set, *signal);
        }
        check_int(libc::sigprocmask(libc::SIG_BLOCK, &raw const set, ptr::null_mut()))?;
        libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
    };
    check_int(descriptor).map(|fd| own(fd.into()))
}

/// The next signal of a [`signalfd`], if any.
pub fn next_signal(descriptor: RawFd) -> Option<i32> {
    let mut record = [0u8; size_of::<libc::signalfd_siginfo>()];
    let read = read(descriptor, &mut record).ok()?;
    let number = record.first_chunk::<4>().filter(|_| read == record.len())?;
    Some(u32::from_ne_bytes(*number) as i32)
}

/// Default actions for all signals, none blocked: what a program expects to start with.
pub fn reset_signals() {
    // SAFETY: SIG_DFL is a valid action; the set is live.
    unsafe {
        for signal in 1..=64 {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut set: libc::sigset_t = zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const set, ptr::null_mut());
    }
}

/// Waits for events on descriptors; a negative time-out waits for ever.
pub fn poll(descriptors: &mut [libc::pollfd], timeout_ms: i32) {
    // SAFETY: the slice is valid for its length. Errors (EINTR) leave `revents` to be ignored.
    if unsafe { libc::poll(descriptors.as_mut_ptr(), descriptors.len() as libc::nfds_t, timeout_ms) } < 0 {
        for descriptor in descriptors {
            descriptor.revents = 0;
        }
    }
}

/// Makes `target` a copy of `descriptor` that survives exec.
pub fn duplicate_to(descriptor: RawFd, target: RawFd) -> io::Result<()> {
    if descriptor == target {
        // SAFETY: no memory involved. dup2 onto itself would keep the close-on-exec flag.
        return check_int(unsafe { libc::fcntl(target, libc::F_SETFD, 0) }).map(|_| ());
    }
    // SAFETY: no memory involved.
    check_int(unsafe { libc::dup2(descriptor, target) }).map(|_| ())
}

/// Marks every descriptor from `first` on to be closed by exec.
pub fn close_on_exec_from(first: u32) -> io::Result<()> {
    // SAFETY: no memory involved.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, CLOSE_RANGE_CLOEXEC) }).map(|_| ())
}

/// Closes every descriptor from `first` on but one. Only for a process that never returns to where they are owned.
pub fn close_all_but(first: u32, kept: RawFd) {
    let kept = kept as u32;
    // SAFETY: see above: no OwnedFd of this process is ever dropped.
    unsafe {
        if kept > first {
            libc::syscall(libc::SYS_close_range, first, kept - 1, 0);
        }
        libc::syscall(libc::SYS_close_range, kept + 1, u32::MAX, 0);
    }
}

/// Closes every descriptor from `first` on. Only for a process that owns none of them in Rust (at the very start).
pub fn close_from(first: u32) {
    // SAFETY: called before any OwnedFd exists.
    unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) };
}

/// prctl(2) with one argument.
pub fn prctl(option: i32, argument: u64) -> io::Result<()> {
    // SAFETY: only used with options that take numbers or, for PR_SET_NAME, a live C string.
    check_int(unsafe { libc::prctl(option, argument, 0, 0, 0) }).map(|_| ())
}

/// Sets the process's name.
pub fn set_name(name: &CStr) {
    // SAFETY: a live C string. Failing is harmless: the name is for people.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr(), 0, 0, 0) };
}

/// umask(2).
pub fn umask(mode: libc::mode_t) {
    // SAFETY: no memory involved.
    unsafe { libc::umask(mode) };
}

/// Takes the exclusive lock on a file, or fails at once.
pub fn try_lock(descriptor: RawFd) -> io::Result<()> {
    // SAFETY: no memory involved.
    check_int(unsafe { libc::flock(descriptor, libc::LOCK_EX | libc::LOCK_NB) }).map(|_| ())
}

/// unshare(2).
pub fn unshare(flags: i32) -> io::Result<()> {
    // SAFETY: no memory involved.
    check_int(unsafe { libc::unshare(flags) }).map(|_| ())
}

/// setns(2) with a namespace's or a process's descriptor.
pub fn setns(descriptor: RawFd, flags: i32) -> io::Result<()> {
    // SAFETY: no memory involved.
    check_int(unsafe { libc::setns(descriptor, flags) }).map(|_| ())
}

/// A descriptor of a process.
pub fn pidfd_open(pid: libc::pid_t) -> io::Result<OwnedFd> {
    // SAFETY: no memory involved.
    check(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) }).map(own)
}

/// sethostname(2).
pub fn set_hostname(name: &str) -> io::Result<()> {
    // SAFETY: the pointer is valid for the length.
    check_int(unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) }).map(|_| ())
}

/// mount(2); the target is relative to the working directory.
pub fn mount(source: &str, target: &str, kind: &str, flags: libc::c_ulong, data: &str) -> io::Result<()> {
    let (source, target, kind, data) = (c_string(source)?, c_string(target)?, c_string(kind)?, c_string(data)?);
    // SAFETY: four live C strings.
    check_int(unsafe {
        libc::mount(
            source.as_ptr(),
            target.as_ptr(),
            kind.as_ptr(),
            flags,
            data.as_ptr().cast(),
        )
    })
    .map(|_| ())
}

/// A detached copy of the mount at a path.
pub fn clone_tree(path: &str, recursive: bool) -> io::Result<OwnedFd> {
    let path = c_string(path)?;
    let flags = OPEN_TREE_CLONE | libc::O_CLOEXEC as u32 | if recursive { AT_RECURSIVE } else { 0 };
    // SAFETY: a live C string.
    check(unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) }).map(own)
}

/// A detached copy of the mount at what a descriptor names, without those below it.
pub fn clone_tree_at(descriptor: RawFd) -> io::Result<OwnedFd> {
    let flags = OPEN_TREE_CLONE | libc::O_CLOEXEC as u32 | libc::AT_EMPTY_PATH as u32;
    // SAFETY: a live C string.
    check(unsafe { libc::syscall(libc::SYS_open_tree, descriptor, c"".as_ptr(), flags) }).map(own)
}

#[repr(C)]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    userns: u64,
}

/// Sets attributes of a mount, and its id map with MOUNT_ATTR_IDMAP.
pub fn set_mount_attributes(mount: RawFd, set: u64, userns: Option<BorrowedFd>, recursive: bool) -> io::Result<()> {
    let userns = userns.map_or(0, |descriptor| descriptor.as_raw_fd() as u64);
    let attributes = MountAttributes {
        set,
        clear: 0,
        propagation: 0,
        userns,
    };
    let flags = libc::AT_EMPTY_PATH as u32 | if recursive { AT_RECURSIVE } else { 0 };
    // SAFETY: a live C string and a live structure with its size.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount,
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<MountAttributes>(),
        )
    })
    .map(|_| ())
}

/// Attaches a detached mount on what `target` is.
pub fn attach_tree(tree: RawFd, target: RawFd) -> io::Result<()> {
    let flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
    // SAFETY: live C strings.
    check(unsafe { libc::syscall(libc::SYS_move_mount, tree, c"".as_ptr(), target, c"".as_ptr(), flags) }).map(|_| ())
}

#[repr(C)]
struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}

/// openat2(2).
pub fn open_at(dir: RawFd, path: &str, flags: i32, mode: u32, resolve: u64) -> io::Result<OwnedFd> {
    let path = c_string(path)?;
    let how = OpenHow {
        flags: (flags | libc::O_CLOEXEC) as u64,
        mode: mode.into(),
        resolve,
    };
    // SAFETY: a live C string and a live structure with its size.
    check(unsafe {
        libc::syscall(
            libc::SYS_openat2,
            dir,
            path.as_ptr(),
            &raw const how,
            size_of::<OpenHow>(),
        )
    })
    .map(own)
}

/// mkdirat(2).
pub fn mkdir_at(dir: RawFd, name: &str, mode: libc::mode_t) -> io::Result<()> {
    let name = c_string(name)?;
    // SAFETY: a live C string.
    check_int(unsafe { libc::mkdirat(dir, name.as_ptr(), mode) }).map(|_| ())
}

/// A character device in a directory, with mode and owner.
pub fn mknod_at(dir: RawFd, name: &str, mode: libc::mode_t, device: (u32, u32), owner: u32) -> io::Result<()> {
    let name = c_string(name)?;
    let number = libc::makedev(device.0, device.1);
    // SAFETY: a live C string.
    unsafe {
        check_int(libc::mknodat(dir, name.as_ptr(), libc::S_IFCHR | mode, number))?;
        check_int(libc::fchmodat(dir, name.as_ptr(), mode, 0))?;
        check_int(libc::fchownat(
            dir,
            name.as_ptr(),
            owner,
            owner,
            libc::AT_SYMLINK_NOFOLLOW,
        ))?;
    }
    Ok(())
}

/// symlinkat(2).
pub fn symlink_at(target: &str, dir: RawFd, name: &str) -> io::Result<()> {
    let (target, name) = (c_string(target)?, c_string(name)?);
    // SAFETY: live C strings.
    check_int(unsafe { libc::symlinkat(target.as_ptr(), dir, name.as_ptr()) }).map(|_| ())
}

/// fchown(2).
pub fn chown(descriptor: RawFd, uid: u32, gid: u32) -> io::Result<()> {
    // SAFETY: no memory involved.
    check_int(unsafe { libc::fchown(descriptor, uid, gid) }).map(|_| ())
}

/// fchdir(2).
pub fn change_dir_to(descriptor: RawFd) -> io::Result<()> {
    // SAFETY: no memory involved.
    check_int(unsafe { libc::fchdir(descriptor) }).map(|_| ())
}

/// Makes the working directory the root and drops the old root.
pub fn pivot_here() -> io::Result<()> {
    // SAFETY: live C strings. The old root is stacked on the new one at "." and detached from there.
    unsafe {
        check(libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()))?;
        check_int(libc::umount2(c".".as_ptr(), libc::MNT_DETACH))?;
        check_int(libc::chdir(c"/".as_ptr()))?;
    }
    Ok(())
}

/// The soft and hard limit.
pub fn resource_limit(resource: u32) -> io::Result<(u64, u64)> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: valid for writing.
    check_int(unsafe { libc::getrlimit(resource as _, &raw mut limit) })?;
    Ok((limit.rlim_cur, limit.rlim_max))
}

/// Sets the soft and hard limit.
pub fn set_resource_limit(resource: u32, soft: u64, hard: u64) -> io::Result<()> {
    let limit = libc::rlimit {
        rlim_cur: soft,
        rlim_max: hard,
    };
    // SAFETY: valid for reading.
    check_int(unsafe { libc::setrlimit(resource as _, &raw const limit) }).map(|_| ())
}

/// Groups, then group, then user, of this process. The raw calls: glibc's signal every thread, which has no sense here.
pub fn set_identity(uid: u32, gid: u32, groups: &[u32]) -> io::Result<()> {
    // SAFETY: the slice is valid for its length.
    unsafe {
        check(libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()))?;
        check(libc::syscall(libc::SYS_setresgid, gid, gid, gid))?;
        check(libc::syscall(libc::SYS_setresuid, uid, uid, uid))?;
    }
    Ok(())
}

#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct CapabilityData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Effective and permitted capabilities; none are inheritable.
pub fn set_capabilities(bits: u64) -> io::Result<()> {
    let header = CapabilityHeader {
        version: CAPABILITY_VERSION_3,
        pid: 0,
    };
    let data = |bits: u32| CapabilityData {
        effective: bits,
        permitted: bits,
        inheritable: 0,
    };
    let data = [data(bits as u32), data((bits >> 32) as u32)];
    // SAFETY: version 3 reads one header and two data structures.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) }).map(|_| ())
}

/// Installs a seccomp filter on this process and its children. Needs no_new_privs.
pub fn install_filter(program: &[libc::sock_filter]) -> io::Result<()> {
    let length = u16::try_from(program.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let program = libc::sock_fprog {
        len: length,
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: the kernel copies the program.
    check(unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) }).map(|_| ())
}

/// execve(2); returns only an error.
pub fn execute(path: &CStr, arguments: &[CString], environment: &[CString]) -> io::Error {
    let pointers = |strings: &[CString]| -> Vec<*const c_char> {
        strings
            .iter()
            .map(|string| string.as_ptr())
            .chain([ptr::null()])
            .collect()
    };
    let (arguments, environment) = (pointers(arguments), pointers(environment));
    // SAFETY: NULL-terminated arrays of live C strings.
    unsafe { libc::execve(path.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    io::Error::last_os_error()
}

/// Opens a pseudo terminal of the devpts in this root: master and slave.
pub fn open_terminal() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = libc::O_RDWR | libc::O_NOCTTY;
    let master = open_at(libc::AT_FDCWD, "/dev/pts/ptmx", flags, 0, 0)?;
    let unlocked: libc::c_int = 0;
    // SAFETY: TIOCSPTLCK reads one int; TIOCGPTPEER takes flags.
    let slave = unsafe {
        check_int(libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlocked))?;
        check_int(libc::ioctl(
            master.as_raw_fd(),
            libc::TIOCGPTPEER,
            flags | libc::O_CLOEXEC,
        ))?
    };
    Ok((master, own(slave.into())))
}

/// Makes the terminal on standard input this session's.
pub fn control_terminal() -> io::Result<()> {
    // SAFETY: takes a number.
    check_int(unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) }).map(|_| ())
}

/// Makes this process the leader of a group of its own in the terminal's foreground.
pub fn lead_foreground() -> io::Result<()> {
    // SAFETY: numbers and a signal disposition. SIGTTOU would stop a background process that takes the foreground.
    unsafe {
        libc::setpgid(0, 0);
        libc::signal(libc::SIGTTOU, libc::SIG_IGN);
        let result = check_int(libc::tcsetpgrp(0, libc::getpid()));
        libc::signal(libc::SIGTTOU, libc::SIG_DFL);
        result.map(|_| ())
    }
}

/// Closes a descriptor that no OwnedFd of this process will close (it never returns from where it is).
pub fn close(descriptor: RawFd) {
    // SAFETY: see above.
    unsafe { libc::close(descriptor) };
}

/// Sets a terminal's size.
pub fn set_terminal_size(terminal: RawFd, cols: u16, rows: u16) -> io::Result<()> {
    let size = libc::winsize {
        ws_row: rows,
        ws_col: cols,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: TIOCSWINSZ reads one winsize.
    check_int(unsafe { libc::ioctl(terminal, libc::TIOCSWINSZ, &raw const size) }).map(|_| ())
}

/// Brings `lo` up in this process's network namespace.
pub fn loopback_up() -> io::Result<()> {
    // SAFETY: all-zero is a valid ifreq; the name fits and is NUL-terminated by the zeroes.
    unsafe {
        let socket = own(check_int(libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0))?.into());
        let mut request: libc::ifreq = zeroed();
        request.ifr_name[0] = b'l' as c_char;
        request.ifr_name[1] = b'o' as c_char;
        check_int(libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS, &raw mut request))?;
        request.ifr_ifru.ifru_flags |= (libc::IFF_UP | libc::IFF_RUNNING) as i16;
        check_int(libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw mut request))?;
    }
    Ok(())
}

/// Sleeps until killed.
pub fn wait_for_kill() -> ! {
    loop {
        // SAFETY: no memory involved.
        unsafe { libc::pause() };
    }
}
