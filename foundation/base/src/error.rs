//! The one error that an API operation answers with, and the text of an error's whole chain.

use serde_json::{Map, Value};
use std::fmt::Write;

/// An error for the caller, in AWS's words: a documented code and its message.
/// The wire gives it the shape of the protocol; the status is the model's unless one is set here.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ApiError {
    /// The error's shape name in the model, for example `ClusterNotFoundException`.
    pub code: String,
    /// The message for the caller; it holds none of our insides.
    pub message: String,
    /// The HTTP status where it is not the model's (default: 400, or 500 for a fault).
    pub status: Option<u16>,
    /// Further members of the error's shape, by member name.
    pub fields: Map<String, Value>,
}

impl ApiError {
    /// An error with the status that the model gives it.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            status: None,
            fields: Map::new(),
        }
    }

    /// The same error with an HTTP status of its own.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// The same error with one more member.
    #[must_use]
    pub fn with_field(mut self, name: &str, value: Value) -> Self {
        self.fields.insert(name.to_owned(), value);
        self
    }
}

/// An error and all its sources in one line, joined by `: `, for the operator's log.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let _ = write!(text, ": {source}");
        next = source.source();
    }
    text
}
