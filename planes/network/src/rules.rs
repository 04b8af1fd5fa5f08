//! One security group's rule as text of the nft language. Every value is typed before it is written: no text of a
//! caller reaches nft.

use crate::names::short;
use honmaru_contract::node::{Peer, Protocol, SecurityRule};
use ipnet::Ipv4Net;
use std::collections::BTreeSet;

/// Which side of the packet the rule's peer is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// The peer is the source.
    Ingress,
    /// The peer is the destination.
    Egress,
}

/// The rule's match and `accept`, or nothing when it can match nothing here: an IPv6 range, a group that is gone.
pub(crate) fn rule(rule: &SecurityRule, direction: Direction, groups: &BTreeSet<&str>) -> Option<String> {
    let side = match direction {
        Direction::Ingress => "saddr",
        Direction::Egress => "daddr",
    };
    let peer = match &rule.peer {
        Peer::Cidr(cidr) => match cidr.parse::<Ipv4Net>().ok()?.trunc() {
            net if net.prefix_len() == 0 => String::new(),
            net => format!("ip {side} {net} "),
        },
        Peer::Group(group) if groups.contains(group.as_str()) => format!("ip {side} @{} ", members(group)),
        Peer::Group(_) => return None,
    };
    Some(format!("{peer}{}accept", protocol(rule.protocol, rule.ports)))
}

/// The set of a group's member addresses.
pub(crate) fn members(group: &str) -> String {
    format!("m_{}", short(group))
}

fn protocol(protocol: Protocol, ports: Option<(i32, i32)>) -> String {
    match protocol {
        Protocol::All => String::new(),
        Protocol::Tcp => transport("tcp", ports),
        Protocol::Udp => transport("udp", ports),
        Protocol::Icmp => icmp(ports),
        Protocol::Number(number) => format!("ip protocol {number} "),
    }
}

fn transport(name: &str, ports: Option<(i32, i32)>) -> String {
    let valid = |port: i32| u16::try_from(port).unwrap_or(if port < 0 { 0 } else { u16::MAX });
    match ports.map(|(first, last)| (valid(first), valid(last))) {
        None | Some((0, u16::MAX)) => format!("meta l4proto {name} "),
        Some((first, last)) if first == last => format!("{name} dport {first} "),
        Some((first, last)) => format!("{name} dport {}-{} ", first.min(last), first.max(last)),
    }
}

/// Type and code; -1 stands for any. Ref: EC2 `IpPermission.FromPort`.
fn icmp(ports: Option<(i32, i32)>) -> String {
    let number = |n: i32| u8::try_from(n).ok();
    match ports.map(|(kind, code)| (number(kind), number(code))) {
        Some((Some(kind), Some(code))) => format!("icmp type {kind} icmp code {code} "),
        Some((Some(kind), None)) => format!("icmp type {kind} "),
        Some((None, _)) | None => "ip protocol icmp ".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(protocol: Protocol, ports: Option<(i32, i32)>, peer: Peer, direction: Direction, wanted: Option<&str>) {
        let groups = BTreeSet::from(["sg-web"]);
        assert_eq!(
            rule(&SecurityRule { protocol, ports, peer }, direction, &groups).as_deref(),
            wanted
        );
    }

    #[test]
    fn writes_the_nft_language() {
        use Direction::{Egress, Ingress};
        let cidr = |text: &str| Peer::Cidr(text.to_owned());
        check(
            Protocol::Tcp,
            Some((80, 80)),
            cidr("10.1.0.0/16"),
            Ingress,
            Some("ip saddr 10.1.0.0/16 tcp dport 80 accept"),
        );
        check(
            Protocol::Udp,
            Some((1, 9)),
            cidr("10.1.2.3/32"),
            Egress,
            Some("ip daddr 10.1.2.3/32 udp dport 1-9 accept"),
        );
        check(Protocol::All, None, cidr("0.0.0.0/0"), Egress, Some("accept"));
        check(
            Protocol::Tcp,
            None,
            cidr("0.0.0.0/0"),
            Ingress,
            Some("meta l4proto tcp accept"),
        );
        check(
            Protocol::Icmp,
            Some((8, -1)),
            cidr("0.0.0.0/0"),
            Ingress,
            Some("icmp type 8 accept"),
        );
        check(
            Protocol::Icmp,
            Some((-1, -1)),
            cidr("0.0.0.0/0"),
            Ingress,
            Some("ip protocol icmp accept"),
        );
        check(
            Protocol::Number(50),
            None,
            cidr("0.0.0.0/0"),
            Ingress,
            Some("ip protocol 50 accept"),
        );
        let set = members("sg-web");
        let wanted = format!("ip saddr @{set} tcp dport 5432 accept");
        check(
            Protocol::Tcp,
            Some((5432, 5432)),
            Peer::Group("sg-web".to_owned()),
            Ingress,
            Some(&wanted),
        );
    }

    #[test]
    fn what_cannot_match_is_left_out() {
        check(
            Protocol::All,
            None,
            Peer::Cidr("::/0".to_owned()),
            Direction::Ingress,
            None,
        );
        check(
            Protocol::All,
            None,
            Peer::Cidr("; flush ruleset".to_owned()),
            Direction::Ingress,
            None,
        );
        check(
            Protocol::All,
            None,
            Peer::Group("sg-gone".to_owned()),
            Direction::Ingress,
            None,
        );
    }
}
