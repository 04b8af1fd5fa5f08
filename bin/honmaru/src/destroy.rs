//! `honmaru destroy`: every trace goes: roles, containers, namespaces, interfaces, nft table, cgroups, mounts, files.

use crate::dirs::Dirs;
use crate::roles::node_config;
use crate::up::stop_roles;
use anyhow::{Context, bail};
use std::io::{IsTerminal, Write};
use std::path::PathBuf;

/// The options of `honmaru destroy`.
#[derive(Debug, clap::Args)]
pub struct DestroyOptions {
    /// The directory that holds everything of this cloud
    #[arg(long, env = "HONMARU_STATE", default_value = "/var/lib/honmaru")]
    pub state: PathBuf,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Keep the state directory (images, logs, the log), remove only what runs
    #[arg(long)]
    pub keep_state: bool,
}

/// Removes the cloud of a state directory.
pub fn run(options: DestroyOptions) -> anyhow::Result<()> {
    if !nix::unistd::geteuid().is_root() {
        bail!("`honmaru destroy` removes namespaces and interfaces and needs root\nhint: run it with `sudo`");
    }
    let dirs = Dirs::new(&options.state);
    if !dirs.locks().is_dir() {
        bail!(
            "there is no cloud in `{}`\nhint: name another place with `--state DIR`",
            dirs.state().display()
        );
    }
    if !options.yes && !confirmed(&dirs)? {
        bail!("nothing was removed");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        stop_roles(&dirs).await.context("failed to stop the roles")?;
        honmaru_node::destroy(node_config(&dirs))
            .await
            .context("failed to remove containers and network")?;
        anyhow::Ok(())
    })?;
    if options.keep_state {
        println!("removed what ran; the state is kept in {}", dirs.state().display());
        return Ok(());
    }
    std::fs::remove_dir_all(dirs.state()).with_context(|| format!("failed to remove {}", dirs.state().display()))?;
    println!("removed the cloud in {}", dirs.state().display());
    Ok(())
}

fn confirmed(dirs: &Dirs) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("`honmaru destroy` removes everything and asks first, but there is no terminal\nhint: add `--yes`");
    }
    eprint!(
        "remove the cloud in {} with all its containers, images and logs? [y/N] ",
        dirs.state().display()
    );
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
