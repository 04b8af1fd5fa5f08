//! `cargo xtask test`: unit tests, simulations, the wire against botocore, and the end-to-end tests with real clients.
//!
//! Processors should not wait for each other: the release binary, which only the end-to-end tests run, is built at a
//! low priority from the start, and clients are installed while the tests compile.

use crate::tools::{self, ReleaseBuild};
use anyhow::{Result, anyhow};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The end-to-end tests, as nextest selects them.
const END_TO_END: &str = "binary(~e2e)";
/// The tests of `.config/nextest.toml` that run one at a time as the end-to-end tests do, and need no binary. They wait
/// more than they compute: they run while it is built.
const KERNEL: &str = "kind(test) and (package(honmaru-node) or package(honmaru-network) or package(honmaru-runtime) or package(honmaru-build))";

/// Runs all tests, or those of one part (`unit`, `wire`, `e2e`).
pub fn run(arguments: &[&str]) -> Result<()> {
    let part = arguments.first().copied().unwrap_or("all");
    anyhow::ensure!(
        matches!(part, "all" | "unit" | "wire" | "e2e"),
        "there is no part `{part}` of the tests: say `unit`, `wire` or `e2e`, or nothing for all of them"
    );
    let root = crate::root();
    tools::ensure()?;
    crate::tidy::run()?;
    crate::coverage::run(&["--check"])?;
    let end_to_end = matches!(part, "all" | "e2e");
    let release = end_to_end.then(|| ReleaseBuild::start(&root)).transpose()?;
    let installing = {
        let root = root.clone();
        std::thread::spawn(move || Clients::install(&root, end_to_end))
    };
    let nextest = tools::find("cargo-nextest").is_some();
    if part != "wire" {
        // All of the workspace at once: a package alone has other features of its dependencies, and builds them anew.
        let verb: &[&str] = if nextest { &["nextest", "run"] } else { &["test"] };
        let mut build = Command::new(env!("CARGO"));
        tools::run(build.args(verb).args(["--workspace", "--no-run"]).current_dir(&root))?;
    }
    let clients = installing
        .join()
        .map_err(|_| anyhow!("the thread that installs clients panicked"))??;
    if matches!(part, "all" | "wire") {
        wire(&root, &clients.python)?;
    }
    if part == "wire" {
        return Ok(());
    }
    if !nextest {
        let binary = release.map(ReleaseBuild::wait).transpose()?;
        if part != "all" {
            eprintln!("without cargo-nextest every test runs");
        }
        return tools::run(tests(&root, &clients, binary).args(["test", "--workspace", "--no-fail-fast"]));
    }
    let chosen = |filter: &str, binary: Option<PathBuf>| {
        let mut command = tests(&root, &clients, binary);
        tools::run(command.args(["nextest", "run", "--workspace", "--no-fail-fast", "-E", filter]))
    };
    let Some(release) = release else {
        return chosen(&format!("not {END_TO_END}"), None);
    };
    if part == "e2e" {
        return chosen(END_TO_END, Some(release.wait()?));
    }
    let kernel = chosen(KERNEL, None);
    let others = chosen(&format!("not ({KERNEL})"), Some(release.wait()?));
    // A test that fails does not keep the others from running.
    kernel.and(others)
}

/// The clients of the tests that are no Debian packages.
struct Clients {
    python: PathBuf,
    javascript: Option<PathBuf>,
}

impl Clients {
    fn install(root: &Path, end_to_end: bool) -> Result<Self> {
        let python = tools::python(root)?;
        let mut javascript = None;
        if end_to_end {
            tools::clients();
            javascript = tools::javascript(root);
        }
        Ok(Self { python, javascript })
    }
}

/// Botocore's suites against the wire, and what botocore signs against the identity.
fn wire(root: &Path, python: &Path) -> Result<()> {
    tools::run(Command::new(python).arg("tests/wire/run.py").current_dir(root))?;
    // The SigV4 suite lies in the source archive that the run before fetched; its environment has the signer.
    let wire = root.join("target/wire");
    let mut sigv4 = Command::new(wire.join("venv/bin/python"));
    tools::run(
        sigv4
            .arg("tests/identity/sigv4.py")
            .arg(wire.join("botocore-1.44.5"))
            .current_dir(root),
    )
}

/// cargo, with what the tests read from their environment.
fn tests(root: &Path, clients: &Clients, binary: Option<PathBuf>) -> Command {
    let mut command = Command::new(env!("CARGO"));
    let beside = clients.python.parent().map(|dir| dir.display().to_string());
    let path = format!(
        "{}:{}:/usr/sbin:/sbin",
        beside.unwrap_or_default(),
        std::env::var("PATH").unwrap_or_default()
    );
    command
        .env("HONMARU_PYTHON", &clients.python)
        .env("PATH", path)
        .current_dir(root);
    if let Some(javascript) = &clients.javascript {
        command.env("HONMARU_JAVASCRIPT", javascript);
    }
    if let Some(binary) = binary {
        command.env("HONMARU_BINARY", binary);
    }
    command
}
