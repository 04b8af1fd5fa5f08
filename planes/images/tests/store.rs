//! Goal: a blob is whole or absent, whatever happens. Method: the store itself, and a child process that is killed at
//! each named point of a write or a collection (`HONMARU_FAULT`); the parent then looks at what is left.

use bytes::Bytes;
use honmaru_images::{Algorithm, BlobStore, Digest, StoreError, StoreLimits, UploadId, Uploader, UploadsOf};
use std::path::Path;
use std::time::Duration;

fn limits() -> StoreLimits {
    StoreLimits {
        free_bytes_min: 0,
        ..StoreLimits::default()
    }
}

fn open(dir: &Path) -> BlobStore {
    BlobStore::open(dir, limits()).unwrap()
}

async fn upload(store: &BlobStore, content: &[u8]) -> Digest {
    let mut writer = store
        .begin_upload("repo", Uploader::default(), Algorithm::Sha256)
        .await
        .unwrap();
    for piece in content.chunks(100_000) {
        writer.write(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    let digest = Digest::sha256(content);
    writer.commit(digest.clone()).await.unwrap();
    digest
}

fn files(dir: &Path) -> usize {
    std::fs::read_dir(dir).unwrap().count()
}

#[tokio::test]
async fn what_is_written_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let content: Vec<u8> = (0..5_000_000_u32).map(|n| (n % 251) as u8).collect();
    let digest = upload(&store, &content).await;
    assert_eq!(store.stat(&digest).unwrap().unwrap().size, 5_000_000);
    assert_eq!(store.read(&digest, 6_000_000).await.unwrap().unwrap(), content);
    assert!(matches!(
        store.read(&digest, 10).await,
        Err(StoreError::TooLarge { .. })
    ));
    assert_eq!(store.read(&Digest::sha256(b"no"), 10).await.unwrap(), None);
    assert_eq!(files(&dir.path().join("uploads")), 0);
    let reader = BlobStore::open_read_only(dir.path());
    assert_eq!(reader.read(&digest, 6_000_000).await.unwrap().unwrap(), content);
    assert!(matches!(
        reader
            .begin_upload("repo", Uploader::default(), Algorithm::Sha256)
            .await,
        Err(StoreError::ReadOnly)
    ));
    assert!(matches!(
        reader.put(Algorithm::Sha256, Bytes::new()).await,
        Err(StoreError::ReadOnly)
    ));
}

#[tokio::test]
async fn a_wrong_digest_leaves_no_trace() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut writer = store
        .begin_upload("repo", Uploader::default(), Algorithm::Sha256)
        .await
        .unwrap();
    let id = writer.id().clone();
    writer.write(Bytes::from_static(b"content")).await.unwrap();
    let wrong = Digest::sha256(b"other");
    assert!(matches!(
        writer.commit(wrong.clone()).await,
        Err(StoreError::DigestMismatch { .. })
    ));
    assert_eq!(store.stat(&wrong).unwrap(), None);
    assert_eq!(files(&dir.path().join("uploads")), 0);
    assert!(matches!(store.resume_upload(&id).await, Err(StoreError::UploadUnknown)));
}

#[tokio::test]
async fn an_upload_is_resumed_also_after_a_restart_and_with_another_algorithm() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut writer = store
        .begin_upload("repo", Uploader::default(), Algorithm::Sha256)
        .await
        .unwrap();
    let id = writer.id().clone();
    writer.write(Bytes::from_static(b"first ")).await.unwrap();
    assert!(matches!(store.resume_upload(&id).await, Err(StoreError::UploadBusy)));
    assert_eq!(writer.pause().await.unwrap(), 6);
    assert_eq!(store.upload_offset(&id).await.unwrap(), 6);
    drop(store);
    let store = open(dir.path());
    assert_eq!(UploadId::parse(id.as_str(), "repo"), Some(id.clone()));
    assert_eq!(UploadId::parse(id.as_str(), "another repo"), None);
    assert_eq!(UploadId::parse("../../etc/passwd", "repo"), None);
    let mut writer = store.resume_upload(&id).await.unwrap();
    assert_eq!(writer.offset(), 6);
    writer.write(Bytes::from_static(b"second")).await.unwrap();
    let digest = Digest::of(Algorithm::Sha512, b"first second");
    writer.commit(digest.clone()).await.unwrap();
    assert_eq!(store.read(&digest, 100).await.unwrap().unwrap(), "first second");
}

#[tokio::test]
async fn many_uploads_of_one_blob_make_one_blob() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let content = vec![7; 300_000];
    let mut uploads = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (store, content) = (store.clone(), content.clone());
        uploads.spawn(async move { upload(&store, &content).await });
    }
    while let Some(done) = uploads.join_next().await {
        assert_eq!(done.unwrap(), Digest::sha256(&content));
    }
    let usage = store.usage().await.unwrap();
    assert_eq!((usage.blobs, usage.blob_bytes, usage.uploads), (1, 300_000, 0));
}

#[tokio::test]
async fn limits_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let small = StoreLimits {
        blob_bytes_max: 10,
        total_bytes_max: Some(15),
        uploads_max: 1,
        free_bytes_min: 0,
        ..StoreLimits::default()
    };
    let store = BlobStore::open(dir.path(), small).unwrap();
    let mut writer = store
        .begin_upload("repo", Uploader::default(), Algorithm::Sha256)
        .await
        .unwrap();
    let another = store.begin_upload("repo", Uploader::default(), Algorithm::Sha256).await;
    assert!(matches!(
        another,
        Err(StoreError::TooManyUploads {
            max: 1,
            of: UploadsOf::Everybody
        })
    ));
    let large = writer.write(Bytes::from_static(b"01234567890")).await;
    assert!(matches!(large, Err(StoreError::TooLarge { max: 10 })));
    writer.write(Bytes::from_static(b"0123456789")).await.unwrap();
    writer.commit(Digest::sha256(b"0123456789")).await.unwrap();
    let full = store.put(Algorithm::Sha256, Bytes::from_static(b"6 more")).await;
    assert!(matches!(full, Err(StoreError::Full { used: 10 })));
    store.put(Algorithm::Sha256, Bytes::from_static(b"five")).await.unwrap();
    let reserve = StoreLimits {
        free_bytes_min: u64::MAX,
        ..limits()
    };
    let store = BlobStore::open(dir.path(), reserve).unwrap();
    assert!(matches!(
        store.put(Algorithm::Sha256, Bytes::from_static(b"x")).await,
        Err(StoreError::Full { .. })
    ));
}

/// Begins an upload in somebody's name and leaves it; its id.
async fn leave_upload(store: &BlobStore, account: &str, principal: &str) -> Result<UploadId, StoreError> {
    let by = Uploader::new(account, principal);
    let writer = store.begin_upload("repo", by, Algorithm::Sha256).await?;
    let id = writer.id().clone();
    writer.pause().await?;
    Ok(id)
}

#[tokio::test]
async fn unfinished_uploads_of_one_do_not_hold_up_another() {
    let dir = tempfile::tempdir().unwrap();
    let few = StoreLimits {
        uploads_max: 6,
        uploads_of_account_max: 4,
        uploads_of_principal_max: 3,
        upload_stale: Duration::from_secs(3_600),
        ..limits()
    };
    let store = BlobStore::open(dir.path(), few.clone()).unwrap();
    let is_refused = |begun: Result<UploadId, StoreError>, what: UploadsOf| match begun {
        Err(StoreError::TooManyUploads { of, .. }) => of == what,
        _ => false,
    };
    let first = leave_upload(&store, "one", "ada").await.unwrap();
    for _ in 0..2 {
        leave_upload(&store, "one", "ada").await.unwrap();
    }
    assert!(is_refused(
        leave_upload(&store, "one", "ada").await,
        UploadsOf::Principal
    ));
    leave_upload(&store, "one", "bob").await.unwrap();
    assert!(is_refused(leave_upload(&store, "one", "bob").await, UploadsOf::Account));
    // Others go on, also when all together have too many: whoever has the most gives their oldest.
    for _ in 0..2 {
        leave_upload(&store, "two", "eve").await.unwrap();
    }
    let third = leave_upload(&store, "three", "kim").await.unwrap();
    assert!(matches!(
        store.upload_offset(&first).await,
        Err(StoreError::UploadUnknown)
    ));
    assert!(store.upload_offset(&third).await.is_ok());
    assert_eq!(store.usage().await.unwrap().uploads, 6);
    // What somebody writes to stays, and so does everything when nobody has more than who asks.
    for _ in 0..2 {
        let _ = leave_upload(&store, "three", "kim").await;
    }
    assert!(is_refused(
        leave_upload(&store, "three", "kim").await,
        UploadsOf::Everybody
    ));
}

#[tokio::test]
async fn an_upload_that_was_given_up_gives_way_to_another_of_its_owner() {
    let dir = tempfile::tempdir().unwrap();
    let few = StoreLimits {
        uploads_of_principal_max: 2,
        upload_stale: Duration::ZERO,
        ..limits()
    };
    let store = BlobStore::open(dir.path(), few).unwrap();
    let by = || Uploader::new("one", "ada");
    let mut writing = store.begin_upload("repo", by(), Algorithm::Sha256).await.unwrap();
    writing.write(Bytes::from_static(b"slow")).await.unwrap();
    let left = leave_upload(&store, "one", "ada").await.unwrap();
    let next = leave_upload(&store, "one", "ada").await.unwrap();
    assert!(matches!(
        store.resume_upload(&left).await,
        Err(StoreError::UploadUnknown)
    ));
    assert!(store.resume_upload(&next).await.is_ok());
    writing.commit(Digest::sha256(b"slow")).await.unwrap();
    assert_eq!(store.usage().await.unwrap().uploads, 1);
}

/// An upload that could take nothing would lie there until it is given up.
#[tokio::test]
async fn a_disk_at_its_reserve_begins_no_upload() {
    let dir = tempfile::tempdir().unwrap();
    let limits = StoreLimits {
        free_bytes_min: u64::MAX / 2,
        ..limits()
    };
    let store = BlobStore::open(dir.path(), limits).unwrap();
    let begun = store.begin_upload("repo", Uploader::default(), Algorithm::Sha256).await;
    assert!(begun.is_err_and(|error| error.is_full()));
    assert_eq!(files(&dir.path().join("uploads")), 0);
}

/// A file system of six MiB, unmounted when it is dropped: less than the log of small blobs takes.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// Nothing where nobody may mount.
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mount = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=6m", "tmpfs"])
            .arg(dir.path())
            .output();
        mount.ok()?.status.success().then(|| Self(dir))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Whoever still has a file of it open does not keep it.
        let _ = std::process::Command::new("umount")
            .arg("--lazy")
            .arg(self.0.path())
            .status();
    }
}

/// Goal: a disk that is full to its last block refuses, loses nothing, and takes blobs again when there is room.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_without_room_for_anything_loses_nothing() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("skipped: nothing may be mounted here");
        return;
    };
    let dir = disk.0.path().join("images");
    let store = open(&dir);
    let mut kept = Vec::new();
    let refused = loop {
        let content = vec![kept.len() as u8; 50_000 + kept.len()];
        match store.put(Algorithm::Sha256, content.into()).await {
            Ok(digest) => kept.push(digest),
            Err(error) => break error,
        }
    };
    assert!(refused.is_full(), "{refused}");
    // Half a log would have taken most of it.
    assert!(kept.len() > 80, "only {} blobs had room", kept.len());
    let begun = store.begin_upload("repo", Uploader::default(), Algorithm::Sha256).await;
    if let Ok(mut writer) = begun {
        writer.write(vec![1; 3_000_000].into()).await.unwrap();
        let written = writer.commit(Digest::sha256(&[1; 3_000_000])).await;
        assert!(written.is_err_and(|error| error.is_full()));
    }
    drop(store);
    let store = open(&dir);
    let verified = store.verify().await.unwrap();
    assert_eq!((verified.whole, verified.damaged.len()), (kept.len() as u64, 0));
    let half = kept.split_off(kept.len() / 2);
    let live = kept.clone();
    let is_live =
        async move |digests: &[Digest]| Ok::<_, String>(digests.iter().map(|digest| live.contains(digest)).collect());
    let collected = store.collect(Duration::ZERO, Duration::ZERO, is_live).await.unwrap();
    assert_eq!(collected.blobs, half.len() as u64);
    upload(&store, &vec![2; 1_000_000]).await;
    let put = store.put(Algorithm::Sha256, Bytes::from_static(b"small")).await;
    assert_eq!(put.unwrap(), Digest::sha256(b"small"));
    let verified = store.verify().await.unwrap();
    assert_eq!((verified.whole, verified.damaged.len()), (kept.len() as u64 + 2, 0));
}

#[tokio::test]
async fn a_manifest_that_lost_its_end_is_repaired_by_the_next_push() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let digest = store
        .put(Algorithm::Sha256, Bytes::from_static(b"manifest"))
        .await
        .unwrap();
    drop(store);
    let store = open(dir.path());
    std::fs::write(store.path(&digest), b"mani").unwrap();
    drop(store);
    let store = open(dir.path());
    let again = store.put(Algorithm::Sha256, Bytes::from_static(b"manifest")).await;
    assert_eq!(again.unwrap(), digest);
    assert_eq!(store.read(&digest, 100).await.unwrap().unwrap(), "manifest");
    assert_eq!(store.room().unwrap().used_bytes, 8);
}

#[tokio::test]
async fn an_upload_stays_though_the_clock_was_set() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let nothing = async |digests: &[Digest]| Ok::<_, String>(vec![false; digests.len()]);
    let id = leave_upload(&store, "one", "ada").await.unwrap();
    // As if the clock had been set a week forward since: the file looks old.
    let file = dir.path().join("uploads").join(id.as_str());
    let week = Duration::from_secs(7 * 24 * 3_600);
    let set = std::fs::File::options().write(true).open(&file).unwrap();
    set.set_modified(std::time::SystemTime::now() - week).unwrap();
    let day = Duration::from_secs(24 * 3_600);
    assert_eq!(store.collect(day, day, nothing).await.unwrap().uploads, 0);
    let writer = store.resume_upload(&id).await.unwrap();
    writer.commit(Digest::sha256(b"")).await.unwrap();
    // One of an earlier process has only the file to go by.
    let id = leave_upload(&store, "one", "ada").await.unwrap();
    drop(store);
    let store = open(dir.path());
    let file = dir.path().join("uploads").join(id.as_str());
    let set = std::fs::File::options().write(true).open(file).unwrap();
    set.set_modified(std::time::SystemTime::now() - week).unwrap();
    assert_eq!(store.collect(day, day, nothing).await.unwrap().uploads, 1);
}

#[tokio::test]
async fn verify_finds_what_the_disk_changed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    upload(&store, b"whole").await;
    let digest = upload(&store, b"broken").await;
    std::fs::write(store.path(&digest), b"brokem").unwrap();
    let verified = store.verify().await.unwrap();
    assert_eq!(verified.whole, 1);
    assert_eq!(verified.damaged.len(), 1);
    assert_eq!(verified.damaged[0].expected, Some(digest));
}

#[tokio::test]
async fn what_is_needed_is_there_while_a_collection_asks_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let live = upload(&store, b"live").await;
    let (asked, answer) = (tokio::sync::Notify::new(), tokio::sync::Notify::new());
    let is_live = async |digests: &[Digest]| {
        asked.notify_one();
        answer.notified().await;
        Ok::<_, String>(vec![true; digests.len()])
    };
    let looking = async {
        asked.notified().await;
        let answering = async {
            tokio::task::yield_now().await;
            answer.notify_one();
        };
        tokio::join!(store.look(&live), answering).0
    };
    let (collected, found) = tokio::join!(store.collect(Duration::ZERO, Duration::ZERO, is_live), looking);
    assert_eq!(found.unwrap().map(|info| info.size), Some(4));
    assert_eq!(collected.unwrap().blobs, 0);
}

#[tokio::test]
async fn collection_keeps_what_is_live_pinned_or_just_used() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let [live, pinned, dead] = [&b"live"[..], b"pinned", b"dead"];
    let (live, pinned, dead) = (
        upload(&store, live).await,
        upload(&store, pinned).await,
        upload(&store, dead).await,
    );
    let nothing = async |digests: &[Digest]| Ok::<_, String>(vec![false; digests.len()]);
    let young = store
        .collect(Duration::from_secs(3_600), Duration::ZERO, nothing)
        .await
        .unwrap();
    assert_eq!(young.blobs, 0, "young blobs stay");
    let pins = store.pin(vec![pinned.clone()]).await;
    let keep = live.clone();
    let is_live = async move |digests: &[Digest]| {
        assert!(
            !digests.contains(&Digest::sha256(b"pinned")),
            "a pinned blob is not even asked for"
        );
        Ok::<_, String>(digests.iter().map(|digest| *digest == keep).collect())
    };
    let collected = store.collect(Duration::ZERO, Duration::ZERO, is_live).await.unwrap();
    assert_eq!((collected.blobs, collected.blob_bytes), (1, 4));
    assert_eq!(store.stat(&dead).unwrap(), None);
    assert!(store.stat(&live).unwrap().is_some() && store.stat(&pinned).unwrap().is_some());
    drop(pins);
    let failing = async |_: &[Digest]| Err::<Vec<bool>, _>("the control plane is away");
    assert!(matches!(
        store.collect(Duration::ZERO, Duration::ZERO, failing).await,
        Err(StoreError::Live(_))
    ));
    assert!(
        store.stat(&live).unwrap().is_some(),
        "who does not know removes nothing"
    );
}

/// Goal: pushes that go on while blobs are collected never lose a blob that was acknowledged and named.
#[tokio::test(flavor = "multi_thread")]
async fn collection_races_with_pushes() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let named = std::sync::Arc::new(std::sync::Mutex::new(std::collections::BTreeSet::<Digest>::new()));
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let collector = {
        let (store, named, stop) = (store.clone(), named.clone(), stop.clone());
        tokio::spawn(async move {
            let mut removed = 0;
            loop {
                // Looked at before: one collection comes after the last push, however slow this task is.
                let is_last = stop.load(std::sync::atomic::Ordering::Relaxed);
                let named = named.clone();
                let live = async move |digests: &[Digest]| {
                    tokio::task::yield_now().await;
                    let named = named.lock().unwrap();
                    Ok::<_, String>(digests.iter().map(|digest| named.contains(digest)).collect())
                };
                removed += store.collect(Duration::ZERO, Duration::ZERO, live).await.unwrap().blobs;
                if is_last {
                    return removed;
                }
            }
        })
    };
    let mut pushes = tokio::task::JoinSet::new();
    for worker in 0..4_u32 {
        let (store, named) = (store.clone(), named.clone());
        pushes.spawn(async move {
            for round in 0..60_u32 {
                // Half of the blobs are pushed and never named; the others are shared by all workers.
                let content = match round % 2 {
                    0 => format!("lost {worker} {round}"),
                    _ => format!("shared {}", round % 10),
                };
                let digest = upload(&store, content.as_bytes()).await;
                if round % 2 == 1 {
                    let _pins = store.pin(vec![digest.clone()]).await;
                    if store.stat(&digest).unwrap().is_some() {
                        named.lock().unwrap().insert(digest);
                    }
                }
            }
        });
    }
    while let Some(done) = pushes.join_next().await {
        done.unwrap();
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(collector.await.unwrap() > 0, "nothing was collected");
    for digest in named.lock().unwrap().iter() {
        assert!(store.stat(digest).unwrap().is_some(), "{digest} was named and is gone");
    }
    assert!(store.verify().await.unwrap().damaged.is_empty());
}

/// A power failure takes what was not synced: names, lengths, content.
#[tokio::test]
async fn small_blobs_survive_a_power_failure_by_their_log() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut digests = Vec::new();
    for content in [&b"manifest"[..], b"config", b"layer"] {
        digests.push(upload(&store, content).await);
    }
    let put = store
        .put(Algorithm::Sha512, Bytes::from_static(b"by put"))
        .await
        .unwrap();
    digests.push(put);
    let collected = upload(&store, b"nobody wants it").await;
    let others = async |asked: &[Digest]| Ok::<_, String>(asked.iter().map(|digest| *digest != collected).collect());
    store.collect(Duration::ZERO, Duration::ZERO, others).await.unwrap();
    let paths: Vec<_> = digests.iter().map(|digest| store.path(digest)).collect();
    drop(store);
    std::fs::remove_file(&paths[0]).unwrap();
    std::fs::File::create(&paths[1]).unwrap();
    std::fs::write(&paths[2], b"\0\0\0\0\0").unwrap();
    std::fs::remove_file(&paths[3]).unwrap();

    let store = open(dir.path());
    for (digest, content) in digests.iter().zip(["manifest", "config", "layer", "by put"]) {
        let read = store.read(digest, 100).await.unwrap();
        assert_eq!(read.as_deref(), Some(content.as_bytes()), "{digest}");
    }
    assert!(
        store.stat(&collected).unwrap().is_none(),
        "the log brought back what was collected"
    );
    let usage = store.usage().await.unwrap();
    assert_eq!((usage.blobs, usage.uploads), (4, 0));
    assert!(store.verify().await.unwrap().damaged.is_empty());
    drop(store);
    // The log of the process before is told once: what is removed now stays so.
    std::fs::remove_file(&paths[0]).unwrap();
    assert!(open(dir.path()).stat(&digests[0]).unwrap().is_none());
}

/// Whoever cannot have a log syncs each blob by itself.
#[tokio::test]
async fn without_a_log_small_blobs_are_stored_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    std::fs::create_dir(dir.path().join("small-blobs-0.wal")).unwrap();
    let digest = upload(&store, b"small").await;
    assert_eq!(store.read(&digest, 100).await.unwrap().as_deref(), Some(&b"small"[..]));
}

const CHILD_DIR: &str = "HONMARU_TEST_STORE";

/// Not a test of its own: what the child process of the next one does until it is killed.
#[tokio::test]
async fn child_that_is_killed() {
    let Some(dir) = std::env::var_os(CHILD_DIR) else { return };
    let store = open(Path::new(&dir));
    upload(&store, &vec![1; 3_000_000]).await;
    store
        .put(Algorithm::Sha256, Bytes::from_static(b"manifest"))
        .await
        .unwrap();
    let nothing = async |digests: &[Digest]| Ok::<_, String>(vec![false; digests.len()]);
    store.collect(Duration::ZERO, Duration::ZERO, nothing).await.unwrap();
}

#[tokio::test]
async fn a_kill_at_any_point_leaves_whole_blobs_only() {
    for point in ["upload.written", "blob.synced", "blob.renamed", "collect.removed"] {
        let dir = tempfile::tempdir().unwrap();
        let before = upload(&open(dir.path()), b"acknowledged before").await;
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_is_killed", "--nocapture"])
            .env(CHILD_DIR, dir.path())
            .env("HONMARU_FAULT", point)
            .output()
            .unwrap();
        use std::os::unix::process::ExitStatusExt;
        assert_eq!(
            child.status.signal(),
            Some(9),
            "{point}: {}",
            String::from_utf8_lossy(&child.stderr)
        );
        let store = open(dir.path());
        let verified = store.verify().await.unwrap();
        assert!(verified.damaged.is_empty(), "{point}: {verified:?}");
        if point != "collect.removed" {
            assert!(
                store.stat(&before).unwrap().is_some(),
                "{point}: an acknowledged blob is gone"
            );
        }
        // The same push again succeeds, and the leftovers of the first are collected.
        upload(&store, &vec![1; 3_000_000]).await;
        let all = async |digests: &[Digest]| Ok::<_, String>(vec![true; digests.len()]);
        store.collect(Duration::ZERO, Duration::ZERO, all).await.unwrap();
        assert_eq!(store.usage().await.unwrap().uploads, 0, "{point}");
    }
}
