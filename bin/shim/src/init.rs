//! Process 1 of a container that asked for an init process: reaps, forwards signals, ends with its command's code.
//! Ref: ECS `LinuxParameters.initProcessEnabled`; it stands where Docker puts tini.

use crate::failure::{During, Failure, Step};
use crate::sys;
use std::convert::Infallible;
use std::os::fd::{AsRawFd, RawFd};

/// Signals that are not for the command: faults of our own, and what the kernel tells process 1 of its children.
const KEPT: [i32; 8] = [
    libc::SIGKILL,
    libc::SIGSTOP,
    libc::SIGCHLD,
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGILL,
    libc::SIGFPE,
    libc::SIGABRT,
];
const NUMBER_MAX: i32 = 64;

/// Forks; the child becomes the command by `execute` (which only returns a failure), this process stays. Privileges
/// are dropped already, the filter is installed: this is no more than the command itself could do.
pub fn run(report: RawFd, terminal: bool, execute: impl FnOnce() -> Step<Infallible>) -> Step<Infallible> {
    // Process 1 never execs: what was inherited from the shim (its lock, sockets, logs) must not stay open in it.
    sys::close_all_but(3, report);
    let forwarded: Vec<i32> = (1..=NUMBER_MAX)
        .filter(|signal| !KEPT.contains(signal) && !(32..34).contains(signal))
        .collect();
    let mut blocked = forwarded;
    blocked.push(libc::SIGCHLD);
    let signals = sys::signalfd(&blocked).during("start", "signalfd")?;
    let command = sys::fork().during("start", "fork")?;
    if command == 0 {
        sys::reset_signals();
        if terminal {
            // The command leads the session's foreground: signals of the terminal are for it.
            let _stays_in_our_group = sys::lead_foreground();
        }
        return execute();
    }
    // The report ends when the command has exec'd: our copy must not hold it open.
    sys::close(report);
    let mut poll = [libc::pollfd {
        fd: signals.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    }];
    loop {
        sys::poll(&mut poll, -1);
        while let Some(signal) = sys::next_signal(signals.as_raw_fd()) {
            if signal != libc::SIGCHLD {
                sys::kill(command, signal);
            }
        }
        while let Some((pid, code)) = sys::reap(-1, false) {
            if pid == command {
                // The kernel kills what is left when process 1 ends.
                sys::exit(code);
            }
        }
        if poll.iter().any(|one| one.revents & libc::POLLNVAL != 0) {
            return Err(Failure::new("start", "the init process lost its signals"));
        }
    }
}
