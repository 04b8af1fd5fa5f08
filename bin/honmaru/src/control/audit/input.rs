//! From a call to its record: who, what, with which input, and what came of it. Secrets end here.

use super::Home;
use crate::control::api::request_id as new_id;
use crate::control::http::Received;
use honmaru_base::{ApiError, Scope, Time};
use honmaru_cloudtrail::{Recorded, Who};
use honmaru_machine::{Access, Principal};
use honmaru_wire::Target;
use serde_json::{Map, Value};
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
/// The User-Agent at most.
const AGENT_BYTES_MAX: usize = 256;

/// What stands in a secret's place. Ref: CloudTrail's records of ECS use these words.
const HIDDEN: &str = "HIDDEN_DUE_TO_SECURITY_REASONS";

/// Members that are secret, or data, though no model marks them: service, member, and the member below it.
const UNMARKED: [(&str, &str, &str); 10] = [
    // Ref: CloudTrail's records of RegisterTaskDefinition and RunTask hide environments.
    ("ecs", "environment", "value"),
    ("ecs", "command", ""),
    ("ecs", "repositoryCredentials", ""),
    ("ecr", "layerPartBlob", ""),
    ("logs", "logEvents", ""),
    ("iam", "Password", ""),
    ("iam", "PrivateKey", ""),
    ("sts", "WebIdentityToken", ""),
    ("sts", "SAMLAssertion", ""),
    ("sts", "TokenCode", ""),
];

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
    pub input: Value,
    /// The ARNs that permission was needed for, written from within the transition.
    pub resources: Arc<OnceLock<Vec<String>>>,
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
    /// Keeps an input without its secrets.
    pub fn keep_input(&mut self, target: &Target, input: &Value) {
        let mut kept = shorten(target.service.name(), "", input, DEPTH_MAX);
        honmaru_wire::redact(target, &mut kept);
        let bytes = serde_json::to_vec(&kept).map_or(usize::MAX, |text| text.len());
        self.input = if bytes > INPUT_BYTES_MAX {
            serde_json::json!({ "requestParametersOmitted": true, "reason": "requestParameters too large" })
        } else {
            kept
        };
    }

    /// The record of the call.
    pub fn record(self, home: &Home, target: &Target, received: &Received, ended: &Ended<'_>) -> Recorded {
        let who = match &self.principal {
            Some(principal) => Who::of(principal),
            None => Who::unknown(self.key.map(|key| cut(&key, AGENT_BYTES_MAX))),
        };
        let (account, region) = match self.scope {
            Some(scope) => (scope.account, scope.region),
            None => match &self.principal {
                Some(principal) => (principal.account.clone(), home.region.clone()),
                None => (home.account.clone(), home.region.clone()),
            },
        };
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
            message: ended.error.map(|error| cut(&error.message, MESSAGE_BYTES_MAX)),
            took_us: u64::try_from(ended.took.as_micros()).unwrap_or(u64::MAX),
            input: self.input,
            resources: self.resources.get().cloned().unwrap_or_default(),
            secure: received.secure,
        }
    }
}

/// CloudTrail's name of a service, for example `elasticloadbalancing.amazonaws.com`.
fn source_of(signing_name: &str) -> String {
    format!("{signing_name}.amazonaws.com")
}

/// The resources that some accesses name.
pub fn resources(accesses: &[Access]) -> Vec<String> {
    let named = accesses.iter().flat_map(|access| &access.resources);
    named
        .filter(|arn| arn.starts_with("arn:"))
        .take(RESOURCES_MAX)
        .cloned()
        .collect()
}

fn cut(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let end = (0..=bytes_max).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}... ({} bytes)", text.get(..end).unwrap_or_default(), text.len())
}

/// A copy of an input with long texts cut and unmarked secrets hidden; `above` is the member that it is in.
fn shorten(service: &str, above: &str, value: &Value, depth: usize) -> Value {
    if depth == 0 {
        return Value::from("...");
    }
    match value {
        Value::String(text) => Value::String(cut(text, TEXT_BYTES_MAX)),
        Value::Array(items) => {
            let kept = items
                .iter()
                .take(ITEMS_MAX)
                .map(|item| shorten(service, above, item, depth - 1));
            let mut kept: Vec<Value> = kept.collect();
            if items.len() > ITEMS_MAX {
                kept.push(Value::from(format!("... ({} items)", items.len())));
            }
            Value::Array(kept)
        }
        Value::Object(members) => {
            let mut kept = Map::new();
            for (name, member) in members.iter().take(ITEMS_MAX) {
                let value = if is_unmarked_secret(service, above, name) {
                    Value::from(HIDDEN)
                } else {
                    shorten(service, name, member, depth - 1)
                };
                kept.insert(cut(name, TEXT_BYTES_MAX), value);
            }
            Value::Object(kept)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

fn is_unmarked_secret(service: &str, above: &str, name: &str) -> bool {
    UNMARKED.iter().any(|(of, outer, inner)| {
        *of == service
            && if inner.is_empty() {
                *outer == name
            } else {
                *outer == above && *inner == name
            }
    })
}
