//! What a call that changed something answered, for its record.

use super::input::{EXCERPT, Noted};
use honmaru_cloudtrail::{Json, is_read_only};
use honmaru_wire::{Side, Target};
use serde_json::{Value, json};

/// An output at most, as JSON. Ref: CloudTrail, responseElements: larger ones are left out.
const OUTPUT_BYTES_MAX: usize = 16 * 1024;

impl Noted {
    /// Keeps the output of a call that changed something, or gave credentials, without its secrets. Ref: CloudTrail User
    /// Guide, responseElements: null for calls that only read.
    pub fn keep_output(&mut self, target: &Target, output: &Value) {
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
}
