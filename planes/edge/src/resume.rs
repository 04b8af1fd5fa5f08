//! What a restarted edge begins with: the last configuration and the last known health, as files.

use crate::error::EdgeError;
use crate::group::{Health, TargetKey};
use honmaru_contract::edge::{EdgeConfig, TargetHealth};
use std::collections::HashMap;
use std::io::Write;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};

/// The edge's own directory.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    dir: PathBuf,
}

impl Store {
    /// Uses `dir`, making it when it is not there.
    pub(crate) fn open(dir: PathBuf) -> Result<Self, EdgeError> {
        std::fs::create_dir_all(&dir).map_err(|source| EdgeError::State {
            path: dir.clone(),
            source,
        })?;
        Ok(Self { dir })
    }

    pub(crate) fn cookie_key(&self) -> PathBuf {
        self.dir.join("cookie.key")
    }

    /// Remembers a configuration. It holds private keys of certificates: only the owner may read it.
    pub(crate) fn save_config(&self, config: &EdgeConfig) -> Result<(), EdgeError> {
        let text = serde_json::to_vec(config).unwrap_or_default();
        self.replace("config.json", &text)
    }

    /// The remembered configuration. One that cannot be read is reported and left aside: `control` sends it again.
    pub(crate) fn load_config(&self) -> Option<EdgeConfig> {
        self.load("config.json")
    }

    /// Remembers the health of all targets.
    pub(crate) fn save_health(&self, health: &[TargetHealth]) -> Result<(), EdgeError> {
        let text = serde_json::to_vec(health).unwrap_or_default();
        self.replace("health.json", &text)
    }

    /// Targets that were healthy or unhealthy.
    pub(crate) fn load_health(&self) -> HashMap<TargetKey, Health> {
        let rows: Vec<TargetHealth> = self.load("health.json").unwrap_or_default();
        let known = rows.into_iter().filter_map(|row| {
            let health = match row.state.as_str() {
                "healthy" => Health::Healthy,
                "unhealthy" => Health::Unhealthy,
                _ => return None,
            };
            let address = SocketAddrV4::new(row.address, row.port);
            Some((
                TargetKey {
                    group: row.target_group.into(),
                    address,
                },
                health,
            ))
        });
        known.collect()
    }

    fn load<T: serde::de::DeserializeOwned>(&self, name: &str) -> Option<T> {
        let path = self.dir.join(name);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "failed to read what was remembered");
                return None;
            }
        };
        serde_json::from_slice(&text)
            .inspect_err(|error| tracing::warn!(path = %path.display(), %error, "what was remembered is damaged"))
            .ok()
    }

    /// Writes beside, then renames: a reader sees the old file or the new one, never a part.
    fn replace(&self, name: &str, text: &[u8]) -> Result<(), EdgeError> {
        use std::os::unix::fs::OpenOptionsExt;
        let (path, beside) = (self.dir.join(name), self.dir.join(format!("{name}.new")));
        let write = |at: &Path| {
            let mut file = std::fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(at)?;
            file.write_all(text)?;
            file.sync_data()?;
            std::fs::rename(at, &path)
        };
        write(&beside).map_err(|source| EdgeError::State {
            path: path.clone(),
            source,
        })
    }
}
