//! Repositories.

use honmaru_base::Time;
use honmaru_machine::Resource;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Whether tags may move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Mutability {
    /// Every tag may.
    #[default]
    Mutable,
    /// No tag may.
    Immutable,
    /// Only tags that match a filter may.
    ImmutableWithExclusion,
    /// Only tags that match a filter may not.
    MutableWithExclusion,
}

impl Mutability {
    /// AWS's word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mutable => "MUTABLE",
            Self::Immutable => "IMMUTABLE",
            Self::ImmutableWithExclusion => "IMMUTABLE_WITH_EXCLUSION",
            Self::MutableWithExclusion => "MUTABLE_WITH_EXCLUSION",
        }
    }

    /// Reads AWS's word.
    pub fn parse(name: &str) -> Option<Self> {
        [
            Self::Mutable,
            Self::Immutable,
            Self::ImmutableWithExclusion,
            Self::MutableWithExclusion,
        ]
        .into_iter()
        .find(|value| value.name() == name)
    }
}

/// Tags that are excepted: a text with `*` for any run of characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MutabilityFilter {
    /// For example `dev-*`.
    pub filter: String,
}

/// A repository; its key is its name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Repository {
    /// The name.
    pub name: String,
    /// When it was made.
    pub created_at: Time,
    /// Whether tags may move.
    #[serde(default)]
    pub mutability: Mutability,
    /// Exceptions.
    #[serde(default)]
    pub mutability_filters: Vec<MutabilityFilter>,
    /// Whether pushed images are to be scanned.
    #[serde(default)]
    pub scan_on_push: bool,
    /// Tags of the resource.
    #[serde(default)]
    pub resource_tags: BTreeMap<String, String>,
    /// The resource policy.
    #[serde(default)]
    pub policy: Option<String>,
    /// The lifecycle policy.
    #[serde(default)]
    pub lifecycle_policy: Option<String>,
    /// When the lifecycle policy was carried out last.
    #[serde(default)]
    pub lifecycle_evaluated_at: Option<Time>,
    /// The last preview of a lifecycle policy.
    #[serde(default)]
    pub preview: Option<Preview>,
}

/// What a lifecycle policy does to an image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LifecycleAction {
    /// Deletes it.
    #[default]
    Expire,
    /// Archives it.
    Archive,
}

/// What a lifecycle policy would do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preview {
    /// The policy that was tried.
    pub policy: String,
    /// The images that it would delete or archive.
    pub entries: Vec<PreviewEntry>,
}

/// An image that would be deleted or archived.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PreviewEntry {
    /// The image.
    pub digest: String,
    /// Its tags at that moment.
    pub tags: Vec<String>,
    /// When it was pushed.
    pub pushed_at: Time,
    /// The rule's priority.
    pub priority: i32,
    /// What would be done to it.
    #[serde(default)]
    pub action: LifecycleAction,
    /// Whether it was archived at that moment.
    #[serde(default)]
    pub is_archived: bool,
}

impl Resource for Repository {
    const KIND: &'static str = "ecr.repository";
}

impl Repository {
    /// A repository with AWS's defaults.
    pub fn plain(name: &str, created_at: Time) -> Self {
        Self {
            name: name.to_owned(),
            created_at,
            mutability: Mutability::Mutable,
            mutability_filters: Vec::new(),
            scan_on_push: false,
            resource_tags: BTreeMap::new(),
            policy: None,
            lifecycle_policy: None,
            lifecycle_evaluated_at: None,
            preview: None,
        }
    }
}
