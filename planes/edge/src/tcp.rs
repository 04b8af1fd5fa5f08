//! TCP and TLS listeners (Network Load Balancers): a connection is joined with one to a target.
//! Not here: UDP, PROXY protocol, keeping the client's address.
//!
//! Of several target groups a new connection gets one by weight. Other weights are for new connections; those of a group
//! whose weight becomes 0 are closed. Ref: NLB guide, "Listeners", "Default actions".

use crate::balance;
use crate::counters::add;
use crate::group::{Group, InFlight};
use crate::limits::{ATTEMPTS_MAX, CONNECT_TIMEOUT, CONNECT_TIMEOUT_WITH_ALTERNATIVE, TCP_IDLE_S_DEFAULT};
use crate::listeners::Endpoint;
use crate::plan::{Action, Listener};
use crate::pool::{self, DialError};
use crate::tunnel;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// Serves one connection; without a target it is closed.
pub(crate) async fn serve(endpoint: &Endpoint, client: IpAddr, stream: impl AsyncRead + AsyncWrite + Unpin) {
    let listener = endpoint.listener();
    let Some(group) = choose(&listener, client) else {
        return;
    };
    let mut tried = Vec::new();
    for attempt in 1..=ATTEMPTS_MAX {
        let Some(target) = balance::pick(&group, &tried) else {
            return;
        };
        let has_alternative = attempt < ATTEMPTS_MAX && group.live().len() > tried.len() + 1;
        let timeout = if has_alternative {
            CONNECT_TIMEOUT_WITH_ALTERNATIVE
        } else {
            CONNECT_TIMEOUT
        };
        let in_flight = InFlight::new(target.clone());
        match pool::dial(target.address(), listener.balancer.source, group.uses_tls, timeout).await {
            Ok(upstream) => {
                add(&group.numbers.requests);
                target.trust();
                let idle = Duration::from_secs(TCP_IDLE_S_DEFAULT);
                tokio::select! {
                    () = tunnel::join(stream, upstream, idle) => {}
                    () = endpoint.until(|listener| weight(listener, &group.arn) == Some(0)) => {}
                }
                drop(in_flight);
                return;
            }
            Err(DialError::Failed(_) | DialError::TimedOut) => {
                add(&group.numbers.connection_errors);
                target.suspect();
                tried.push(target.address());
            }
        }
    }
}

/// The target groups of the listener's one rule, with their weights.
struct Spread<'a> {
    groups: &'a [(Arc<Group>, u32)],
    /// Whether clients keep to one of them.
    is_sticky: bool,
}

fn spread(listener: &Listener) -> Option<Spread<'_>> {
    match &listener.rules.last()?.action {
        Action::Forward { groups, stickiness_s } => Some(Spread {
            groups,
            is_sticky: stickiness_s.is_some(),
        }),
        Action::Redirect(_) | Action::Fixed { .. } => None,
    }
}

fn choose(listener: &Listener, client: IpAddr) -> Option<Arc<Group>> {
    let Spread { groups, is_sticky } = spread(listener)?;
    let chosen = match is_sticky {
        true => balance::pick_group_of(client, groups),
        false => balance::pick_group(groups),
    };
    chosen.cloned()
}

fn weight(listener: &Listener, group: &str) -> Option<u32> {
    let found = spread(listener)?.groups.iter().find(|(other, _)| *other.arn == *group);
    found.map(|(_, weight)| *weight)
}
