//! The record of one call, and how CloudTrail shows it.

use crate::json::Json;
use honmaru_base::{AccountId, Region, Time};
use honmaru_machine::{Principal, PrincipalKind, SessionContext};
use serde::{Deserialize, Serialize};
use std::mem::take;

/// The kind of [`Who::service`].
pub(crate) const SERVICE_KIND: &str = "AWSService";

/// The kind of [`Who::web_identity`].
pub(crate) const WEB_IDENTITY_KIND: &str = "WebIdentityUser";

/// Who called. Ref: CloudTrail User Guide, "CloudTrail userIdentity element".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// `Root`, `IAMUser`, `AssumedRole`, `FederatedUser`, `WebIdentityUser`, `AWSService` or `Unknown` (a signature that
    /// was refused, or none).
    pub kind: String,
    /// The ARN, when it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arn: Option<String>,
    /// The unique id, when it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What LookupEvents shows as Username: a user's name, `root`, or a session's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The role behind a session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The access key id that signed; not secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The session behind temporary credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionContext>,
    /// The service that called by itself, for example `ecs-tasks.amazonaws.com`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invoked_by: Option<String>,
    /// The ARN of the provider that vouched for a web identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_provider: Option<String>,
}

impl Who {
    /// The identity behind a verified signature.
    pub fn of(principal: &Principal) -> Self {
        let (kind, name, role) = match &principal.kind {
            PrincipalKind::Root => ("Root", Some("root".to_owned()), None),
            PrincipalKind::User { name } => ("IAMUser", Some(name.clone()), None),
            PrincipalKind::AssumedRole { role, session } => ("AssumedRole", Some(session.clone()), Some(role.clone())),
            PrincipalKind::FederatedUser { name, .. } => ("FederatedUser", Some(name.clone()), None),
            PrincipalKind::Anonymous => return Self::unknown(None),
        };
        Self {
            kind: kind.to_owned(),
            arn: Some(principal.arn.clone()),
            id: Some(principal.user_id.clone()),
            name,
            role,
            key: Some(principal.access_key_id.clone()).filter(|key| !key.is_empty()),
            session: principal.session.clone(),
            invoked_by: None,
            identity_provider: None,
        }
    }

    /// Nobody who could be identified.
    pub fn unknown(key: Option<String>) -> Self {
        Self {
            kind: "Unknown".to_owned(),
            arn: None,
            id: None,
            name: None,
            role: None,
            key,
            session: None,
            invoked_by: None,
            identity_provider: None,
        }
    }

    /// A web identity that a provider vouched for: the provider's ARN, and audience and subject of the token.
    pub fn web_identity(provider: &str, audience: &str, subject: &str) -> Self {
        Self {
            kind: WEB_IDENTITY_KIND.to_owned(),
            id: Some(format!("{provider}:{audience}:{subject}")),
            name: Some(subject.to_owned()),
            identity_provider: Some(provider.to_owned()),
            ..Self::unknown(None)
        }
    }

    /// A service of the cloud that called by itself.
    pub fn service(principal: &str) -> Self {
        Self {
            kind: SERVICE_KIND.to_owned(),
            invoked_by: Some(principal.to_owned()),
            ..Self::unknown(None)
        }
    }
}

/// The record of one call. Whoever makes one has taken the secrets out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    /// When the call came.
    pub at: Time,
    /// The record's id: a UUID.
    pub id: String,
    /// The id in the answer's `x-amzn-RequestId`.
    pub request_id: String,
    /// The account that the call worked on.
    pub account: AccountId,
    /// The region that the call worked on.
    pub region: Region,
    /// botocore's name of the service.
    pub service: String,
    /// `ecs.amazonaws.com`.
    pub source: String,
    /// The operation.
    pub name: String,
    /// Who called.
    pub who: Who,
    /// The address that the call came from.
    pub from: String,
    /// The client, as it calls itself.
    pub agent: String,
    /// The answer's HTTP status.
    pub status: u16,
    /// The error's code, when the call failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The error's message, when the call failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// How long the answer took, in microseconds.
    pub took_us: u64,
    /// The input without secrets; null when it could not be read.
    #[serde(default, skip_serializing_if = "Json::is_null")]
    pub input: Json,
    /// The output of a call that changed something, without secrets; null for calls that read and calls that failed.
    #[serde(default, skip_serializing_if = "Json::is_null")]
    pub output: Json,
    /// The ARNs that the caller needed permission for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// Whether it came over TLS.
    #[serde(default)]
    pub secure: bool,
    /// How it was protected, when it came over TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// The host that the client addressed, as it wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Where this record stands for several refused calls of one kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeated: Option<Repeated>,
}

impl Recorded {
    /// Writes it as a line of JSON. Errors: none are known; then nothing is written.
    pub fn write_line(mut self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        let before = out.len();
        // The texts are copied as they are; serde would read them.
        let texts = [("input", take(&mut self.input)), ("output", take(&mut self.output))];
        if let Err(error) = serde_json::to_writer(&mut *out, &self) {
            out.truncate(before);
            return Err(error);
        }
        // An object that is not empty: the members that are always there are in it.
        out.pop();
        for (name, json) in texts.iter().filter(|(_, json)| !json.is_null()) {
            out.extend_from_slice(b",\"");
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
            out.extend_from_slice(json.text().as_bytes());
        }
        out.extend_from_slice(b"}\n");
        Ok(())
    }
}

/// What a TLS connection agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    /// The version.
    pub version: TlsVersion,
    /// The number of the cipher suite in IANA's registry.
    pub suite: u16,
}

impl Tls {
    /// The cipher suite's name in OpenSSL's words, as CloudTrail has it; of an unknown one its number.
    pub(crate) fn suite_name(self) -> String {
        let name = match self.suite {
            0x1301 => "TLS_AES_128_GCM_SHA256",
            0x1302 => "TLS_AES_256_GCM_SHA384",
            0x1303 => "TLS_CHACHA20_POLY1305_SHA256",
            0xc02b => "ECDHE-ECDSA-AES128-GCM-SHA256",
            0xc02c => "ECDHE-ECDSA-AES256-GCM-SHA384",
            0xc02f => "ECDHE-RSA-AES128-GCM-SHA256",
            0xc030 => "ECDHE-RSA-AES256-GCM-SHA384",
            0xcca8 => "ECDHE-RSA-CHACHA20-POLY1305",
            0xcca9 => "ECDHE-ECDSA-CHACHA20-POLY1305",
            other => return format!("0x{other:04x}"),
        };
        name.to_owned()
    }
}

/// The versions of TLS that the endpoint speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TlsVersion {
    /// TLS 1.2.
    #[serde(rename = "TLSv1.2")]
    V1_2,
    /// TLS 1.3.
    #[serde(rename = "TLSv1.3")]
    V1_3,
}

/// How many calls a record stands for; the record is the last of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repeated {
    /// How many.
    pub count: u64,
    /// When the first of them came.
    pub since: Time,
}

/// What the names of operations that change nothing begin with.
const READING: [&str; 16] = [
    "Describe",
    "Ping",
    "Get",
    "List",
    "Lookup",
    "Filter",
    "BatchGet",
    "BatchCheck",
    "Check",
    "Simulate",
    "AssumeRole",
    "GenerateCredentialReport",
    "StartLiveTail",
    "StartQuery",
    "TestMetricFilter",
    "ValidatePullThroughCacheRule",
];

/// Whether an operation changes nothing, by its name.
pub fn is_read_only(operation: &str) -> bool {
    READING.iter().any(|word| operation.starts_with(word))
}
