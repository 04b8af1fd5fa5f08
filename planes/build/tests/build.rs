//! The real buildah on real directories.

use honmaru_build::{BUSYBOX_IMAGE, BuildError, Builder, ensure_base_images};
use std::fs;
use std::path::Path;

fn context(dockerfile: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("Dockerfile"), dockerfile).expect("write");
    dir
}

async fn build(builder: &Builder, dir: &Path) -> Result<(), BuildError> {
    let dockerfile = dir.join("Dockerfile");
    ensure_base_images(builder, &fs::read_to_string(&dockerfile).expect("read")).await?;
    builder
        .build(dir, &dockerfile, "localhost/test/app:1", &mut |_| {})
        .await
}

/// Goal: a directory whose base is ours becomes an image that says of itself what the Dockerfile says.
#[tokio::test]
async fn a_directory_becomes_an_image() {
    let storage = tempfile::tempdir().expect("a directory");
    let builder = Builder::new(storage.path()).expect("buildah is installed");
    let dir = context(&format!(
        "FROM {BUSYBOX_IMAGE}\nRUN echo hi > /x\nUSER 1000\nEXPOSE 8080\nCMD [\"httpd\", \"-f\"]\n"
    ));
    build(&builder, dir.path()).await.expect("it builds");
    let facts = builder.inspect("localhost/test/app:1").await.expect("it is there");
    assert_eq!(
        (facts.exposed_ports.as_slice(), facts.user.as_str()),
        ([8080].as_slice(), "1000")
    );
    assert_eq!(facts.cmd, ["httpd", "-f"]);
    assert!(facts.starts_something() && !facts.runs_as_root());
}

/// Goal: a failure names its cause: the step, or the base image.
#[tokio::test]
async fn failures_name_their_cause() {
    let storage = tempfile::tempdir().expect("a directory");
    let builder = Builder::new(storage.path()).expect("buildah is installed");
    let dir = context(&format!("FROM {BUSYBOX_IMAGE}\nRUN exit 3\n"));
    match build(&builder, dir.path()).await {
        Err(BuildError::Step { step, .. }) => assert!(step.contains("exit 3"), "{step}"),
        other => panic!("{other:?}"),
    }
    let dir = context("FROM localhost/nowhere/nothing:1\nRUN true\n");
    match build(&builder, dir.path()).await {
        Err(BuildError::NoBaseImage { image, .. }) => assert_eq!(image, "localhost/nowhere/nothing:1"),
        other => panic!("{other:?}"),
    }
}
