//! The programs that tests and the demo need: found, or installed from Debian packages and PyPI.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

/// Programs and the Debian packages that hold them.
const PROGRAMS: [(&str, &str); 8] = [
    ("buildah", "buildah"),
    ("skopeo", "skopeo"),
    ("nft", "nftables"),
    ("ip", "iproute2"),
    ("busybox", "busybox-static"),
    ("curl", "curl"),
    ("cc", "gcc"),
    ("wrk", "wrk"),
];
/// Clients of the registry that the end-to-end tests use where they can be had. `tests/tests/e2e_images.rs` skips the
/// others, and says so. crane and cosign are in none of the registries of packages that are asked here.
const CLIENTS: [(&str, &str); 4] = [
    ("podman", "podman"),
    ("dockerd", "docker.io"),
    ("ctr", "containerd"),
    ("openssl", "openssl"),
];
/// Only the benches need these.
pub const BENCH_PROGRAMS: [(&str, &str); 4] = [
    ("nginx", "nginx-light"),
    ("podman", "podman"),
    ("dockerd", "docker.io"),
    ("docker-registry", "docker-registry"),
];
/// What the tests' own environment of Python holds: clients that we did not write.
const PYTHON_PACKAGES: [&str; 4] = ["boto3==1.43.11", "awscli==1.45.11", "pytest==8.4.2", "oras==0.2.43"];
/// The SDK for JavaScript, for `tests/clients/life.mjs`; where node or npm is missing, that test says so and is skipped.
const JAVASCRIPT_PACKAGES: [&str; 8] = [
    "@aws-sdk/client-cloudtrail@3.1137.0",
    "@aws-sdk/client-cloudwatch-logs@3.1169.0",
    "@aws-sdk/client-ec2@3.1169.0",
    "@aws-sdk/client-ecs@3.1164.0",
    "@aws-sdk/client-elastic-load-balancing-v2@3.1142.0",
    "@aws-sdk/client-iam@3.1169.0",
    "@aws-sdk/client-resource-groups-tagging-api@3.1142.0",
    "@aws-sdk/credential-providers@3.1169.0",
];

/// Whether a program is on the PATH, or where Debian puts those of root.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let extra = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(extra)
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}

/// Whether this process is root's.
pub fn is_root() -> bool {
    // The owner of /proc/self is this process's effective user.
    std::fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0)
}

/// Runs a command and fails with its words.
pub fn run(command: &mut Command) -> Result<()> {
    let shown = format!("{command:?}");
    let status = command.status().with_context(|| format!("failed to run {shown}"))?;
    if !status.success() {
        bail!("{shown} failed: {status}");
    }
    Ok(())
}

/// Sees to it that the programs are there: as root by itself, else it says what to run.
pub fn ensure() -> Result<()> {
    install(&PROGRAMS)
}

/// Installs the clients that can be had; tests do without the others.
pub fn clients() {
    for client in &CLIENTS {
        if let Err(error) = install(std::slice::from_ref(client)) {
            eprintln!("without {}: {error:#}", client.0);
        }
    }
}

fn install(programs: &[(&str, &str)]) -> Result<()> {
    let missing: Vec<&str> = programs
        .iter()
        .filter(|(p, _)| find(p).is_none())
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if !is_root() {
        bail!(
            "these Debian packages are missing: {list}\nrun: sudo apt-get update && sudo apt-get install -y --no-install-recommends {list}"
        );
    }
    eprintln!("installing Debian packages: {list}");
    run(Command::new("apt-get")
        .args(["update", "-q"])
        .stdout(std::process::Stdio::null()))?;
    let mut command = Command::new("apt-get");
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .args(["install", "-y", "-q", "--no-install-recommends"]);
    run(command.args(&missing).stdout(std::process::Stdio::null()))
}

/// An environment of Python with the clients of the tests, made once in `target/`.
pub fn python(root: &Path) -> Result<PathBuf> {
    let dir = root.join("target/python");
    let python = dir.join("bin/python");
    let stamp = dir.join("packages.txt");
    let wanted = PYTHON_PACKAGES.join("\n");
    if python.is_file() && std::fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        return Ok(python);
    }
    eprintln!("installing from PyPI: {}", PYTHON_PACKAGES.join(" "));
    let made = Command::new("python3")
        .args(["-m", "venv", "--clear"])
        .arg(&dir)
        .status();
    if !made.is_ok_and(|status| status.success()) {
        // Debian's python3 comes without venv.
        install(&[("honmaru-needs-python3-venv", "python3-venv")])?;
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&dir))?;
    }
    run(Command::new(&python)
        .args(["-m", "pip", "install", "-q", "--disable-pip-version-check"])
        .args(PYTHON_PACKAGES))?;
    std::fs::write(&stamp, wanted)?;
    Ok(python)
}

/// A folder with the SDK for JavaScript, made once in `target/`; nothing where it cannot be had.
pub fn javascript(root: &Path) -> Option<PathBuf> {
    let dir = root.join("target/javascript");
    let stamp = dir.join("packages.txt");
    let wanted = JAVASCRIPT_PACKAGES.join("\n");
    if std::fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        return Some(dir);
    }
    if find("node").is_none() || find("npm").is_none() {
        eprintln!("without node and npm the SDK for JavaScript is not tested");
        return None;
    }
    eprintln!("installing from npm: {}", JAVASCRIPT_PACKAGES.join(" "));
    let made = std::fs::create_dir_all(&dir)
        .and_then(|()| std::fs::write(dir.join("package.json"), "{}"))
        .context("failed to make the folder of the SDK for JavaScript")
        .and_then(|()| {
            let mut npm = Command::new("npm");
            npm.args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--silent"]);
            run(npm.args(JAVASCRIPT_PACKAGES).current_dir(&dir))
        })
        .and_then(|()| std::fs::write(&stamp, wanted).context("failed to write what is installed"));
    match made {
        Ok(()) => Some(dir),
        Err(error) => {
            eprintln!("without the SDK for JavaScript: {error:#}");
            None
        }
    }
}

/// Builds the release binary and returns its path; `HONMARU_BINARY` names one that is built already.
pub fn release_binary(root: &Path) -> Result<PathBuf> {
    ReleaseBuild::start(root)?.wait()
}

/// The release binary while cargo builds it, at a low priority, so that other work can go on beside it. Dropping it ends
/// cargo.
pub struct ReleaseBuild {
    cargo: Option<Child>,
    binary: PathBuf,
}

impl ReleaseBuild {
    /// Starts cargo; with `HONMARU_BINARY` there is nothing to build.
    pub fn start(root: &Path) -> Result<Self> {
        if let Some(binary) = std::env::var_os("HONMARU_BINARY") {
            return Ok(Self {
                cargo: None,
                binary: PathBuf::from(binary),
            });
        }
        let cargo = Command::new("nice")
            .args([env!("CARGO"), "build", "--release", "--package", "honmaru"])
            .current_dir(root)
            .spawn()
            .context("failed to run nice")?;
        Ok(Self {
            cargo: Some(cargo),
            binary: target(root).join("release/honmaru"),
        })
    }

    /// Waits until it is built, and returns its path.
    pub fn wait(mut self) -> Result<PathBuf> {
        if let Some(mut cargo) = self.cargo.take() {
            let status = cargo.wait().context("failed to wait for cargo")?;
            anyhow::ensure!(status.success(), "the build of the release binary failed: {status}");
        }
        Ok(std::mem::take(&mut self.binary))
    }
}

impl Drop for ReleaseBuild {
    fn drop(&mut self) {
        if let Some(mut cargo) = self.cargo.take() {
            let _ = cargo.kill();
            let _ = cargo.wait();
        }
    }
}

/// The directory that cargo builds into.
pub fn target(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}
