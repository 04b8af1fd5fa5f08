//! TCP and TLS listeners (Network Load Balancers): a connection is joined with one to a target.
//! Not here: UDP, PROXY protocol, keeping the client's address.

use crate::balance;
use crate::counters::add;
use crate::group::InFlight;
use crate::limits::{ATTEMPTS_MAX, CONNECT_TIMEOUT, CONNECT_TIMEOUT_WITH_ALTERNATIVE, TCP_IDLE_S_DEFAULT};
use crate::plan::{Action, Listener};
use crate::pool::{self, DialError};
use crate::tunnel;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// Serves one connection; without a target it is closed.
pub(crate) async fn serve(listener: &Listener, stream: impl AsyncRead + AsyncWrite + Unpin) {
    let Some(Action::Forward { groups, .. }) = listener.rules.last().map(|rule| &rule.action) else {
        return;
    };
    let Some(group) = balance::pick_group(groups) else {
        return;
    };
    let mut tried = Vec::new();
    for attempt in 1..=ATTEMPTS_MAX {
        let Some(target) = balance::pick(group, &tried) else {
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
                tunnel::join(stream, upstream, Duration::from_secs(TCP_IDLE_S_DEFAULT)).await;
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
