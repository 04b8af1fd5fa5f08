//! What the registry plane asks: admission, liveness of blobs, error codes.

use super::pull_through::rule_for;
use super::repository::{create_repository, get_repository};
use crate::model::{CreationTemplate, Image, LayerLink, Registry, Repository};
use honmaru_base::{ApiError, Scope, Time};
use honmaru_machine::{State, Tx};
use std::collections::BTreeSet;

/// What a creation template is applied for.
pub(super) const PULL_THROUGH_CACHE: &str = "PULL_THROUGH_CACHE";
/// The same.
pub(super) const CREATE_ON_PUSH: &str = "CREATE_ON_PUSH";
/// The same.
pub(super) const REPLICATION: &str = "REPLICATION";

/// Images and waiting layers that are looked at for who has a blob: what everything is based on is in very many.
const HOLDERS_SEEN_MAX: usize = 1_000;

/// What a request of the distribution protocol wants to do. Mirrors the registry plane's own type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegistryAction {
    /// To see whether the credentials are good.
    Ping,
    /// To read a blob.
    BlobRead,
    /// To learn whether a blob is there.
    BlobCheck,
    /// To begin an upload.
    UploadBegin,
    /// To go on with an upload.
    UploadPart,
    /// To complete an upload.
    UploadComplete,
    /// To delete a blob.
    BlobDelete,
    /// To read a manifest.
    ManifestRead,
    /// To write a manifest.
    ManifestWrite,
    /// To delete a manifest or tag.
    ManifestDelete,
    /// To list tags.
    TagList,
    /// To list referrers.
    ReferrerList,
}

impl RegistryAction {
    /// The permission that it needs; a ping needs none.
    pub const fn iam_action(self) -> Option<&'static str> {
        match self {
            // Ref: ListImageReferrers: whoever may read images may.
            Self::ReferrerList => Some("ecr:BatchGetImage"),
            other => other.event(),
        }
    }

    /// The action that CloudTrail records it as; a ping is none.
    pub const fn event(self) -> Option<&'static str> {
        match self {
            Self::Ping => None,
            Self::BlobRead => Some("ecr:GetDownloadUrlForLayer"),
            Self::BlobCheck => Some("ecr:BatchCheckLayerAvailability"),
            Self::UploadBegin => Some("ecr:InitiateLayerUpload"),
            Self::UploadPart => Some("ecr:UploadLayerPart"),
            Self::UploadComplete => Some("ecr:CompleteLayerUpload"),
            Self::BlobDelete | Self::ManifestDelete => Some("ecr:BatchDeleteImage"),
            Self::ManifestRead => Some("ecr:BatchGetImage"),
            Self::ManifestWrite => Some("ecr:PutImage"),
            Self::TagList => Some("ecr:ListImages"),
            Self::ReferrerList => Some("ecr:ListImageReferrers"),
        }
    }

    /// Whether it brings something into the repository.
    pub(super) const fn is_push(self) -> bool {
        matches!(self, Self::UploadBegin | Self::ManifestWrite)
    }
}

/// Whether the repository is there for this action; makes it where a template or a pull-through rule says so.
pub fn admit(tx: &mut Tx<'_>, scope: &Scope, action: RegistryAction, name: &str) -> Result<(), ApiError> {
    if tx.get::<Repository>(scope, name).is_some() {
        return Ok(());
    }
    let mirrors = matches!(action, RegistryAction::ManifestRead) && rule_for(tx, scope, name).is_some();
    let reason = match () {
        () if mirrors => PULL_THROUGH_CACHE,
        () if action.is_push() => CREATE_ON_PUSH,
        () => return get_repository(tx, scope, name).map(|_| ()),
    };
    let row = match template_for(tx, scope, name, reason) {
        Some(template) => made_by(template, name, tx.now()),
        None if mirrors => Repository::plain(name, tx.now()),
        None => return get_repository(tx, scope, name).map(|_| ()),
    };
    create_repository(tx, scope, row)
}

/// The template with the longest prefix that fits the name and the reason.
pub(super) fn template_for<'s>(
    state: &'s State,
    scope: &Scope,
    name: &str,
    reason: &str,
) -> Option<&'s CreationTemplate> {
    let found = |prefix: &str| {
        state
            .get::<CreationTemplate>(scope, prefix)
            .filter(|template| template.applied_for.contains(reason))
    };
    let mut head = name;
    while let Some((shorter, _)) = head.rsplit_once('/') {
        if let Some(template) = found(shorter) {
            return Some(template);
        }
        head = shorter;
    }
    found("ROOT")
}

/// The repository that a template makes.
pub(super) fn made_by(template: &CreationTemplate, name: &str, now: Time) -> Repository {
    let mut row = Repository::plain(name, now);
    row.mutability = template.mutability;
    row.mutability_filters = template.mutability_filters.clone();
    row.resource_tags = template.resource_tags.clone();
    row.policy = template.repository_policy.clone();
    row.lifecycle_policy = template.lifecycle_policy.clone();
    row
}

/// Whether the registry gives blobs of one of its repositories to another without an upload. Ref: PutAccountSetting,
/// `BLOB_MOUNTING`.
pub fn mounts_blobs(state: &State, scope: &Scope) -> bool {
    let row = state.get::<Registry>(scope, Registry::KEY);
    let setting = row.and_then(|row| row.settings.get("BLOB_MOUNTING"));
    setting.is_none_or(|value| value != "DISABLED")
}

/// Whether an image of the repository names the blob.
pub fn is_layer_in_use(state: &State, scope: &Scope, name: &str, digest: &str) -> bool {
    state
        .find::<Image>(scope, "blob", &Image::key(name, digest))
        .next()
        .is_some()
}

/// Repositories of a scope that have a blob, in the order of their names, at most `n` of them.
pub fn holders_of(state: &State, scope: &Scope, digest: &str, n: usize) -> Vec<String> {
    let images = state
        .find::<Image>(scope, "content", digest)
        .take(HOLDERS_SEEN_MAX)
        .filter(|(_, image)| image.blobs.iter().any(|blob| blob.digest == digest))
        .map(|(_, image)| image.repository.as_str());
    let links = state
        .find::<LayerLink>(scope, "content", digest)
        .take(HOLDERS_SEEN_MAX)
        .filter_map(|(key, _)| Some(key.split_once('@')?.0));
    let names: BTreeSet<&str> = images.chain(links).collect();
    names.into_iter().take(n).map(str::to_owned).collect()
}

/// For each blob, whether any repository needs it: as a manifest, as what a manifest names, or waiting for one.
pub fn are_live<'a>(state: &State, digests: impl IntoIterator<Item = &'a str>) -> Vec<bool> {
    let scopes: BTreeSet<&Scope> = state.all::<Repository>().map(|(scope, _, _)| scope).collect();
    let live = |digest: &str| {
        scopes.iter().any(|scope| {
            state.find::<Image>(scope, "content", digest).next().is_some()
                || state.find::<LayerLink>(scope, "content", digest).next().is_some()
        })
    };
    digests.into_iter().map(live).collect()
}

/// The distribution protocol's code for one of ECR's errors, as AWS's registry answers it.
pub fn registry_code(error: &ApiError) -> &'static str {
    match error.code.as_str() {
        "RepositoryNotFoundException" => "NAME_UNKNOWN",
        "ImageTagAlreadyExistsException" => "TAG_INVALID",
        "LayersNotFoundException" | "ReferencedImagesNotFoundException" => "MANIFEST_BLOB_UNKNOWN",
        "LimitExceededException" => "TOOMANYREQUESTS",
        "InvalidParameterException" => "NAME_INVALID",
        "ImageNotFoundException" => "MANIFEST_UNKNOWN",
        "AccessDeniedException" => "DENIED",
        _ => "UNKNOWN",
    }
}
