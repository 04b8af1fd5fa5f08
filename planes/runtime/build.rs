//! Builds `bin/shim` as a static binary and hands its path to the crate.
//!
//! A nested cargo with its own target directory, so that it never waits for the lock that the outer cargo holds. It runs only when the shim's sources change. Nothing of the outer build's flags and wrappers (clippy,
//! coverage, RUSTFLAGS) reaches it.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    let manifest_dir = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let out_dir = PathBuf::from(variable("OUT_DIR"));
    let workspace = manifest_dir.join("../..");
    for path in [
        "bin/shim/src",
        "bin/shim/Cargo.toml",
        "planes/runtime/protocol/src",
        "planes/runtime/protocol/Cargo.toml",
        "planes/runtime/build.rs",
    ] {
        println!("cargo::rerun-if-changed={}", workspace.join(path).display());
    }
    let triple = static_triple();
    let target_dir = nested_target_dir(&out_dir);
    let mut cargo = Command::new(variable("CARGO"));
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let ours =
            text.starts_with("CARGO_") && !matches!(&*text, "CARGO_HOME" | "CARGO_NET_OFFLINE" | "CARGO_MAKEFLAGS");
        let flags = matches!(
            &*text,
            "RUSTFLAGS" | "RUSTC_WRAPPER" | "RUSTC_WORKSPACE_WRAPPER" | "CLIPPY_ARGS" | "RUSTC"
        );
        if ours || flags || text.starts_with("__CARGO") {
            cargo.env_remove(&name);
        }
    }
    cargo
        .arg("build")
        .args(["--release", "--quiet", "--target", &triple])
        .arg("--manifest-path")
        .arg(workspace.join("bin/shim/Cargo.toml"))
        .arg("--target-dir")
        .arg(&target_dir)
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "s")
        .env("CARGO_PROFILE_RELEASE_PANIC", "abort")
        .env("CARGO_PROFILE_RELEASE_LTO", "true")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1")
        .env("CARGO_PROFILE_RELEASE_STRIP", "true")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "false")
        // A plain static executable: a position-independent one would dirty a page for each page of relocations.
        .env(
            format!("CARGO_TARGET_{}_RUSTFLAGS", triple.to_uppercase().replace('-', "_")),
            "-C target-feature=+crt-static -C relocation-model=static",
        );
    let status = cargo.status().expect("cargo that runs this script can be run again");
    assert!(status.success(), "building bin/shim for {triple} failed: {status}");
    let shim = target_dir.join(&triple).join("release/honmaru-shim");
    assert!(shim.is_file(), "no shim at {}", shim.display());
    println!("cargo::rustc-env=HONMARU_SHIM={}", shim.display());
}

/// `<target>/<profile>/shim`: beside the outer's `build` directory, because clippy and cargo build have different
/// OUT_DIRs and would each build the shim. Where cargo's layout is another: below OUT_DIR.
fn nested_target_dir(out_dir: &Path) -> PathBuf {
    let build = out_dir
        .ancestors()
        .find(|dir| dir.file_name().is_some_and(|name| name == "build"));
    build.and_then(Path::parent).unwrap_or(out_dir).join("shim")
}

/// The musl target if its standard library is installed, else glibc, linked statically all the same.
fn static_triple() -> String {
    let arch = variable("CARGO_CFG_TARGET_ARCH");
    let musl = format!("{arch}-unknown-linux-musl");
    let found = Command::new(variable("RUSTC"))
        .args(["--print", "target-libdir", "--target", &musl])
        .output()
        .ok()
        .filter(|output| output.status.success())
        .is_some_and(|output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir());
    if found {
        musl
    } else {
        format!("{arch}-unknown-linux-gnu")
    }
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"))
}
