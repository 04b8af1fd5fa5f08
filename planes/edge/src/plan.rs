//! The configuration in the form that requests use: everything is parsed, compiled and linked.

use crate::condition::Condition;
use crate::counters::LoadBalancerNumbers;
use crate::firewall::Wall;
use crate::group::Group;
use crate::tls::Secured;
use http::HeaderValue;
use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// What to do with X-Forwarded-For. Ref: attribute `routing.http.xff_header_processing.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ForwardedMode {
    Append,
    Preserve,
    Remove,
}

/// A load balancer's attributes that requests need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) idle_timeout_s: u32,
    pub(crate) client_keep_alive_s: u32,
    pub(crate) drop_invalid_headers: bool,
    pub(crate) preserve_host: bool,
    pub(crate) tls_headers: bool,
    pub(crate) forwarded_port: bool,
    pub(crate) forwarded_mode: ForwardedMode,
    pub(crate) http2: bool,
    pub(crate) fail_open: bool,
}

/// A load balancer.
pub(crate) struct Balancer {
    pub(crate) arn: String,
    pub(crate) settings: Settings,
    /// Where connections to targets come from.
    pub(crate) source: Option<Ipv4Addr>,
    pub(crate) wall: Option<Arc<Wall>>,
    pub(crate) numbers: Arc<LoadBalancerNumbers>,
}

/// What a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http,
    Https,
    Tcp,
    Tls,
}

/// A listener.
pub(crate) struct Listener {
    pub(crate) arn: String,
    pub(crate) balancer: Arc<Balancer>,
    pub(crate) protocol: Protocol,
    pub(crate) port: u16,
    /// The port as the value of X-Forwarded-Port.
    pub(crate) port_value: HeaderValue,
    pub(crate) rules: Vec<Rule>,
    pub(crate) tls: Option<Arc<Secured>>,
}

/// A rule.
pub(crate) struct Rule {
    pub(crate) conditions: Vec<Condition>,
    pub(crate) action: Action,
}

/// What a rule does.
pub(crate) enum Action {
    Forward {
        groups: Vec<(Arc<Group>, u32)>,
        /// Clients keep to a group: by a cookie for so long, or by their address, where the number says nothing.
        stickiness_s: Option<u32>,
    },
    Redirect(Redirect),
    Fixed {
        status: u16,
        content_type: Option<String>,
        body: bytes::Bytes,
    },
}

/// A redirect with its placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Redirect {
    pub(crate) status: u16,
    pub(crate) protocol: String,
    pub(crate) host: String,
    pub(crate) port: String,
    pub(crate) path: String,
    pub(crate) query: String,
}

/// The listeners of the load balancer that a host name of the shared entry stands for, those of the usual port first.
#[derive(Clone, Default)]
pub(crate) struct Named {
    pub(crate) http: Vec<Arc<Listener>>,
    pub(crate) https: Vec<Arc<Listener>>,
}

impl Named {
    /// The HTTPS listener for a name: one that has a certificate for it, else the first.
    pub(crate) fn secure(&self, name: &str) -> Option<&Arc<Listener>> {
        let has_name = |listener: &&Arc<Listener>| listener.tls.as_ref().is_some_and(|tls| tls.has_name(name));
        match self.https.as_slice() {
            [] => None,
            [only] => Some(only),
            several => several.iter().find(has_name).or(several.first()),
        }
    }
}

/// The whole configuration.
#[derive(Default)]
pub(crate) struct Plan {
    pub(crate) generation: u64,
    pub(crate) groups: HashMap<Arc<str>, Arc<Group>>,
    pub(crate) balancers: Vec<Arc<Balancer>>,
    /// Listeners with the addresses that they bind.
    pub(crate) listeners: Vec<(Arc<Listener>, Vec<Ipv4Addr>)>,
    /// Listeners that cannot be served: ARN, cause.
    pub(crate) refused: Vec<(String, String)>,
    /// Host names of the shared entry, lower case; `*.` in front stands for one label.
    pub(crate) hosts: HashMap<String, Named>,
    /// The web ACLs by ARN.
    pub(crate) walls: HashMap<String, Arc<Wall>>,
}

impl Plan {
    /// What a host name of the shared entry stands for.
    pub(crate) fn named(&self, host: &str) -> Option<&Named> {
        self.hosts.get(host).or_else(|| {
            let host = host.to_ascii_lowercase();
            let covered = || self.hosts.get(&pattern_of(&host)?);
            self.hosts.get(&host).or_else(covered)
        })
    }
}

/// The pattern that covers a name: `*.example.com` for `shop.example.com`.
pub(crate) fn pattern_of(name: &str) -> Option<String> {
    let (_, parent) = name.split_once('.')?;
    Some(format!("*.{parent}"))
}
