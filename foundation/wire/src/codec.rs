//! The encodings of requests and answers, each led by a shape of the model: JSON, forms, XML, CBOR and plain text.
//!
//! Invariant: no request makes a decoder panic, recurse deeper than [`DEPTH_MAX`](crate::limits::DEPTH_MAX), or take
//! more than linear (form: n log n) time; and no tree it returns is deeper than that.

pub(crate) mod cbor;
pub(crate) mod form;
pub(crate) mod json;
pub(crate) mod percent;
pub(crate) mod scalar;
pub(crate) mod xml;

use crate::model::Kind;

/// A request that does not fit its protocol or its shape; the text is for the caller.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Malformed(pub String);

impl Malformed {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub fn too_deep() -> Self {
        Self::new("The request is nested too deeply")
    }
}

pub(crate) type Decoded<T> = Result<T, Malformed>;

/// How AWS names a kind in these messages.
pub(crate) fn kind_name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Structure(_) => "a structure",
        Kind::List(_) => "a List",
        Kind::Map(_) => "a Map",
        Kind::String => "a String",
        Kind::Boolean => "a Boolean",
        Kind::Byte => "a Byte",
        Kind::Short => "a Short",
        Kind::Integer => "an Integer",
        Kind::Long => "a Long",
        Kind::Float => "a Double",
        Kind::Blob => "a Blob",
        Kind::Timestamp => "a Timestamp",
        Kind::Document => "a Document",
    }
}
