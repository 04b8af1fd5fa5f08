//! `verify`: whether everything that a manifest or a tag names is there and whole.
//!
//! Rows and files are looked at one after the other while pushes go on, so nothing is reported on the strength of the
//! first look: what seems to be missing is looked for again, and asked for again.

use super::HousekeepingError;
use crate::repositories::{HeldManifest, Holding};
use crate::{Registry, Repositories};
use honmaru_images::{Checked, Digest, MANIFEST_BYTES_MAX, Manifest, StoreError, StoredFile};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;
use tokio::sync::mpsc;

/// An upload that nobody has written to for so long should have been collected long ago.
const UPLOAD_LEFTOVER_AFTER: Duration = Duration::from_secs(24 * 3_600);
/// A small blob on its way should have arrived after so long.
const PUT_LEFTOVER_AFTER: Duration = Duration::from_secs(3_600);

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// A blob that a manifest names, or that waits for one, is not there.
    MissingBlob,
    /// A blob's content has another digest than its name says.
    DamagedBlob,
    /// A blob has another length than its manifest says.
    WrongSize,
    /// A manifest cannot be read, or names something else than what was recorded of it.
    BadManifest,
    /// An index names a manifest that its repository does not have.
    MissingManifest,
    /// A tag names a manifest that its repository does not have.
    DanglingTag,
    /// A file among the blobs that is none.
    ForeignFile,
    /// Something of a push that ended long ago.
    Leftover,
}

impl FindingKind {
    /// For people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::MissingBlob => "missing blob",
            Self::DamagedBlob => "damaged blob",
            Self::WrongSize => "wrong size",
            Self::BadManifest => "bad manifest",
            Self::MissingManifest => "missing manifest",
            Self::DanglingTag => "dangling tag",
            Self::ForeignFile => "foreign file",
            Self::Leftover => "leftover",
        }
    }
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What is wrong.
    pub kind: FindingKind,
    /// What it is about: a digest, a tag, a path.
    pub subject: String,
    /// Who is affected: `<namespace>/<repository>`; nothing when no repository is.
    pub repository: Option<String>,
    /// In a sentence.
    pub message: String,
}

/// What is told while a verification goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerifyEvent {
    /// How far it has come.
    Progress {
        /// Bytes read so far.
        bytes: u64,
        /// Bytes that there are to read.
        of: u64,
    },
    /// Something that is not as it should be.
    Finding(Finding),
}

/// What a verification looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifySummary {
    /// Repositories.
    pub repositories: u64,
    /// Manifests: images, indexes, artifacts.
    pub images: u64,
    /// Tags.
    pub tags: u64,
    /// Blobs that were read.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Blobs that nothing names: a collection removes them.
    pub unneeded_blobs: u64,
    /// Their bytes.
    pub unneeded_bytes: u64,
    /// Uploads in progress.
    pub uploads: u64,
    /// How much is not as it should be.
    pub findings: u64,
}

/// What something names a blob for.
struct Need {
    /// The length that it should have.
    size: u64,
    /// Who needs it: `<namespace>/<repository>`.
    by: String,
    /// What was recorded of it, when it is a manifest.
    manifest: Option<HeldManifest>,
}

/// A verification under way.
struct Walk<'a, R> {
    registry: &'a Registry<R>,
    tell: &'a mpsc::Sender<VerifyEvent>,
    needs: HashMap<Digest, Need>,
    seen: HashMap<Digest, u64>,
    damaged: BTreeSet<Digest>,
    summary: VerifySummary,
}

impl<R: Repositories> Registry<R> {
    /// Reads every blob, compares it with its digest and with what names it, and looks for what is missing and what was
    /// left behind. Findings are told as they are found.
    pub async fn verify(&self, tell: &mpsc::Sender<VerifyEvent>) -> Result<VerifySummary, HousekeepingError> {
        let mut walk = Walk {
            registry: self,
            tell,
            needs: HashMap::new(),
            seen: HashMap::new(),
            damaged: BTreeSet::new(),
            summary: VerifySummary::default(),
        };
        walk.rows().await?;
        walk.files().await?;
        walk.needs().await?;
        walk.uploads().await?;
        Ok(walk.summary)
    }
}

impl<R: Repositories> Walk<'_, R> {
    async fn say(&self, event: VerifyEvent) -> Result<(), HousekeepingError> {
        self.tell.send(event).await.map_err(|_| HousekeepingError::GivenUp)
    }

    async fn find(
        &mut self,
        kind: FindingKind,
        subject: impl ToString,
        repository: Option<&str>,
        message: String,
    ) -> Result<(), HousekeepingError> {
        self.summary.findings += 1;
        let finding = Finding {
            kind,
            subject: subject.to_string(),
            repository: repository.map(str::to_owned),
            message,
        };
        self.say(VerifyEvent::Finding(finding)).await
    }

    /// What each repository names; a repository's rows are of one moment.
    async fn rows(&mut self) -> Result<(), HousekeepingError> {
        let repositories = &self.registry.shared.repositories;
        for (namespace, name) in repositories.repositories().await? {
            let Some(holding) = repositories.holding(&namespace, &name).await? else {
                continue;
            };
            let by = format!("{namespace}/{name}");
            self.summary.repositories += 1;
            self.summary.images += holding.manifests.len() as u64;
            self.summary.tags += holding.tags.len() as u64;
            self.names_within(&holding, &by).await?;
            let Holding { manifests, waiting, .. } = holding;
            for (digest, size) in waiting {
                self.need(digest, size, &by, None);
            }
            for manifest in manifests {
                for (digest, size) in &manifest.blobs {
                    self.need(digest.clone(), *size, &by, None);
                }
                self.need(manifest.digest.clone(), manifest.size, &by, Some(manifest));
            }
        }
        Ok(())
    }

    fn need(&mut self, digest: Digest, size: u64, by: &str, manifest: Option<HeldManifest>) {
        let need = self.needs.entry(digest).or_insert_with(|| Need {
            size,
            by: by.to_owned(),
            manifest: None,
        });
        if manifest.is_some() {
            need.manifest = manifest;
        }
    }

    /// Tags and indexes name manifests of their own repository.
    async fn names_within(&mut self, holding: &Holding, by: &str) -> Result<(), HousekeepingError> {
        let there: BTreeSet<&Digest> = holding.manifests.iter().map(|manifest| &manifest.digest).collect();
        for (tag, digest) in &holding.tags {
            if !there.contains(digest) {
                let message = format!("tag {tag} names {digest}, which the repository does not have");
                self.find(FindingKind::DanglingTag, tag, Some(by), message).await?;
            }
        }
        // A mirror fetches the manifests of an index when somebody asks for one of them.
        if holding.is_mirror {
            return Ok(());
        }
        for index in &holding.manifests {
            for entry in index.manifests.iter().filter(|entry| !there.contains(entry)) {
                let message = format!("index {} names it, and the repository does not have it", index.digest);
                self.find(FindingKind::MissingManifest, entry, Some(by), message)
                    .await?;
            }
        }
        Ok(())
    }

    /// Every file among the blobs, needed or not: a damaged one that nothing names would be taken for a later push.
    async fn files(&mut self) -> Result<(), HousekeepingError> {
        let files = self.registry.shared.store.files().await?;
        let of = files.iter().map(|file| file.size).sum();
        for file in files {
            let Some(digest) = file.digest.clone() else {
                let message = "it lies among the blobs and is none".to_owned();
                self.find(FindingKind::ForeignFile, file.path.display(), None, message)
                    .await?;
                continue;
            };
            self.file(digest, &file).await?;
            let bytes = self.summary.bytes;
            self.say(VerifyEvent::Progress { bytes, of }).await?;
        }
        Ok(())
    }

    async fn file(&mut self, digest: Digest, file: &StoredFile) -> Result<(), HousekeepingError> {
        match self.registry.shared.store.check(&digest).await? {
            // Collected since the directory was read.
            Checked::Absent => {}
            Checked::Whole { size } => {
                self.summary.blobs += 1;
                self.summary.bytes += size;
                self.seen.insert(digest, size);
            }
            Checked::Damaged { actual, size } => {
                self.summary.blobs += 1;
                self.summary.bytes += size;
                let by = self.needs.get(&digest).map(|need| need.by.clone());
                let message = format!(
                    "its content has digest {actual}; remove {} and push it again",
                    file.path.display()
                );
                self.find(FindingKind::DamagedBlob, &digest, by.as_deref(), message)
                    .await?;
                self.damaged.insert(digest);
            }
        }
        Ok(())
    }

    /// What is named is there, as long as it should be, and manifests say what was recorded of them.
    async fn needs(&mut self) -> Result<(), HousekeepingError> {
        let needs = std::mem::take(&mut self.needs);
        let mut sorted: Vec<(&Digest, &Need)> = needs.iter().collect();
        sorted.sort_by(|a, b| a.0.cmp(b.0));
        for (digest, need) in sorted {
            if self.damaged.contains(digest) {
                continue;
            }
            let size = match self.seen.get(digest) {
                Some(size) => *size,
                None => match self.again(digest).await? {
                    Some(size) => size,
                    None => continue,
                },
            };
            if size != need.size {
                let message = format!("it has {size} bytes, and should have {}", need.size);
                self.find(FindingKind::WrongSize, digest, Some(&need.by), message)
                    .await?;
            }
            if let Some(manifest) = &need.manifest
                && let Some(problem) = self.manifest(manifest).await?
            {
                self.find(FindingKind::BadManifest, digest, Some(&need.by), problem)
                    .await?;
            }
        }
        let unneeded = self.seen.iter().filter(|(digest, _)| !needs.contains_key(*digest));
        let unneeded: Vec<(Digest, u64)> = unneeded.map(|(digest, size)| (digest.clone(), *size)).collect();
        for some in unneeded.chunks(256) {
            let digests: Vec<Digest> = some.iter().map(|(digest, _)| digest.clone()).collect();
            // One that was pushed since the rows were read is needed now.
            let live = self.registry.shared.repositories.are_live(&digests).await?;
            for ((_, size), _) in some.iter().zip(live).filter(|(_, live)| !live) {
                self.summary.unneeded_blobs += 1;
                self.summary.unneeded_bytes += size;
            }
        }
        Ok(())
    }

    /// A second look for a blob that was not among the files: it may have come since, or nobody needs it any more.
    async fn again(&mut self, digest: &Digest) -> Result<Option<u64>, HousekeepingError> {
        let found = self.registry.shared.store.check(digest).await?;
        if let Checked::Whole { size } = found {
            self.summary.blobs += 1;
            self.summary.bytes += size;
            return Ok(Some(size));
        }
        let repositories = &self.registry.shared.repositories;
        if repositories.are_live(std::slice::from_ref(digest)).await? != [true] {
            return Ok(None);
        }
        let by = self.by_now(digest).await?;
        match found {
            Checked::Damaged { actual, .. } => {
                let message = format!("its content has digest {actual}");
                self.find(FindingKind::DamagedBlob, digest, by.as_deref(), message)
                    .await?;
            }
            _ => {
                let message = "it is named and not in the store; push it again".to_owned();
                self.find(FindingKind::MissingBlob, digest, by.as_deref(), message)
                    .await?;
            }
        }
        Ok(None)
    }

    /// A repository that needs a blob at this moment.
    async fn by_now(&self, digest: &Digest) -> Result<Option<String>, HousekeepingError> {
        let repositories = &self.registry.shared.repositories;
        for (namespace, name) in repositories.repositories().await? {
            let holding = repositories.holding(&namespace, &name).await?.unwrap_or_default();
            let is_named = holding.waiting.iter().any(|(waiting, _)| waiting == digest)
                || holding.manifests.iter().any(|manifest| {
                    manifest.digest == *digest || manifest.blobs.iter().any(|(blob, _)| blob == digest)
                });
            if is_named {
                return Ok(Some(format!("{namespace}/{name}")));
            }
        }
        Ok(None)
    }

    /// What is wrong with a manifest whose bytes have the right digest.
    async fn manifest(&self, held: &HeldManifest) -> Result<Option<String>, HousekeepingError> {
        let bytes = match self
            .registry
            .shared
            .store
            .read(&held.digest, MANIFEST_BYTES_MAX as u64)
            .await
        {
            Ok(Some(bytes)) => bytes,
            // Deleted and collected since it was looked at.
            Ok(None) => return Ok(None),
            Err(StoreError::TooLarge { max }) => return Ok(Some(format!("it has more than {max} bytes"))),
            Err(error) => return Err(error.into()),
        };
        let manifest = match Manifest::parse(&bytes, Some(&held.media_type)) {
            Ok(manifest) => manifest,
            Err(error) => return Ok(Some(honmaru_base::chain(&error))),
        };
        let named: BTreeSet<&Digest> = manifest.blobs().map(|blob| &blob.digest).collect();
        let recorded: BTreeSet<&Digest> = held.blobs.iter().map(|(digest, _)| digest).collect();
        if named != recorded {
            return Ok(Some("it names other blobs than were recorded of it".to_owned()));
        }
        let named: BTreeSet<&Digest> = manifest.manifests.iter().map(|entry| &entry.digest).collect();
        let recorded: BTreeSet<&Digest> = held.manifests.iter().collect();
        Ok((named != recorded).then(|| "it names other manifests than were recorded of it".to_owned()))
    }

    async fn uploads(&mut self) -> Result<(), HousekeepingError> {
        for upload in self.registry.shared.store.uploads().await? {
            let (limit, what) = if upload.is_whole_blob() {
                (PUT_LEFTOVER_AFTER, "a small blob that never arrived")
            } else {
                (UPLOAD_LEFTOVER_AFTER, "an upload that was given up")
            };
            if upload.idle < limit {
                self.summary.uploads += 1;
                continue;
            }
            let message = format!(
                "{what}, untouched for {} h; `honmaru registry gc` removes it",
                upload.idle.as_secs() / 3_600
            );
            self.find(FindingKind::Leftover, upload.path.display(), None, message)
                .await?;
        }
        Ok(())
    }
}
