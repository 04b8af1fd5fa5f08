//! `cargo xtask test`: unit tests, simulations, the wire against botocore, and the end-to-end tests with real clients.

use crate::tools;
use anyhow::Result;
use std::process::Command;

/// Runs all tests, or those of one part (`unit`, `wire`, `e2e`).
pub fn run(arguments: &[&str]) -> Result<()> {
    let part = arguments.first().copied().unwrap_or("all");
    anyhow::ensure!(
        matches!(part, "all" | "unit" | "wire" | "e2e"),
        "there is no part `{part}` of the tests: say `unit`, `wire` or `e2e`, or nothing for all of them"
    );
    let root = crate::root();
    tools::ensure()?;
    let python = tools::python(&root)?;
    crate::tidy::run()?;
    crate::coverage::run(&["--check"])?;
    if matches!(part, "all" | "wire") {
        tools::run(Command::new(&python).arg("tests/wire/run.py").current_dir(&root))?;
        // The SigV4 suite lies in the source archive that the run before fetched; its environment has the signer.
        let wire = root.join("target/wire");
        let mut sigv4 = Command::new(wire.join("venv/bin/python"));
        tools::run(
            sigv4
                .arg("tests/identity/sigv4.py")
                .arg(wire.join("botocore-1.44.5"))
                .current_dir(&root),
        )?;
    }
    if part == "wire" {
        return Ok(());
    }
    // The end-to-end tests run the binary that people run.
    let binary = if part == "unit" {
        None
    } else {
        tools::clients();
        Some(tools::release_binary(&root)?)
    };
    let mut command = Command::new(env!("CARGO"));
    if tools::find("cargo-nextest").is_some() {
        command.args(["nextest", "run", "--workspace", "--no-fail-fast"]);
        match part {
            "unit" => command.args(["-E", "not binary(~e2e)"]),
            "e2e" => command.args(["-E", "binary(~e2e)"]),
            _ => &mut command,
        };
    } else {
        command.args(["test", "--workspace", "--no-fail-fast"]);
        if part != "all" {
            eprintln!("without cargo-nextest every test runs");
        }
    }
    if let Some(binary) = binary {
        command.env("HONMARU_BINARY", binary);
        if let Some(javascript) = tools::javascript(&root) {
            command.env("HONMARU_JAVASCRIPT", javascript);
        }
    }
    let path = format!(
        "{}:{}:/usr/sbin:/sbin",
        python.parent().map(|dir| dir.display().to_string()).unwrap_or_default(),
        std::env::var("PATH").unwrap_or_default()
    );
    command
        .env("HONMARU_PYTHON", &python)
        .env("PATH", path)
        .current_dir(&root);
    tools::run(&mut command)
}
