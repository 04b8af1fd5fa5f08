//! What the control plane asks of a plane and what the plane reports: plain data, versioned, one JSON object a line
//! over a unix socket (see [`PROTOCOL`]). Planes dial; `control` listens. No AWS wire type appears here.
//!
//! Invariant: every desired state carries a generation, and a plane refuses an older one than it has seen.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod edge;
pub mod node;

use serde::{Deserialize, Serialize};

/// The protocol's version. Both sides say it in their first message and refuse a stranger's.
pub const PROTOCOL: u32 = 1;

/// The longest line, in bytes. A longer one ends the connection.
pub const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Binary data inside a JSON line: base64 text.
pub type Base64 = String;

/// The first message of a plane.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL`] of the sender.
    pub protocol: u32,
    /// `node` or `edge`.
    pub role: String,
    /// The sender's name; on one machine its host name.
    pub name: String,
    /// The sender's Honmaru version.
    pub version: String,
}
