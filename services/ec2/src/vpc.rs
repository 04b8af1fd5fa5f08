//! The default VPC: one for each account and region, one subnet in each zone.

use crate::model::{RulePeer, SecurityGroup, SecurityGroupRule, Subnet, Vpc};
use honmaru_base::{ApiError, Scope, hex_id, prefixed_id};
use honmaru_contract::node;
use honmaru_machine::{State, Tx};
use ipnet::Ipv4Net;
use std::collections::BTreeMap;

/// The zones of a region. AWS's regions have three to six; each gets a default subnet.
const ZONES: [char; 3] = ['a', 'b', 'c'];
/// A default subnet is a /20. Ref: VPC guide, "Default VPC components".
const SUBNET_PREFIX_LEN: u8 = 20;

/// Makes the default VPC of an account and region, unless it is there, and returns its id.
///
/// `cidr` is its range. All VPCs share one host: what overlaps with the range of another is refused.
pub fn ensure_default_vpc(tx: &mut Tx<'_>, scope: &Scope, cidr: Ipv4Net) -> Result<String, ApiError> {
    if let Some(vpc) = default_vpc(tx, scope) {
        return Ok(vpc.id.clone());
    }
    let overlaps = |taken: &Ipv4Net| taken.contains(&cidr) || cidr.contains(taken);
    if vpc_ranges(tx).iter().any(overlaps) {
        return Err(vpc_limit_exceeded());
    }
    let vpc_id = prefixed_id(tx.rng(), "vpc");
    tx.put(
        scope,
        &vpc_id,
        Vpc {
            id: vpc_id.clone(),
            cidr,
            is_default: true,
            tags: BTreeMap::new(),
        },
    );
    let ranges: Vec<Ipv4Net> = cidr.subnets(SUBNET_PREFIX_LEN).map(|s| s.collect()).unwrap_or_default();
    for (n, (zone, cidr)) in ZONES.iter().zip(ranges).enumerate() {
        let id = prefixed_id(tx.rng(), "subnet");
        let subnet = Subnet {
            id: id.clone(),
            vpc_id: vpc_id.clone(),
            cidr,
            availability_zone: format!("{}{zone}", scope.region),
            availability_zone_id: zone_id(scope.region.as_str(), n + 1),
            is_default: true,
            tags: BTreeMap::new(),
        };
        tx.put(scope, &id, subnet);
    }
    let group_id = prefixed_id(tx.rng(), "sg");
    let all = |tx: &mut Tx<'_>, is_egress, peer| SecurityGroupRule {
        id: format!("sgr-0{}", hex_id(tx.rng(), 16)),
        is_egress,
        protocol: "-1".to_owned(),
        from_port: -1,
        to_port: -1,
        peer,
        description: None,
        tags: BTreeMap::new(),
    };
    let rules = vec![
        all(tx, false, RulePeer::Group(group_id.clone())),
        all(tx, true, RulePeer::Ipv4(Ipv4Net::default())),
    ];
    let group = SecurityGroup {
        id: group_id.clone(),
        name: "default".to_owned(),
        description: "default VPC security group".to_owned(),
        vpc_id: vpc_id.clone(),
        rules,
        tags: BTreeMap::new(),
    };
    tx.put(scope, &group_id, group);
    Ok(vpc_id)
}

/// That there is no range left for a VPC.
pub fn vpc_limit_exceeded() -> ApiError {
    ApiError::new("VpcLimitExceeded", "The maximum number of VPCs has been reached.")
}

/// The ranges of all VPCs of all accounts and regions.
pub fn vpc_ranges(state: &State) -> Vec<Ipv4Net> {
    state.all::<Vpc>().map(|(_, _, vpc)| vpc.cidr).collect()
}

/// The account's default VPC in the region.
pub fn default_vpc<'a>(state: &'a State, scope: &Scope) -> Option<&'a Vpc> {
    state.list::<Vpc>(scope).map(|(_, vpc)| vpc).find(|vpc| vpc.is_default)
}

/// The default subnets in the order of their zones.
pub fn default_subnets<'a>(state: &'a State, scope: &Scope) -> Vec<&'a Subnet> {
    let mut subnets: Vec<_> = state
        .list::<Subnet>(scope)
        .map(|(_, s)| s)
        .filter(|s| s.is_default)
        .collect();
    subnets.sort_by(|a, b| a.availability_zone.cmp(&b.availability_zone));
    subnets
}

/// The default security group of a VPC.
pub fn default_security_group<'a>(state: &'a State, scope: &'a Scope, vpc_id: &str) -> Option<&'a SecurityGroup> {
    state
        .find::<SecurityGroup>(scope, "name", &format!("{vpc_id}/default"))
        .map(|(_, group)| group)
        .next()
}

/// A subnet by id, or `InvalidSubnetID.NotFound`.
pub fn subnet<'a>(state: &'a State, scope: &Scope, id: &str) -> Result<&'a Subnet, ApiError> {
    state.get::<Subnet>(scope, id).ok_or_else(|| {
        ApiError::new(
            "InvalidSubnetID.NotFound",
            format!("The subnet ID '{id}' does not exist"),
        )
    })
}

/// Every VPC of every account and region, as the node needs it.
pub fn node_vpcs(state: &State) -> BTreeMap<String, node::Vpc> {
    state
        .all::<Vpc>()
        .map(|(_, id, vpc)| {
            (
                id.to_owned(),
                node::Vpc {
                    cidr: vpc.cidr.to_string(),
                },
            )
        })
        .collect()
}

/// A zone's id as AWS abbreviates regions: `us-east-1` and 1 give `use1-az1`.
fn zone_id(region: &str, number: usize) -> String {
    let parts: Vec<&str> = region.split('-').collect();
    let direction = parts.get(1).map_or(String::new(), |d| match *d {
        "northeast" => "ne".to_owned(),
        "northwest" => "nw".to_owned(),
        "southeast" => "se".to_owned(),
        "southwest" => "sw".to_owned(),
        other => other.chars().take(1).collect(),
    });
    format!(
        "{}{direction}{}-az{number}",
        parts.first().unwrap_or(&""),
        parts.last().unwrap_or(&"")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use honmaru_base::{SeededRng, Time};

    #[test]
    fn zone_ids_follow_aws() {
        assert_eq!(zone_id("us-east-1", 1), "use1-az1");
        assert_eq!(zone_id("ap-northeast-1", 2), "apne1-az2");
        assert_eq!(zone_id("eu-central-1", 3), "euc1-az3");
    }

    #[test]
    fn every_scope_has_a_range_of_its_own() {
        let mut state = State::new();
        crate::register(&mut state);
        let mut rng = SeededRng::from_u64(1);
        let mut tx = Tx::new(&mut state, Time(0), &mut rng);
        let mut ensure = |region, range: &str| {
            let scope = Scope::new("000000000000", region).expect("a scope");
            ensure_default_vpc(&mut tx, &scope, range.parse().expect("a range"))
        };
        let first = ensure("us-east-1", "172.31.0.0/16").expect("it is free");
        let refused = ensure("eu-west-1", "172.31.128.0/17").expect_err("the first has it");
        assert_eq!(refused.code, "VpcLimitExceeded");
        ensure("eu-west-1", "172.30.0.0/16").expect("it is free");
        assert_eq!(ensure("us-east-1", "172.29.0.0/16").expect("it is there"), first);
        let mut ranges: Vec<String> = vpc_ranges(&tx).iter().map(ToString::to_string).collect();
        ranges.sort();
        assert_eq!(ranges, ["172.30.0.0/16", "172.31.0.0/16"]);
        let scope = Scope::new("000000000000", "us-east-1").expect("a scope");
        let subnets: Vec<String> = default_subnets(&tx, &scope)
            .iter()
            .map(|s| s.cidr.to_string())
            .collect();
        assert_eq!(subnets, ["172.31.0.0/20", "172.31.16.0/20", "172.31.32.0/20"]);
        assert!(default_security_group(&tx, &scope, &default_vpc(&tx, &scope).expect("made").id).is_some());
    }
}
