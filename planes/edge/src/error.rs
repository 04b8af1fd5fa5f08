//! Why the edge as a whole could not start or go on. Errors of single requests are answers (`answer`).

use std::net::SocketAddr;
use std::path::PathBuf;

/// What stops the edge.
#[derive(Debug, thiserror::Error)]
pub enum EdgeError {
    /// The state directory cannot be used.
    #[error("failed to use {path}")]
    State {
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The shared entry cannot be opened.
    #[error("failed to listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A certificate or key cannot be used.
    #[error("failed to use the certificate {name}")]
    Certificate {
        /// Its ARN, or what it is for.
        name: String,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The system gives no randomness.
    #[error("failed to read randomness")]
    Random(#[source] std::io::Error),
}
