//! The real buildah on real directories.

use honmaru_build::{BUSYBOX_IMAGE, BuildError, BuildSettings, Builder, ensure_base_images};
use std::fs;
use std::path::Path;

fn context(dockerfile: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("Dockerfile"), dockerfile).expect("write");
    dir
}

async fn build(builder: &Builder, dir: &Path) -> Result<(), BuildError> {
    build_with(builder, dir, &BuildSettings::default()).await.map(drop)
}

/// Builds with settings; what buildah said.
async fn build_with(builder: &Builder, dir: &Path, settings: &BuildSettings) -> Result<Vec<String>, BuildError> {
    let dockerfile = dir.join("Dockerfile");
    let text = fs::read_to_string(&dockerfile).expect("read");
    ensure_base_images(builder, &text, settings).await?;
    let mut said = Vec::new();
    builder
        .build(dir, &dockerfile, "localhost/test/app:1", settings, &mut |line| {
            said.push(line.to_owned())
        })
        .await?;
    Ok(said)
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

/// Goal: arguments reach the build, in FROM too, and a stage before the last one can be wanted.
#[tokio::test]
async fn arguments_and_a_stage_are_passed_on() {
    let storage = tempfile::tempdir().expect("a directory");
    let builder = Builder::new(storage.path()).expect("buildah is installed");
    let dir = context(
        "ARG BASE=nowhere\nFROM localhost/honmaru/$BASE AS app\nARG VERSION=none\nRUN echo version=$VERSION\nCMD [\"app\"]\n\
         FROM app AS tested\nRUN exit 1\n",
    );
    let settings = |target: &str| BuildSettings {
        arguments: [("BASE", "busybox:latest"), ("VERSION", "7 and more")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        target: Some(target.to_owned()),
    };
    let said = build_with(&builder, dir.path(), &settings("app"))
        .await
        .expect("it builds");
    assert!(said.iter().any(|line| line == "version=7 and more"), "{said:?}");
    let facts = builder.inspect("localhost/test/app:1").await.expect("it is there");
    assert_eq!(facts.cmd, ["app"]);
    match build_with(&builder, dir.path(), &settings("tested")).await {
        Err(BuildError::Step { step, .. }) => assert!(step.contains("exit 1"), "{step}"),
        other => panic!("{other:?}"),
    }
    match build_with(&builder, dir.path(), &settings("nothing")).await {
        Err(BuildError::NoStage { stages, .. }) => assert_eq!(stages, ["app", "tested"]),
        other => panic!("{other:?}"),
    }
}

/// Goal: `.dockerignore` means what it means elsewhere. Ref: docs.docker.com/build/concepts/context, ".dockerignore files".
#[tokio::test]
async fn dockerignore_leaves_files_out() {
    let storage = tempfile::tempdir().expect("a directory");
    let builder = Builder::new(storage.path()).expect("buildah is installed");
    let dir = context(&format!(
        "FROM {BUSYBOX_IMAGE}\nCOPY . /c\nRUN cd /c && find . -type f | sort | sed s/^/has=/\n"
    ));
    let ignored = "# a comment\n\n*.log\n**/*.tmp\nnode_modules\n/secret.env\ndocs/*\n!docs/keep.md\ntemp?\n.git\n\
                   Dockerfile\n.dockerignore\n";
    fs::write(dir.path().join(".dockerignore"), ignored).expect("write");
    for name in [
        "app",
        "a.log",
        "sub/b.log",
        "sub/c.tmp",
        "sub/deep/d.tmp",
        "d.tmp",
        "node_modules/x/y",
        "sub/node_modules/z",
        "secret.env",
        "sub/secret.env",
        "docs/a.md",
        "docs/keep.md",
        "temp1",
        "temp22",
        ".git/config",
    ] {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, name).expect("write");
    }
    let said = build_with(&builder, dir.path(), &BuildSettings::default())
        .await
        .expect("it builds, although the Dockerfile is left out");
    let has: Vec<&str> = said.iter().filter_map(|line| line.strip_prefix("has=./")).collect();
    assert_eq!(
        has,
        [
            "app",
            "docs/keep.md",
            "sub/b.log",
            "sub/node_modules/z",
            "sub/secret.env",
            "temp22"
        ]
    );
}
