//! What the agent is told, and why it gives up.

use honmaru_images::StoreError;
use honmaru_network::NetworkError;
use honmaru_runtime::RuntimeError;
use std::io;
use std::path::PathBuf;

/// What the agent needs to know.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// The state directory; created when missing. The agent's own part is `node`, `tasks` and `bin` in it.
    pub state_dir: PathBuf,
    /// Control's socket, `<state>/run/planes.sock`.
    pub socket: PathBuf,
    /// The key of the registry's blobs, which control makes.
    pub blob_key: PathBuf,
    /// The node's name, the host's.
    pub name: String,
    /// Honmaru's version.
    pub version: String,
    /// The user that control runs as; another one behind the socket is refused.
    pub control_uid: u32,
    /// What of this machine's loopback images may be pulled from.
    pub local_registries: honmaru_images::Loopback,
}

/// Why the agent cannot run.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// Another agent works on the same state directory.
    #[error("another node process holds {0}")]
    Locked(PathBuf),
    /// A file of ours could not be used.
    #[error("failed to {what} {path}")]
    File {
        /// The verb.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The runtime could not be opened.
    #[error("failed to open the runtime")]
    Runtime(#[from] RuntimeError),
    /// The network could not be opened or adopted.
    #[error("failed to set up the network")]
    Network(#[from] NetworkError),
    /// The image store could not be opened.
    #[error("failed to open the image store")]
    Images(#[from] StoreError),
    /// Something is left on the host.
    #[error("failed to remove everything: {}", .0.join("; "))]
    Left(Vec<String>),
}

impl NodeError {
    pub(crate) fn file(what: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::File {
            what,
            path: path.into(),
            source,
        }
    }
}
