//! From a call to its record: who, what, with which input, and what came of it. Secrets end here.

use super::Home;
use crate::control::api::request_id as new_id;
use crate::control::http::Received;
use crate::control::listener::Peer;
use ::http::{HeaderMap, Method, header};
use honmaru_base::{AccountId, ApiError, Scope, Time};
use honmaru_cloudtrail::{Json, Recorded, Tls, Who};
use honmaru_machine::{Access, Principal};
use honmaru_wire::{Excerpt, Target};
use serde_json::Value;
use std::borrow::Cow;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Longer texts are cut: they are data, and what was done is told by their beginning.
const TEXT_BYTES_MAX: usize = 512;
/// Items of a list that are kept.
const ITEMS_MAX: usize = 64;
/// Depth of an input that is kept; the models' deepest inputs have some ten levels.
const DEPTH_MAX: usize = 16;
/// An input at most, as JSON. Ref: CloudTrail, requestParameters: larger ones are left out.
const INPUT_BYTES_MAX: usize = 16 * 1024;
/// Resources of a record at most.
const RESOURCES_MAX: usize = 16;
/// The message of an error at most.
const MESSAGE_BYTES_MAX: usize = 1_024;
/// The same for callers that are not known: what strangers can write is bounded tighter.
const STRANGERS_MESSAGE_BYTES_MAX: usize = 256;
/// The User-Agent at most.
const AGENT_BYTES_MAX: usize = 256;
/// A path or a target that nobody knows at most.
const PATH_BYTES_MAX: usize = 128;

/// The operation whose caller becomes known by what it shows.
pub(super) const WEB_IDENTITY: &str = "AssumeRoleWithWebIdentity";

/// What stands in a secret's place. Ref: CloudTrail's records of ECS use these words.
const HIDDEN: &str = "HIDDEN_DUE_TO_SECURITY_REASONS";

/// Members of a service that are secret, or data, though no model marks them: a member, and the one below it that is
/// meant; nothing below it: the member itself.
fn unmarked(service: &str) -> &'static [(&'static str, &'static str)] {
    match service {
        // Ref: CloudTrail's records of RegisterTaskDefinition and RunTask hide environments, those of others what
        // their outputs give away.
        "ecs" => &[
            ("environment", "value"),
            ("command", ""),
            ("entryPoint", ""),
            ("repositoryCredentials", ""),
            ("tokenValue", ""),
        ],
        "ecr" => &[("layerPartBlob", ""), ("authorizationToken", "")],
        "ecr-public" => &[("logoImageBlob", ""), ("layerPartBlob", ""), ("authorizationToken", "")],
        "logs" => &[("logEvents", "")],
        "iam" => &[
            ("Password", ""),
            ("PrivateKey", ""),
            ("SecretAccessKey", ""),
            ("ServicePassword", ""),
            ("ServiceCredentialSecret", ""),
            ("Base32StringSeed", ""),
            ("QRCodePNG", ""),
            ("AuthenticationCode1", ""),
            ("AuthenticationCode2", ""),
        ],
        "sts" => &[
            ("WebIdentityToken", ""),
            ("SAMLAssertion", ""),
            ("TokenCode", ""),
            ("ContextAssertion", ""),
            ("SecretAccessKey", ""),
            ("SessionToken", ""),
        ],
        "elbv2" => &[("ClientSecret", "")],
        _ => &[],
    }
}

/// How much of an input or an output is kept.
pub(super) const EXCERPT: Excerpt = Excerpt {
    text_bytes_max: TEXT_BYTES_MAX,
    items_max: ITEMS_MAX,
    depth_max: DEPTH_MAX,
    hidden_members: unmarked,
    hidden: HIDDEN,
};

/// What becomes known of a call while it is answered.
#[derive(Debug, Default)]
pub struct Noted {
    /// Who calls, once the signature is verified.
    pub principal: Option<Principal>,
    /// The access key id that the caller named.
    pub key: Option<String>,
    /// Account and region, once they are known.
    pub scope: Option<Scope>,
    /// The input without secrets.
    pub input: Json,
    /// The output of a call that changed something, without secrets; null otherwise.
    pub output: Json,
    /// The ARNs that permission was needed for, written from within the transition.
    pub resources: Arc<OnceLock<Vec<String>>>,
    /// The web identity that was let in, and the account of its role.
    pub web_identity: Option<(Who, AccountId)>,
}

/// How a call ended.
pub struct Ended<'a> {
    /// The answer's status.
    pub status: u16,
    /// The error, if it is one.
    pub error: Option<&'a ApiError>,
    /// When the call came.
    pub at: Time,
    /// How long it took.
    pub took: Duration,
    /// The answer's request id.
    pub request_id: &'a str,
}

impl Noted {
    /// Keeps an input, and what it was read from, without its secrets.
    pub fn keep_input(&mut self, target: &Target, body: &[u8], input: &Value) {
        let kept = honmaru_wire::redacted_input(target, body, input, &EXCERPT);
        self.input = if kept.len() > INPUT_BYTES_MAX {
            Json::of(&serde_json::json!({
                "requestParametersOmitted": true,
                "reason": "requestParameters too large",
            }))
        } else {
            Json::written(kept)
        };
    }

    /// The record of the call.
    pub fn record(self, home: &Home, target: &Target, received: &Received, ended: &Ended<'_>) -> Recorded {
        let (web_identity, account_of_role) = self.web_identity.unzip();
        let mut who = match (web_identity, &self.principal) {
            (Some(who), _) => who,
            (None, Some(principal)) => Who::of(principal),
            (None, None) => Who::unknown(self.key),
        };
        who.key = who.key.map(key_id);
        let message_bytes_max = if who.kind == "Unknown" {
            STRANGERS_MESSAGE_BYTES_MAX
        } else {
            MESSAGE_BYTES_MAX
        };
        let (account, region) = match self.scope {
            Some(scope) => (scope.account, scope.region),
            None => match &self.principal {
                Some(principal) => (principal.account.clone(), home.region.clone()),
                None => (home.account.clone(), home.region.clone()),
            },
        };
        let account = account_of_role.unwrap_or(account);
        let mut resources = self.resources.get().cloned().unwrap_or_default();
        if target.operation.name() == WEB_IDENTITY {
            // Nothing is asked of the caller's own permissions; the role is what it is about.
            resources.extend(self.input.value()["RoleArn"].as_str().map(str::to_owned));
        }
        Recorded {
            at: ended.at,
            id: new_id(),
            request_id: ended.request_id.to_owned(),
            account,
            region,
            service: target.service.name().to_owned(),
            source: source_of(target.service.signing_name()),
            name: target.operation.name().to_owned(),
            who,
            from: received.peer.ip().to_string(),
            agent: cut(received.header("user-agent").unwrap_or_default(), AGENT_BYTES_MAX),
            status: ended.status,
            code: ended.error.map(|error| cut(&error.code, AGENT_BYTES_MAX)),
            message: ended
                .error
                .map(|error| cut(&told(target.service.name(), &error.message), message_bytes_max)),
            took_us: u64::try_from(ended.took.as_micros()).unwrap_or(u64::MAX),
            input: self.input,
            output: self.output,
            resources,
            secure: received.secure,
            tls: received.tls,
            host: received.host().map(|host| cut(host, AGENT_BYTES_MAX)),
            repeated: None,
        }
    }
}

/// A message of an error as the trail tells it. What validation says of a member has its value, and the client may see
/// it; of a secret, which may be right but for a space in it, the trail has none.
fn told<'m>(service: &str, message: &'m str) -> Cow<'m, str> {
    const BEGIN: &str = "Value '";
    let mut told = Cow::Borrowed(message);
    for (name, _) in unmarked(service).iter().filter(|(_, inner)| inner.is_empty()) {
        let end = format!("' at '{}", decapitalized(name));
        let mut from = 0;
        while let Some(found) = told.get(from..).and_then(|rest| rest.find(&end)).map(|at| from + at) {
            from = found + end.len();
            let begin = told.get(..found).and_then(|before| before.rfind(BEGIN));
            if let Some(begin) = begin.map(|begin| begin + BEGIN.len()) {
                told.to_mut().replace_range(begin..found, HIDDEN);
                from = begin + HIDDEN.len() + end.len();
            }
        }
    }
    told
}

/// The name of a member in messages of validation.
fn decapitalized(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}

/// The head of a request that no operation was found for, or that belongs to the registry. Never its query: tokens and
/// signatures are in it.
#[derive(Debug, Clone)]
pub struct Head {
    method: String,
    path: String,
    target: Option<String>,
    agent: String,
    from: String,
    secure: bool,
    tls: Option<Tls>,
    host: Option<String>,
}

impl Head {
    /// What may be kept of a head.
    pub fn of(method: &Method, path: &str, headers: &HeaderMap, peer: Peer) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        Self {
            method: cut(method.as_str(), 16),
            path: cut(path, PATH_BYTES_MAX),
            target: text("x-amz-target").map(|target| cut(target, PATH_BYTES_MAX)),
            agent: cut(text(header::USER_AGENT.as_str()).unwrap_or_default(), AGENT_BYTES_MAX),
            from: peer.address.ip().to_string(),
            secure: peer.secure,
            tls: peer.tls,
            host: text(header::HOST.as_str()).map(|host| cut(host, AGENT_BYTES_MAX)),
        }
    }

    /// The head of a call that a service of the cloud makes by itself. Ref: CloudTrail writes its principal for the
    /// address and for the client.
    pub fn of_service(principal: &str) -> Self {
        Self {
            method: String::new(),
            path: String::new(),
            target: None,
            agent: principal.to_owned(),
            from: principal.to_owned(),
            secure: false,
            tls: None,
            host: None,
        }
    }

    /// The record of a request that no operation was found for. Whoever signed it was not asked for.
    pub fn unrouted(self, home: &Home, status: u16, code: &str, message: &str, at: Time, took: Duration) -> Recorded {
        let input = serde_json::json!({ "method": self.method, "path": self.path, "target": self.target });
        let what = What {
            service: "unknown",
            source: "unknown".to_owned(),
            name: "Unrouted",
            input,
            resources: Vec::new(),
        };
        let scope = Scope {
            account: home.account.clone(),
            region: home.region.clone(),
        };
        let error = Some((code, message));
        self.record(scope, Who::unknown(None), what, &new_id(), status, error, at, took)
    }

    /// The record of a request with a name.
    #[expect(clippy::too_many_arguments, reason = "each is a column of the record")]
    pub fn record(
        self,
        scope: Scope,
        mut who: Who,
        what: What,
        request_id: &str,
        status: u16,
        error: Option<(&str, &str)>,
        at: Time,
        took: Duration,
    ) -> Recorded {
        who.key = who.key.map(key_id);
        Recorded {
            at,
            id: new_id(),
            request_id: request_id.to_owned(),
            account: scope.account,
            region: scope.region,
            service: what.service.to_owned(),
            source: what.source,
            name: what.name.to_owned(),
            who,
            from: self.from,
            agent: self.agent,
            status,
            code: error.map(|(code, _)| cut(code, AGENT_BYTES_MAX)),
            message: error.map(|(_, message)| cut(message, STRANGERS_MESSAGE_BYTES_MAX)),
            took_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            input: Json::of(&what.input),
            output: Json::default(),
            resources: what.resources,
            secure: self.secure,
            tls: self.tls,
            host: self.host,
            repeated: None,
        }
    }
}

/// What was asked for.
pub struct What {
    /// botocore's name of the service.
    pub service: &'static str,
    /// `ecr.amazonaws.com`.
    pub source: String,
    /// The operation.
    pub name: &'static str,
    /// The input without secrets.
    pub input: Value,
    /// The ARNs that permission was needed for.
    pub resources: Vec<String>,
}

/// An access key id; anything else that stands in its place may be a secret that was mistaken for one.
fn key_id(text: String) -> String {
    let is_ours = text.len() <= 128 && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    // Development mode takes any: `test`, `mock_access_key`.
    let is_short = text.len() <= 20 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    if is_ours || is_short { text } else { HIDDEN.to_owned() }
}

/// CloudTrail's name of a service, for example `elasticloadbalancing.amazonaws.com`.
fn source_of(signing_name: &str) -> String {
    format!("{signing_name}.amazonaws.com")
}

/// The resources that some accesses name, each once; not the patterns (`security-group/*`) that stand for what has no
/// name yet.
pub fn resources(accesses: &[Access]) -> Vec<String> {
    let mut named: Vec<String> = Vec::new();
    for arn in accesses.iter().flat_map(|access| &access.resources) {
        if named.len() < RESOURCES_MAX && arn.starts_with("arn:") && !arn.ends_with("/*") && !named.contains(arn) {
            named.push(arn.clone());
        }
    }
    named
}

fn cut(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let end = (0..=bytes_max).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}... ({} bytes)", text.get(..end).unwrap_or_default(), text.len())
}
