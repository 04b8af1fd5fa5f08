//! Honmaru: a container cloud in one binary. This crate is the CLI and the roles: wiring only.

#![deny(clippy::print_stdout, clippy::print_stderr)]

#[macro_use]
mod said;

mod cli;
mod control;
mod data_channel;
mod destroy;
mod dirs;
mod lock;
mod log_filter;
mod registry_report;
mod roles;
mod sockets;
mod trust;
mod units;
mod up;
mod users;
mod words;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// A container cloud that you own: it speaks AWS's container APIs and really does the work
#[derive(Parser)]
#[command(name = "honmaru", version, max_term_width = 110)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start the cloud on this machine, or adopt the one that runs
    Up(up::UpOptions),
    /// Remove the cloud and every trace of it from this machine
    Destroy(destroy::DestroyOptions),
    #[command(flatten)]
    User(cli::Command),
    /// Run one role (started by `honmaru up`)
    #[command(hide = true)]
    Role(roles::RoleArguments),
}

/// A fifth of control's time went into glibc's allocator (`cargo xtask bench wire`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let ended = match arguments.command {
        Command::Up(options) => up::run(options),
        Command::Destroy(options) => destroy::run(options),
        Command::Role(arguments) => roles::run(arguments),
        Command::User(command) => return cli::main(command),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell!("{}", cli::render(&error).trim_end());
            ExitCode::FAILURE
        }
    }
}
