//! What the registry plane asks: permissions, admission, liveness of blobs, error codes.

use super::pull_through::rule_for;
use super::repository::{create_repository, get_repository};
use crate::model::{CreationTemplate, Image, LayerLink, Registry, Repository};
use crate::names;
use honmaru_base::{ApiError, Scope};
use honmaru_machine::{Access, State, Tx};
use std::collections::BTreeSet;

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
    /// The permission that it needs, which is also the name that CloudTrail records it under; a ping needs none.
    pub const fn iam_action(self) -> Option<&'static str> {
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
    const fn is_push(self) -> bool {
        matches!(self, Self::UploadBegin | Self::ManifestWrite)
    }
}

/// What the caller must be allowed to do for a request. Empty for a ping: a valid token is enough.
pub fn registry_access(state: &State, scope: &Scope, action: RegistryAction, repository: Option<&str>) -> Vec<Access> {
    match (action.iam_action(), repository) {
        (Some(action), Some(name)) => vec![repository_access(state, scope, name, action)],
        _ => Vec::new(),
    }
}

/// An action on a repository, with the repository's own policy and tags.
pub fn repository_access(state: &State, scope: &Scope, name: &str, action: &str) -> Access {
    let mut access = Access::new(action, vec![names::repository_arn(scope, name)]);
    if let Some(row) = state.get::<Repository>(scope, name) {
        access.resource_policy = row.policy.clone();
        for (key, value) in &row.resource_tags {
            access = access
                .with(&format!("aws:ResourceTag/{key}"), vec![value.clone()])
                .with(&format!("ecr:ResourceTag/{key}"), vec![value.clone()]);
        }
    }
    access
}

/// Whether the repository is there for this action; makes it where a template or a pull-through rule says so.
pub fn admit(tx: &mut Tx<'_>, scope: &Scope, action: RegistryAction, name: &str) -> Result<(), ApiError> {
    if tx.get::<Repository>(scope, name).is_some() {
        return Ok(());
    }
    let mirrors = matches!(action, RegistryAction::ManifestRead) && rule_for(tx, scope, name).is_some();
    let reason = match () {
        () if mirrors => "PULL_THROUGH_CACHE",
        () if action.is_push() => "CREATE_ON_PUSH",
        () => return get_repository(tx, scope, name).map(|_| ()),
    };
    let now = tx.now();
    let row = match template_for(tx, scope, name, reason) {
        Some(row) => row,
        None if mirrors => Repository::plain(name, now),
        None => return get_repository(tx, scope, name).map(|_| ()),
    };
    create_repository(tx, scope, row)
}

/// The repository that the template with the longest fitting prefix would make.
pub(super) fn template_for(tx: &Tx<'_>, scope: &Scope, name: &str, reason: &str) -> Option<Repository> {
    let mut head = name;
    let mut found = None;
    while let Some((shorter, _)) = head.rsplit_once('/') {
        found = tx
            .get::<CreationTemplate>(scope, shorter)
            .filter(|template| template.applied_for.contains(reason));
        if found.is_some() {
            break;
        }
        head = shorter;
    }
    let root = || {
        tx.get::<CreationTemplate>(scope, "ROOT")
            .filter(|template| template.applied_for.contains(reason))
    };
    let template = found.or_else(root)?;
    let mut row = Repository::plain(name, tx.now());
    row.mutability = template.mutability;
    row.mutability_filters = template.mutability_filters.clone();
    row.resource_tags = template.resource_tags.clone();
    row.policy = template.repository_policy.clone();
    row.lifecycle_policy = template.lifecycle_policy.clone();
    Some(row)
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
