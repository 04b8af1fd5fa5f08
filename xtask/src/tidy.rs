//! `cargo xtask tidy`: the rules of the house as a test. Each message says how to repair.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The floors of the house, from the ground up. A crate may use its own floor and those below.
const FLOORS: [&str; 5] = ["foundation", "planes", "services", "bin", "tests"];

/// Crates in which everything is decided: no I/O, no clock, no randomness of their own.
fn is_pure(dir: &str) -> bool {
    dir.starts_with("services/")
        || [
            "foundation/base",
            "foundation/machine",
            "foundation/contract",
            "foundation/wire",
            "foundation/identity",
        ]
        .contains(&dir)
}

/// What a pure crate may not name, and what to do instead.
const BANNED: [(&str, &str); 12] = [
    ("tokio::", "return a future or a plan; the driver runs it"),
    ("std::time::Instant", "take `now: Time` as an argument"),
    ("std::time::SystemTime", "take `now: Time` as an argument"),
    ("SystemTime::now", "take `now: Time` as an argument"),
    ("Instant::now", "take `now: Time` as an argument"),
    ("std::fs", "ask a plane"),
    ("std::process", "ask a plane"),
    ("std::env::", "take it as an argument"),
    ("std::thread", "leave threads to the driver"),
    ("TcpStream", "ask a plane"),
    ("getrandom", "take `rng: &mut dyn Rng` as an argument"),
    ("rand::", "take `rng: &mut dyn Rng` as an argument"),
];

struct Package {
    name: String,
    dir: String,
    description: String,
    uses: Vec<String>,
}

/// Checks all rules and prints what breaks them.
pub fn run() -> Result<()> {
    let root = crate::root();
    let packages = packages(&root)?;
    let mut broken = Vec::new();
    for package in &packages {
        arrows(package, &packages, &mut broken);
        if is_pure(&package.dir) {
            purity(&root, package, &mut broken)?;
        }
    }
    map(&root, &packages, &mut broken)?;
    if broken.is_empty() {
        println!("tidy: {} crates, no rule is broken", packages.len());
        return Ok(());
    }
    for message in &broken {
        eprintln!("tidy: {message}");
    }
    bail!("{} rules are broken", broken.len())
}

fn packages(root: &Path) -> Result<Vec<Package>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(root)
        .output()
        .context("failed to run `cargo metadata`")?;
    if !output.status.success() {
        bail!("`cargo metadata` failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let text = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let mut packages = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let manifest = PathBuf::from(text(package, "manifest_path"));
        let dir = manifest
            .parent()
            .unwrap_or(root)
            .strip_prefix(root)
            .unwrap_or(root)
            .display()
            .to_string();
        // What only tests use is no arrow of the house.
        let uses = package["dependencies"].as_array().into_iter().flatten();
        let uses = uses.filter(|d| d["kind"].is_null()).map(|d| text(d, "name")).collect();
        packages.push(Package {
            name: text(package, "name"),
            dir,
            description: text(package, "description"),
            uses,
        });
    }
    Ok(packages)
}

fn floor(dir: &str) -> Option<usize> {
    let first = dir.split('/').next()?;
    FLOORS.iter().position(|floor| *floor == first)
}

fn arrows(package: &Package, all: &[Package], broken: &mut Vec<String>) {
    let Some(from) = floor(&package.dir) else { return };
    for used in package
        .uses
        .iter()
        .filter_map(|name| all.iter().find(|p| p.name == *name))
    {
        let (name, target) = (&package.name, &used.name);
        match floor(&used.dir) {
            Some(to) if to > from => broken.push(format!(
                "`{name}` ({}) uses `{target}` ({}): arrows point down only. Move what both need to a lower floor",
                package.dir, used.dir
            )),
            _ => {}
        }
        if package.dir.starts_with("planes/") && target == "honmaru-wire" {
            broken.push(format!(
                "`{name}` uses `{target}`: planes know nothing of AWS's wire. Take plain data of `contract`"
            ));
        }
        let is_leaf_service = package.dir.starts_with("services/") && package.dir != "services/cloud";
        if is_leaf_service && target == "honmaru-cloud" {
            broken.push(format!(
                "`{name}` uses `{target}`: glue knows the services, no service knows the glue"
            ));
        }
    }
}

fn purity(root: &Path, package: &Package, broken: &mut Vec<String>) -> Result<()> {
    for file in rust_files(&root.join(&package.dir).join("src"))? {
        let text = fs::read_to_string(&file).with_context(|| format!("failed to read {}", file.display()))?;
        let shown = file.strip_prefix(root).unwrap_or(&file).display().to_string();
        if shown.ends_with("/tests.rs") || shown.contains("/tests/") {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            // Unit tests at the end of a file may do what they like.
            if line.trim() == "#[cfg(test)]"
                && text
                    .lines()
                    .nth(number + 1)
                    .is_some_and(|l| l.trim_end().ends_with('{'))
            {
                break;
            }
            let code = line.split("//").next().unwrap_or_default();
            for (name, way_out) in BANNED {
                if code.contains(name) {
                    broken.push(format!("{shown}:{}: `{name}` in a pure crate: {way_out}", number + 1));
                }
            }
        }
    }
    Ok(())
}

fn rust_files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("failed to list {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// ARCHITECTURE.md has every crate with its one-line description.
fn map(root: &Path, packages: &[Package], broken: &mut Vec<String>) -> Result<()> {
    let text = fs::read_to_string(root.join("ARCHITECTURE.md")).context("failed to read ARCHITECTURE.md")?;
    for package in packages {
        let line = format!("| `{}` | {} |", package.dir, package.description);
        if !text.lines().any(|l| l.starts_with(&line)) {
            broken.push(format!("ARCHITECTURE.md lacks a row for a crate. Add: {line}"));
        }
    }
    Ok(())
}
