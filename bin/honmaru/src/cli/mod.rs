//! The commands of a cloud's users: each is a client of the AWS APIs and nothing more, but for `registry`, which asks
//! control for what no such API has.
//!
//! Data goes to standard output, everything else to standard error; the next useful command comes last.
//! Exit codes: 0 it worked, 1 it failed, 2 it was asked wrongly; `exec` passes the command's own code through.

mod app;
mod audit;
mod certificate;
mod check;
mod client;
mod connection;
mod delete;
mod deploy;
mod env;
mod exec;
mod explain;
mod failure;
#[cfg(test)]
mod golden;
mod logs;
mod observed;
mod output;
mod progress;
mod ps;
mod registry;
mod responsibility;
mod rollback;
mod rollout;
mod scale;
mod secure_entry;
mod terminal;

pub use client::connect;

use clap::Subcommand;
use failure::Usage;
use std::process::ExitCode;

/// The commands of a user.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build a directory and roll it out: load-balanced, firewalled, with its logs kept
    Deploy(deploy::DeployOptions),
    /// Show the services and their tasks
    Ps(ps::PsOptions),
    /// Show what a service's containers said
    Logs(logs::LogsOptions),
    /// Run a command in a running container: honmaru exec NAME -- ls /
    Exec(exec::ExecOptions),
    /// Change the number of a service's tasks, and wait for it
    Scale(scale::ScaleOptions),
    /// Go back to the version before, which ran well once, and wait for it
    Rollback(rollback::RollbackOptions),
    /// Tell in sentences how a service is, how requests reach it, who may, and what happened
    Explain(explain::ExplainOptions),
    /// Look whether what the platform and you must secure is secured, with what was seen and what to do
    Check(check::CheckOptions),
    /// Tell who secures what, the platform or you, and how it stands
    Responsibility(responsibility::ResponsibilityOptions),
    /// Show who called what: the audit trail
    Audit(audit::AuditOptions),
    /// Remove a service with everything that `deploy` made for it
    Delete(delete::DeleteOptions),
    /// Keep the registry's store: free what nobody needs, verify it, see what it takes
    #[command(subcommand)]
    Registry(registry::RegistryCommand),
    /// Print the variables that make the aws CLI and the SDKs use this cloud: eval "$(honmaru env)"
    Env(env::EnvOptions),
}

/// The lines for standard error: what went wrong, and what to do.
pub fn render(error: &anyhow::Error) -> String {
    failure::render(error, &terminal::Style::of_stderr())
}

/// Runs a command and says how it went.
pub fn main(command: Command) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            tell!("error: failed to start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let only_looks = matches!(
        command,
        Command::Ps(_)
            | Command::Logs(_)
            | Command::Audit(_)
            | Command::Check(_)
            | Command::Responsibility(_)
            | Command::Explain(_)
            | Command::Exec(_)
            | Command::Registry(_)
    );
    let ended = runtime.block_on(async {
        tokio::select! {
            ended = run(command) => ended,
            _ = tokio::signal::ctrl_c() => Err(failure::Interrupted.into()),
        }
    });
    // A read of standard input may still wait in a thread of its own: the process does not wait for it.
    runtime.shutdown_background();
    match ended {
        Ok(code) => code,
        Err(error) if error.is::<failure::Interrupted>() => {
            if !only_looks {
                tell!("{error}");
            }
            ExitCode::from(failure::EXIT_INTERRUPTED)
        }
        Err(error) => {
            tell!("{}", render(&error).trim_end());
            ExitCode::from(if error.is::<Usage>() {
                failure::EXIT_USAGE
            } else {
                failure::EXIT_FAILED
            })
        }
    }
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Deploy(options) => deploy::run(options).await?,
        Command::Ps(options) => ps::run(options).await?,
        Command::Logs(options) => logs::run(options).await?,
        Command::Exec(options) => return exec::run(options).await,
        Command::Scale(options) => scale::run(options).await?,
        Command::Rollback(options) => rollback::run(options).await?,
        Command::Explain(options) => explain::run(options).await?,
        Command::Check(options) => return check::run(options).await,
        Command::Responsibility(options) => responsibility::run(options).await?,
        Command::Audit(options) => audit::run(options).await?,
        Command::Delete(options) => delete::run(options).await?,
        Command::Registry(command) => return registry::run(command).await,
        Command::Env(options) => env::run(options)?,
    }
    Ok(ExitCode::SUCCESS)
}
