//! Why rules cannot be used, in the words of WAFInvalidParameterException.

/// Rules that the firewall cannot or does not evaluate. The web ACL is refused as a whole: no rule is left out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{reason}", prefix(.rule))]
pub struct CompileError {
    /// The rule, when the error is in one.
    pub rule: Option<String>,
    /// The part, one of AWS's `ParameterExceptionField`, for example `REGEX_PATTERN_REFERENCE_STATEMENT`.
    pub field: &'static str,
    /// The offending value.
    pub parameter: String,
    /// What is wrong, lower case, without a full stop.
    pub reason: String,
    /// What kind of error it is.
    pub kind: CompileErrorKind,
}

/// Which of AWS's exceptions an error becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompileErrorKind {
    /// A value that WAFv2 does not allow: `WAFInvalidParameterException`.
    Invalid,
    /// A valid request for what this firewall does not do: `WAFInvalidOperationException`.
    Unsupported,
    /// A reference to something that does not exist: `WAFNonexistentItemException`.
    Missing,
    /// More of something than there may be: `WAFLimitsExceededException`. The parameter is AWS's name of the limit, or
    /// nothing where AWS names none.
    Limit,
}

fn prefix(rule: &Option<String>) -> String {
    rule.as_ref().map(|rule| format!("rule `{rule}`: ")).unwrap_or_default()
}

impl CompileError {
    pub(crate) fn invalid(field: &'static str, parameter: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            rule: None,
            field,
            parameter: parameter.into(),
            reason: reason.into(),
            kind: CompileErrorKind::Invalid,
        }
    }

    pub(crate) fn unsupported(field: &'static str, parameter: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            kind: CompileErrorKind::Unsupported,
            ..Self::invalid(field, parameter, reason)
        }
    }

    pub(crate) fn missing(field: &'static str, parameter: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            kind: CompileErrorKind::Missing,
            ..Self::invalid(field, parameter, reason)
        }
    }

    pub(crate) fn limit(field: &'static str, name: &str) -> Self {
        Self {
            kind: CompileErrorKind::Limit,
            ..Self::invalid(field, name, "You exceeded your resource limit")
        }
    }

    pub(crate) fn in_rule(mut self, rule: &str) -> Self {
        self.rule.get_or_insert_with(|| rule.to_owned());
        self
    }
}
