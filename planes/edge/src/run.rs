//! Running the edge: as a role beside `control`, or alone with one fixed configuration (benches).

use crate::control;
use crate::edge::Edge;
use crate::entry::{Entry, EntryAddresses};
use crate::error::EdgeError;
use crate::kept::{KeptSockets, NothingKept};
use crate::resume::Store;
use honmaru_contract::edge::EdgeConfig;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// What the edge needs to know to run.
#[derive(Clone)]
pub struct EdgeRunConfig {
    /// Honmaru's state directory; the edge uses `edge/` in it.
    pub state_dir: PathBuf,
    /// Where `control` listens; nothing: `run/planes.sock` in the state directory.
    pub planes_socket: Option<PathBuf>,
    /// The shared entry.
    pub entry: EntryAddresses,
    /// This edge's name in its `Hello`.
    pub name: String,
    /// Where listening sockets are kept; [`NothingKept`] where nobody does.
    pub kept: Arc<dyn KeptSockets>,
}

/// Runs the edge until `shutdown` resolves. It serves the remembered configuration at once and follows `control`
/// whenever that can be reached. Fails when the state directory or the shared entry cannot be used.
pub async fn run(config: EdgeRunConfig, shutdown: impl Future<Output = ()>) -> Result<(), EdgeError> {
    let store = Store::open(config.state_dir.join("edge"))?;
    let remembered = store.load_config();
    // Open before anything is served, served after everything is known: who comes in between waits.
    let entry = Entry::open(config.kept.as_ref(), config.entry)?;
    let (edge, news) = Edge::new(Some(store), config.kept, entry.addresses)?;
    if let Some(remembered) = remembered {
        // The first configuration cannot be stale.
        let _ = edge.apply(remembered).await;
    }
    let accepting = entry.serve(&edge);
    let socket = config
        .planes_socket
        .unwrap_or_else(|| control::default_socket(&config.state_dir));
    let line = tokio::spawn(control::keep(edge.clone(), socket, config.name, news));
    shutdown.await;
    line.abort();
    for accepting in accepting {
        accepting.abort();
        // Until its descriptor is closed; the result is that it was aborted.
        let _ = accepting.await;
    }
    edge.stop().await;
    Ok(())
}

/// Serves one fixed configuration without `control` and remembers nothing. Returns the running edge and the shared
/// entry's address (its port may have been given as 0); it serves until the runtime ends.
pub async fn run_fixed(
    config: EdgeConfig,
    http: Option<SocketAddr>,
) -> Result<(Arc<Edge>, Option<SocketAddr>), EdgeError> {
    let (edge, entry) = run_fixed_at(config, EntryAddresses { http, https: None }).await?;
    Ok((edge, entry.http))
}

/// The same with a shared entry of both kinds.
pub async fn run_fixed_at(config: EdgeConfig, entry: EntryAddresses) -> Result<(Arc<Edge>, EntryAddresses), EdgeError> {
    let entry = Entry::open(&NothingKept, entry)?;
    let (edge, mut news) = Edge::new(None, Arc::new(NothingKept), entry.addresses)?;
    // Nobody listens; the channel must not fill up.
    tokio::spawn(async move { while news.recv().await.is_some() {} });
    let _ = edge.apply(config).await;
    let addresses = entry.addresses;
    entry.serve(&edge);
    Ok((edge, addresses))
}
