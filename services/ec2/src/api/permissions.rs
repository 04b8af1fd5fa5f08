//! `IpPermissions`, the form in which rules are asked for, and the rules that they stand for.

use crate::model::{RulePeer, SecurityGroup, SecurityGroupRule};
use crate::types;
use honmaru_base::{ApiError, Scope};
use honmaru_machine::State;
use ipnet::Ipv4Net;
use std::collections::BTreeMap;

/// What a rule lets through, before it has an id.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wanted {
    pub(super) protocol: String,
    pub(super) from_port: i32,
    pub(super) to_port: i32,
    pub(super) peer: RulePeer,
    pub(super) description: Option<String>,
}

impl Wanted {
    /// Whether a rule lets through the same.
    pub(super) fn is(&self, rule: &SecurityGroupRule) -> bool {
        self.protocol == rule.protocol
            && self.from_port == rule.from_port
            && self.to_port == rule.to_port
            && self.peer == rule.peer
    }

    /// For example `peer: 0.0.0.0/0, TCP, from port: 80, to port: 80, ALLOW`, as AWS's duplicate error says.
    pub(super) fn describe(&self) -> String {
        let peer = match &self.peer {
            RulePeer::Ipv4(range) => range.to_string(),
            RulePeer::Ipv6(range) | RulePeer::Group(range) => range.clone(),
        };
        if self.protocol == "-1" {
            return format!("peer: {peer}, ALL, ALLOW");
        }
        let (protocol, from, to) = (self.protocol.to_uppercase(), self.from_port, self.to_port);
        format!("peer: {peer}, {protocol}, from port: {from}, to port: {to}, ALLOW")
    }
}

/// A request's rules, whether it has `IpPermissions` or the older members.
pub(super) struct Asked {
    pub(super) permissions: Option<Vec<types::IpPermission>>,
    pub(super) protocol: Option<String>,
    pub(super) from_port: Option<i32>,
    pub(super) to_port: Option<i32>,
    pub(super) cidr: Option<String>,
    pub(super) source_group: Option<String>,
}

/// The rules that a request stands for. `MissingParameter`, `InvalidPermission.Malformed`, `InvalidParameterValue`,
/// `InvalidGroup.NotFound`.
pub(super) fn wanted(
    state: &State,
    scope: &Scope,
    group: &SecurityGroup,
    asked: Asked,
) -> Result<Vec<Wanted>, ApiError> {
    let permissions = match asked.permissions {
        Some(permissions) if !permissions.is_empty() => permissions,
        _ => vec![types::IpPermission {
            ip_protocol: asked.protocol,
            from_port: asked.from_port,
            to_port: asked.to_port,
            ip_ranges: asked.cidr.map(|cidr| {
                vec![types::IpRange {
                    cidr_ip: Some(cidr),
                    description: None,
                }]
            }),
            user_id_group_pairs: asked.source_group.map(|name| {
                vec![types::UserIdGroupPair {
                    group_name: Some(name),
                    ..types::UserIdGroupPair::default()
                }]
            }),
            ..types::IpPermission::default()
        }],
    };
    let mut rules = Vec::new();
    for permission in permissions {
        let (protocol, from_port, to_port) = protocol_and_ports(
            permission.ip_protocol.as_deref(),
            permission.from_port,
            permission.to_port,
        )?;
        let mut add = |peer, description| {
            rules.push(Wanted {
                protocol: protocol.clone(),
                from_port,
                to_port,
                peer,
                description,
            });
        };
        for range in permission.ip_ranges.unwrap_or_default() {
            add(
                RulePeer::Ipv4(ipv4_range(range.cidr_ip.as_deref().unwrap_or_default())?),
                range.description,
            );
        }
        for range in permission.ipv6_ranges.unwrap_or_default() {
            let text = range.cidr_ipv6.unwrap_or_default();
            add(RulePeer::Ipv6(ipv6_range(&text)?), range.description);
        }
        for pair in permission.user_id_group_pairs.unwrap_or_default() {
            let id = match (pair.group_id, pair.group_name) {
                (Some(id), _) => crate::security_group(state, scope, &id)?.id.clone(),
                (None, Some(name)) => by_name(state, scope, &group.vpc_id, &name)?.id.clone(),
                (None, None) => return Err(missing("groupId")),
            };
            add(RulePeer::Group(id), pair.description);
        }
        if permission.prefix_list_ids.is_some_and(|ids| !ids.is_empty()) {
            let message = "Prefix lists are not supported in rules of this security group.";
            return Err(ApiError::new("InvalidPrefixListId.NotFound", message));
        }
    }
    if rules.is_empty() {
        return Err(missing("ipPermissions"));
    }
    for rule in &rules {
        check_description(rule.description.as_deref())?;
    }
    Ok(rules)
}

/// The description of a rule has at most so many characters. Ref: EC2 `IpRange`.
const DESCRIPTION_CHARS_MAX: usize = 255;

/// Checks a rule's description: `InvalidParameterValue`.
pub(super) fn check_description(text: Option<&str>) -> Result<(), ApiError> {
    let is_valid = |text: &str| {
        text.chars().count() <= DESCRIPTION_CHARS_MAX
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || " ._-:/()#,@[]+=&;{}!$*".contains(c))
    };
    if text.is_none_or(is_valid) {
        return Ok(());
    }
    let message = "Invalid rule description. Valid descriptions are strings less than 256 characters from the \
                   following set:  a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*";
    Err(ApiError::new("InvalidParameterValue", message))
}

/// A group of a VPC by its name.
pub(super) fn by_name<'a>(
    state: &'a State,
    scope: &'a Scope,
    vpc_id: &str,
    name: &str,
) -> Result<&'a SecurityGroup, ApiError> {
    let found = state
        .find::<SecurityGroup>(scope, "name", &format!("{vpc_id}/{name}"))
        .next();
    found.map(|(_, group)| group).ok_or_else(|| {
        ApiError::new(
            "InvalidGroup.NotFound",
            format!("The security group '{name}' does not exist in default VPC '{vpc_id}'"),
        )
    })
}

pub(super) fn missing(parameter: &str) -> ApiError {
    ApiError::new(
        "MissingParameter",
        format!("The request must contain the parameter {parameter}"),
    )
}

/// Ref: EC2 API reference, `IpPermission`: -1 for all, tcp, udp, icmp, icmpv6 or a number 0 to 255. What is refused is seen
/// of AWS by getmoto/moto, `test_modify_security_group_rules`, which runs against it.
pub(super) fn protocol_and_ports(
    protocol: Option<&str>,
    from: Option<i32>,
    to: Option<i32>,
) -> Result<(String, i32, i32), ApiError> {
    let protocol = match protocol
        .ok_or_else(|| {
            let message =
                "Invalid value 'null' for protocol. VPC security group rules must specify protocols explicitly.";
            ApiError::new("InvalidParameterValue", message)
        })?
        .to_ascii_lowercase()
        .as_str()
    {
        "-1" | "all" => return Ok(("-1".to_owned(), -1, -1)),
        "tcp" | "6" => "tcp".to_owned(),
        "udp" | "17" => "udp".to_owned(),
        "icmp" | "1" => "icmp".to_owned(),
        "icmpv6" | "58" => "icmpv6".to_owned(),
        other => match other.parse::<u8>() {
            Ok(number) => return Ok((number.to_string(), -1, -1)),
            Err(_) => {
                let message = format!("Invalid value '{other}' for IP protocol. Unknown protocol.");
                return Err(ApiError::new("InvalidPermission.Malformed", message));
            }
        },
    };
    // Of ICMPv6 alone the types may be left out: all are meant. Ref: EC2 API reference, `IpPermission`.
    let (from, to) = match (from, to) {
        (None, None) if protocol == "icmpv6" => (Some(-1), Some(-1)),
        given => given,
    };
    let (Some(from), Some(to)) = (from, to) else {
        if protocol.starts_with("icmp") {
            let message =
                format!("The request must contain the parameters fromPort and toPort for protocol {protocol}.");
            return Err(ApiError::new("MissingParameter", message));
        }
        let message = "Invalid value for portRange. Must specify both from and to ports with TCP/UDP.";
        return Err(ApiError::new("InvalidParameterValue", message));
    };
    let valid = if protocol.starts_with("icmp") {
        (-1..=255).contains(&from) && (-1..=255).contains(&to)
    } else {
        if from == -1 && to == -1 {
            return Ok((protocol, 0, 65_535));
        }
        (0..=65_535).contains(&from) && (0..=65_535).contains(&to) && from <= to
    };
    if !valid {
        let message =
            format!("Invalid value '{from}-{to}' for portRange. Must specify both from and to ports with TCP/UDP.");
        return Err(ApiError::new("InvalidParameterValue", message));
    }
    Ok((protocol, from, to))
}

pub(super) fn ipv4_range(text: &str) -> Result<Ipv4Net, ApiError> {
    let range: Option<Ipv4Net> = text.parse().ok();
    range
        .map(|range| range.trunc())
        .ok_or_else(|| ApiError::new("InvalidParameterValue", format!("CIDR block {text} is malformed")))
}

pub(super) fn ipv6_range(text: &str) -> Result<String, ApiError> {
    let range: Option<ipnet::Ipv6Net> = text.parse().ok();
    range
        .map(|range| range.trunc().to_string())
        .ok_or_else(|| ApiError::new("InvalidParameterValue", format!("CIDR block {text} is malformed")))
}

/// Rules in the form of `IpPermissions`: one for each protocol and port range.
pub(super) fn permissions(account: &str, rules: &[&SecurityGroupRule]) -> Vec<types::IpPermission> {
    let mut grouped: BTreeMap<(&str, i32, i32), types::IpPermission> = BTreeMap::new();
    for rule in rules {
        let key = (rule.protocol.as_str(), rule.from_port, rule.to_port);
        // A protocol given by its number lets all ports through, as -1 does, and has none to show: Terraform's provider
        // reads none as 0, which it asks people to write for protocol 50 (hashicorp/terraform#10143).
        let all = rule.protocol.parse::<i16>().is_ok();
        let permission = grouped.entry(key).or_insert_with(|| types::IpPermission {
            ip_protocol: Some(rule.protocol.clone()),
            from_port: (!all).then_some(rule.from_port),
            to_port: (!all).then_some(rule.to_port),
            ip_ranges: Some(Vec::new()),
            ipv6_ranges: Some(Vec::new()),
            user_id_group_pairs: Some(Vec::new()),
            prefix_list_ids: Some(Vec::new()),
        });
        let description = rule.description.clone();
        match &rule.peer {
            RulePeer::Ipv4(range) => permission.ip_ranges.get_or_insert_default().push(types::IpRange {
                cidr_ip: Some(range.to_string()),
                description,
            }),
            RulePeer::Ipv6(range) => permission.ipv6_ranges.get_or_insert_default().push(types::Ipv6Range {
                cidr_ipv6: Some(range.clone()),
                description,
            }),
            RulePeer::Group(id) => {
                permission
                    .user_id_group_pairs
                    .get_or_insert_default()
                    .push(types::UserIdGroupPair {
                        group_id: Some(id.clone()),
                        user_id: Some(account.to_owned()),
                        description,
                        ..types::UserIdGroupPair::default()
                    })
            }
        }
    }
    grouped.into_values().collect()
}
