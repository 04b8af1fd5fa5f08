//! Where everything of one cloud lies: one state directory, a room for each role.

use std::path::{Path, PathBuf};

/// The state directory of a cloud and the places in it.
///
/// ```text
/// <state>/bin/         the binary that the roles run (root's)
/// <state>/lock/        a lock file for each role
/// <state>/run/         sockets (control's)
/// <state>/logs/        what the roles say
/// <state>/control/     log, journal, the administrator's keys, the blobs' key (control's, 0700)
/// <state>/images/      the registry's blobs, encrypted (control's, 0700; node reads them as root)
/// <state>/node/        tasks, layers, namespaces (root's, 0700)
/// <state>/tls-ca.pem   what vouches for the endpoint's certificate (everybody reads)
/// <state>/edge/        the last configuration (edge's, 0700)
/// <state>/up.sock      where roles give and get their listening sockets (root's)
/// ```
#[derive(Debug, Clone)]
pub struct Dirs {
    state: PathBuf,
}

impl Dirs {
    /// The directory as an absolute path without links, once it exists.
    pub fn new(state: &Path) -> Self {
        let absolute = std::path::absolute(state).unwrap_or_else(|_| state.to_owned());
        Self {
            state: absolute.canonicalize().unwrap_or(absolute),
        }
    }

    /// The state directory itself.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// Root's copies of this binary.
    pub fn bin(&self) -> PathBuf {
        self.state.join("bin")
    }

    /// Sockets.
    pub fn run(&self) -> PathBuf {
        self.state.join("run")
    }

    /// What the roles say.
    pub fn logs(&self) -> PathBuf {
        self.state.join("logs")
    }

    /// Control's room.
    pub fn control(&self) -> PathBuf {
        self.state.join("control")
    }

    /// The registry's blobs.
    pub fn images(&self) -> PathBuf {
        self.state.join("images")
    }

    /// The key that the registry's blobs are encrypted with. Not beside them: who gets them shall not get it too.
    pub fn blob_key(&self) -> PathBuf {
        self.control().join("blobs.key")
    }

    /// Node's room.
    pub fn node(&self) -> PathBuf {
        self.state.join("node")
    }

    /// Edge's room.
    pub fn edge(&self) -> PathBuf {
        self.state.join("edge")
    }

    /// The socket on which control waits for node and edge.
    pub fn planes_socket(&self) -> PathBuf {
        self.run().join("planes.sock")
    }

    /// The socket on which `honmaru up` waits for roles with listening sockets. In root's own directory: its owner
    /// decides who can listen here.
    pub fn sockets_line(&self) -> PathBuf {
        self.state.join("up.sock")
    }

    /// The administrator's keys.
    pub fn credentials(&self) -> PathBuf {
        self.control().join("credentials.json")
    }

    /// The certificates that vouch for the endpoint's own, for everybody to read; there with TLS only.
    pub fn tls_ca(&self) -> PathBuf {
        self.state.join("tls-ca.pem")
    }

    /// Lock files.
    pub fn locks(&self) -> PathBuf {
        self.state.join("lock")
    }

    /// The file whose lock the running process of a role holds.
    pub fn lock(&self, role: &str) -> PathBuf {
        self.locks().join(format!("{role}.lock"))
    }
}
