//! What belongs to a whole private registry: settings, pull-through rules, creation templates.

use super::repository::{Mutability, MutabilityFilter};
use honmaru_base::Time;
use honmaru_machine::Resource;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The registry of an account and region; one row under [`Registry::KEY`], absent until something is set.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Registry {
    /// The registry policy.
    #[serde(default)]
    pub policy: Option<String>,
    /// The replication configuration, as the API takes it.
    #[serde(default)]
    pub replication: Option<Value>,
    /// The scanning configuration, as the API takes it.
    #[serde(default)]
    pub scanning: Option<Value>,
    /// Account settings.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
}

impl Registry {
    /// The key of the only row.
    pub const KEY: &'static str = "registry";
}

impl Resource for Registry {
    const KIND: &'static str = "ecr.registry";
}

/// A pull-through cache rule; its key is the prefix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PullThroughRule {
    /// Repositories under it are mirrors; `ROOT` means all others.
    pub prefix: String,
    /// The other registry's host.
    pub upstream_url: String,
    /// Its kind in AWS's words.
    #[serde(default)]
    pub upstream_registry: Option<String>,
    /// What replaces the prefix there; `ROOT`: nothing.
    #[serde(default)]
    pub upstream_prefix: Option<String>,
    /// A secret's ARN.
    #[serde(default)]
    pub credential_arn: Option<String>,
    /// A role's ARN.
    #[serde(default)]
    pub custom_role_arn: Option<String>,
    /// When it was made.
    pub created_at: Time,
    /// When it was changed.
    pub updated_at: Time,
}

impl Resource for PullThroughRule {
    const KIND: &'static str = "ecr.pull_through_rule";
}

/// A repository creation template; its key is the prefix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CreationTemplate {
    /// Repositories under it are made by it; `ROOT` means all others.
    pub prefix: String,
    /// For people.
    #[serde(default)]
    pub description: Option<String>,
    /// For repositories made by it.
    #[serde(default)]
    pub resource_tags: BTreeMap<String, String>,
    /// For repositories made by it.
    #[serde(default)]
    pub mutability: Mutability,
    /// For repositories made by it.
    #[serde(default)]
    pub mutability_filters: Vec<MutabilityFilter>,
    /// For repositories made by it.
    #[serde(default)]
    pub repository_policy: Option<String>,
    /// For repositories made by it.
    #[serde(default)]
    pub lifecycle_policy: Option<String>,
    /// When it is used: `PULL_THROUGH_CACHE`, `REPLICATION`, `CREATE_ON_PUSH`.
    #[serde(default)]
    pub applied_for: BTreeSet<String>,
    /// A role's ARN.
    #[serde(default)]
    pub custom_role_arn: Option<String>,
    /// When it was made.
    pub created_at: Time,
    /// When it was changed.
    pub updated_at: Time,
}

impl Resource for CreationTemplate {
    const KIND: &'static str = "ecr.creation_template";
}

/// A principal whose pulls are not recorded; its key is the ARN.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PullTimeExclusion {
    /// The principal.
    pub principal_arn: String,
    /// When it was made.
    pub created_at: Time,
}

impl Resource for PullTimeExclusion {
    const KIND: &'static str = "ecr.pull_time_exclusion";
}

/// Where a back-fill stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum BackfillState {
    /// Images are being copied.
    InProgress,
    /// All were.
    Complete,
    /// Somebody stopped it.
    Stopped,
}

impl BackfillState {
    /// AWS's word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InProgress => "IN_PROGRESS",
            Self::Complete => "COMPLETE",
            Self::Stopped => "STOPPED",
        }
    }
}

/// A copy of the images that were there before a replication rule; its key is its id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Backfill {
    /// The region that images are copied to.
    pub region: String,
    /// The account that they are copied to; nothing: the same.
    #[serde(default)]
    pub account: Option<String>,
    /// Where it stands.
    pub state: BackfillState,
    /// When it began.
    pub started_at: Time,
    /// When it was over.
    #[serde(default)]
    pub ended_at: Option<Time>,
    /// The key of the last image that was looked at: images come in the order of their keys.
    #[serde(default)]
    pub cursor: Option<String>,
    /// How many images were to be copied when it began.
    pub total: u64,
    /// How many were copied.
    #[serde(default)]
    pub copied: u64,
    /// How many could not be, when it was over: images that were sent to another cloud.
    #[serde(default)]
    pub failed: u64,
}

impl Resource for Backfill {
    const KIND: &'static str = "ecr.backfill";
}
