//! Debian's docker as a peer: a daemon of the bench's own, in a network namespace of its own.

use super::scratch::{Namespace, Running, wait_until};
use crate::tools;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A running daemon with one image, [`super::containers::IMAGE`].
pub struct Docker {
    // Dropped in this order: the daemon ends before its namespace goes.
    _daemon: Running,
    _namespace: Namespace,
    peer: Peer,
}

/// How a peer's commands are run.
pub struct Peer {
    pub name: &'static str,
    /// The command and what always comes after it, to be run inside the peer's namespaces.
    pub words: Vec<String>,
    /// What nsenter is told.
    pub namespaces: Vec<String>,
    pub variables: Vec<(String, String)>,
}

impl Peer {
    /// A command of the peer.
    pub fn command(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.args(&self.namespaces).args(&self.words).stdin(Stdio::null());
        for (name, value) in &self.variables {
            command.env(name, value);
        }
        command
    }

    /// Runs a command and forgets what it says.
    pub fn run(&self, arguments: &[&str]) -> Result<()> {
        let output = self
            .command()
            .args(arguments)
            .output()
            .with_context(|| format!("failed to run {}", self.name))?;
        anyhow::ensure!(
            output.status.success(),
            "{} {} failed: {}",
            self.name,
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(())
    }
}

impl Docker {
    /// Starts it; nothing when it is not installed.
    pub fn start(dir: &Path, archive: &Path) -> Result<Option<Self>> {
        let Some(daemon) = tools::find("dockerd") else {
            return Ok(None);
        };
        // The client of the same package, if there are two.
        let client = Some(PathBuf::from("/usr/bin/docker")).filter(|path| path.is_file());
        let client = client
            .or_else(|| tools::find("docker"))
            .context("dockerd is there and docker is not")?;
        let dir = dir.join("docker");
        std::fs::create_dir_all(&dir)?;
        let name = format!("hmbench-docker-{}", std::process::id());
        let namespace = Namespace::new(&name)?;
        let socket = format!("unix://{}", dir.join("docker.sock").display());
        let mut command = namespace.enter(&daemon.display().to_string());
        command
            .arg("--data-root")
            .arg(dir.join("data"))
            .arg("--exec-root")
            .arg(dir.join("exec"))
            .arg("--pidfile")
            .arg(dir.join("pid"))
            .args(["-H", &socket, "--storage-driver", "overlay2"]);
        let running = Running::start(&mut command, &dir, "dockerd")?;
        let words = vec![client.display().to_string(), "-H".to_owned(), socket];
        let peer = Peer {
            name: "docker",
            words,
            namespaces: vec![format!("--net=/run/netns/{name}")],
            variables: Vec::new(),
        };
        let docker = Self {
            _daemon: running,
            _namespace: namespace,
            peer,
        };
        wait_until("dockerd answers", START_TIMEOUT, || {
            docker.peer.run(&["version"]).is_ok()
        })?;
        docker.peer.run(&["load", "-q", "-i", &archive.display().to_string()])?;
        Ok(Some(docker))
    }

    /// Its commands.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        // Containers outlive the daemon; none may.
        if let Ok(output) = self.peer.command().args(["ps", "-aq"]).output() {
            for id in String::from_utf8_lossy(&output.stdout).split_whitespace() {
                let _ = self.peer.run(&["rm", "-f", id]);
            }
        }
    }
}
