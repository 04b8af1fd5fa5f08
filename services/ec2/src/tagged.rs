//! The tagged resources of this service, for whoever looks at the tags of all services.

use crate::model::{SecurityGroup, Subnet, Vpc};
use honmaru_base::{Arn, Scope};
use honmaru_machine::State;
use std::collections::BTreeMap;

/// ARN and tags of every VPC, subnet, security group and rule of a group of a scope that has tags.
pub fn tagged(state: &State, scope: &Scope) -> impl Iterator<Item = (String, BTreeMap<String, String>)> {
    let vpcs = state.list::<Vpc>(scope).map(|(id, row)| ("vpc", id, &row.tags));
    let subnets = state.list::<Subnet>(scope).map(|(id, row)| ("subnet", id, &row.tags));
    let groups = state
        .list::<SecurityGroup>(scope)
        .map(|(id, row)| ("security-group", id, &row.tags));
    let rules = state.list::<SecurityGroup>(scope).flat_map(|(_, group)| {
        group
            .rules
            .iter()
            .map(|rule| ("security-group-rule", rule.id.as_str(), &rule.tags))
    });
    let all = vpcs
        .chain(subnets)
        .chain(groups)
        .chain(rules)
        .filter(|(_, _, tags)| !tags.is_empty());
    all.map(|(noun, id, tags)| {
        let arn = Arn::new(
            "ec2",
            scope.region.as_str(),
            scope.account.as_str(),
            format!("{noun}/{id}"),
        );
        (arn.to_string(), tags.clone())
    })
}
