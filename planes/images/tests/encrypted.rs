//! A store whose files are encrypted: nothing of it can be read on disk, and all else is as in any store.

use bytes::Bytes;
use honmaru_images::{Algorithm, BlobKey, BlobStore, Checked, Digest, KeyError, StoreError, StoreLimits, Uploader};
use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

const WORDS: &[u8] = b"what nobody shall read on the disk";

fn limits() -> StoreLimits {
    StoreLimits {
        free_bytes_min: 0,
        ..StoreLimits::default()
    }
}

fn key(dir: &Path) -> BlobKey {
    BlobKey::at(&dir.join("key"))
}

fn open(dir: &Path) -> Result<BlobStore, StoreError> {
    BlobStore::open_encrypted(&dir.join("images"), limits(), key(dir))
}

fn by() -> Uploader {
    Uploader::default()
}

/// Content of that many bytes that says the words again and again.
fn content(bytes: usize) -> Bytes {
    WORDS.iter().copied().cycle().take(bytes).collect::<Vec<u8>>().into()
}

async fn push(store: &BlobStore, content: Bytes) -> Digest {
    let digest = Digest::sha256(&content);
    let mut writer = store.begin_upload("app", by(), Algorithm::Sha256).await.unwrap();
    for piece in content.chunks(300_000) {
        writer.write(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    let info = writer.commit(digest.clone()).await.unwrap();
    assert_eq!(info.size, content.len() as u64);
    digest
}

/// Every file below a directory, with its bytes.
fn files(dir: &Path) -> HashMap<PathBuf, Vec<u8>> {
    let mut found = HashMap::new();
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.insert(entry.path(), fs::read(entry.path()).unwrap());
        }
    }
    found
}

fn check_nothing_is_readable(dir: &Path) {
    for (path, bytes) in files(&dir.join("images")) {
        let is_readable = bytes.windows(WORDS.len()).any(|window| window == WORDS);
        assert!(!is_readable, "{}", path.display());
    }
}

fn read(store: &BlobStore, digest: &Digest) -> Vec<u8> {
    let (file, size) = store.open_blob(digest).unwrap().unwrap();
    let mut all = Vec::new();
    file.into_reader().read_to_end(&mut all).unwrap();
    assert_eq!(all.len() as u64, size);
    assert_eq!(store.stat(digest).unwrap().unwrap().size, size);
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_is_read_again_and_stands_nowhere_on_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let mut known = Vec::new();
    for bytes in [0, 1, 31, 32, 33, 1_000, 70_000, 3_000_000] {
        let content = content(bytes);
        let digest = push(&store, content.clone()).await;
        known.push((digest, content));
    }
    let manifest = Bytes::from([WORDS, b" in a manifest"].concat());
    let digest = store.put(Algorithm::Sha512, manifest.clone()).await.unwrap();
    known.push((digest, manifest));
    let usage = store.usage().await.unwrap();
    let bytes: usize = known.iter().map(|(_, content)| content.len()).sum();
    assert_eq!((usage.blobs, usage.blob_bytes), (known.len() as u64, bytes as u64));
    check_nothing_is_readable(dir.path());
    for store in [
        store.clone(),
        BlobStore::open_encrypted_read_only(&dir.path().join("images"), key(dir.path())),
    ] {
        for (digest, content) in &known {
            assert_eq!(read(&store, digest), *content);
            assert_eq!(store.read(digest, 4_000_000).await.unwrap().as_ref(), Some(content));
        }
    }
    let sizes: u64 = store.files().await.unwrap().iter().map(|file| file.size).sum();
    assert_eq!(sizes, bytes as u64);
    let verified = store.verify().await.unwrap();
    assert_eq!((verified.whole, verified.damaged.len()), (known.len() as u64, 0));
    drop(store);
    let again = open(dir.path()).unwrap();
    for (digest, content) in &known {
        assert_eq!(read(&again, digest), *content);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_goes_on_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let whole = content(5_000_000);
    let digest = Digest::sha256(&whole);
    let store = open(dir.path()).unwrap();
    let mut writer = store.begin_upload("app", by(), Algorithm::Sha256).await.unwrap();
    let id = writer.id().clone();
    writer.write(whole.slice(..2_000_003)).await.unwrap();
    assert_eq!(writer.pause().await.unwrap(), 2_000_003);
    let untouched = store.begin_upload("app", by(), Algorithm::Sha256).await.unwrap();
    let empty = untouched.id().clone();
    untouched.pause().await.unwrap();
    check_nothing_is_readable(dir.path());
    drop(store);
    let store = open(dir.path()).unwrap();
    assert_eq!(store.upload_offset(&id).await.unwrap(), 2_000_003);
    let mut writer = store.resume_upload(&id).await.unwrap();
    writer.write(whole.slice(2_000_003..)).await.unwrap();
    writer.commit(digest.clone()).await.unwrap();
    assert_eq!(read(&store, &digest), whole);
    let mut writer = store.resume_upload(&empty).await.unwrap();
    assert_eq!(writer.offset(), 0);
    writer.write(content(10)).await.unwrap();
    writer.commit(Digest::sha256(&content(10))).await.unwrap();
    assert_eq!(read(&store, &Digest::sha256(&content(10))), content(10));
    // sha512 is told at the end: what was written is read back for it.
    let mut writer = store.begin_upload("app", by(), Algorithm::Sha256).await.unwrap();
    writer.write(whole.clone()).await.unwrap();
    let digest = Digest::of(Algorithm::Sha512, &whole);
    writer.commit(digest.clone()).await.unwrap();
    assert_eq!(read(&store, &digest), whole);
}

#[tokio::test]
async fn a_damaged_file_is_found_and_another_push_repairs_one_that_is_cut() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let digest = push(&store, content(100_000)).await;
    let path = store.path(&digest);
    let whole = fs::read(&path).unwrap();
    for broken in [
        [&whole[..50_000], b"x", &whole[50_001..]].concat(),
        [b"x", &whole[1..]].concat(),
        whole[..40].to_vec(),
        whole[..10].to_vec(),
        Vec::new(),
    ] {
        fs::write(&path, &broken).unwrap();
        let checked = store.check(&digest).await.unwrap();
        assert!(matches!(checked, Checked::Damaged { .. }), "{checked:?}");
        assert_eq!(store.verify().await.unwrap().damaged.len(), 1);
        let size = store.stat(&digest).unwrap().map(|info| info.size);
        if broken.len() != whole.len() {
            assert_ne!(size, Some(100_000));
            push(&store, content(100_000)).await;
            assert_eq!(read(&store, &digest), content(100_000));
        }
    }
}

#[tokio::test]
async fn small_blobs_come_back_from_their_log() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let (small, lost) = (content(1_000), content(2_000));
    let digests = [
        store.put(Algorithm::Sha256, small.clone()).await.unwrap(),
        store.put(Algorithm::Sha256, lost.clone()).await.unwrap(),
    ];
    check_nothing_is_readable(dir.path());
    // As a power failure leaves them: torn, and not there.
    fs::write(store.path(&digests[0]), b"").unwrap();
    fs::remove_file(store.path(&digests[1])).unwrap();
    drop(store);
    let store = open(dir.path()).unwrap();
    assert_eq!(read(&store, &digests[0]), small);
    assert_eq!(read(&store, &digests[1]), lost);
    check_nothing_is_readable(dir.path());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_there_in_the_clear_is_encrypted_once() {
    let dir = tempfile::tempdir().unwrap();
    let images = dir.path().join("images");
    let clear = BlobStore::open(&images, limits()).unwrap();
    // It looks like an encrypted file, and is content all the same.
    let alike = Bytes::from([&b"honmaru aes-ctr\x01"[..], WORDS].concat());
    let mut known = vec![alike, content(0), content(40), content(2_500_000)];
    for content in &known {
        push(&clear, content.clone()).await;
    }
    known.push(content(900));
    clear.put(Algorithm::Sha512, content(900)).await.unwrap();
    let upload = clear.begin_upload("app", by(), Algorithm::Sha256).await.unwrap();
    let id = upload.id().clone();
    upload.pause().await.unwrap();
    drop(clear);
    let before = files(&images);
    assert!(before.values().any(|bytes| bytes == &content(2_500_000)));

    // A start that was killed half way: some are encrypted, the mark is not there.
    let store = open(dir.path()).unwrap();
    drop(store);
    fs::remove_file(images.join("encrypted")).unwrap();
    let left = Digest::sha256(&content(40));
    let path = images.join("blobs/sha256").join(left.hex());
    fs::write(&path, content(40)).unwrap();

    let store = open(dir.path()).unwrap();
    check_nothing_is_readable(dir.path());
    for content in &known[..4] {
        assert_eq!(read(&store, &Digest::sha256(content)), *content);
    }
    assert_eq!(read(&store, &Digest::of(Algorithm::Sha512, &known[4])), known[4]);
    assert!(store.verify().await.unwrap().damaged.is_empty());
    assert!(matches!(store.resume_upload(&id).await, Err(StoreError::UploadUnknown)));
    let mark = fs::metadata(images.join("encrypted")).unwrap().modified().unwrap();
    drop(store);
    tokio::time::sleep(Duration::from_millis(20)).await;
    open(dir.path()).unwrap();
    assert_eq!(
        fs::metadata(images.join("encrypted")).unwrap().modified().unwrap(),
        mark
    );
}

#[tokio::test]
async fn a_key_that_is_gone_or_anothers_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let digest = push(&store, content(100)).await;
    drop(store);
    let path = dir.path().join("key");
    let right = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let error = open(dir.path()).err().unwrap();
    assert!(matches!(error, StoreError::Key(KeyError::Gone { .. })), "{error}");
    assert!(!path.exists(), "a new key hides that the right one is gone");
    fs::write(&path, "00".repeat(32)).unwrap();
    let error = open(dir.path()).err().unwrap();
    assert!(matches!(error, StoreError::Key(KeyError::Other { .. })), "{error}");
    fs::write(&path, "no key").unwrap();
    let error = open(dir.path()).err().unwrap();
    assert!(matches!(error, StoreError::Key(KeyError::Malformed(_))), "{error}");
    fs::write(&path, right).unwrap();
    assert_eq!(read(&open(dir.path()).unwrap(), &digest), content(100));
}

#[tokio::test]
async fn who_only_reads_may_come_before_the_store_and_its_key() {
    let dir = tempfile::tempdir().unwrap();
    let reader = BlobStore::open_encrypted_read_only(&dir.path().join("images"), key(dir.path()));
    let digest = Digest::sha256(&content(100));
    assert!(reader.open_blob(&digest).unwrap().is_none());
    let store = open(dir.path()).unwrap();
    push(&store, content(100)).await;
    assert_eq!(read(&reader, &digest), content(100));
}
