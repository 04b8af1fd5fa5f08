//! Goal: the stock tools push to and pull from the registry. Method: the real binaries against a loopback port.
//! A tool that is not installed is named and passed over.

mod support;

use std::path::Path;
use support::Server;
use tokio::process::Command;

async fn run(program: &str, arguments: &[&str], dir: &Path) {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(dir)
        .env("HOME", dir)
        .env("XDG_RUNTIME_DIR", dir)
        .output()
        .await
        .unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn installed(program: &str) -> bool {
    let found =
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|dir| dir.join(program).is_file());
    if !found {
        eprintln!("skipped: {program} is not installed");
    }
    found
}

/// An OCI layout with one image, made without any tool.
fn layout(dir: &Path, layer: &[u8]) {
    use honmaru_images::Digest;
    let blobs = dir.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    let put = |bytes: &[u8]| {
        let digest = Digest::sha256(bytes);
        std::fs::write(blobs.join(digest.hex()), bytes).unwrap();
        (digest, bytes.len())
    };
    let (layer, layer_size) = put(layer);
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":["{layer}"]}}}}"#
    );
    let (config, config_size) = put(config.as_bytes());
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config}","size":{config_size}}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{layer}","size":{layer_size}}}]}}"#
    );
    let (manifest, manifest_size) = put(manifest.as_bytes());
    std::fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{manifest}","size":{manifest_size},"annotations":{{"org.opencontainers.image.ref.name":"v1"}}}}]}}"#
    );
    std::fs::write(dir.join("index.json"), index).unwrap();
}

/// An empty tar.
const TAR: [u8; 1024] = [0; 1024];

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_pushes_pulls_lists_and_deletes() {
    if !installed("skopeo") {
        return;
    }
    let server = Server::start().await;
    let dir = tempfile::tempdir().unwrap();
    layout(&dir.path().join("in"), &TAR);
    let image = format!("docker://{}/team/app:v1", server.address);
    let skopeo = ["--insecure-policy"];
    let copy = |arguments: &[&str]| {
        [&skopeo, arguments]
            .concat()
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    for (arguments, _) in [
        (copy(&["copy", "--dest-tls-verify=false", "oci:in:v1", &image]), "push"),
        (copy(&["copy", "--src-tls-verify=false", &image, "oci:out:v1"]), "pull"),
        (
            copy(&["list-tags", "--tls-verify=false", image.trim_end_matches(":v1")]),
            "tags",
        ),
        (
            copy(&[
                "copy",
                "--src-tls-verify=false",
                "--dest-tls-verify=false",
                &image,
                &image.replace("team", "other"),
            ]),
            "mount",
        ),
        (copy(&["delete", "--tls-verify=false", &image]), "delete"),
    ] {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        run("skopeo", &arguments, dir.path()).await;
    }
    let read = |side: &str| {
        std::fs::read_dir(dir.path().join(side).join("blobs/sha256"))
            .unwrap()
            .count()
    };
    assert_eq!(read("in"), read("out"));
    assert_eq!(
        server.call("GET", "/v2/team/app/manifests/v1", &[], b"").await.status,
        404
    );
    assert_eq!(
        server.call("GET", "/v2/other/app/manifests/v1", &[], b"").await.status,
        200
    );
    let (summary, findings) = server.verify().await;
    assert_eq!((findings, summary.blobs), (Vec::new(), 3), "{summary:?}");
    assert_eq!(server.upload_files(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn buildah_builds_and_pushes() {
    if !installed("buildah") {
        return;
    }
    let server = Server::start().await;
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join("Dockerfile"),
        "FROM scratch\nCOPY hello /hello\nCMD [\"/hello\"]\n",
    )
    .unwrap();
    std::fs::write(dir.path().join("hello"), "hello").unwrap();
    let image = format!("{}/built:1", server.address);
    let store = ["--root", "store", "--runroot", "run", "--storage-driver", "vfs"];
    let bud = [
        &store[..],
        &["bud", "--isolation", "chroot", "--network", "host", "-t", &image, "."],
    ]
    .concat();
    run("buildah", &bud, dir.path()).await;
    let push = [&store[..], &["push", "--tls-verify=false", &image]].concat();
    run("buildah", &push, dir.path()).await;
    let answer = server.call("GET", "/v2/built/manifests/1", &[], b"").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["layers"].as_array().unwrap().len(), 1);
}
