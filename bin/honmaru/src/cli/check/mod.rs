//! `honmaru check`: looks whether what the platform and its owner must secure is secured. Gathers, lets
//! `honmaru-responsibility` judge, prints.
//!
//! Exit codes: 0 nothing failed that is as bad as `--fail-on`, 1 something did, 2 it was asked wrongly.

mod gather;
mod shown;

use super::app::App;
use super::connection::Connection;
use super::failure::EXIT_FAILED;
use super::output::{OutputFormat, OutputOption, print, print_json};
use super::ps::no_app;
use super::terminal::Style;
use honmaru_responsibility::{Facts, Severity, check, count, exit_is_failure};
use std::process::ExitCode;

pub use gather::gather;

/// The options of `honmaru check`.
#[derive(Debug, clap::Args)]
pub struct CheckOptions {
    /// Check this app alone, not the whole cloud and the machine
    app: Option<String>,
    /// Show what passes, too
    #[arg(long)]
    all: bool,
    /// Exit with 1 when a control of this severity or a higher one fails
    #[arg(long, value_enum, default_value_t, value_name = "SEVERITY")]
    fail_on: FailOn,
    #[command(flatten)]
    output: OutputOption,
    #[command(flatten)]
    connection: Connection,
}

/// Which failures end the command with 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
enum FailOn {
    /// All of them
    Low,
    /// Those by which one wall of several is missing, too
    Medium,
    /// Those by which somebody may get in, get out, or learn a secret
    #[default]
    High,
    /// None
    Never,
}

impl FailOn {
    fn severity(self) -> Option<Severity> {
        match self {
            Self::Low => Some(Severity::Low),
            Self::Medium => Some(Severity::Medium),
            Self::High => Some(Severity::High),
            Self::Never => None,
        }
    }
}

/// Checks and prints.
pub async fn run(options: CheckOptions) -> anyhow::Result<ExitCode> {
    let app: Option<App> = options.app.as_deref().map(str::parse).transpose()?;
    let client = options.connection.open()?;
    let flags = options.connection.flags();
    let mut facts: Facts = gather(&client, &options.connection.state, &flags).await?;
    if let Some(app) = &app {
        facts = facts.of_app(app.name()).ok_or_else(|| no_app(app))?;
    }
    let results = check(&facts, app.as_ref().map(App::name));
    match options.output.output {
        OutputFormat::Json => print_json(&shown::tree(&results, &facts))?,
        OutputFormat::Text => print(&shown::lines(&results, options.all))?,
        OutputFormat::Table => {
            print(&shown::blocks(&results, options.all, Style::of_stdout()))?;
            let counts = count(&results);
            if counts.fail > 0 {
                tell!("next: the commands with `aws` need `eval \"$(sudo honmaru env{flags})\"` first");
            }
        }
    }
    let failed = exit_is_failure(&results, options.fail_on.severity());
    Ok(if failed {
        ExitCode::from(EXIT_FAILED)
    } else {
        ExitCode::SUCCESS
    })
}
