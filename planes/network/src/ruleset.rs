//! The nftables ruleset as a function of the model: a structure (chains, sets, rules) that changes with security groups,
//! and elements that change with tasks. Decides only; loads nothing.
//!
//! A packet to or from a task passes up to three checks: its source address belongs to its interface (`spoof`), the
//! sender's groups let it out, the receiver's groups let it in. Load balancer addresses are checked like tasks.
//! Sender and receiver are base chains of their own on each hook, because `accept` ends one base chain only.

use crate::METADATA_ADDRESS;
use crate::elements::{Data, Element, Key};
use crate::links::GATEWAY;
use crate::model::Model;
use crate::names::{InstanceId, short};
use crate::rules::{Direction, members, rule};
use honmaru_contract::node::Protocol;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Display, Write};
use std::net::Ipv4Addr;

/// A whole ruleset.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ruleset {
    table: String,
    /// Everything but the elements.
    structure: String,
    pub elements: BTreeSet<Element>,
}

impl Ruleset {
    /// Whether one can become the other by elements alone.
    pub fn same_structure(&self, other: &Self) -> bool {
        self.structure == other.structure
    }

    /// The script that replaces the table in one transaction, whatever was there.
    pub fn script(&self) -> String {
        let mut script = format!(
            "table inet {table} {{ }}\ndelete table inet {table}\ntable inet {table} {{\n{}}}\n",
            self.structure,
            table = self.table
        );
        let mut by_set: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for element in &self.elements {
            by_set.entry(&element.set).or_default().push(element.to_string());
        }
        for (set, elements) in by_set {
            let _ = writeln!(
                script,
                "add element inet {} {set} {{ {} }}",
                self.table,
                elements.join(", ")
            );
        }
        script
    }
}

/// The ruleset for a model.
pub(crate) fn ruleset(id: &InstanceId, model: &Model) -> Ruleset {
    let combinations = combinations(model);
    let mut out = String::new();
    sets(&mut out, model);
    groups(&mut out, model);
    for combination in &combinations {
        combination_chains(&mut out, combination);
    }
    hooks(&mut out, &id.interface_prefix(), model.metadata_port);
    Ruleset {
        table: id.table(),
        structure: out,
        elements: elements(model),
    }
}

/// The sets of groups that a task or host address is in: each gets a pair of chains. Groups that are gone do not count.
fn combinations(model: &Model) -> BTreeSet<Vec<&str>> {
    let tasks = model.ports.values().map(|port| &port.network.security_groups);
    let hosts = model.desired.host_addresses.values().map(|host| &host.security_groups);
    tasks
        .chain(hosts)
        .map(|groups| known(model, groups))
        .filter(|groups| !groups.is_empty())
        .collect()
}

/// The groups that exist, sorted, once each.
fn known<'m>(model: &'m Model, groups: &[String]) -> Vec<&'m str> {
    let set: BTreeSet<&str> = groups
        .iter()
        .filter_map(|g| model.desired.security_groups.get_key_value(g))
        .map(|(id, _)| id.as_str())
        .collect();
    set.into_iter().collect()
}

fn ingress_chain(groups: &[&str]) -> String {
    format!("ci_{}", short(&groups.join(",")))
}

fn egress_chain(groups: &[&str]) -> String {
    format!("ce_{}", short(&groups.join(",")))
}

fn list<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    items
        .into_iter()
        .map(|item| item.to_string())
        .collect::<Vec<_>>()
        .join(", ")
}

fn set(out: &mut String, name: &str, definition: &str, elements: &str) {
    let elements = if elements.is_empty() {
        String::new()
    } else {
        format!(" elements = {{ {elements} }};")
    };
    let _ = writeln!(out, " set {name} {{ {definition}{elements} }}");
}

fn sets(out: &mut String, model: &Model) {
    let ranges = model.desired.ranges();
    set(out, "vpcs", "type ipv4_addr; flags interval;", &list(&ranges));
    let pairs = ranges.iter().map(|range| format!("{range} . {range}"));
    set(
        out,
        "same_vpc",
        "type ipv4_addr . ipv4_addr; flags interval;",
        &list(pairs),
    );
    set(out, "resolvers", "type ipv4_addr;", &list(model.desired.resolvers()));
    set(
        out,
        "hosts",
        "type ipv4_addr;",
        &list(model.desired.host_addresses.keys()),
    );
    set(out, "ports", "type ifname . ipv4_addr;", "");
    set(out, "outbound", "type ipv4_addr;", "");
    for group in model.desired.security_groups.keys() {
        set(out, &members(group), "type ipv4_addr;", "");
    }
    out.push_str(" map to_addr { type ipv4_addr : verdict; }\n map from_addr { type ipv4_addr : verdict; }\n");
    out.push_str(" map pub_tcp { type inet_service : ipv4_addr . inet_service; }\n");
    out.push_str(" map pub_udp { type inet_service : ipv4_addr . inet_service; }\n");
}

fn groups(out: &mut String, model: &Model) {
    let names: BTreeSet<&str> = model.desired.security_groups.keys().map(String::as_str).collect();
    for (id, group) in &model.desired.security_groups {
        for (prefix, rules, direction) in [
            ("gi", &group.ingress, Direction::Ingress),
            ("ge", &group.egress, Direction::Egress),
        ] {
            let _ = writeln!(out, " chain {prefix}_{} {{", short(id));
            for line in rules.iter().filter_map(|r| rule(r, direction, &names)) {
                let _ = writeln!(out, "  {line}");
            }
            out.push_str(" }\n");
        }
    }
}

fn combination_chains(out: &mut String, groups: &[&str]) {
    for (name, prefix) in [(ingress_chain(groups), "gi"), (egress_chain(groups), "ge")] {
        let _ = writeln!(out, " chain {name} {{");
        for group in groups {
            let _ = writeln!(out, "  jump {prefix}_{}", short(group));
        }
        out.push_str(" }\n");
    }
}

/// The base chains. `{ours}` matches the host sides of all tasks of this instance.
fn hooks(out: &mut String, prefix: &str, metadata_port: u16) {
    const TRACKED: &str = "ct state vmap { established : accept, related : accept, invalid : drop }";
    let ours = format!("\"{prefix}*\"");
    let metadata = METADATA_ADDRESS;
    let _ = write!(
        out,
        r#" chain spoof_hook {{ type filter hook prerouting priority -300; policy accept;
  iifname {ours} meta nfproto != ipv4 drop
  iifname {ours} iifname . ip saddr != @ports drop
  iifname {ours} ip daddr 127.0.0.0/8 drop
  iifname != {ours} iifname != "lo" ip saddr @vpcs drop
  iifname != {ours} iifname != "lo" ip daddr @resolvers drop
  iifname != {ours} iifname != "lo" ip daddr {GATEWAY} tcp dport {metadata_port} drop
 }}
 chain nat_pre_hook {{ type nat hook prerouting priority -100; policy accept;
  iifname {ours} ip daddr {metadata} tcp dport 80 dnat ip to {GATEWAY}:{metadata_port}
 }}
 chain nat_out_hook {{ type nat hook output priority -100; policy accept;
  ip daddr 127.0.0.1 meta l4proto tcp dnat ip to tcp dport map @pub_tcp
  ip daddr 127.0.0.1 meta l4proto udp dnat ip to udp dport map @pub_udp
 }}
 chain nat_post_hook {{ type nat hook postrouting priority 100; policy accept;
  oifname {ours} ip saddr 127.0.0.0/8 snat ip to {GATEWAY}
  oifname != {ours} oifname != "lo" ip saddr @outbound ip daddr != @vpcs masquerade
  oifname != {ours} oifname != "lo" ip saddr @hosts masquerade
 }}
 chain fwd_sender_hook {{ type filter hook forward priority 0; policy accept;
  iifname != {ours} accept
  {TRACKED}
  ip daddr @vpcs ip saddr . ip daddr != @same_vpc drop
  ip daddr != @vpcs ip saddr != @outbound drop
  ip saddr vmap @from_addr
  drop
 }}
 chain fwd_receiver_hook {{ type filter hook forward priority 1; policy accept;
  oifname != {ours} accept
  {TRACKED}
  ip daddr vmap @to_addr
  drop
 }}
 chain host_in_sender_hook {{ type filter hook input priority 0; policy accept;
  iifname != {ours} accept
  {TRACKED}
  ip daddr @resolvers meta l4proto {{ tcp, udp }} th dport 53 accept
  ip daddr {GATEWAY} tcp dport {metadata_port} ct status dnat accept
  ip daddr != @hosts drop
  ip daddr @vpcs ip saddr . ip daddr != @same_vpc drop
  ip saddr vmap @from_addr
  drop
 }}
 chain host_in_receiver_hook {{ type filter hook input priority 1; policy accept;
  ip daddr != @hosts accept
  {TRACKED}
  ip daddr vmap @to_addr
  drop
 }}
 chain host_out_sender_hook {{ type filter hook output priority 0; policy accept;
  oifname "lo" accept
  ip saddr != @hosts accept
  {TRACKED}
  ip saddr vmap @from_addr
  drop
 }}
 chain host_out_receiver_hook {{ type filter hook output priority 1; policy accept;
  oifname != {ours} accept
  {TRACKED}
  ip daddr vmap @to_addr
  drop
 }}
"#
    );
}

/// All elements that come and go with tasks and load balancers.
fn elements(model: &Model) -> BTreeSet<Element> {
    let mut elements = BTreeSet::new();
    for port in model.ports.values() {
        let network = &port.network;
        let address = network.address;
        insert(
            &mut elements,
            "ports",
            Key::Interface(port.interface.clone(), address),
            Data::None,
        );
        if network.egress {
            insert(&mut elements, "outbound", Key::Address(address), Data::None);
        }
        membership(&mut elements, model, address, &network.security_groups);
        for published in &network.published {
            let map = match published.protocol {
                Protocol::Tcp => "pub_tcp",
                Protocol::Udp => "pub_udp",
                Protocol::All | Protocol::Icmp | Protocol::Number(_) => continue,
            };
            let data = Data::Endpoint(address, published.container_port);
            insert(&mut elements, map, Key::Port(published.host_port), data);
        }
    }
    for (address, host) in &model.desired.host_addresses {
        membership(&mut elements, model, *address, &host.security_groups);
    }
    elements
}

fn membership(elements: &mut BTreeSet<Element>, model: &Model, address: Ipv4Addr, groups: &[String]) {
    let groups = known(model, groups);
    if groups.is_empty() {
        return;
    }
    insert(
        elements,
        "to_addr",
        Key::Address(address),
        Data::Jump(ingress_chain(&groups)),
    );
    insert(
        elements,
        "from_addr",
        Key::Address(address),
        Data::Jump(egress_chain(&groups)),
    );
    for group in groups {
        insert(elements, &members(group), Key::Address(address), Data::None);
    }
}

fn insert(elements: &mut BTreeSet<Element>, set: &str, key: Key, data: Data) {
    elements.insert(Element {
        set: set.to_owned(),
        key,
        data,
    });
}
