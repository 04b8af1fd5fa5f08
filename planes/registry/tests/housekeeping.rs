//! Goal: `gc` frees what nobody needs and nothing else, `verify` finds every kind of damage and names it, `usage` counts
//! to the byte. Method: a registry over repositories in memory, whose files and rows the tests break on purpose.

mod support;

use honmaru_images::{Algorithm, Digest};
use honmaru_registry::{Finding, FindingKind};
use std::time::Duration;
use support::{Server, manifest};

fn kinds(findings: &[Finding]) -> Vec<FindingKind> {
    let mut kinds: Vec<FindingKind> = findings.iter().map(|finding| finding.kind).collect();
    kinds.sort();
    kinds
}

#[tokio::test]
async fn a_whole_registry_is_clean() {
    let server = Server::start().await;
    server.push_image("app", "v1", b"layer one").await;
    server.push_image("team/other", "v1", b"layer two").await;
    server.push_blob("app", b"waits for its manifest").await;
    let begun = server.call("POST", "/v2/app/blobs/uploads/", &[], b"").await;
    assert_eq!(begun.status, 202);
    let (summary, findings) = server.verify().await;
    assert_eq!(findings, []);
    assert_eq!((summary.repositories, summary.images, summary.tags), (2, 2, 2));
    // Two manifests, two layers, one configuration for both, one that waits.
    assert_eq!((summary.blobs, summary.unneeded_blobs, summary.uploads), (6, 0, 1));
}

#[tokio::test]
async fn every_kind_of_damage_is_found_and_named() {
    let server = Server::start().await;
    let store = server.registry.store().clone();
    server.push_image("app", "v1", b"damaged").await;
    server.push_image("app", "v2", b"missing").await;
    server.push_image("app", "v3", b"shorter").await;
    let bad = Digest::sha256(&server.push_image("app", "v4", b"fine").await);
    server.push_blob("app", b"lost while it waited").await;
    let other = store
        .put(Algorithm::Sha256, "damaged, and nothing names it".into())
        .await
        .unwrap();
    // What the disk did.
    std::fs::write(store.path(&Digest::sha256(b"damaged")), b"damaged!").unwrap();
    std::fs::write(store.path(&other), b"x").unwrap();
    std::fs::remove_file(store.path(&Digest::sha256(b"missing"))).unwrap();
    std::fs::remove_file(store.path(&Digest::sha256(b"lost while it waited"))).unwrap();
    std::fs::write(store.dir().join("blobs/sha256/notes.txt"), b"who put this here?").unwrap();
    // What the rows say.
    {
        let mut repos = server.memory.repos.lock().unwrap();
        let app = repos.get_mut("app").unwrap();
        app.tags.insert("gone".to_owned(), Digest::sha256(b"no such manifest"));
        let new = app.manifests.get_mut(&bad).unwrap();
        new.manifest.layers[0].digest = Digest::sha256(b"shorter");
        new.manifest.layers[0].size = 7;
        app.blobs.insert(Digest::sha256(b"fine"));
    }
    // An upload that was given up long ago.
    let begun = server.call("POST", "/v2/app/blobs/uploads/", &[], b"").await;
    let id = begun.header("docker-upload-uuid");
    let upload = std::fs::File::options()
        .write(true)
        .open(store.dir().join("uploads").join(id))
        .unwrap();
    upload
        .set_modified(std::time::SystemTime::now() - Duration::from_secs(100_000))
        .unwrap();

    let (summary, findings) = server.verify().await;
    use FindingKind::*;
    assert_eq!(
        kinds(&findings),
        [
            MissingBlob,
            MissingBlob,
            DamagedBlob,
            DamagedBlob,
            BadManifest,
            DanglingTag,
            ForeignFile,
            Leftover
        ],
        "{findings:#?}"
    );
    assert_eq!(summary.findings, 8);
    let about = |subject: &str| findings.iter().find(|finding| finding.subject == subject).unwrap();
    let damaged = about(Digest::sha256(b"damaged").as_str());
    assert_eq!(damaged.repository.as_deref(), Some("test/app"));
    assert!(
        damaged.message.contains(Digest::sha256(b"damaged!").as_str()),
        "{}",
        damaged.message
    );
    assert_eq!(about(other.as_str()).repository, None);
    assert_eq!(about("gone").kind, DanglingTag);
}

#[tokio::test]
async fn a_length_that_contradicts_the_manifest_is_found() {
    let server = Server::start().await;
    let digest = Digest::sha256(&server.push_image("app", "v1", b"layer").await);
    {
        let mut repos = server.memory.repos.lock().unwrap();
        repos
            .get_mut("app")
            .unwrap()
            .manifests
            .get_mut(&digest)
            .unwrap()
            .manifest
            .layers[0]
            .size = 7;
    }
    let (_, findings) = server.verify().await;
    assert_eq!(kinds(&findings), [FindingKind::WrongSize], "{findings:?}");
    assert_eq!(findings[0].subject, Digest::sha256(b"layer").as_str());
}

#[tokio::test]
async fn an_index_without_its_manifests_is_found_but_not_in_a_mirror() {
    let server = Server::start().await;
    let child = server.push_image("app", "v1", b"layer").await;
    let digest = Digest::sha256(&child);
    let kind = "application/vnd.oci.image.index.v1+json";
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"{kind}","manifests":[{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{digest}","size":{}}}]}}"#,
        child.len()
    );
    let put = server
        .call(
            "PUT",
            "/v2/app/manifests/all",
            &[("content-type", kind)],
            index.as_bytes(),
        )
        .await;
    assert_eq!(put.status, 201, "{}", put.text());
    assert_eq!(server.verify().await.1, []);
    {
        let mut repos = server.memory.repos.lock().unwrap();
        let app = repos.get_mut("app").unwrap();
        app.manifests.remove(&digest);
        app.tags.remove("v1");
    }
    assert_eq!(kinds(&server.verify().await.1), [FindingKind::MissingManifest]);
    *server.memory.upstream.lock().unwrap() = Some(server.address.to_string());
    assert_eq!(server.verify().await.1, []);
}

#[tokio::test]
async fn a_blob_of_another_length_is_repaired_by_the_next_push() {
    let server = Server::start().await;
    server.push_image("app", "v1", b"layer").await;
    std::fs::write(server.registry.store().path(&Digest::sha256(b"layer")), b"lay").unwrap();
    assert_eq!(kinds(&server.verify().await.1), [FindingKind::DamagedBlob]);
    server.push_blob("app", b"layer").await;
    assert_eq!(server.verify().await.1, []);
    let got = server
        .call("GET", &format!("/v2/app/blobs/{}", Digest::sha256(b"layer")), &[], b"")
        .await;
    assert_eq!(got.text(), "layer");
}

#[tokio::test]
async fn gc_says_what_it_freed_and_what_it_left() {
    let server = Server::start().await;
    let gone = server.push_image("app", "gone", b"gone").await;
    server.push_image("app", "kept", b"kept").await;
    let path = format!("/v2/app/manifests/{}", Digest::sha256(&gone));
    assert_eq!(server.call("DELETE", &path, &[], b"").await.status, 202);
    let path = format!("/v2/app/blobs/{}", Digest::sha256(b"gone"));
    assert_eq!(server.call("DELETE", &path, &[], b"").await.status, 202);
    let begun = server.call("POST", "/v2/app/blobs/uploads/", &[], b"").await;
    let part = server
        .call("PATCH", begun.header("location"), &[], b"in progress")
        .await;
    assert_eq!(part.status, 202);
    let hour = Duration::from_secs(3_600);
    let young = server.registry.collect_and_count(hour, hour).await.unwrap();
    assert_eq!((young.blobs, young.uploads), (0, 0));
    assert_eq!((young.kept_blobs, young.kept_bytes), (2, gone.len() as u64 + 4));
    assert_eq!(young.kept_uploads, 1);
    // Without a grace period the blobs go; the upload in progress stays all the same.
    let freed = server.registry.collect_and_count(Duration::ZERO, hour).await.unwrap();
    assert_eq!((freed.blobs, freed.blob_bytes), (2, gone.len() as u64 + 4));
    assert_eq!((freed.kept_blobs, freed.uploads, freed.kept_uploads), (0, 0, 1));
    let rest = server
        .registry
        .collect_and_count(Duration::ZERO, Duration::ZERO)
        .await
        .unwrap();
    assert_eq!(
        (rest.blobs, rest.uploads, rest.upload_bytes, rest.kept_uploads),
        (0, 1, 11, 0)
    );
    assert_eq!(server.verify().await.1, []);
    assert_eq!(server.call("GET", "/v2/app/manifests/kept", &[], b"").await.status, 200);
}

/// Goal: images that were acknowledged while collections without any grace period ran are whole.
#[tokio::test(flavor = "multi_thread")]
async fn pushes_and_collections_at_the_same_time_leave_whole_images() {
    let server = std::sync::Arc::new(Server::start().await);
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let collector = {
        let (registry, stop) = (server.registry.clone(), stop.clone());
        let runtime = tokio::runtime::Handle::current();
        tokio::task::spawn_blocking(move || {
            loop {
                // Looked at before: one collection comes after the last push, however slow this thread is.
                let is_last = stop.load(std::sync::atomic::Ordering::Relaxed);
                runtime
                    .block_on(registry.collect(Duration::ZERO, Duration::from_secs(3_600)))
                    .unwrap();
                if is_last {
                    return;
                }
            }
        })
    };
    let mut pushes = tokio::task::JoinSet::new();
    for worker in 0..3_u32 {
        let server = server.clone();
        pushes.spawn(async move {
            for round in 0..12_u32 {
                let repository = format!("app{worker}");
                server
                    .push_image(
                        &repository,
                        &format!("v{round}"),
                        format!("layer {worker} {round}").as_bytes(),
                    )
                    .await;
            }
        });
    }
    while let Some(done) = pushes.join_next().await {
        done.unwrap();
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    collector.await.unwrap();
    let (summary, findings) = server.verify().await;
    assert_eq!(findings, []);
    assert_eq!((summary.images, summary.unneeded_blobs), (36, 0));
}

#[tokio::test]
async fn usage_counts_each_repository_and_what_they_share() {
    let server = Server::start().await;
    let one = server.push_image("app", "v1", b"shared layer").await.len() as u64;
    let two = server.push_image("app", "v2", b"own layer").await.len() as u64;
    server.push_image("other", "v1", b"shared layer").await;
    server.push_blob("other", b"waits").await;
    server
        .registry
        .store()
        .put(Algorithm::Sha256, "unneeded".into())
        .await
        .unwrap();
    let begun = server.call("POST", "/v2/app/blobs/uploads/", &[], b"").await;
    assert_eq!(
        server
            .call("PATCH", begun.header("location"), &[], b"half")
            .await
            .status,
        202
    );
    let usage = server.registry.usage().await.unwrap();
    let [app, other] = &usage.repositories[..] else {
        panic!("{usage:?}")
    };
    assert_eq!((app.repository.as_str(), app.images, app.tags), ("app", 2, 2));
    // Manifests, layers, and the configuration of two bytes: for each image, and once on disk.
    assert_eq!(app.logical_bytes, one + two + 12 + 9 + 2 + 2);
    assert_eq!(app.disk_bytes, one + two + 12 + 9 + 2);
    assert_eq!(app.shared_bytes, one + 12 + 2);
    assert_eq!((app.uploads, app.upload_bytes), (1, 4));
    assert_eq!(
        (other.disk_bytes, other.waiting_blobs, other.uploads),
        (one + 12 + 2 + 5, 1, 0)
    );
    let total = usage.total;
    assert_eq!((total.repositories, total.images, total.tags), (2, 3, 3));
    assert_eq!(total.disk_bytes, one + two + 12 + 9 + 2 + 5 + 8);
    assert_eq!((total.unneeded_blobs, total.unneeded_bytes), (1, 8));
    assert_eq!(
        (total.shared_bytes, total.uploads, total.upload_bytes),
        (one + 12 + 2, 1, 4)
    );
    assert_eq!(usage.quota_bytes, None);
    assert_eq!(manifest(b"shared layer", "").len() as u64, one);
}
