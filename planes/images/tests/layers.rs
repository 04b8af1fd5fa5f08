//! Goal: images become layers on disk, each once, and go when nobody holds them. Method: a store with images made here.

mod support;

use bytes::Bytes;
use honmaru_images::{
    Algorithm, BlobStore, Digest, ImageSource, LayerStore, Loopback, RemoteLimits, Remotes, StoreLimits, UnpackLimits,
};
use std::path::Path;
use std::time::Duration;
use support::{TarWriter, gzip, is_root};

struct Lab {
    dir: tempfile::TempDir,
    blobs: BlobStore,
    layers: LayerStore,
}

fn open_layers(dir: &Path) -> LayerStore {
    let limits = UnpackLimits {
        free_bytes_min: 0,
        ..UnpackLimits::default()
    };
    LayerStore::open(
        &dir.join("node"),
        BlobStore::open_read_only(&dir.join("images")),
        limits,
        Remotes::new(RemoteLimits {
            loopback: Loopback::Open,
            ..RemoteLimits::default()
        }),
    )
    .unwrap()
}

impl Lab {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let limits = StoreLimits {
            free_bytes_min: 0,
            ..StoreLimits::default()
        };
        let blobs = BlobStore::open(&dir.path().join("images"), limits).unwrap();
        let layers = open_layers(dir.path());
        Self { dir, blobs, layers }
    }

    async fn put(&self, bytes: Vec<u8>) -> (Digest, usize) {
        let size = bytes.len();
        (
            self.blobs.put(Algorithm::Sha256, Bytes::from(bytes)).await.unwrap(),
            size,
        )
    }

    /// An image of gzipped tars; returns the manifest's digest.
    async fn image(&self, tars: &[Vec<u8>]) -> String {
        let diff_ids: Vec<String> = tars.iter().map(|tar| Digest::sha256(tar).to_string()).collect();
        let config = format!(
            r#"{{"architecture":"amd64","os":"linux","config":{{"Cmd":["/hello"],"Env":["A=1"]}},"rootfs":{{"type":"layers","diff_ids":{diff_ids:?}}}}}"#
        );
        let (config, config_size) = self.put(config.into_bytes()).await;
        let mut layers = Vec::new();
        for tar in tars {
            let (digest, size) = self.put(gzip(tar)).await;
            layers.push(format!(
                r#"{{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"{digest}","size":{size}}}"#
            ));
        }
        let manifest = format!(
            r#"{{"schemaVersion":2,"config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config}","size":{config_size}}},"layers":[{}]}}"#,
            layers.join(",")
        );
        self.put(manifest.into_bytes()).await.0.to_string()
    }

    async fn prepare(&self, digest: &str) -> Result<honmaru_images::PreparedImage, String> {
        let source = ImageSource::Local {
            manifest_digest: digest.to_owned(),
        };
        self.layers.prepare(source).await.map_err(|error| error.to_string())
    }
}

/// Waits for a condition, on a machine whose disk may be busy.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(std::time::Instant::now() < deadline, "not within 60 s: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn tar(name: &str) -> Vec<u8> {
    TarWriter::default().file(name, name.as_bytes()).end()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_unpacked_once_and_lowest_first() {
    if !is_root() {
        return;
    }
    let lab = Lab::new();
    let digest = lab.image(&[tar("lower"), tar("upper")]).await;
    let (one, two) = tokio::join!(lab.prepare(&digest), lab.prepare(&digest));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(one.layers, two.layers);
    assert_eq!(one.manifest_digest, digest);
    assert_eq!(
        (one.config.cmd.as_slice(), one.config.env.as_slice()),
        (&["/hello".into()][..], &["A=1".into()][..])
    );
    assert_eq!(std::fs::read_to_string(one.layers[0].join("lower")).unwrap(), "lower");
    assert_eq!(std::fs::read_to_string(one.layers[1].join("upper")).unwrap(), "upper");
    assert_eq!(lab.layers.usage().await.unwrap().layers, 2);
    assert!(
        !one.layers[0].to_str().unwrap().contains(':'),
        "a colon would end a path in overlay's options"
    );
}

/// Goal: nobody gets a layer or a configuration by its digest alone. Method: an image runs; another's manifest names what is
/// not its own, in each way in which a manifest or a configuration may.
#[tokio::test(flavor = "multi_thread")]
async fn a_layer_is_for_whoever_has_its_blob() {
    const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    const FOREIGN: &str = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";
    const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    if !is_root() {
        return;
    }
    let lab = Lab::new();
    let secret = tar("secret");
    let theirs = lab.image(std::slice::from_ref(&secret)).await;
    drop(lab.prepare(&theirs).await.unwrap());
    let diff_id = Digest::sha256(&secret).to_string();
    let config_of =
        |diff_id: &str| format!(r#"{{"rootfs":{{"type":"layers","diff_ids":["{diff_id}"]}}}}"#).into_bytes();
    let (config, own) = (lab.put(config_of(&diff_id)).await, lab.put(gzip(&tar("own"))).await);
    let of_theirs = (Digest::sha256(&gzip(&secret)), gzip(&secret).len());
    let image = async |config: (&str, &(Digest, usize)), layer: (&str, &(Digest, usize))| {
        let [config, layer] = [config, layer]
            .map(|(kind, (digest, size))| format!(r#"{{"mediaType":"{kind}","digest":"{digest}","size":{size}}}"#));
        let manifest = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layer}]}}"#);
        lab.put(manifest.into_bytes()).await
    };
    // A layer of one's own, and the id of theirs; their blob as a foreign layer; a foreign configuration.
    for (config, layer) in [
        ((CONFIG, &config), (LAYER, &own)),
        ((CONFIG, &config), (FOREIGN, &of_theirs)),
        ((FOREIGN, &config), (LAYER, &of_theirs)),
    ] {
        let (digest, _) = image(config, layer).await;
        let refused = lab.prepare(digest.as_str()).await.unwrap_err();
        assert!(
            refused.contains("diff id") || refused.contains("is not in the registry"),
            "{refused}"
        );
    }
    // An index, which the registry itself resolves among what is the repository's.
    let size = lab.blobs.stat(&theirs.parse().unwrap()).unwrap().unwrap().size;
    let host = honmaru_images::Platform::host();
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{{"mediaType":
        "application/vnd.oci.image.manifest.v1+json","digest":"{theirs}","size":{size},
        "platform":{{"os":"linux","architecture":"{}"}}}}]}}"#,
        host.architecture
    );
    let (index, _) = lab.put(index.into_bytes()).await;
    assert!(
        lab.prepare(index.as_str())
            .await
            .unwrap_err()
            .contains("does not contain")
    );
    // Whoever has the layer's bytes in another form has the layer, which stays the one that is there.
    let plain = lab.put(secret.clone()).await;
    let (again, _) = image((CONFIG, &config), ("application/vnd.oci.image.layer.v1.tar", &plain)).await;
    for _ in 0..2 {
        let prepared = lab.prepare(again.as_str()).await.unwrap();
        assert_eq!(
            std::fs::read_to_string(prepared.layers[0].join("secret")).unwrap(),
            "secret"
        );
    }
    assert_eq!(lab.layers.usage().await.unwrap().layers, 1);
    until("nothing is left over", || {
        std::fs::read_dir(lab.dir.path().join("node/layers-tmp"))
            .unwrap()
            .count()
            == 0
    })
    .await;
}

/// Returns when every layer is noted to be on disk.
async fn synced(dir: &Path) {
    let is_noted = |path: &Path| std::fs::read_to_string(path).is_ok_and(|text| text.contains("\"synced\":true"));
    let all = || {
        let entries = std::fs::read_dir(dir.join("node/layers"))
            .unwrap()
            .map(|entry| entry.unwrap().path());
        entries
            .filter(|path| !path.is_dir())
            .all(|path| is_noted(&path) && path.extension().is_some_and(|it| it == "json"))
    };
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while !all() {
        assert!(std::time::Instant::now() < deadline, "the layers are not synced");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn layers_go_when_nobody_holds_them() {
    if !is_root() {
        return;
    }
    let lab = Lab::new();
    let (a, b) = (
        lab.image(&[tar("shared"), tar("a")]).await,
        lab.image(&[tar("shared"), tar("b")]).await,
    );
    let (image_a, image_b) = (lab.prepare(&a).await.unwrap(), lab.prepare(&b).await.unwrap());
    assert_eq!(
        lab.layers.sweep(Duration::ZERO, Duration::ZERO).await.unwrap().layers,
        0,
        "leases hold"
    );
    lab.layers.retain("task-a", &image_a).await.unwrap();
    drop((image_a, image_b));
    assert_eq!(lab.layers.holders().await.unwrap(), ["task-a"]);
    assert_eq!(
        lab.layers
            .sweep(Duration::from_secs(3_600), Duration::from_secs(3_600))
            .await
            .unwrap()
            .layers,
        0,
        "recent ones stay for a while"
    );
    assert_eq!(
        lab.layers.sweep(Duration::ZERO, Duration::ZERO).await.unwrap().layers,
        1
    );
    // What a holder holds outlives the process; this one's notes of what is on disk are made first.
    synced(lab.dir.path()).await;
    let again = open_layers(lab.dir.path());
    assert_eq!(again.usage().await.unwrap().layers, 2);
    assert_eq!(again.sweep(Duration::ZERO, Duration::ZERO).await.unwrap().layers, 0);
    again.release("task-a").await.unwrap();
    again.release("task-a").await.unwrap();
    assert_eq!(again.sweep(Duration::ZERO, Duration::ZERO).await.unwrap().layers, 2);
    assert_eq!(
        std::fs::read_dir(lab.dir.path().join("node/layers")).unwrap().count(),
        0
    );
    assert_eq!(
        std::fs::read_dir(lab.dir.path().join("node/layers-tmp"))
            .unwrap()
            .count(),
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn layers_of_an_image_that_the_registry_lost_go_sooner() {
    if !is_root() {
        return;
    }
    let lab = Lab::new();
    let (gone, kept, held) = (
        lab.image(&[tar("shared"), tar("gone")]).await,
        lab.image(&[tar("shared"), tar("kept")]).await,
        lab.image(&[tar("held")]).await,
    );
    for digest in [&gone, &kept] {
        lab.prepare(digest).await.unwrap();
    }
    let image = lab.prepare(&held).await.unwrap();
    lab.layers.retain("task", &image).await.unwrap();
    drop(image);
    let day = Duration::from_secs(24 * 3_600);
    assert_eq!(
        lab.layers.sweep(day, Duration::ZERO).await.unwrap().layers,
        0,
        "all are known"
    );
    // What a collection of the registry does once the images are deleted.
    for name in ["gone", "held"] {
        std::fs::remove_file(lab.blobs.path(&Digest::sha256(&gzip(&tar(name))))).unwrap();
    }
    assert_eq!(
        lab.layers.sweep(day, day).await.unwrap().layers,
        0,
        "they were used just now"
    );
    assert_eq!(lab.layers.sweep(day, Duration::ZERO).await.unwrap().layers, 1);
    let there = |name: &str| lab.layers.layer_path(&Digest::sha256(&tar(name))).is_dir();
    assert_eq!(["gone", "shared", "kept", "held"].map(there), [false, true, true, true]);
}

/// Goal: a layer that is swept while it is on its way to the disk stays gone. Method: sweeps go on beside unpacking; the
/// runtime's end waits for whatever still syncs; then there is neither a layer nor a record.
#[test]
fn a_layer_swept_while_it_is_synced_does_not_come_back() {
    if !is_root() {
        return;
    }
    let lab = Lab::new();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (layers, handle) = (lab.layers.clone(), tokio::runtime::Handle::current());
        let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
        let sweeper = tokio::task::spawn_blocking(move || {
            let sweep = || {
                handle
                    .block_on(layers.sweep(Duration::ZERO, Duration::ZERO))
                    .unwrap()
                    .layers
            };
            let mut swept = 0;
            while stopped.try_recv().is_err() {
                swept += sweep();
            }
            swept + sweep()
        });
        for n in 0..60 {
            let digest = lab.image(&[tar(&format!("layer {n}"))]).await;
            drop(lab.prepare(&digest).await.unwrap());
        }
        stop.send(()).unwrap();
        assert_eq!(sweeper.await.unwrap(), 60);
    });
    drop(runtime);
    let left = std::fs::read_dir(lab.dir.path().join("node/layers")).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_layer_leaves_nothing() {
    if !is_root() {
        return;
    }
    let lab = Lab::new();
    let hostile = TarWriter::default().file("../x", b"x").end();
    let digest = lab.image(&[tar("good"), hostile]).await;
    let error = lab.prepare(&digest).await.unwrap_err();
    assert!(
        error.starts_with("CannotPullContainerError: failed to pull image sha256:"),
        "{error}"
    );
    assert!(
        error.contains("failed to extract layer sha256:") && error.contains("unacceptable path `../x`"),
        "{error}"
    );
    // The other layer may still be on its way; nothing may stay.
    until("no leftover stays", || {
        let left = std::fs::read_dir(lab.dir.path().join("node/layers-tmp")).unwrap();
        left.count() == 0
    })
    .await;
}

#[tokio::test]
async fn what_is_missing_is_said_in_ecs_words() {
    let lab = Lab::new();
    let digest = Digest::sha256(b"nothing").to_string();
    let error = lab.prepare(&digest).await.unwrap_err();
    let expected = format!(
        "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref {digest}: \
         {digest}: not found"
    );
    assert_eq!(error, expected);
    let source = ImageSource::Remote {
        reference: "127.0.0.1:1/x/y".to_owned(),
        credentials: None,
    };
    let error = lab.layers.prepare(source).await.unwrap_err().to_string();
    let start = "CannotPullContainerError: pull image manifest has been retried 3 time(s): failed to resolve ref \
                 127.0.0.1:1/x/y:latest: failed to do request: failed to connect to 127.0.0.1:1: ";
    assert!(error.starts_with(start), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_crash_leaves_is_removed_and_unpacked_again() {
    if !is_root() {
        return;
    }
    let lab = Lab::new();
    let digest = lab.image(&[tar("layer")]).await;
    let path = lab.prepare(&digest).await.unwrap().layers[0].clone();
    let record = path.with_extension("json");
    let is_synced = || std::fs::read_to_string(&record).unwrap().contains("\"synced\":true");
    // The first store writes no more: else it could write the record that is removed here.
    until("the layer is synced", is_synced).await;
    // Killed between the rename and the record.
    std::fs::remove_file(&record).unwrap();
    std::fs::create_dir(lab.dir.path().join("node/layers-tmp/half")).unwrap();
    let layers = open_layers(lab.dir.path());
    assert!(!path.exists());
    assert_eq!(
        std::fs::read_dir(lab.dir.path().join("node/layers-tmp"))
            .unwrap()
            .count(),
        0
    );
    // Unpacked in another boot and never synced.
    let source = ImageSource::Local {
        manifest_digest: digest,
    };
    drop(layers.prepare(source.clone()).await.unwrap());
    until("the layer is synced", is_synced).await;
    let unsynced = std::fs::read_to_string(&record)
        .unwrap()
        .replace("\"synced\":true", "\"synced\":false");
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    std::fs::write(&record, unsynced.replace(boot.trim(), "another-boot")).unwrap();
    let layers = open_layers(lab.dir.path());
    assert!(!path.exists());
    layers.prepare(source).await.unwrap();
    assert_eq!(std::fs::read_to_string(path.join("layer")).unwrap(), "layer");
}
