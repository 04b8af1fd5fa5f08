//! What a call that changed something answered, for its record.

use super::input::{EXCERPT, Noted, WEB_IDENTITY};
use honmaru_cloudtrail::{Json, Who, is_read_only};
use honmaru_wire::{Side, Target};
use serde_json::{Value, json};

/// An output at most, as JSON. Ref: CloudTrail, responseElements: larger ones are left out.
const OUTPUT_BYTES_MAX: usize = 16 * 1024;

impl Noted {
    /// Keeps the output of a call that changed something, or gave credentials, without its secrets. Ref: CloudTrail User
    /// Guide, responseElements: null for calls that only read.
    pub fn keep_output(&mut self, target: &Target, output: &Value) {
        self.keep_web_identity(target, output);
        let gives_credentials = || output.get("Credentials").is_some();
        if is_read_only(target.operation.name()) && !gives_credentials() {
            return;
        }
        let kept = honmaru_wire::redacted(target, Side::Output, output, &EXCERPT);
        self.output = if kept.get().len() > OUTPUT_BYTES_MAX {
            Json::of(&json!({ "responseElementsOmitted": true, "reason": "responseElements too large" }))
        } else {
            Json::from(kept)
        };
    }

    /// Who was let in by AssumeRoleWithWebIdentity, whose caller is nobody before. Ref: CloudTrail User Guide,
    /// "CloudTrail userIdentity element", values for STS with web identity federation.
    fn keep_web_identity(&mut self, target: &Target, output: &Value) {
        if target.operation.name() != WEB_IDENTITY {
            return;
        }
        let text = |name: &str| output.get(name).and_then(Value::as_str);
        let account = output["AssumedRoleUser"]["Arn"].as_str();
        let account = account.and_then(|arn| arn.split(':').nth(4)?.parse().ok());
        if let (Some(provider), Some(subject), Some(account)) =
            (text("Provider"), text("SubjectFromWebIdentityToken"), account)
        {
            let who = Who::web_identity(provider, text("Audience").unwrap_or_default(), subject);
            self.web_identity = Some((who, account));
        }
    }
}
