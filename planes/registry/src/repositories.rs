//! What the registry must be told: which repositories, tags and manifests exist, and who may do what.

use crate::RegistryError;
use honmaru_images::{Descriptor, Digest, Manifest, Uploader};
use std::collections::BTreeMap;
use std::time::Instant;

/// What a request wants to do, for authorisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// To see whether the registry speaks the protocol and the credentials are good.
    Ping,
    /// To read a blob.
    BlobRead,
    /// To learn whether a blob is there.
    BlobCheck,
    /// To begin an upload.
    UploadBegin,
    /// To add to an upload, ask for its progress, or cancel it.
    UploadPart,
    /// To complete an upload.
    UploadComplete,
    /// To delete a blob.
    BlobDelete,
    /// To read a manifest, or learn whether it is there.
    ManifestRead,
    /// To write a manifest.
    ManifestWrite,
    /// To delete a manifest or a tag.
    ManifestDelete,
    /// To list tags.
    TagList,
    /// To list what refers to a manifest.
    ReferrerList,
}

/// A manifest by tag or by digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ManifestRef {
    /// By tag.
    Tag(String),
    /// By digest.
    Digest(Digest),
}

/// A manifest that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The digest of its bytes, which lie in the store.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
}

/// A manifest to record. Its bytes and all that it names are durable already.
#[derive(Debug, Clone)]
pub struct NewManifest {
    /// The digest of its bytes.
    pub digest: Digest,
    /// Length of its bytes.
    pub size: u64,
    /// The tags to set, all or none of them; empty when it was pushed by digest alone.
    pub tags: Vec<String>,
    /// The manifest, parsed and valid.
    pub manifest: Manifest,
    /// Blobs of the manifest that somebody was told lately that the repository has. They are the repository's for this
    /// manifest, also when the image that had them was deleted in between; but not when the repository itself was, and
    /// was made anew.
    pub shown: Vec<ShownBlob>,
    /// The platform that the image's configuration says, where it says one.
    pub platform: Option<honmaru_images::Platform>,
}

/// A blob that somebody was told that a repository has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownBlob {
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// When they were told so last.
    pub at: Instant,
}

/// A page of tags.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TagPage {
    /// In ASCII order.
    pub tags: Vec<String>,
    /// Whether more follow.
    pub more: bool,
}

/// A manifest whose `subject` is another one.
#[derive(Debug, Clone, PartialEq)]
pub struct Referrer {
    /// Media type, digest, size, artifact type, annotations.
    pub descriptor: Descriptor,
}

impl Referrer {
    /// The referrer that a manifest is, if it has a subject.
    pub fn of(digest: &Digest, size: u64, manifest: &Manifest) -> Option<(Digest, Self)> {
        let subject = manifest.subject.as_ref()?;
        let annotations: BTreeMap<String, String> = manifest.annotations.clone();
        let descriptor = Descriptor {
            media_type: manifest.media_type.clone(),
            digest: digest.clone(),
            size: i64::try_from(size).unwrap_or(i64::MAX),
            urls: Vec::new(),
            annotations: (!annotations.is_empty()).then_some(annotations),
            platform: None,
            artifact_type: manifest.artifact_type.clone(),
        };
        Some((subject.digest.clone(), Self { descriptor }))
    }
}

/// What became of a blob's deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unlinked {
    /// The repository no longer has it.
    Done,
    /// The repository did not have it.
    Unknown,
    /// A manifest of the repository names it.
    InUse,
}

/// Where a repository's images come from when it lacks them (a pull-through cache).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Registry and repository there, for example `quay.io/org/app`.
    pub repository: String,
    /// `user:password`.
    pub credentials: Option<String>,
}

/// What a repository holds at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holding {
    /// Its manifests.
    pub manifests: Vec<HeldManifest>,
    /// Its tags and the manifests that they name.
    pub tags: Vec<(String, Digest)>,
    /// Blobs that no manifest names yet, with their sizes.
    pub waiting: Vec<(Digest, u64)>,
    /// Whether it fetches what it lacks: then an index may come before its manifests.
    pub is_mirror: bool,
}

/// What is recorded of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldManifest {
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Its media type.
    pub media_type: String,
    /// The blobs that it names and that the registry holds, with the sizes that it says.
    pub blobs: Vec<(Digest, u64)>,
    /// The manifests that an index names.
    pub manifests: Vec<Digest>,
}

/// What the registry must be told. Names are valid (`is_repository_name`); tags are valid (`is_tag`).
///
/// `Caller` is whatever the front knows of a request (who, which account). Each method must look at the caller's
/// repositories only. A method that changes something returns when the change is durable.
pub trait Repositories: Send + Sync + 'static {
    /// What the front knows of a request.
    type Caller: Send + Sync + Clone + 'static;

    /// The space of names that the caller's repositories lie in (an account and a region). Unlike any other's.
    fn namespace(&self, caller: &Self::Caller) -> String;

    /// Whether the caller may do this, and whether the repository exists: `DENIED`, `NAME_UNKNOWN`. Asked first for
    /// every request. It may create the repository when something is pushed to it.
    fn admit(
        &self,
        caller: &Self::Caller,
        action: Action,
        repository: Option<&str>,
    ) -> impl Future<Output = Result<(), RegistryError>> + Send;

    /// In whose name the caller's uploads count, so that nobody's unfinished ones hold everybody up.
    fn uploader(&self, caller: &Self::Caller) -> Uploader {
        Uploader::new(&self.namespace(caller), "")
    }

    /// In which of these repositories the caller may list tags.
    fn may_list(
        &self,
        caller: &Self::Caller,
        repositories: &[String],
    ) -> impl Future<Output = Result<Vec<bool>, RegistryError>> + Send {
        async move {
            let mut may = Vec::with_capacity(repositories.len());
            for name in repositories {
                may.push(self.admit(caller, Action::TagList, Some(name)).await.is_ok());
            }
            Ok(may)
        }
    }

    /// Which of these blobs the repository has.
    fn has_blobs(
        &self,
        caller: &Self::Caller,
        repository: &str,
        digests: &[Digest],
    ) -> impl Future<Output = Result<Vec<bool>, RegistryError>> + Send;

    /// Gives the repository a blob that is in the store.
    fn link_blob(
        &self,
        caller: &Self::Caller,
        repository: &str,
        digest: &Digest,
        size: u64,
    ) -> impl Future<Output = Result<(), RegistryError>> + Send;

    /// Takes a blob from the repository.
    fn unlink_blob(
        &self,
        caller: &Self::Caller,
        repository: &str,
        digest: &Digest,
    ) -> impl Future<Output = Result<Unlinked, RegistryError>> + Send;

    /// The manifest of a tag or digest.
    fn resolve(
        &self,
        caller: &Self::Caller,
        repository: &str,
        reference: &ManifestRef,
    ) -> impl Future<Output = Result<Option<Resolved>, RegistryError>> + Send;

    /// Notes that somebody got a manifest, by whatever name.
    fn note_pull(
        &self,
        caller: &Self::Caller,
        repository: &str,
        digest: &Digest,
    ) -> impl Future<Output = Result<(), RegistryError>> + Send;

    /// Records a manifest and sets its tags. It may refuse: an immutable tag, missing manifests of an index.
    fn put_manifest(
        &self,
        caller: &Self::Caller,
        repository: &str,
        manifest: NewManifest,
    ) -> impl Future<Output = Result<(), RegistryError>> + Send;

    /// Deletes a tag, or a manifest with all its tags. False when there is none.
    fn delete_manifest(
        &self,
        caller: &Self::Caller,
        repository: &str,
        reference: &ManifestRef,
    ) -> impl Future<Output = Result<bool, RegistryError>> + Send;

    /// At most `n` tags in ASCII order, those after `last`.
    fn tags(
        &self,
        caller: &Self::Caller,
        repository: &str,
        last: Option<&str>,
        n: usize,
    ) -> impl Future<Output = Result<TagPage, RegistryError>> + Send;

    /// The manifests whose subject is `digest`, in the order of their digests.
    fn referrers(
        &self,
        caller: &Self::Caller,
        repository: &str,
        digest: &Digest,
    ) -> impl Future<Output = Result<Vec<Referrer>, RegistryError>> + Send;

    /// Where the repository's images come from when it lacks them; `DENIED` when the caller may not have them fetched.
    fn upstream(
        &self,
        caller: &Self::Caller,
        repository: &str,
    ) -> impl Future<Output = Result<Option<Upstream>, RegistryError>> + Send;

    /// Makes the repository where there is none: asked when upstream has something for it, and not before, so that a
    /// mistyped name leaves nothing behind.
    fn establish(
        &self,
        _caller: &Self::Caller,
        _repository: &str,
    ) -> impl Future<Output = Result<(), RegistryError>> + Send {
        std::future::ready(Ok(()))
    }

    /// Whether the caller's registry gives blobs of one repository to another without an upload.
    fn may_mount(&self, _caller: &Self::Caller) -> impl Future<Output = Result<bool, RegistryError>> + Send {
        std::future::ready(Ok(true))
    }

    /// Repositories beside this one that have a blob and that the caller might be allowed to read, a few of them: where a
    /// mount that does not say from where may take it.
    fn holders(
        &self,
        _caller: &Self::Caller,
        _repository: &str,
        _digest: &Digest,
    ) -> impl Future<Output = Result<Vec<String>, RegistryError>> + Send {
        std::future::ready(Ok(Vec::new()))
    }

    /// Whether upstream is to be asked now whether a tag that the repository has names something else by now. Whoever is
    /// told so has the check: nobody else is told so until it is made, or is long over.
    fn begin_check(
        &self,
        _caller: &Self::Caller,
        _repository: &str,
        _tag: &str,
    ) -> impl Future<Output = Result<bool, RegistryError>> + Send {
        std::future::ready(Ok(false))
    }

    /// For each blob, whether any repository of any caller needs it: a manifest, what a manifest names, or a blob that
    /// is linked and waits for its manifest.
    fn are_live(&self, digests: &[Digest]) -> impl Future<Output = Result<Vec<bool>, RegistryError>> + Send;

    /// Every repository of every caller: its namespace and its name.
    fn repositories(&self) -> impl Future<Output = Result<Vec<(String, String)>, RegistryError>> + Send;

    /// What one of them holds; nothing when it is gone.
    fn holding(
        &self,
        namespace: &str,
        repository: &str,
    ) -> impl Future<Output = Result<Option<Holding>, RegistryError>> + Send;
}
