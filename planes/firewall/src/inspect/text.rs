//! A piece of a request: borrowed from it, or shared when it was decoded.

use std::ops::Deref;
use std::rc::Rc;

/// Bytes to inspect.
#[derive(Debug, Clone)]
pub(crate) enum Text<'r> {
    /// A slice of the request.
    Raw(&'r [u8]),
    /// Decoded or joined bytes.
    Owned(Rc<[u8]>),
}

impl Deref for Text<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            Text::Raw(bytes) => bytes,
            Text::Owned(bytes) => bytes,
        }
    }
}

impl From<Vec<u8>> for Text<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Text::Owned(bytes.into())
    }
}
