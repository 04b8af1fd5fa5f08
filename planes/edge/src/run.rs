//! Running the edge: as a role beside `control`, or alone with one fixed configuration (benches).

use crate::control;
use crate::edge::Edge;
use crate::entry::{self, Entry};
use crate::error::EdgeError;
use crate::kept::{KeptSockets, NothingKept};
use crate::resume::Store;
use honmaru_contract::edge::EdgeConfig;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// TLS for the shared entry.
#[derive(Debug, Clone)]
pub struct HttpsEntry {
    /// Where it listens.
    pub address: SocketAddr,
    /// The certificate chain, PEM.
    pub chain_pem: String,
    /// The private key, PEM.
    pub key_pem: String,
}

/// What the edge needs to know to run.
#[derive(Clone)]
pub struct EdgeRunConfig {
    /// Honmaru's state directory; the edge uses `edge/` in it.
    pub state_dir: PathBuf,
    /// Where `control` listens; nothing: `run/planes.sock` in the state directory.
    pub planes_socket: Option<PathBuf>,
    /// The shared entry, for example `127.0.0.1:8080`; nothing: none.
    pub http: Option<SocketAddr>,
    /// The shared entry with TLS.
    pub https: Option<HttpsEntry>,
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
    let mut entries = Vec::new();
    if let Some(address) = config.http {
        entries.push(Entry::open(config.kept.as_ref(), address, None)?);
    }
    if let Some(https) = &config.https {
        let tls = entry::tls_config(&https.chain_pem, &https.key_pem)?;
        entries.push(Entry::open(config.kept.as_ref(), https.address, Some(tls))?);
    }
    let (edge, news) = Edge::new(Some(store), config.kept)?;
    if let Some(remembered) = remembered {
        // The first configuration cannot be stale.
        let _ = edge.apply(remembered).await;
    }
    let entries: Vec<_> = entries.into_iter().map(|entry| entry.serve(&edge)).collect();
    let socket = config
        .planes_socket
        .unwrap_or_else(|| control::default_socket(&config.state_dir));
    let line = tokio::spawn(control::keep(edge.clone(), socket, config.name, news));
    shutdown.await;
    line.abort();
    for entry in entries {
        entry.abort();
        // Until its descriptor is closed; the result is that it was aborted.
        let _ = entry.await;
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
    let entry = http
        .map(|address| Entry::open(&NothingKept, address, None))
        .transpose()?;
    let (edge, mut news) = Edge::new(None, Arc::new(NothingKept))?;
    // Nobody listens; the channel must not fill up.
    tokio::spawn(async move { while news.recv().await.is_some() {} });
    let _ = edge.apply(config).await;
    let address = entry.as_ref().map(|entry| entry.address);
    if let Some(entry) = entry {
        entry.serve(&edge);
    }
    Ok((edge, address))
}
