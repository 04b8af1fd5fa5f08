//! Clusters and account settings.

use super::{CapacityProviderStrategyItem, Tag};
use honmaru_base::Time;
use honmaru_machine::Resource;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A cluster; its key is the name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    /// Its name.
    pub name: String,
    /// Whether it is `ACTIVE`; else `INACTIVE`, and kept so that it can still be described.
    pub active: bool,
    /// When it was created.
    pub created_at: Time,
    /// `settings` of the API: name and value.
    pub settings: Vec<(String, String)>,
    /// `configuration` of the API.
    #[serde(default)]
    pub configuration: Option<Value>,
    /// `FARGATE`, `FARGATE_SPOT`.
    pub capacity_providers: Vec<String>,
    /// What tasks without launch type and strategy use.
    pub default_capacity_provider_strategy: Vec<CapacityProviderStrategyItem>,
    /// Its tags.
    pub tags: Vec<Tag>,
}

impl Resource for Cluster {
    const KIND: &'static str = "ecs.cluster";
}

/// An account setting of a principal; its key is `<principal ARN>|<name>`, or `default|<name>`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AccountSetting {
    /// For example `containerInsights`.
    pub name: String,
    /// For example `enabled`.
    pub value: String,
    /// Whose it is.
    pub principal_arn: String,
}

impl Resource for AccountSetting {
    const KIND: &'static str = "ecs.account_setting";
}
