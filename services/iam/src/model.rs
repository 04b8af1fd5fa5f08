//! IAM's resources. Names are unique without regard to case, so rows are keyed by the lower-case name.

use honmaru_base::{AccountId, Arn, Time};
use honmaru_machine::Resource;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The row key of a name.
pub fn key_of(name: &str) -> String {
    name.to_lowercase()
}

/// The ARN of an IAM resource: `arn:aws:iam::ACCOUNT:KIND/PATH/NAME`.
pub fn iam_arn(account: &AccountId, kind: &str, path: &str, name: &str) -> String {
    Arn::new("iam", "", account.as_str(), format!("{kind}{path}{name}")).to_string()
}

/// What users, groups and roles have in common.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entity {
    /// `/`, or `/division/team/`.
    pub path: String,
    /// The name as it was given.
    pub name: String,
    /// The unique id: `AIDA...`, `AGPA...`, `AROA...`.
    pub id: String,
    /// The ARN.
    pub arn: String,
    /// When it was created.
    pub created_at: Time,
    /// Inline policies: documents by name.
    #[serde(default)]
    pub inline: BTreeMap<String, String>,
    /// ARNs of the attached managed policies.
    #[serde(default)]
    pub attached: BTreeSet<String>,
    /// ARN of the permissions boundary; groups have none.
    #[serde(default)]
    pub boundary: Option<String>,
    /// Tags; groups have none.
    #[serde(default)]
    pub tags: Vec<(String, String)>,
}

/// A resource that holds policies.
pub trait Holder: Resource {
    /// `user`, `group` or `role`, as in ARNs and messages.
    const NOUN: &'static str;
    /// The prefix of its unique ids.
    const ID_PREFIX: &'static str;
    /// The most bytes that all its inline policies may have together, without white space.
    /// Ref: IAM User Guide, "IAM and AWS STS quotas".
    const INLINE_BYTES_MAX: usize;
    /// The most managed policies that it may have attached. Ref: the same page.
    const ATTACHED_MAX: usize;
    /// The common part.
    fn entity(&self) -> &Entity;
    /// The common part, to change it.
    fn entity_mut(&mut self) -> &mut Entity;
}

/// An IAM user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct User {
    /// The common part.
    pub entity: Entity,
    /// Row keys of its groups.
    #[serde(default)]
    pub groups: BTreeSet<String>,
}

/// A group of users.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// The common part.
    pub entity: Entity,
}

/// A role.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Role {
    /// The common part.
    pub entity: Entity,
    /// The trust policy's document.
    pub trust: String,
    /// The description.
    #[serde(default)]
    pub description: Option<String>,
    /// How long a session may last, in seconds; 3,600 to 43,200.
    pub max_session_s: i32,
    /// The service that a service-linked role belongs to.
    #[serde(default)]
    pub linked_service: Option<String>,
}

macro_rules! holder {
    ($type:ident, $kind:literal, $noun:literal, $prefix:literal, $bytes:literal, $attached:literal, $row:ident, $add:ident => $index:block) => {
        impl Resource for $type {
            const KIND: &'static str = $kind;
            fn index(&self, $add: &mut dyn FnMut(&'static str, String)) {
                for arn in &self.entity.attached {
                    $add(ATTACHED, arn.clone());
                }
                if let Some(arn) = &self.entity.boundary {
                    $add(BOUNDARY, arn.clone());
                }
                let $row = self;
                $index
            }
        }
        impl Holder for $type {
            const NOUN: &'static str = $noun;
            const ID_PREFIX: &'static str = $prefix;
            const INLINE_BYTES_MAX: usize = $bytes;
            const ATTACHED_MAX: usize = $attached;
            fn entity(&self) -> &Entity {
                &self.entity
            }
            fn entity_mut(&mut self) -> &mut Entity {
                &mut self.entity
            }
        }
    };
}

/// Index: ARN of an attached managed policy.
pub const ATTACHED: &str = "attached";
/// Index: ARN of the permissions boundary.
pub const BOUNDARY: &str = "boundary";
/// Index of users: row key of a group.
pub const GROUP: &str = "group";
/// Index of access keys: row key of the user.
pub const USER: &str = "user";
/// Index of instance profiles: row key of the role.
pub const ROLE: &str = "role";

holder!(User, "iam.user", "user", "AIDA", 2_048, 10, user, add => {
    for group in &user.groups {
        add(GROUP, group.clone());
    }
});
holder!(Group, "iam.group", "group", "AGPA", 5_120, 10, _group, add => {});
holder!(Role, "iam.role", "role", "AROA", 10_240, 20, _role, add => {});

/// A user's access key; its key is the access key id.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct AccessKey {
    /// `AKIA...`.
    pub id: String,
    /// The secret.
    pub secret: String,
    /// Row key of the user.
    pub user: String,
    /// Whether it may be used.
    pub active: bool,
    /// When it was created.
    pub created_at: Time,
}

impl AccessKey {
    /// Whether the key may be used.
    pub fn is_active(&self) -> bool {
        self.active
    }
}

impl std::fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessKey")
            .field("id", &self.id)
            .field("active", &self.active)
            .finish_non_exhaustive()
    }
}

impl Resource for AccessKey {
    const KIND: &'static str = "iam.access_key";
    fn index(&self, add: &mut dyn FnMut(&'static str, String)) {
        add(USER, self.user.clone());
    }
}

/// When a key was last used. Observed, so not durable: a restart forgets it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AccessKeyUse {
    /// When.
    pub at: Time,
    /// For which service.
    pub service: String,
    /// In which region.
    pub region: String,
}

impl Resource for AccessKeyUse {
    const KIND: &'static str = "iam.access_key_use";
    const DURABLE: bool = false;
}

/// When a role was last used; its key is the role's. Observed, so not durable: a restart forgets it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoleUse {
    /// When.
    pub at: Time,
    /// In which region.
    pub region: String,
}

impl Resource for RoleUse {
    const KIND: &'static str = "iam.role_use";
    const DURABLE: bool = false;
}

/// One version of a managed policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicyVersion {
    /// The number in `v1`, `v2`, ...
    pub number: u32,
    /// The document.
    pub document: String,
    /// When it was created.
    pub created_at: Time,
}

/// A customer managed policy; its key is its lower-case name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ManagedPolicy {
    /// The path.
    pub path: String,
    /// The name.
    pub name: String,
    /// `ANPA...`.
    pub id: String,
    /// The ARN.
    pub arn: String,
    /// The description.
    #[serde(default)]
    pub description: Option<String>,
    /// The versions, oldest first.
    pub versions: Vec<PolicyVersion>,
    /// The default version's number.
    pub default_version: u32,
    /// The number of the next version; numbers are never used again.
    pub next_version: u32,
    /// When it was created.
    pub created_at: Time,
    /// When its default document last changed.
    pub updated_at: Time,
    /// Tags.
    #[serde(default)]
    pub tags: Vec<(String, String)>,
}

impl ManagedPolicy {
    /// The document of the default version.
    pub fn document(&self) -> Option<&str> {
        self.versions
            .iter()
            .find(|v| v.number == self.default_version)
            .map(|v| v.document.as_str())
    }
}

/// Index of managed policies: their ARN.
pub const ARN: &str = "arn";

impl Resource for ManagedPolicy {
    const KIND: &'static str = "iam.policy";
    fn index(&self, add: &mut dyn FnMut(&'static str, String)) {
        add(ARN, self.arn.clone());
    }
}

/// An instance profile: a role's cover for EC2.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InstanceProfile {
    /// The path.
    pub path: String,
    /// The name.
    pub name: String,
    /// `AIPA...`.
    pub id: String,
    /// The ARN.
    pub arn: String,
    /// Row key of its role.
    #[serde(default)]
    pub role: Option<String>,
    /// When it was created.
    pub created_at: Time,
    /// Tags.
    #[serde(default)]
    pub tags: Vec<(String, String)>,
}

impl Resource for InstanceProfile {
    const KIND: &'static str = "iam.instance_profile";
    fn index(&self, add: &mut dyn FnMut(&'static str, String)) {
        if let Some(role) = &self.role {
            add(ROLE, role.clone());
        }
    }
}

/// An OpenID Connect provider; its key is its URL without scheme.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OidcProvider {
    /// The issuer's URL without its scheme.
    pub url: String,
    /// Whether the scheme is `http`: in development, on this machine.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_plain: bool,
    /// The ARN.
    pub arn: String,
    /// Audiences.
    pub client_ids: Vec<String>,
    /// Certificate thumbprints.
    pub thumbprints: Vec<String>,
    /// When it was created.
    pub created_at: Time,
    /// Tags.
    #[serde(default)]
    pub tags: Vec<(String, String)>,
}

impl Resource for OidcProvider {
    const KIND: &'static str = "iam.oidc_provider";
}

/// An account's alias; its key is the alias, and an account has at most one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AccountAlias {
    /// The alias.
    pub alias: String,
}

impl Resource for AccountAlias {
    const KIND: &'static str = "iam.account_alias";
}

/// The deletion of a service-linked role, which is done at once; its key is the task id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoleDeletion {
    /// When it was done.
    pub done_at: Time,
}

impl Resource for RoleDeletion {
    const KIND: &'static str = "iam.role_deletion";
}
