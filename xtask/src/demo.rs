//! `cargo xtask demo`: the main job, from a directory to a running, load-balanced, firewalled service.
//!
//! Without `--check` it leaves the cloud running until Ctrl-C, to be looked at. With it every step is checked in a
//! temporary state directory, one line a step, and the host is left as it was found.

mod cloud;
mod host;
mod load;
mod steps;

use crate::tools;
use anyhow::{Result, bail};
pub(crate) use cloud::Cloud;
use std::time::Instant;

/// Runs the demo.
pub fn run(arguments: &[&str]) -> Result<()> {
    let is_check = match arguments {
        [] => false,
        ["--check"] => true,
        _ => bail!("usage: cargo xtask demo [--check]"),
    };
    if !tools::is_root() {
        bail!("the demo starts containers and needs root\nrun: sudo -E env \"PATH=$PATH\" cargo xtask demo");
    }
    let root = crate::root();
    tools::ensure()?;
    let python = tools::python(&root)?;
    let started = Instant::now();
    let binary = tools::release_binary(&root)?;
    println!("built Honmaru in {:.1} s", started.elapsed().as_secs_f64());
    if is_check {
        check(&root, &binary, &python)
    } else {
        show(&root, &binary)
    }
}

fn check(root: &std::path::Path, binary: &std::path::Path, python: &std::path::Path) -> Result<()> {
    let before = host::Traces::look()?;
    let cloud = Cloud::temporary(binary, python)?;
    let outcome = steps::all(&cloud, root);
    // Whatever happened, the host is left clean; a failed removal is a failure of its own.
    let started = Instant::now();
    let removed = cloud.destroy().and_then(|()| before.compare());
    let line = |ok: bool, what: &str, took: f64| println!("{} {what} ({took:.1} s)", if ok { "ok  " } else { "FAIL" });
    line(
        removed.is_ok(),
        "destroy leaves the host clean",
        started.elapsed().as_secs_f64(),
    );
    outcome?;
    removed?;
    println!("the whole main job works");
    Ok(())
}

fn show(root: &std::path::Path, binary: &std::path::Path) -> Result<()> {
    let cloud = Cloud::to_look_at(binary)?;
    cloud.honmaru(&[
        "deploy",
        &root.join("examples/hello").display().to_string(),
        "--name",
        "hello",
    ])?;
    println!();
    println!("look at it:");
    println!(
        "  http://hello.localhost:{}/   in a browser, or with curl",
        cloud.http_port
    );
    println!("  {} ps --state {}", binary.display(), cloud.state.display());
    println!(
        "  {} logs hello --follow --state {}",
        binary.display(),
        cloud.state.display()
    );
    println!(
        "  eval \"$({} env --state {})\"; aws ecs list-tasks",
        binary.display(),
        cloud.state.display()
    );
    println!();
    println!("press Ctrl-C to end it; everything that it made is removed then");
    cloud.wait_for_interrupt()?;
    cloud.destroy()
}
