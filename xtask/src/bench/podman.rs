//! Debian's podman as a peer: with a storage and a network namespace of its own.

use super::docker::Peer;
use super::scratch::{Namespace, Running, wait_until};
use crate::tools;
use anyhow::{Context, Result};
use std::path::Path;
use std::time::Duration;

const START_TIMEOUT: Duration = Duration::from_secs(10);

/// podman with one image.
pub struct Podman {
    // Dropped in this order: what is mounted in the keeper's namespace goes with it.
    _keeper: Running,
    _namespace: Namespace,
    peer: Peer,
}

impl Podman {
    /// Makes it ready; nothing when it is not installed.
    pub fn start(dir: &Path, archive: &Path) -> Result<Option<Self>> {
        let Some(podman) = tools::find("podman") else {
            return Ok(None);
        };
        let dir = dir.join("podman");
        std::fs::create_dir_all(&dir)?;
        let config = dir.join("containers.conf");
        // Rootful podman raises limits; a process that may not must be told.
        let limits = limits()?;
        std::fs::write(&config, format!("[containers]\ndefault_ulimits = [{limits}]\n"))?;
        let name = format!("hmbench-podman-{}", std::process::id());
        let namespace = Namespace::new(&name)?;
        let root = dir.join("root");
        // One mount namespace for all commands: podman keeps its containers' network namespaces as mounts. crun refuses
        // hosts with hybrid cgroups; without the second hierarchy in sight it runs.
        let inner = "mount -t tmpfs tmpfs /run/netns && if [ -d /sys/fs/cgroup/unified ]; then umount \
                     /sys/fs/cgroup/unified; fi && : > \"$1\" && exec sleep infinity";
        let ready = dir.join("ready");
        let mut command = namespace.enter("unshare");
        command.args(["-m", "sh", "-c", inner, "sh"]).arg(&ready);
        let keeper = Running::start(&mut command, &dir, "podman-namespace")?;
        wait_until("podman's namespace", START_TIMEOUT, || ready.exists())?;
        let words = vec![
            podman.display().to_string(),
            "--root".to_owned(),
            root.display().to_string(),
            "--runroot".to_owned(),
            dir.join("run").display().to_string(),
            "--cgroup-manager".to_owned(),
            "cgroupfs".to_owned(),
        ];
        let variables = vec![("CONTAINERS_CONF".to_owned(), config.display().to_string())];
        let namespaces = vec![
            format!("--target={}", keeper.pid()),
            "--mount".to_owned(),
            "--net".to_owned(),
        ];
        let peer = Peer {
            name: "podman",
            words,
            namespaces,
            variables,
        };
        let podman = Self {
            _keeper: keeper,
            _namespace: namespace,
            peer,
        };
        podman.peer.run(&["load", "-q", "-i", &archive.display().to_string()])?;
        Ok(Some(podman))
    }

    /// Its commands.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }
}

/// This process's own hard limits, which nobody may exceed.
fn limits() -> Result<String> {
    let text = std::fs::read_to_string("/proc/self/limits")?;
    let hard = |name: &str, most: u64| -> Result<u64> {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .context("no such limit")?;
        let hard = line.split_whitespace().nth(1).context("a limit without a value")?;
        Ok(hard.parse().unwrap_or(most).min(most))
    };
    let files = hard("Max open files", 65_536)?;
    let processes = hard("Max processes", 30_000)?;
    Ok(format!("\"nofile={files}:{files}\",\"nproc={processes}:{processes}\""))
}

impl Drop for Podman {
    fn drop(&mut self) {
        let _ = self.peer.run(&["rm", "-fa", "-t", "0"]);
    }
}
