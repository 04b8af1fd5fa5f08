//! Encoded authorization messages: why a call was refused, sealed, because whoever was refused may not be meant to know.
//! STS's DecodeAuthorizationMessage opens them. Ref: STS API Reference, DecodeAuthorizationMessage.

use crate::machine::{Document, documents};
use crate::sealing::sealer;
use honmaru_base::{AccountId, Time};
use honmaru_identity::{CallContext, CallerKind, Context, Decision, Effect, Layer, Request, cached_policy};
use honmaru_machine::{Access, Call, State};
use serde_json::{Value, json};

/// Ref: DecodeAuthorizationMessage, `EncodedMessage`: at most 10,240 characters.
const ENCODED_CHARS_MAX: usize = 10_240;

/// How long a message can be decoded. Ref: STS API Reference, InvalidAuthorizationMessageException: "... or if the message
/// has expired"; after how long AWS does not say.
const LIFETIME_MS: i64 = 24 * 3_600 * 1_000;

/// The sealed message of a refusal, for the caller's account; nothing when there is no key or too much to say.
pub(crate) fn seal(
    state: &State,
    call: &Call,
    access: &Access,
    request: &Request<'_>,
    context: &CallContext<'_>,
    decision: Decision,
) -> Option<String> {
    let sealer = sealer(state)?;
    let statements = match decision {
        Decision::ExplicitDeny(layer) => matched(state, call, access, request, layer),
        Decision::ImplicitDeny(_) | Decision::Allow => Vec::new(),
    };
    let conditions = conditions(context);
    // Too long a message loses its conditions first, then the statements.
    let variants = [
        (statements.as_slice(), conditions.as_slice()),
        (statements.as_slice(), &[]),
        (&[], &[]),
    ];
    variants.into_iter().find_map(|(statements, conditions)| {
        let message = message(request, decision, statements, conditions);
        let text = format!("{}\n{message}", call.now.as_ms());
        let text = sealer.seal_message(&subject(&call.principal.account), text.as_bytes())?;
        (text.len() <= ENCODED_CHARS_MAX).then_some(text)
    })
}

/// The message that was sealed for a refused caller of this account; nothing for any other text, and nothing once it has
/// expired.
pub fn open_refusal(state: &State, account: &AccountId, encoded: &str, now: Time) -> Option<String> {
    let opened = sealer(state)?.open_message(&subject(account), encoded).ok()?;
    let opened = String::from_utf8(opened).ok()?;
    let (at_ms, message) = opened.split_once('\n')?;
    let age_ms = now.as_ms().saturating_sub(at_ms.parse().ok()?);
    (age_ms <= LIFETIME_MS).then(|| message.to_owned())
}

/// What a message is sealed for. Of no other account's refusals anything is told.
fn subject(account: &AccountId) -> String {
    format!("authorization failure in {account}")
}

fn items(items: impl IntoIterator<Item = Value>) -> Value {
    json!({ "items": items.into_iter().collect::<Vec<_>>() })
}

fn value_items(value: &Value) -> Value {
    let one = |value: &Value| json!({ "value": value });
    match value {
        Value::Array(list) => items(list.iter().map(one)),
        Value::Null => items([]),
        Value::Object(_) | Value::String(_) | Value::Number(_) | Value::Bool(_) => items([one(value)]),
    }
}

fn message(request: &Request<'_>, decision: Decision, statements: &[Value], conditions: &[Value]) -> Value {
    let caller = request.caller;
    let mut principal = json!({ "id": caller.user_id, "arn": caller.arn });
    if let Some(name) = caller.user_name {
        principal["name"] = json!(name);
    }
    json!({
        "allowed": false,
        "explicitDeny": matches!(decision, Decision::ExplicitDeny(_)),
        "matchedStatements": items(statements.iter().cloned()),
        "failures": items([]),
        "context": {
            "principal": principal,
            "action": request.action,
            "resource": request.resource,
            "conditions": items(conditions.iter().cloned()),
        },
    })
}

/// The keys of the request: the service's own and the global ones.
fn conditions(context: &CallContext<'_>) -> Vec<Value> {
    let own = context.extra.iter().map(|(key, _)| key.as_str());
    let keys = own.chain(CallContext::GLOBAL_KEYS.iter().copied());
    keys.filter_map(|key| {
        let values = context.values(&key.to_ascii_lowercase())?;
        let values = items(values.into_iter().map(|value| json!({ "value": value })));
        Some(json!({ "key": key, "values": values }))
    })
    .collect()
}

/// The statements that deny the request.
fn matched(state: &State, call: &Call, access: &Access, request: &Request<'_>, layer: Layer) -> Vec<Value> {
    let sources = documents(state, &call.principal);
    let texts: Vec<&str> = match layer {
        Layer::Identity => sources.identity.into_iter().map(Document::text).collect(),
        Layer::Boundary => sources.boundary.into_iter().map(Document::text).collect(),
        Layer::Session => sources.session.into_iter().map(Document::text).collect(),
        Layer::Resource => {
            let policies = access.resource_policy.iter().chain(&access.holder_policy);
            policies.map(String::as_str).collect()
        }
    };
    let mut out = Vec::new();
    for text in texts {
        let (Ok(policy), Ok(document)) = (cached_policy(text), serde_json::from_str::<Value>(text)) else {
            continue;
        };
        for number in policy.statements_with(Effect::Deny, request) {
            let statement = match &document["Statement"] {
                Value::Array(list) => list.get(number),
                one => Some(one),
            };
            out.extend(statement.map(|statement| shown(statement, request)));
        }
    }
    out
}

/// A statement as the decoded message shows it.
fn shown(statement: &Value, request: &Request<'_>) -> Value {
    let caller = request.caller;
    let id = match caller.kind {
        CallerKind::AssumedRole => caller.user_id.split(':').next().unwrap_or_default(),
        _ => caller.user_id,
    };
    let operators = statement["Condition"].as_object().into_iter().flatten();
    let conditions = operators.flat_map(|(_, keys)| keys.as_object().into_iter().flatten());
    json!({
        "statementId": statement["Sid"].as_str().unwrap_or_default(),
        "effect": "DENY",
        "principals": items([json!({ "value": id })]),
        "principalGroups": items([]),
        "actions": value_items(&statement["Action"]),
        "resources": value_items(&statement["Resource"]),
        "conditions": items(conditions.map(|(key, values)| json!({ "key": key, "values": value_items(values) }))),
    })
}
