//! What a call that changed something answered, for its record.

use super::input::{DEPTH_MAX, HIDDEN, Noted, shorten};
use honmaru_cloudtrail::is_read_only;
use honmaru_wire::Target;
use serde_json::{Value, json};

/// An output at most, roughly, as JSON. Ref: CloudTrail, responseElements: larger ones are left out.
const OUTPUT_BYTES_MAX: usize = 16 * 1024;

impl Noted {
    /// Keeps the output of a call that changed something, or gave credentials, without its secrets. Ref: CloudTrail User
    /// Guide, responseElements: null for calls that only read.
    pub fn keep_output(&mut self, target: &Target, output: &Value) {
        let gives_credentials = || output.get("Credentials").is_some();
        if is_read_only(target.operation.name()) && !gives_credentials() {
            return;
        }
        let mut kept = shorten(target.service.name(), "", output, DEPTH_MAX);
        honmaru_wire::redact_output(target, HIDDEN, &mut kept);
        self.output = if weight(&kept) > OUTPUT_BYTES_MAX {
            json!({ "responseElementsOmitted": true, "reason": "responseElements too large" })
        } else {
            kept
        };
    }
}

/// How many bytes a value has as JSON, without what must be escaped.
fn weight(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::String(text) => text.len() + 3,
        Value::Array(items) => items.iter().map(weight).sum::<usize>() + 2,
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| name.len() + 4 + weight(value));
            members.sum::<usize>() + 2
        }
    }
}
