//! From root down to an unprivileged user, between fork and exec.

use std::io;

/// `CAP_NET_BIND_SERVICE`: lets edge listen on ports below 1,024. Ref: capabilities(7).
const CAP_NET_BIND_SERVICE: u32 = 10;
/// Version 3 of the capability structures. Ref: capget(2).
const CAPABILITY_VERSION_3: u32 = 0x2008_0522;

#[repr(C)]
struct CapHeader {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct CapData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Becomes `uid` with a group of the same number and no other, in a session of its own.
/// With `bind_low_ports` the one capability for that survives the exec.
///
/// Runs between fork and exec: only system calls, no allocation.
pub(super) fn become_user(uid: u32, bind_low_ports: bool) -> io::Result<()> {
    // SAFETY: plain system calls on values that live on this stack; no memory of the parent is written.
    unsafe {
        // Its own session: a Ctrl-C in the terminal reaches the supervisor only.
        if libc::setsid() < 0 {
            return Err(io::Error::last_os_error());
        }
        if uid == 0 {
            return Ok(());
        }
        if bind_low_ports {
            check(libc::prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0))?;
        }
        check(libc::setgroups(0, std::ptr::null()))?;
        check(libc::setresgid(uid, uid, uid))?;
        check(libc::setresuid(uid, uid, uid))?;
        if bind_low_ports {
            let bit = 1 << CAP_NET_BIND_SERVICE;
            let header = CapHeader {
                version: CAPABILITY_VERSION_3,
                pid: 0,
            };
            let none = CapData {
                effective: 0,
                permitted: 0,
                inheritable: 0,
            };
            let data = [
                CapData {
                    effective: bit,
                    permitted: bit,
                    inheritable: bit,
                },
                none,
            ];
            if libc::syscall(libc::SYS_capset, &header, data.as_ptr()) < 0 {
                return Err(io::Error::last_os_error());
            }
            check(libc::prctl(
                libc::PR_CAP_AMBIENT,
                libc::PR_CAP_AMBIENT_RAISE,
                CAP_NET_BIND_SERVICE,
                0,
                0,
            ))?;
        }
        // Nothing that a role runs may gain privileges by setuid bits.
        check(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    }
}
