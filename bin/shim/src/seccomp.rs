//! The system call filter: an allow-list after Docker's and containerd's default profile, as a classic BPF program.
//!
//! Not allowed: EPERM. `clone3`: ENOSYS, because its flags lie in memory that a filter cannot read; the C library then
//! uses `clone`. Calls newer than this table: ENOSYS, so that programs fall back. Foreign ABIs (i386, x32): ENOSYS.
//! Ref: moby profiles/seccomp/default.json; linux/seccomp.h.
//!
//! The kernel runs the program once for each number when it is loaded and remembers which are always allowed, so its
//! depth (a binary search over ranges) hardly matters.

use crate::capabilities::bit;
use libc::sock_filter;
use std::collections::BTreeMap;

/// Calls that need no capability.
macro_rules! calls {
    ($($name:ident)*) => { [$(libc::$name),*] };
}

const ALLOWED: &[libc::c_long] = &calls! {
    SYS_accept SYS_accept4 SYS_adjtimex SYS_bind SYS_brk SYS_capget SYS_capset SYS_chdir SYS_clock_adjtime
    SYS_clock_getres SYS_clock_gettime SYS_clock_nanosleep SYS_close SYS_close_range SYS_connect SYS_copy_file_range
    SYS_dup SYS_dup3 SYS_epoll_create1 SYS_epoll_ctl SYS_epoll_pwait SYS_epoll_pwait2 SYS_eventfd2 SYS_execve
    SYS_execveat SYS_exit SYS_exit_group SYS_faccessat SYS_faccessat2 SYS_fadvise64 SYS_fallocate SYS_fanotify_mark
    SYS_fchdir SYS_fchmod SYS_fchmodat SYS_fchown SYS_fchownat SYS_fcntl SYS_fdatasync SYS_fgetxattr SYS_flistxattr
    SYS_flock SYS_fremovexattr SYS_fsetxattr SYS_fstat SYS_fstatfs SYS_fsync SYS_ftruncate SYS_futex SYS_futex_waitv
    SYS_getcpu SYS_getcwd SYS_getdents64 SYS_getegid SYS_geteuid SYS_getgid SYS_getgroups SYS_getitimer
    SYS_getpeername SYS_getpgid SYS_getpid SYS_getppid SYS_getpriority SYS_getrandom SYS_getresgid SYS_getresuid
    SYS_getrlimit SYS_get_robust_list SYS_getrusage SYS_getsid SYS_getsockname SYS_getsockopt SYS_gettid
    SYS_gettimeofday SYS_getuid SYS_getxattr SYS_inotify_add_watch SYS_inotify_init1 SYS_inotify_rm_watch
    SYS_io_cancel SYS_ioctl SYS_io_destroy SYS_io_getevents SYS_ioprio_get SYS_ioprio_set
    SYS_io_setup SYS_io_submit SYS_kill SYS_landlock_add_rule SYS_landlock_create_ruleset SYS_landlock_restrict_self
    SYS_lgetxattr SYS_linkat SYS_listen SYS_listxattr SYS_llistxattr SYS_lremovexattr SYS_lseek SYS_lsetxattr
    SYS_madvise SYS_membarrier SYS_memfd_create SYS_memfd_secret SYS_mincore SYS_mkdirat SYS_mknodat SYS_mlock
    SYS_mlock2 SYS_mlockall SYS_mmap SYS_mprotect SYS_mq_getsetattr SYS_mq_notify SYS_mq_open SYS_mq_timedreceive
    SYS_mq_timedsend SYS_mq_unlink SYS_mremap SYS_msgctl SYS_msgget SYS_msgrcv SYS_msgsnd SYS_msync SYS_munlock
    SYS_munlockall SYS_munmap SYS_name_to_handle_at SYS_nanosleep SYS_newfstatat SYS_openat SYS_openat2
    SYS_pidfd_open SYS_pidfd_send_signal SYS_pipe2 SYS_pkey_alloc SYS_pkey_free SYS_pkey_mprotect SYS_ppoll SYS_prctl
    SYS_pread64 SYS_preadv SYS_preadv2 SYS_prlimit64 SYS_process_mrelease SYS_process_vm_readv SYS_process_vm_writev
    SYS_pselect6 SYS_ptrace SYS_pwrite64 SYS_pwritev SYS_pwritev2 SYS_read SYS_readahead SYS_readlinkat SYS_readv
    SYS_recvfrom SYS_recvmmsg SYS_recvmsg SYS_remap_file_pages SYS_removexattr SYS_renameat SYS_renameat2
    SYS_restart_syscall SYS_rseq SYS_rt_sigaction SYS_rt_sigpending SYS_rt_sigprocmask SYS_rt_sigqueueinfo
    SYS_rt_sigreturn SYS_rt_sigsuspend SYS_rt_sigtimedwait SYS_rt_tgsigqueueinfo SYS_sched_getaffinity
    SYS_sched_getattr SYS_sched_getparam SYS_sched_get_priority_max SYS_sched_get_priority_min SYS_sched_getscheduler
    SYS_sched_rr_get_interval SYS_sched_setaffinity SYS_sched_setattr SYS_sched_setparam SYS_sched_setscheduler
    SYS_sched_yield SYS_seccomp SYS_semctl SYS_semget SYS_semop SYS_semtimedop SYS_sendfile SYS_sendmmsg SYS_sendmsg
    SYS_sendto SYS_setfsgid SYS_setfsuid SYS_setgid SYS_setgroups SYS_setitimer SYS_setpgid SYS_setpriority
    SYS_setregid SYS_setresgid SYS_setresuid SYS_setreuid SYS_setrlimit SYS_set_robust_list SYS_setsid SYS_setsockopt
    SYS_set_tid_address SYS_setuid SYS_setxattr SYS_shmat SYS_shmctl SYS_shmdt SYS_shmget SYS_shutdown
    SYS_sigaltstack SYS_signalfd4 SYS_socketpair SYS_splice SYS_statfs SYS_statx SYS_symlinkat SYS_sync
    SYS_sync_file_range SYS_syncfs SYS_sysinfo SYS_tee SYS_tgkill SYS_timer_create SYS_timer_delete SYS_timerfd_create
    SYS_timerfd_gettime SYS_timerfd_settime SYS_timer_getoverrun SYS_timer_gettime SYS_timer_settime SYS_times
    SYS_tkill SYS_truncate SYS_umask SYS_uname SYS_unlinkat SYS_utimensat SYS_vmsplice SYS_wait4 SYS_waitid SYS_write
    SYS_writev
};

/// Numbers that libc has no constants for. Beside io_pgetevents the same on every architecture: cachestat, fchmodat2,
/// map_shadow_stack, futex_wake, futex_wait, futex_requeue, statmount, listmount, mseal, setxattrat, getxattrat,
/// listxattrat, removexattrat.
const ALLOWED_NEW: &[libc::c_long] = &[
    IO_PGETEVENTS,
    451,
    452,
    453,
    454,
    455,
    456,
    457,
    458,
    462,
    463,
    464,
    465,
    466,
];

#[cfg(target_arch = "x86_64")]
const IO_PGETEVENTS: libc::c_long = 333;
#[cfg(not(target_arch = "x86_64"))]
const IO_PGETEVENTS: libc::c_long = 292;

/// The newest number that this table has looked at; later ones answer ENOSYS.
const NUMBER_MAX: u32 = 467;

#[cfg(target_arch = "x86_64")]
const ALLOWED_HERE: &[libc::c_long] = &calls! {
    SYS_access SYS_alarm SYS_arch_prctl SYS_chmod SYS_chown SYS_creat SYS_dup2 SYS_epoll_create SYS_epoll_ctl_old
    SYS_epoll_wait SYS_epoll_wait_old SYS_eventfd SYS_fork SYS_futimesat SYS_getdents SYS_getpgrp SYS_get_thread_area
    SYS_inotify_init SYS_lchown SYS_link SYS_lstat SYS_mkdir SYS_mknod SYS_modify_ldt SYS_open SYS_pause SYS_pipe
    SYS_poll SYS_readlink SYS_rename SYS_rmdir SYS_select SYS_set_thread_area SYS_signalfd SYS_stat SYS_symlink
    SYS_time SYS_unlink SYS_utime SYS_utimes SYS_vfork
};
#[cfg(not(target_arch = "x86_64"))]
const ALLOWED_HERE: &[libc::c_long] = &[];

/// Calls that a capability opens.
const BY_CAPABILITY: &[(&str, &[libc::c_long])] = &[
    ("DAC_READ_SEARCH", &calls! { SYS_open_by_handle_at }),
    (
        "SYS_ADMIN",
        &calls! {
            SYS_bpf SYS_clone SYS_fanotify_init SYS_fsconfig SYS_fsmount SYS_fsopen SYS_fspick SYS_lookup_dcookie
            SYS_mount SYS_mount_setattr SYS_move_mount SYS_open_tree SYS_perf_event_open SYS_quotactl
            SYS_setdomainname SYS_sethostname SYS_setns SYS_syslog SYS_umount2 SYS_unshare
        },
    ),
    ("SYS_BOOT", &calls! { SYS_reboot }),
    ("SYS_CHROOT", &calls! { SYS_chroot }),
    (
        "SYS_MODULE",
        &calls! { SYS_delete_module SYS_init_module SYS_finit_module },
    ),
    ("SYS_PACCT", &calls! { SYS_acct }),
    ("SYS_PTRACE", &calls! { SYS_kcmp SYS_pidfd_getfd SYS_process_madvise }),
    ("SYS_TIME", &calls! { SYS_settimeofday SYS_clock_settime }),
    ("SYS_TTY_CONFIG", &calls! { SYS_vhangup }),
    ("SYS_NICE", &calls! { SYS_get_mempolicy SYS_mbind SYS_set_mempolicy }),
    ("SYSLOG", &calls! { SYS_syslog }),
    ("BPF", &calls! { SYS_bpf }),
    ("PERFMON", &calls! { SYS_perf_event_open }),
];

/// The namespaces that `clone` may not ask for. Ref: moby's 2114060288.
const CLONE_NAMESPACES: u32 = 0x7E02_0000;
/// What `personality` may ask for. Ref: moby's profile.
const PERSONALITIES: [u32; 5] = [0, 0x0008, 0x2_0000, 0x2_0008, 0xffff_ffff];
/// Address families that `socket` may not open: the kernel's crypto interface and the hypervisor's.
const FAMILIES_DENIED: [u32; 2] = [libc::AF_ALG as u32, libc::AF_VSOCK as u32];

/// Ref: linux/audit.h.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xC000_00B7;

const ALLOW: u32 = 0x7fff_0000;
const EPERM: u32 = 0x0005_0000 | libc::EPERM as u32;
const ENOSYS: u32 = 0x0005_0000 | libc::ENOSYS as u32;

/// Offsets in `seccomp_data`.
const AT_NUMBER: u32 = 0;
const AT_ARCHITECTURE: u32 = 4;
const AT_ARGUMENT_0: u32 = 16;

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
const GO: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;
const IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const IF_AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
const IF_ANY_BIT: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;

/// What happens to a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Answer(u32),
    CloneWithoutNamespaces,
    KnownPersonality,
    HarmlessFamily,
}

/// The program for a container with these capabilities.
pub fn program(capabilities: u64) -> Vec<sock_filter> {
    let mut table: BTreeMap<u32, Verdict> = BTreeMap::new();
    for number in ALLOWED.iter().chain(ALLOWED_HERE).chain(ALLOWED_NEW) {
        table.insert(*number as u32, Verdict::Answer(ALLOW));
    }
    table.insert(libc::SYS_personality as u32, Verdict::KnownPersonality);
    table.insert(libc::SYS_socket as u32, Verdict::HarmlessFamily);
    table.insert(libc::SYS_clone as u32, Verdict::CloneWithoutNamespaces);
    for (name, numbers) in BY_CAPABILITY {
        if bit(name).is_some_and(|bit| capabilities & bit != 0) {
            table.extend(numbers.iter().map(|number| (*number as u32, Verdict::Answer(ALLOW))));
        }
    }
    table.insert(libc::SYS_clone3 as u32, Verdict::Answer(ENOSYS));
    let mut code = vec![
        op(LOAD, AT_ARCHITECTURE),
        jump(IF_EQUAL, ARCHITECTURE, 1, 0),
        op(RETURN, ENOSYS),
        op(LOAD, AT_NUMBER),
    ];
    code.extend(search(&ranges(&table)));
    code
}

/// Where each verdict begins; it holds up to the next. From [`NUMBER_MAX`] on (x32 numbers too): ENOSYS.
fn ranges(table: &BTreeMap<u32, Verdict>) -> Vec<(u32, Verdict)> {
    let mut ranges: Vec<(u32, Verdict)> = Vec::new();
    for number in 0..=NUMBER_MAX + 1 {
        let verdict = match table.get(&number) {
            Some(verdict) => *verdict,
            None if number > NUMBER_MAX => Verdict::Answer(ENOSYS),
            None => Verdict::Answer(EPERM),
        };
        if ranges.last().is_none_or(|(_, last)| *last != verdict) {
            ranges.push((number, verdict));
        }
    }
    ranges
}

/// A binary search: at or above the middle's begin go right, else left.
fn search(ranges: &[(u32, Verdict)]) -> Vec<sock_filter> {
    let (left, right) = ranges.split_at(ranges.len() / 2);
    let (false, Some((begin, _))) = (left.is_empty(), right.first()) else {
        return ranges.first().map(|(_, verdict)| leaf(*verdict)).unwrap_or_default();
    };
    let (below, above) = (search(left), search(right));
    // A conditional jump reaches 255 instructions only, an unconditional one any.
    let mut code = vec![jump(IF_AT_LEAST, *begin, 0, 1), op(GO, below.len() as u32)];
    code.extend(below);
    code.extend(above);
    code
}

fn leaf(verdict: Verdict) -> Vec<sock_filter> {
    let listed = |values: &[u32], when_listed: u32, otherwise: u32| {
        let mut code = vec![op(LOAD, AT_ARGUMENT_0)];
        for (index, value) in values.iter().enumerate() {
            code.push(jump(IF_EQUAL, *value, (values.len() - index) as u8, 0));
        }
        code.extend([op(RETURN, otherwise), op(RETURN, when_listed)]);
        code
    };
    match verdict {
        Verdict::Answer(answer) => vec![op(RETURN, answer)],
        Verdict::CloneWithoutNamespaces => vec![
            op(LOAD, AT_ARGUMENT_0),
            jump(IF_ANY_BIT, CLONE_NAMESPACES, 0, 1),
            op(RETURN, EPERM),
            op(RETURN, ALLOW),
        ],
        Verdict::KnownPersonality => listed(&PERSONALITIES, ALLOW, EPERM),
        Verdict::HarmlessFamily => listed(&FAMILIES_DENIED, EPERM, ALLOW),
    }
}

fn op(code: u16, k: u32) -> sock_filter {
    sock_filter { code, jt: 0, jf: 0, k }
}

fn jump(code: u16, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the program as the kernel would.
    fn run(program: &[sock_filter], architecture: u32, number: u32, argument: u32) -> u32 {
        let (mut at, mut accumulator) = (0, 0);
        loop {
            let one = program[at];
            at += 1;
            match one.code {
                LOAD => {
                    accumulator = match one.k {
                        AT_NUMBER => number,
                        AT_ARCHITECTURE => architecture,
                        AT_ARGUMENT_0 => argument,
                        other => panic!("load of {other}"),
                    }
                }
                RETURN => return one.k,
                GO => at += one.k as usize,
                IF_EQUAL => at += usize::from(if accumulator == one.k { one.jt } else { one.jf }),
                IF_AT_LEAST => at += usize::from(if accumulator >= one.k { one.jt } else { one.jf }),
                IF_ANY_BIT => at += usize::from(if accumulator & one.k != 0 { one.jt } else { one.jf }),
                other => panic!("instruction {other}"),
            }
        }
    }

    fn check(call: libc::c_long, argument: u32, expected: u32) {
        let program = program(crate::capabilities::effective(&[], &[]).unwrap());
        assert!(program.len() < 4096);
        assert_eq!(
            run(&program, ARCHITECTURE, call as u32, argument),
            expected,
            "call {call}({argument:#x})"
        );
    }

    #[test]
    fn every_listed_call_is_allowed_and_its_neighbours_are_judged_on_their_own() {
        let program = program(0);
        let listed: Vec<u32> = ALLOWED
            .iter()
            .chain(ALLOWED_HERE)
            .chain(ALLOWED_NEW)
            .map(|n| *n as u32)
            .collect();
        let special = [
            libc::SYS_clone,
            libc::SYS_clone3,
            libc::SYS_personality,
            libc::SYS_socket,
        ]
        .map(|n| n as u32);
        for number in (0..=NUMBER_MAX).filter(|number| !special.contains(number)) {
            let expected = if listed.contains(&number) { ALLOW } else { EPERM };
            assert_eq!(run(&program, ARCHITECTURE, number, 0), expected, "call {number}");
        }
    }

    #[test]
    fn dangerous_calls_are_refused() {
        for call in [
            libc::SYS_mount,
            libc::SYS_unshare,
            libc::SYS_bpf,
            libc::SYS_io_uring_setup,
            libc::SYS_keyctl,
        ] {
            check(call, 0, EPERM);
        }
        check(libc::SYS_clone3, 0, ENOSYS);
        check(9_999, 0, ENOSYS);
        check(0x4000_0000, 0, ENOSYS);
        check(libc::SYS_chroot, 0, ALLOW);
    }

    #[test]
    fn arguments_decide_where_they_matter() {
        check(libc::SYS_clone, libc::SIGCHLD as u32, ALLOW);
        check(libc::SYS_clone, libc::CLONE_NEWUSER as u32, EPERM);
        check(libc::SYS_clone, (libc::CLONE_NEWNS | libc::CLONE_VM) as u32, EPERM);
        check(libc::SYS_personality, 0xffff_ffff, ALLOW);
        check(libc::SYS_personality, 0x0040_0000, EPERM);
        check(libc::SYS_socket, libc::AF_INET as u32, ALLOW);
        check(libc::SYS_socket, libc::AF_VSOCK as u32, EPERM);
        check(libc::SYS_socket, libc::AF_ALG as u32, EPERM);
    }

    #[test]
    fn another_abi_is_not_there_and_capabilities_open_calls() {
        assert_eq!(run(&program(0), 0x4000_0003, libc::SYS_read as u32, 0), ENOSYS);
        let admin = program(bit("SYS_ADMIN").unwrap());
        assert_eq!(run(&admin, ARCHITECTURE, libc::SYS_mount as u32, 0), ALLOW);
        assert_eq!(
            run(&admin, ARCHITECTURE, libc::SYS_clone as u32, libc::CLONE_NEWUSER as u32),
            ALLOW
        );
        assert_eq!(run(&program(0), ARCHITECTURE, libc::SYS_chroot as u32, 0), EPERM);
    }
}
