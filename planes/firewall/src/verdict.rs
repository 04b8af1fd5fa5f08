//! What the firewall decided about a request.

/// An answer that the edge gives in place of the target's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Headers beyond content type and length, in order.
    pub headers: Vec<(String, String)>,
    /// The content type of a body.
    pub content_type: Option<&'static str>,
    /// The body; empty when there is none.
    pub body: Vec<u8>,
}

/// What happens to the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It goes on to a target, with these headers set (replacing headers of the same name).
    Allow {
        /// Names with their `x-amzn-waf-` prefix, and values.
        insert_headers: Vec<(String, String)>,
    },
    /// It is refused with this answer.
    Block(Answer),
    /// It needs a CAPTCHA token that it does not have. Tokens are not issued here: see [`crate::Firewall`].
    Captcha(Answer),
    /// It needs a challenge token that it does not have. Tokens are not issued here: see [`crate::Firewall`].
    Challenge(Answer),
}

impl Decision {
    /// The action's name in the API: `ALLOW`, `BLOCK`, `CAPTCHA`, `CHALLENGE`.
    pub fn name(&self) -> &'static str {
        match self {
            Decision::Allow { .. } => "ALLOW",
            Decision::Block(_) => "BLOCK",
            Decision::Captcha(_) => "CAPTCHA",
            Decision::Challenge(_) => "CHALLENGE",
        }
    }

    /// The answer of a refused request.
    pub fn answer(&self) -> Option<&Answer> {
        match self {
            Decision::Allow { .. } => None,
            Decision::Block(answer) | Decision::Captcha(answer) | Decision::Challenge(answer) => Some(answer),
        }
    }
}

/// The decision with its reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What happens to the request.
    pub decision: Decision,
    /// The labels that rules added, fully qualified, in the order in which they were added.
    pub labels: Vec<String>,
    /// The web ACL's rule that decided; `Default_Action` when none did. For a rule inside of a group the group's rule.
    pub terminating_rule: String,
    /// `REGULAR`, `RATE_BASED`, `GROUP`, `MANAGED_RULE_GROUP`, as in AWS's log records.
    pub terminating_rule_type: &'static str,
    /// The rule inside of the terminating group, for example `SQLi_QUERYARGUMENTS`.
    pub rule_inside_group: Option<String>,
    /// Rules that matched and did not end the evaluation (Count), by their metric names.
    pub counted: Vec<String>,
}
