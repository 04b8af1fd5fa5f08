//! The nftables ruleset as a function of the model: sets, chains and rules, which change with security groups and VPCs,
//! and elements, which change with tasks; and the script that leads from one ruleset to the next. Decides only.
//!
//! A packet to or from a task passes up to three checks: its source address belongs to its interface (`spoof`), the
//! sender's groups let it out, the receiver's groups let it in. Load balancer addresses are checked like tasks.
//! Sender and receiver are base chains of their own on each hook, because `accept` ends one base chain only.

use crate::METADATA_ADDRESS;
use crate::elements::{Data, Element, Key};
use crate::links::GATEWAY;
use crate::model::{Model, resolver_of};
use crate::names::{InstanceId, short};
use crate::rules::{Direction, members, rule};
use honmaru_contract::node::Protocol;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::Ipv4Addr;

/// A chain: what it hooks into, if anything, and its rules.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Chain {
    pub hook: String,
    pub rules: Vec<String>,
}

/// A whole ruleset, or what is known of the one in the kernel.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Ruleset {
    pub table: String,
    /// `set` or `map` and the type, by name.
    pub sets: BTreeMap<String, String>,
    pub chains: BTreeMap<String, Chain>,
    pub elements: BTreeSet<Element>,
}

impl Ruleset {
    /// Whether one can become the other by elements alone.
    pub fn same_structure(&self, other: &Self) -> bool {
        self.sets == other.sets && self.chains == other.chains
    }

    /// The script that replaces the table, whatever was there. A packet that is under way at that moment may meet
    /// rules whose sets are empty already: only for when [`Ruleset::script_from`] does not work.
    pub fn script(&self) -> String {
        let table = &self.table;
        format!(
            "table inet {table} {{ }}\ndelete table inet {table}\n{}",
            self.script_from(&Self::default())
        )
    }

    /// The script that makes `before` into this one, in one transaction. What stays is not touched: the kernel decides
    /// at the moment of a lookup whether an element counts, so that an element that was taken away and given again in
    /// one transaction is missing for a packet that still follows the old rules.
    pub fn script_from(&self, before: &Self) -> String {
        let table = &self.table;
        let mut out = format!("add table inet {table}\n");
        let mut line = |text: std::fmt::Arguments<'_>| {
            let _ = writeln!(out, "{text}");
        };
        for (name, definition) in self.sets.iter().filter(|(name, _)| !before.sets.contains_key(*name)) {
            let (kind, definition) = definition.split_once(' ').unwrap_or(("set", definition));
            line(format_args!("add {kind} inet {table} {name} {{ {definition} }}"));
        }
        for (name, chain) in self
            .chains
            .iter()
            .filter(|(name, _)| !before.chains.contains_key(*name))
        {
            let hook = if chain.hook.is_empty() {
                String::new()
            } else {
                format!(" {{ {} }}", chain.hook)
            };
            line(format_args!("add chain inet {table} {name}{hook}"));
        }
        for (name, chain) in &before.chains {
            if self.chains.get(name) != Some(chain) {
                line(format_args!("flush chain inet {table} {name}"));
            }
        }
        for element in before.elements.difference(&self.elements) {
            line(format_args!(
                "delete element inet {table} {} {{ {element} }}",
                element.set
            ));
        }
        for (name, chain) in &self.chains {
            if before.chains.get(name) != Some(chain) {
                for rule in &chain.rules {
                    line(format_args!("add rule inet {table} {name} {rule}"));
                }
            }
        }
        let mut added: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for element in self.elements.difference(&before.elements) {
            added.entry(&element.set).or_default().push(element.to_string());
        }
        for (set, elements) in added {
            line(format_args!(
                "add element inet {table} {set} {{ {} }}",
                elements.join(", ")
            ));
        }
        for name in before.chains.keys().filter(|name| !self.chains.contains_key(*name)) {
            line(format_args!("delete chain inet {table} {name}"));
        }
        for (name, definition) in before.sets.iter().filter(|(name, _)| !self.sets.contains_key(*name)) {
            let kind = definition.split_once(' ').map_or("set", |(kind, _)| kind);
            line(format_args!("delete {kind} inet {table} {name}"));
        }
        out
    }

    fn chain(&mut self, name: impl Into<String>, hook: &str, rules: impl IntoIterator<Item = String>) {
        let chain = Chain {
            hook: hook.to_owned(),
            rules: rules.into_iter().collect(),
        };
        self.chains.insert(name.into(), chain);
    }
}

/// The ruleset for a model.
pub(crate) fn ruleset(id: &InstanceId, model: &Model) -> Ruleset {
    let mut rules = Ruleset {
        table: id.table(),
        sets: sets(model),
        chains: BTreeMap::new(),
        elements: elements(model),
    };
    groups(&mut rules, model);
    for combination in combinations(model) {
        for (name, prefix) in [(ingress_chain(&combination), "gi"), (egress_chain(&combination), "ge")] {
            rules.chain(
                name,
                "",
                combination
                    .iter()
                    .map(|group| format!("jump {prefix}_{}", short(group))),
            );
        }
    }
    hooks(&mut rules, id, model);
    rules
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

/// No set has intervals: the kernel makes those anew some time after a transaction counts.
fn sets(model: &Model) -> BTreeMap<String, String> {
    const ADDRESSES: &str = "set type ipv4_addr;";
    const ENDPOINTS: &str = "map type inet_service : ipv4_addr . inet_service;";
    const VERDICTS: &str = "map type ipv4_addr : verdict;";
    let fixed = [
        ("resolvers", ADDRESSES),
        ("hosts", ADDRESSES),
        ("outbound", ADDRESSES),
        ("ports", "set type ifname . ipv4_addr;"),
        ("to_addr", VERDICTS),
        ("from_addr", VERDICTS),
        ("pub_tcp", ENDPOINTS),
        ("pub_udp", ENDPOINTS),
    ];
    let groups = model
        .desired
        .security_groups
        .keys()
        .map(|group| (members(group), ADDRESSES.to_owned()));
    fixed
        .into_iter()
        .map(|(name, definition)| (name.to_owned(), definition.to_owned()))
        .chain(groups)
        .collect()
}

fn groups(rules: &mut Ruleset, model: &Model) {
    let names: BTreeSet<&str> = model.desired.security_groups.keys().map(String::as_str).collect();
    for (id, group) in &model.desired.security_groups {
        for (prefix, list, direction) in [
            ("gi", &group.ingress, Direction::Ingress),
            ("ge", &group.egress, Direction::Egress),
        ] {
            rules.chain(
                format!("{prefix}_{}", short(id)),
                "",
                list.iter().filter_map(|r| rule(r, direction, &names)),
            );
        }
    }
}

/// The base chains. `ours` matches the host sides of all tasks of this instance.
fn hooks(rules: &mut Ruleset, id: &InstanceId, model: &Model) {
    const TRACKED: &str = "ct state vmap { established : accept, related : accept, invalid : drop }";
    let ours = format!("\"{}*\"", id.interface_prefix());
    let outside = format!("iifname != {ours} iifname != \"lo\"");
    let leaving = format!("oifname != {ours} oifname != \"lo\"");
    let port = model.metadata_port;
    let ranges = model.desired.ranges();
    let mut chain = |name: &str, hook: &str, list: Vec<String>| {
        let hook = if hook.is_empty() {
            String::new()
        } else {
            format!("type {hook}; policy accept;")
        };
        rules.chain(name, &hook, list);
    };
    let text = |list: &[&str]| list.iter().map(|rule| (*rule).to_owned()).collect::<Vec<_>>();

    let mut spoof = vec![
        format!("iifname {ours} meta nfproto != ipv4 drop"),
        format!("iifname {ours} iifname . ip saddr != @ports drop"),
        format!("iifname {ours} ip daddr 127.0.0.0/8 drop"),
        format!("{outside} ip daddr @resolvers drop"),
        format!("{outside} ip daddr {GATEWAY} tcp dport {port} drop"),
    ];
    spoof.extend(ranges.iter().map(|range| format!("{outside} ip saddr {range} drop")));
    chain("spoof_hook", "filter hook prerouting priority -300", spoof);

    // Tasks stay in their VPC, unless they may leave it altogether.
    let mut scope: Vec<String> = ranges
        .iter()
        .map(|r| format!("ip saddr {r} ip daddr {r} return"))
        .collect();
    scope.extend(ranges.iter().map(|range| format!("ip daddr {range} drop")));
    // What is on the host's own links is not for tasks, and last of all a cloud's metadata service with the credentials of
    // the machine. Ref: RFC 3927, 7: a router must not forward such packets; Linux does.
    scope.push("ip daddr 169.254.0.0/16 drop".to_owned());
    scope.push("ip saddr != @outbound drop".to_owned());
    chain("scope", "", scope);

    chain(
        "nat_pre_hook",
        "nat hook prerouting priority -100",
        vec![format!(
            "iifname {ours} ip daddr {METADATA_ADDRESS} tcp dport 80 dnat ip to {GATEWAY}:{port}"
        )],
    );
    chain(
        "nat_out_hook",
        "nat hook output priority -100",
        text(&[
            "ip daddr 127.0.0.1 meta l4proto tcp dnat ip to tcp dport map @pub_tcp",
            "ip daddr 127.0.0.1 meta l4proto udp dnat ip to udp dport map @pub_udp",
        ]),
    );
    let mut leave = vec![format!("oifname {ours} ip saddr 127.0.0.0/8 snat ip to {GATEWAY}")];
    leave.extend(ranges.iter().map(|range| format!("ip daddr {range} accept")));
    leave.push(format!("{leaving} ip saddr @outbound masquerade"));
    leave.push(format!("{leaving} ip saddr @hosts masquerade"));
    chain("nat_post_hook", "nat hook postrouting priority 100", leave);

    let checked = |first: Vec<String>, side: &str| {
        let mut list = first;
        list.push(side.to_owned());
        list.push("drop".to_owned());
        list
    };
    let (sender, receiver) = ("ip saddr vmap @from_addr", "ip daddr vmap @to_addr");
    let skip = |condition: String| vec![format!("{condition} accept"), TRACKED.to_owned()];
    let mut first = skip(format!("iifname != {ours}"));
    first.push("jump scope".to_owned());
    chain(
        "fwd_sender_hook",
        "filter hook forward priority 0",
        checked(first, sender),
    );
    let first = skip(format!("oifname != {ours}"));
    chain(
        "fwd_receiver_hook",
        "filter hook forward priority 1",
        checked(first, receiver),
    );
    let mut first = skip(format!("iifname != {ours}"));
    // Each VPC its own resolver: nobody else's tasks can keep it busy.
    let resolvers = ranges.iter().filter_map(|range| Some((range, resolver_of(range)?)));
    first.extend(resolvers.map(|(range, resolver)| {
        format!("ip saddr {range} ip daddr {resolver} meta l4proto {{ tcp, udp }} th dport 53 accept")
    }));
    first.extend([
        format!("ip daddr {GATEWAY} tcp dport {port} ct status dnat accept"),
        "ip daddr != @hosts drop".to_owned(),
        "jump scope".to_owned(),
    ]);
    chain(
        "host_in_sender_hook",
        "filter hook input priority 0",
        checked(first, sender),
    );
    let first = skip("ip daddr != @hosts".to_owned());
    chain(
        "host_in_receiver_hook",
        "filter hook input priority 1",
        checked(first, receiver),
    );
    // Load balancers stay in their VPC, too, and are no way to what else listens on this machine: targets are addresses that
    // their owner chooses, and the resolver's is the host's own.
    let mut host_scope: Vec<String> = ranges
        .iter()
        .map(|r| format!("ip saddr {r} ip daddr {r} return"))
        .collect();
    host_scope.extend(ranges.iter().map(|range| format!("ip daddr {range} drop")));
    chain("host_scope", "", host_scope);
    let mut first = text(&[
        "oifname \"lo\" ip saddr @hosts ip daddr != @hosts ct state new drop",
        "oifname \"lo\" accept",
    ]);
    first.extend(skip("ip saddr != @hosts".to_owned()));
    first.push("jump host_scope".to_owned());
    chain(
        "host_out_sender_hook",
        "filter hook output priority 0",
        checked(first, sender),
    );
    let first = skip(format!("oifname != {ours}"));
    chain(
        "host_out_receiver_hook",
        "filter hook output priority 1",
        checked(first, receiver),
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
    for address in model.desired.resolvers() {
        insert(&mut elements, "resolvers", Key::Address(address), Data::None);
    }
    for (address, host) in &model.desired.host_addresses {
        insert(&mut elements, "hosts", Key::Address(*address), Data::None);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_is_not_touched() {
        let element = |set: &str, n: u8| Element {
            set: set.to_owned(),
            key: Key::Address(Ipv4Addr::new(10, 0, 0, n)),
            data: Data::None,
        };
        let chain = |rules: &[&str]| Chain {
            hook: String::new(),
            rules: rules.iter().map(|rule| (*rule).to_owned()).collect(),
        };
        let before = Ruleset {
            table: "t".to_owned(),
            sets: [("kept", "set type a;"), ("old", "map type b;")]
                .map(|(n, d)| (n.to_owned(), d.to_owned()))
                .into(),
            chains: [("same", chain(&["x"])), ("other", chain(&["y"])), ("old", chain(&[]))]
                .map(|(n, c)| (n.to_owned(), c))
                .into(),
            elements: [element("kept", 1), element("kept", 2)].into(),
        };
        let mut after = before.clone();
        after.sets.remove("old");
        after.sets.insert("new".to_owned(), "set type c;".to_owned());
        after.chains.remove("old");
        after.chains.insert("other".to_owned(), chain(&["z"]));
        after.elements = [element("kept", 2), element("new", 3)].into();
        let wanted = "add table inet t\nadd set inet t new { type c; }\nflush chain inet t old\n\
            flush chain inet t other\ndelete element inet t kept { 10.0.0.1 }\nadd rule inet t other z\n\
            add element inet t new { 10.0.0.3 }\ndelete chain inet t old\ndelete map inet t old\n";
        assert_eq!(after.script_from(&before), wanted);
        assert_eq!(after.script_from(&after), "add table inet t\n");
    }
}
