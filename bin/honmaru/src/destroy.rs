//! `honmaru destroy`: every trace goes: roles, containers, namespaces, interfaces, nft table, cgroups, mounts, files.

use crate::dirs::Dirs;
use crate::roles::node_config;
use crate::up::stop_all;
use anyhow::{Context, bail};
use honmaru_images::Loopback;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

/// The options of `honmaru destroy`.
#[derive(Debug, clap::Args)]
pub struct DestroyOptions {
    /// The directory that holds everything of this cloud
    #[arg(long, env = "HONMARU_STATE", value_name = "DIR", default_value = "/var/lib/honmaru")]
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
    // Not the locks alone: a removal that failed half-way is finished by the next one.
    if !dirs.locks().is_dir() && !dirs.bin().is_dir() {
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
        stop_all(&dirs).await.context("failed to stop the roles")?;
        if !options.keep_state {
            make_room(&dirs)?;
        }
        honmaru_node::destroy(node_config(&dirs, Loopback::Closed))
            .await
            .context("failed to remove containers and network")?;
        anyhow::Ok(())
    })?;
    unmount_below(dirs.state())?;
    if options.keep_state {
        say!("removed what ran; the state is kept in {}", dirs.state().display());
        return Ok(());
    }
    std::fs::remove_dir_all(dirs.state()).with_context(|| format!("failed to remove {}", dirs.state().display()))?;
    say!("removed the cloud in {}", dirs.state().display());
    Ok(())
}

/// What nothing needs any more goes first: on a full disk the removal itself may need some room.
fn make_room(dirs: &Dirs) -> anyhow::Result<()> {
    let build = dirs.state().join("build");
    unmount_below(&build)?;
    for dir in [build, dirs.logs()] {
        if let Err(error) = std::fs::remove_dir_all(&dir)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(error).with_context(|| format!("failed to remove {}", dir.display()));
        }
    }
    Ok(())
}

/// Mounts that nobody's process holds: those of images' builds, which an interrupted build leaves behind.
fn unmount_below(state: &Path) -> anyhow::Result<()> {
    let text = std::fs::read_to_string("/proc/self/mountinfo").context("failed to read the mounts")?;
    // What was mounted last goes first: it may lie in an earlier one.
    for point in mounts_below(&text, state).iter().rev() {
        nix::mount::umount2(point, nix::mount::MntFlags::MNT_DETACH)
            .with_context(|| format!("failed to unmount {}", point.display()))?;
    }
    Ok(())
}

/// The mount points below a directory, in the order in which they were mounted.
fn mounts_below(mountinfo: &str, dir: &Path) -> Vec<PathBuf> {
    mountinfo
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        // Ref: proc(5): blanks and the like are written as three octal digits.
        .map(|point| {
            PathBuf::from(
                point
                    .replace("\\040", " ")
                    .replace("\\011", "\t")
                    .replace("\\134", "\\"),
            )
        })
        .filter(|point| point.starts_with(dir))
        .collect()
}

fn confirmed(dirs: &Dirs) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("`honmaru destroy` removes everything and asks first, but there is no terminal\nhint: add `--yes`");
    }
    write!(
        std::io::stderr(),
        "remove the cloud in {} with all its containers, images and logs? [y/N] ",
        dirs.state().display()
    )?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mounts_below_the_directory_are_found() {
        let mountinfo = "27 1 254:0 / / rw - ext4 /dev/vda rw\n\
                         106 27 254:0 /a /state/build/root rw,relatime - ext4 /dev/vda rw\n\
                         111 106 0:152 / /state/build/root/a\\040b/merged rw - overlay overlay rw\n\
                         112 27 0:9 / /state-of-others/x rw - tmpfs tmpfs rw\n";
        let found = mounts_below(mountinfo, Path::new("/state"));
        assert_eq!(
            found,
            [
                Path::new("/state/build/root"),
                Path::new("/state/build/root/a b/merged")
            ]
        );
    }
}
