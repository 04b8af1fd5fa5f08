//! What a call that changed something answered, for its record.

use super::input::{EXCERPT, Noted, WEB_IDENTITY};
use honmaru_base::AccountId;
use honmaru_cloudtrail::{Json, Who, is_read_only};
use honmaru_wire::{Side, Target};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// An output at most, as JSON. Ref: CloudTrail, responseElements: larger ones are left out.
const OUTPUT_BYTES_MAX: usize = 16 * 1024;

/// What is kept of an answer.
#[derive(Debug, Default)]
pub struct Told {
    output: Json,
    /// The web identity that was let in, and the account of its role.
    web_identity: Option<(Who, AccountId)>,
}

impl Told {
    /// The output of a call that changed something, or gave credentials, without its secrets. Ref: CloudTrail User
    /// Guide, responseElements: null for calls that only read.
    pub fn of(target: &Target, output: &Value) -> Self {
        let web_identity = web_identity(target, output);
        let gives_credentials = || output.get("Credentials").is_some();
        if is_read_only(target.operation.name()) && !gives_credentials() {
            return Self {
                web_identity,
                ..Self::default()
            };
        }
        let output = bounded(honmaru_wire::redacted(target, Side::Output, output, &EXCERPT));
        Self { output, web_identity }
    }

    /// The same of an output that is JSON text: of a call that changed something, and gave no credentials.
    pub fn of_json(target: &Target, output: &RawValue) -> Self {
        Self {
            output: bounded(honmaru_wire::redacted_json(
                target,
                Side::Output,
                output.get(),
                &EXCERPT,
            )),
            web_identity: None,
        }
    }
}

fn bounded(kept: String) -> Json {
    if kept.len() > OUTPUT_BYTES_MAX {
        return Json::of(&json!({ "responseElementsOmitted": true, "reason": "responseElements too large" }));
    }
    Json::written(kept)
}

impl Noted {
    /// Keeps what the call answered.
    pub fn keep_output(&mut self, told: Told) {
        self.output = told.output;
        self.web_identity = told.web_identity;
    }
}

/// Who was let in by AssumeRoleWithWebIdentity, whose caller is nobody before. Ref: CloudTrail User Guide, "CloudTrail
/// userIdentity element", values for STS with web identity federation.
fn web_identity(target: &Target, output: &Value) -> Option<(Who, AccountId)> {
    if target.operation.name() != WEB_IDENTITY {
        return None;
    }
    let text = |name: &str| output.get(name).and_then(Value::as_str);
    let account = output["AssumedRoleUser"]["Arn"].as_str();
    let account = account.and_then(|arn| arn.split(':').nth(4)?.parse().ok())?;
    let (provider, subject) = (text("Provider")?, text("SubjectFromWebIdentityToken")?);
    let who = Who::web_identity(provider, text("Audience").unwrap_or_default(), subject);
    Some((who, account))
}
