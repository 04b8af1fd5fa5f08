//! Why another registry could not give something.

use super::ReferenceError;
use super::pace::Stopped;
use crate::Digest;
use std::io;

/// Why another registry could not give something.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The reference is malformed.
    #[error("invalid reference format")]
    Reference(#[source] ReferenceError),
    /// No connection.
    #[error("failed to connect to {host}")]
    Connect {
        /// Host and port.
        host: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A service of this machine that is not known to be a registry.
    #[error("{host} is on this machine, and no registry that may be asked (`honmaru up --local-registries`)")]
    Loopback {
        /// Host and port.
        host: String,
    },
    /// No certificates to trust were found on this machine.
    #[error("no trusted certificates on this machine (install `ca-certificates`): {0}")]
    Roots(String),
    /// The other side is silent, or slower than it may be.
    #[error("timed out: failed to {doing} {host}")]
    Timeout {
        /// Host and port.
        host: String,
        /// What was tried.
        doing: &'static str,
    },
    /// The connection broke, or spoke no HTTP.
    #[error("failed to talk to {host}")]
    Http {
        /// Host and port.
        host: String,
        /// The cause.
        #[source]
        source: hyper::Error,
    },
    /// An answer that is no success.
    #[error("unexpected status from GET request to {url}: {status}: {message}")]
    Status {
        /// The URL without its query, which may hold secrets.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The registry's message.
        message: String,
    },
    /// A redirect to nowhere, to plain HTTP, or one too many.
    #[error("the registry redirects in a way that is not followed")]
    Redirect,
    /// The challenge or the token service's answer makes no sense.
    #[error("failed to authenticate: {0}")]
    Auth(String),
    /// More bytes than a manifest or a token may have.
    #[error("answer of {host} has more than {max} bytes")]
    TooLarge {
        /// Host and port.
        host: String,
        /// The limit.
        max: usize,
    },
    /// The content is not what was asked for.
    #[error("failed to verify digest: content has {actual}, {expected} was expected")]
    Digest {
        /// What was asked for.
        expected: Digest,
        /// What came.
        actual: Digest,
    },
    /// A URL that cannot be used.
    #[error("`{0}` is no URL that can be used")]
    Url(String),
}

impl RemoteError {
    pub(super) fn stopped(host: &str, stopped: Stopped) -> Self {
        let host = host.to_owned();
        match stopped {
            Stopped::TooSlow => Self::Timeout {
                host,
                doing: "read from",
            },
            Stopped::Broken(source) => Self::Http { host, source },
        }
    }

    /// Whether the same request may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Timeout { .. } | Self::Http { .. } => true,
            Self::Status { status, .. } => *status == 429 || *status >= 500,
            Self::Reference(_)
            | Self::Roots(_)
            | Self::Loopback { .. }
            | Self::Redirect
            | Self::Auth(_)
            | Self::TooLarge { .. }
            | Self::Digest { .. }
            | Self::Url(_) => false,
        }
    }

    /// Whether there is no such thing.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Status { status: 404, .. })
    }

    /// Whether it may exist but we may not have it.
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Status { status: 401 | 403, .. } | Self::Auth(_))
    }
}
