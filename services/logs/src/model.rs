//! The rows of this service's tables.

use honmaru_base::{Scope, Time};
use honmaru_machine::Resource;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A log group; its key is the name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogGroup {
    /// Its name.
    pub name: String,
    /// Its id, new whenever a group of that name is made.
    pub id: String,
    /// When it was made.
    pub created_at: Time,
    /// After how many days events go; nothing: never.
    pub retention_days: Option<i32>,
    /// `STANDARD` or `INFREQUENT_ACCESS`.
    pub class: String,
    /// Whether it may not be deleted.
    #[serde(default)]
    pub deletion_protection: bool,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

impl Resource for LogGroup {
    const KIND: &'static str = "logs.group";
}

/// A log stream; its key is the group's name, NUL, its own name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogStream {
    /// The group's name.
    pub group: String,
    /// Its name.
    pub name: String,
    /// Its id, new whenever a stream of that name is made.
    pub id: String,
    /// When it was made.
    pub created_at: Time,
}

impl Resource for LogStream {
    const KIND: &'static str = "logs.stream";
}

/// A resource policy: its key is its name, or for one that is attached to a group NUL and the group's name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResourcePolicy {
    /// Its name; nothing for one that is attached without.
    pub name: Option<String>,
    /// The group that it is attached to; nothing: the account.
    pub group: Option<String>,
    /// The document as it was given.
    pub document: String,
    /// When it was last put.
    pub updated_at: Time,
    /// The id of this state of it.
    pub revision: String,
}

impl Resource for ResourcePolicy {
    const KIND: &'static str = "logs.resource-policy";
}

/// A saved query; its key is its id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueryDefinition {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The query.
    pub query: String,
    /// In which language.
    pub language: String,
    /// The groups that it is meant for.
    pub groups: Vec<String>,
    /// Its parameters: name, default value, description.
    pub parameters: Vec<(String, Option<String>, Option<String>)>,
    /// When it was last put.
    pub updated_at: Time,
    /// The client token that made it.
    pub client_token: Option<String>,
}

impl Resource for QueryDefinition {
    const KIND: &'static str = "logs.query-definition";
}

/// Where a stream's events lie.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamRef {
    /// Account and region.
    pub scope: Scope,
    /// The group's id.
    pub group_id: String,
    /// The stream's id.
    pub stream_id: String,
    /// The stream's name.
    pub name: String,
}

/// The key of the policy that is attached to a group.
pub(crate) fn attached_key(group: &str) -> String {
    format!("\0{group}")
}

pub(crate) fn stream_key(group: &str, stream: &str) -> String {
    format!("{group}\0{stream}")
}
