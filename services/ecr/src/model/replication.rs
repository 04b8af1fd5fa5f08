//! What is to be sent to other clouds, and what became of it. Copies within this cloud need no such rows.

use honmaru_base::{Scope, Time};
use honmaru_machine::Resource;
use serde::{Deserialize, Serialize};

/// The registry of another cloud, as the operator named it; it lies in the scope that images are sent to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherCloud {
    /// Where it answers.
    pub endpoint: String,
}

impl OtherCloud {
    /// The key of the only row of a scope.
    pub const KEY: &'static str = "other";
}

impl Resource for OtherCloud {
    const KIND: &'static str = "ecr.other_cloud";
}

/// An image that waits to be sent to another cloud; its key is [`ReplicationJob::key`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicationJob {
    /// The repository, here and there.
    pub repository: String,
    /// The image.
    pub digest: String,
    /// The account that it goes to.
    pub account: String,
    /// The region that it goes to.
    pub region: String,
    /// The tags that are to be set there, if they still mean the image when it is sent.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Changes with every push: who sent an older version has not done what a newer one wants.
    pub version: String,
    /// When it was asked for.
    pub queued_at: Time,
    /// How often it was tried in vain.
    #[serde(default)]
    pub attempts: u32,
    /// Not to be tried before.
    #[serde(default)]
    pub not_before: Option<Time>,
}

impl ReplicationJob {
    /// The key of an image and a destination: digests hold no `>`.
    pub fn key(repository: &str, digest: &str, to: &Scope) -> String {
        format!("{repository}@{digest}>{to}")
    }

    /// What the keys of an image's rows begin with.
    pub fn prefix(repository: &str, digest: &str) -> String {
        format!("{repository}@{digest}>")
    }

    /// Where it goes.
    pub fn to(&self) -> Option<Scope> {
        Scope::new(&self.account, &self.region).ok()
    }
}

impl Resource for ReplicationJob {
    const KIND: &'static str = "ecr.replication_job";

    fn index(&self, add: &mut dyn FnMut(&'static str, String)) {
        add("to", format!("{}/{}", self.account, self.region));
    }
}

/// How the last attempt to send an image ended; its key is [`ReplicationJob::key`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicationResult {
    /// The account that it went to.
    pub account: String,
    /// The region that it went to.
    pub region: String,
    /// When.
    pub at: Time,
    /// Why it failed, in one word; nothing when it is there.
    #[serde(default)]
    pub failure_code: Option<String>,
}

impl Resource for ReplicationResult {
    const KIND: &'static str = "ecr.replication_result";

    fn index(&self, add: &mut dyn FnMut(&'static str, String)) {
        if let Some(code) = &self.failure_code {
            add("failed", format!("{}/{}", self.account, self.region));
            add("code", code.clone());
        }
    }
}
