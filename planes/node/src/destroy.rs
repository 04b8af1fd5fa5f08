//! Removes everything that the agent of a state directory has on the host.

use crate::agent::runtime_config;
use crate::store::Store;
use crate::{NodeConfig, NodeError};
use honmaru_base::chain;
use honmaru_network::{Network, NetworkConfig};
use honmaru_runtime::Runtime;
use std::io;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long an agent that is just ending may hold the lock.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// Kills every task of this state directory at once, and removes namespaces, interfaces, addresses, the nft table,
/// cgroups, task directories and records. Images stay: they lie in the state directory only. Goes on after a failure.
/// Writes nothing: a full disk does not keep what is to go. `Locked` while an agent runs.
pub async fn destroy(config: NodeConfig) -> Result<(), NodeError> {
    if !config.state_dir.exists() {
        return Ok(());
    }
    let store = Store::at(&config.state_dir);
    let deadline = Instant::now() + LOCK_TIMEOUT;
    let _lock = loop {
        match store.lock_if_there() {
            Err(NodeError::Locked(_)) if Instant::now() < deadline => sleep(Duration::from_millis(50)).await,
            other => break other?,
        }
    };
    let mut left = Vec::new();
    match Runtime::to_sweep(runtime_config(&config.state_dir)) {
        Ok(runtime) => match runtime.sweep().await {
            Ok(swept) => left.extend(swept.failed),
            Err(error) => left.push(chain(&error)),
        },
        Err(error) => left.push(chain(&error)),
    }
    match Network::to_destroy(NetworkConfig {
        state_dir: config.state_dir.clone(),
    }) {
        Ok(network) => {
            if let Err(error) = network.destroy().await {
                left.push(chain(&error));
            }
        }
        Err(error) => left.push(chain(&error)),
    }
    for dir in ["node/volumes", "node/layer-holders"] {
        let dir = config.state_dir.join(dir);
        match std::fs::remove_dir_all(&dir) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => left.push(format!("{}: {e}", dir.display())),
            _ => {}
        }
    }
    if let Err(error) = store.clear() {
        left.push(chain(&error));
    }
    if left.is_empty() {
        Ok(())
    } else {
        Err(NodeError::Left(left))
    }
}
