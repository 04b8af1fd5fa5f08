//! Listeners at load balancers' own addresses: opened, changed and closed while traffic flows.

use crate::connection;
use crate::edge::Edge;
use crate::plan::{Listener, Plan};
use crate::sockets;
use arc_swap::ArcSwap;
use std::collections::HashMap;
use std::net::{SocketAddr, SocketAddrV4};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// An open address with the listener that it serves now.
pub(crate) struct Endpoint {
    /// Distinguishes endpoints; never [`crate::entry::NUMBER`].
    pub(crate) number: u64,
    current: ArcSwap<Listener>,
    changed: Notify,
}

impl Endpoint {
    /// The listener as it is configured now.
    pub(crate) fn listener(&self) -> Arc<Listener> {
        self.current.load_full()
    }

    /// Waits until the listener is configured so.
    pub(crate) async fn until(&self, is_so: impl Fn(&Listener) -> bool) {
        loop {
            // Made before the look: a change in between wakes it.
            let changed = self.changed.notified();
            if is_so(&self.current.load()) {
                return;
            }
            changed.await;
        }
    }

    fn change(&self, listener: Arc<Listener>) {
        self.current.store(listener);
        self.changed.notify_waiters();
    }
}

struct Open {
    endpoint: Arc<Endpoint>,
    listener: Arc<TcpListener>,
    accepting: JoinHandle<()>,
}

/// All open addresses.
#[derive(Default)]
pub(crate) struct Listeners {
    open: HashMap<SocketAddrV4, Open>,
    last_number: u64,
}

impl Listeners {
    /// Opens and closes what the plan asks for and gives open addresses their new listeners. Returns what could not
    /// be opened: listener ARN, cause. Addresses that are open are not touched, so that no connection is lost.
    pub(crate) fn follow(&mut self, edge: &Arc<Edge>, plan: &Plan) -> Vec<(String, String)> {
        let mut wanted: HashMap<SocketAddrV4, &Arc<Listener>> = HashMap::new();
        for (listener, addresses) in &plan.listeners {
            for address in addresses {
                wanted.insert(SocketAddrV4::new(*address, listener.port), listener);
            }
        }
        self.open.retain(|address, open| {
            let stays = wanted.contains_key(address);
            if !stays {
                open.accepting.abort();
                sockets::close(edge.kept.as_ref(), &open.listener);
                edge.connections.close(Some(open.endpoint.number));
            }
            stays
        });
        let mut failed = plan.refused.clone();
        for (address, listener) in wanted {
            match self.open.get(&address) {
                Some(open) => open.endpoint.change(listener.clone()),
                None => {
                    if let Err(error) = self.start(edge, address, listener) {
                        failed.push((listener.arn.clone(), format!("failed to listen on {address}: {error}")));
                    }
                }
            }
        }
        failed.sort();
        failed.dedup();
        failed
    }

    fn start(&mut self, edge: &Arc<Edge>, address: SocketAddrV4, listener: &Arc<Listener>) -> std::io::Result<()> {
        let socket = Arc::new(sockets::open(edge.kept.as_ref(), SocketAddr::V4(address))?);
        self.last_number += 1;
        let endpoint = Arc::new(Endpoint {
            number: self.last_number,
            current: ArcSwap::new(listener.clone()),
            changed: Notify::new(),
        });
        let accepting = {
            let (edge, endpoint, socket) = (edge.clone(), endpoint.clone(), socket.clone());
            tokio::spawn(async move {
                loop {
                    let (stream, peer) = sockets::accept(&socket).await;
                    tokio::spawn(connection::serve_own(edge.clone(), endpoint.clone(), stream, peer));
                }
            })
        };
        self.open.insert(
            address,
            Open {
                endpoint,
                listener: socket,
                accepting,
            },
        );
        Ok(())
    }

    /// Stops accepting everywhere. Sockets that are kept go on to collect connections for the next process.
    pub(crate) async fn close_all(&mut self) {
        for (_, open) in self.open.drain() {
            open.accepting.abort();
            // Until its descriptor is closed; the result is that it was aborted.
            let _ = open.accepting.await;
        }
    }
}
