//! The rows that ECR Public keeps beside those of `ecr`, all in the account's global scope.

use honmaru_machine::Resource;
use serde::{Deserialize, Serialize};

/// What the gallery would show of a repository; its key is the repository's name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogData {
    /// One line.
    #[serde(default)]
    pub description: Option<String>,
    /// For example `x86-64`.
    #[serde(default)]
    pub architectures: Vec<String>,
    /// For example `Linux`.
    #[serde(default)]
    pub operating_systems: Vec<String>,
    /// Markdown.
    #[serde(default)]
    pub about: Option<String>,
    /// Markdown.
    #[serde(default)]
    pub usage: Option<String>,
}

impl Resource for CatalogData {
    const KIND: &'static str = "ecr-public.catalog";
}

/// What the gallery would show of a registry; one row under [`RegistryData::KEY`], absent until something is set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryData {
    /// The display name.
    #[serde(default)]
    pub display_name: Option<String>,
}

impl RegistryData {
    /// The key of the only row.
    pub const KEY: &'static str = "registry";
}

impl Resource for RegistryData {
    const KIND: &'static str = "ecr-public.registry";
}
