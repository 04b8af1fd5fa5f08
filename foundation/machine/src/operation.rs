//! The operations of an API: who calls, what the call needs, and the function that answers it.

use crate::{State, Tx};
use honmaru_base::{AccountId, ApiError, Scope, Time};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

/// Who signed a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrincipalKind {
    /// The account's root user, which every policy allows.
    Root,
    /// An IAM user.
    User {
        /// The user's name.
        name: String,
    },
    /// A role session from STS.
    AssumedRole {
        /// The role's name.
        role: String,
        /// The session's name.
        session: String,
    },
    /// A federated user of STS's GetFederationToken.
    FederatedUser {
        /// The federated user's name.
        name: String,
        /// The IAM user that asked for the token and whose policies bound it; nothing for the root user.
        user: Option<String>,
    },
    /// A federated or web identity before it assumes a role, and calls that need no signature.
    Anonymous,
}

/// The identity behind a call, after its signature was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The account that the identity belongs to.
    pub account: AccountId,
    /// The ARN as GetCallerIdentity shows it.
    pub arn: String,
    /// The unique id as GetCallerIdentity shows it.
    pub user_id: String,
    /// What it is.
    pub kind: PrincipalKind,
    /// The access key id that signed.
    pub access_key_id: String,
    /// Principal (session or user) tags, for `aws:PrincipalTag`.
    pub tags: Vec<(String, String)>,
    /// Session policies (JSON documents) that limit a session, beside the managed ones that [`SessionContext`] names.
    pub session_policies: Vec<String>,
    /// The session behind temporary credentials.
    pub session: Option<SessionContext>,
}

/// What is known of the session behind temporary credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionContext {
    /// When they were issued, for `aws:TokenIssueTime`.
    pub issued_at: Time,
    /// Who stands behind the session, for `aws:SourceIdentity`. It passes on to further sessions.
    pub source_identity: Option<String>,
    /// Keys of the session tags that pass on to further sessions.
    pub transitive_tag_keys: Vec<String>,
    /// The ARN of the OIDC provider that the session came from, for `aws:FederatedProvider`.
    pub federated_provider: Option<String>,
    /// The session's own tags. They stand above those of the role or the user, which are the principal's tags too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<(String, String)>,
    /// Managed policies that limit the session, by ARN: what they say is looked up at each call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policy_arns: Vec<String>,
    /// When a second factor was proven for it, for `aws:MultiFactorAuthPresent` and `aws:MultiFactorAuthAge`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mfa_at: Option<Time>,
    /// Whose permissions the session has, for the audit trail; nothing for sessions of users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<SessionIssuer>,
}

/// The role behind a role session, or the IAM user behind a federated user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionIssuer {
    /// The ARN, with the path.
    pub arn: String,
    /// The unique id.
    pub id: String,
    /// The name.
    pub name: String,
}

/// Everything about a call but its input.
#[derive(Debug, Clone)]
pub struct Call {
    /// Account and region that the call works on. For global services the region is the signature's.
    pub scope: Scope,
    /// Who calls.
    pub principal: Principal,
    /// The id in `x-amzn-RequestId`.
    pub request_id: String,
    /// When the call was received.
    pub now: Time,
    /// Where it came from.
    pub source_ip: Option<IpAddr>,
    /// The `User-Agent` header.
    pub user_agent: String,
    /// The `Referer` header, which browsers send.
    pub referer: String,
    /// The `Host` header as the client sent it, for URLs in answers, for example `localhost:4566`.
    pub host: String,
    /// Whether it came over TLS.
    pub secure: bool,
}

/// One action on some resources that a call must be allowed before it is answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Access {
    /// The IAM action, for example `ecs:RunTask`.
    pub action: String,
    /// The resource ARNs; each one must be allowed. `*` for actions without resources.
    pub resources: Vec<String>,
    /// Condition keys of this request beyond the global ones, for example `ecs:cluster`.
    pub context: Vec<(String, Vec<String>)>,
    /// The resource's own policy document, where the resource has one (an ECR repository).
    pub resource_policy: Option<String>,
    /// The policy document of what holds the resource, where that has one too (a registry): it grants and denies as the
    /// resource's own does.
    pub holder_policy: Option<String>,
}

impl Access {
    /// An action on resources, without condition keys.
    pub fn new(action: &str, resources: Vec<String>) -> Self {
        Self {
            action: action.to_owned(),
            resources,
            context: Vec::new(),
            resource_policy: None,
            holder_policy: None,
        }
    }

    /// An action without resource-level permissions.
    pub fn any(action: &str) -> Self {
        Self::new(action, vec!["*".to_owned()])
    }

    /// The same with one more condition key.
    #[must_use]
    pub fn with(mut self, key: &str, values: Vec<String>) -> Self {
        self.context.push((key.to_owned(), values));
        self
    }
}

/// A future on the heap.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;
/// A handler that waits for a plane.
pub type AsyncHandler = Arc<dyn Fn(Call, Value) -> BoxFuture<Result<Value, ApiError>> + Send + Sync>;

/// The function behind an operation. Input and output are trees keyed by member name, validated by the wire.
#[derive(Clone)]
pub enum Handler {
    /// Looks at the state only.
    Read(fn(&State, &Call, Value) -> Result<Value, ApiError>),
    /// Changes the state; on an error every change is taken back.
    Write(fn(&mut Tx<'_>, &Call, Value) -> Result<Value, ApiError>),
    /// The same, where the output is large and written from rows: JSON text of the tree that [`Handler::Write`] would give,
    /// without nulls. No tree is made of it on its way to the caller.
    WriteJson(fn(&mut Tx<'_>, &Call, Value) -> Result<Box<RawValue>, ApiError>),
    /// Waits for a plane.
    Async(AsyncHandler),
}

impl Handler {
    /// Changes the state, and gives the output as a tree whatever form it has. Nothing when it does not change the state.
    pub fn write(&self, tx: &mut Tx<'_>, call: &Call, input: Value) -> Option<Result<Value, ApiError>> {
        match self {
            Self::Write(handler) => Some(handler(tx, call, input)),
            // What a handler wrote is JSON.
            Self::WriteJson(handler) => Some(handler(tx, call, input).map(|text| json!(text))),
            Self::Read(_) | Self::Async(_) => None,
        }
    }
}

/// One operation of a service: its name in the model, what it needs, and its handler.
#[derive(Clone)]
pub struct Operation {
    /// The name in the model, for example `RunTask`.
    pub name: &'static str,
    /// What the caller must be allowed to do. Empty: no permission is needed (GetCallerIdentity).
    pub access: fn(&State, &Call, &Value) -> Vec<Access>,
    /// The function that answers.
    pub handler: Handler,
}
