//! The supervisor of one task: `shim run <task directory>`.
//!
//! Reads `task.json`, leaves its parent, starts the containers, prints one line about that on its standard output, and
//! then watches: reaps, writes logs and `status.json`, checks health, serves exec sessions on `shim.sock`, stops the
//! task when asked or when an essential container ends. std and libc, one thread, one poll loop.
//!
//! What always holds: a container dies with its shim (PDEATHSIG); a second shim for the same directory cannot run
//! (flock); no input of a client ends the shim; nothing in the loop waits for anything but poll.
//!
//! Not here: images, networks, what shall run. See `planes/runtime`, its only client.

mod capabilities;
mod cgroup;
mod client;
mod failure;
mod health;
mod identity;
mod init;
mod logs;
mod order;
mod process;
mod resolve;
mod rootfs;
mod seccomp;
mod session;
mod setup;
mod status;
mod supervisor;
mod sys;
mod unit;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [_, "run", task_dir] => setup::run(task_dir),
        _ => {
            eprintln!("usage: shim run <task directory>");
            ExitCode::from(2)
        }
    }
}
