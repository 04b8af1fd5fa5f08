//! The compiled web ACL.

use crate::{CompileError, Decision, RequestView, Verdict};
use honmaru_base::Time;
use honmaru_contract::edge::WebAcl;
use serde_json::Value;

/// A web ACL compiled to a plan. `Send + Sync`; share it in an `Arc`.
///
/// CAPTCHA and challenge tokens are neither issued nor accepted: a rule with such an action refuses what it matches.
pub struct Firewall {}

/// The answer to a question for samples.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleSet {
    /// `SampledHTTPRequest`s of the API, oldest first.
    pub sampled: Vec<Value>,
    /// How many requests matched in the window.
    pub population: u64,
}

impl Firewall {
    /// Compiles a web ACL.
    pub fn compile(acl: &WebAcl) -> Result<Firewall, CompileError> {
        Self::compile_from(None, acl)
    }

    /// Compiles a web ACL and takes over the counts of unchanged rate-based rules and the samples of `previous`.
    pub fn compile_from(_previous: Option<&Firewall>, acl: &WebAcl) -> Result<Firewall, CompileError> {
        if acl.rules.as_array().is_some_and(|rules| !rules.is_empty()) || acl.default_action.get("Block").is_some() {
            return Err(CompileError::unsupported("RULE", "", "rules are not compiled yet"));
        }
        Ok(Firewall {})
    }

    /// How many bytes of a body the rules look at; 0: bodies are not inspected and need not be buffered.
    pub fn body_bytes_wanted(&self) -> usize {
        0
    }

    /// Decides about a request. Never panics, whatever the bytes.
    pub fn inspect(&self, _request: &RequestView<'_>) -> Verdict {
        Verdict {
            decision: Decision::Allow { insert_headers: Vec::new() },
            labels: Vec::new(),
            terminating_rule: "Default_Action".to_owned(),
            terminating_rule_type: "REGULAR",
            rule_inside_group: None,
            counted: Vec::new(),
        }
    }

    /// The samples of the rule with that metric name (the web ACL's own: the default action) in [`from`, `to`].
    pub fn samples(&self, _rule_metric_name: &str, _from: Time, _to: Time, _items_max: u32) -> SampleSet {
        SampleSet { sampled: Vec::new(), population: 0 }
    }
}
