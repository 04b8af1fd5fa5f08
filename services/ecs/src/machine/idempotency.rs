//! Calls with a client token: the same call again gets the first one's answer, another one with the token an error.
//!
//! Here is what is remembered, for how long, and each operation's rule; what its answer is stays with the operation.
//! `tests/tests/operations/tokens.rs` fails when an implemented operation with a token has no rule.

use crate::model::IdempotentCall;
use honmaru_base::{ApiError, Scope};
use honmaru_machine::{State, Tx};
use serde_json::Value;

/// How an operation treats its token.
#[derive(Debug, Clone, Copy)]
pub struct TokenRule {
    /// The operation.
    pub operation: &'static str,
    /// The token's length at most.
    pub chars_max: usize,
    /// The code for a token that comes with another input.
    pub code: &'static str,
    /// Its text.
    pub text: &'static str,
}

/// How long a token is remembered. Ref: ECS API, "Ensuring idempotency in Amazon ECS API requests".
pub(crate) const TOKEN_S: i64 = 86_400;

/// Ref: RunTask, `clientToken`: 64 characters; ConflictException when it comes with other parameters.
pub const RUN_TASK: TokenRule = TokenRule {
    operation: "RunTask",
    chars_max: 64,
    code: "ConflictException",
    text: "The clientToken was used with different parameters.",
};

/// Ref: CreateService, `clientToken`: 36 ASCII characters; InvalidParameterException in the words that it has for a
/// service which is there already.
pub const CREATE_SERVICE: TokenRule = TokenRule {
    operation: "CreateService",
    chars_max: 36,
    code: "InvalidParameterException",
    text: "Creation of service was not idempotent.",
};

/// All rules.
pub const TOKEN_RULES: [TokenRule; 2] = [RUN_TASK, CREATE_SERVICE];

/// What a token was used for before.
pub(crate) enum Earlier {
    Never,
    /// The same call; the ids of what it made.
    Same(Vec<String>),
    /// Another call; the ids of what that one made.
    Other(Vec<String>),
}

/// A call's token and input.
pub(crate) struct Claim {
    rule: TokenRule,
    key: String,
    input: Value,
}

impl Claim {
    /// The claim of a call, if it has a token. Tokens of different clusters are different.
    pub fn of(rule: TokenRule, cluster: &str, input: &Value) -> Result<Option<Self>, ApiError> {
        let token = input.get("clientToken").and_then(Value::as_str).unwrap_or_default();
        if token.is_empty() {
            return Ok(None);
        }
        if token.chars().count() > rule.chars_max {
            let text = format!("clientToken can have at most {} characters.", rule.chars_max);
            return Err(ApiError::new("InvalidParameterException", text));
        }
        Ok(Some(Self {
            rule,
            key: format!("{}/{cluster}/{token}", rule.operation),
            input: input.clone(),
        }))
    }

    /// What the token was used for before.
    pub fn earlier(&self, state: &State, scope: &Scope) -> Earlier {
        let Some(before) = state.get::<IdempotentCall>(scope, &self.key) else {
            return Earlier::Never;
        };
        // As trees: the order of members means nothing.
        let same = serde_json::from_str::<Value>(&before.input).is_ok_and(|input| input == self.input);
        if same {
            Earlier::Same(before.tasks.clone())
        } else {
            Earlier::Other(before.tasks.clone())
        }
    }

    /// The error for a token that was used for another call.
    pub fn conflict(&self) -> ApiError {
        ApiError::new(self.rule.code, self.rule.text)
    }

    /// Remembers what the call made.
    pub fn keep(self, tx: &mut Tx<'_>, scope: &Scope, made: Vec<String>) {
        let done = IdempotentCall {
            input: self.input.to_string(),
            tasks: made,
            at: tx.now(),
        };
        tx.put(scope, &self.key, done);
    }
}
