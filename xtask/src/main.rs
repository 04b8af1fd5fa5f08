//! `cargo xtask COMMAND`: the chores of the repository. One module per command; this file only chooses.

mod bench;
mod coverage;
mod demo;
mod models;
mod test;
mod tidy;
mod tools;

use anyhow::{Result, bail};
use std::path::{Path, PathBuf};

const USAGE: &str = "usage: cargo xtask COMMAND

  demo           build Honmaru, start it, deploy examples/hello, and show it
  demo --check   the same without a terminal, with every step checked, in a temporary state directory
  test [PART]    all tests, or a part: unit, wire, e2e
  bench [--json] [NAME...]   ratios against peers, measured in one run
  coverage [--check]   write docs/coverage.md, or say whether it is up to date
  tidy           the rules of the house
  models         fetch the pinned botocore and write models/*.json.gz, then the types
  models types   write services/*/src/types.rs from models/ and services/*/operations.txt";

fn main() -> std::process::ExitCode {
    match run() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            // Without a backtrace: the message is for people.
            eprintln!("error: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["models", rest @ ..] => models::run(rest),
        ["demo", rest @ ..] => demo::run(rest),
        ["test", rest @ ..] => test::run(rest),
        ["bench", rest @ ..] => bench::run(rest),
        ["coverage", rest @ ..] => coverage::run(rest),
        ["tidy"] => tidy::run(),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        [] => bail!("a command is missing\n\n{USAGE}"),
        [other, ..] => bail!("`{other}` is no command\n\n{USAGE}"),
    }
}

/// The root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map(Path::to_path_buf)
        .unwrap_or_default()
}
