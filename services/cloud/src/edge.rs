//! What the edge shall serve: load balancers and target groups, web ACLs, and the names of the shared entry.

use honmaru_contract::edge::EdgeConfig;
use honmaru_elbv2::LoadBalancer;
use honmaru_machine::State;
use std::collections::BTreeMap;

/// A load balancer's tag whose value is a further name of it in the shared entry, for example `shop.localhost`.
const HOST_NAME_TAG: &str = "honmaru:host-name";

/// The edge's configuration; the caller sets its generation.
pub fn edge_config(state: &State) -> EdgeConfig {
    let mut part = honmaru_elbv2::edge_config(state);
    for (scope, arn, _) in state.all::<LoadBalancer>() {
        if let Some(balancer) = part.load_balancers.get_mut(arn) {
            balancer.web_acl = honmaru_wafv2::web_acl_of(state, scope, arn);
        }
    }
    EdgeConfig {
        generation: 0,
        load_balancers: part.load_balancers,
        target_groups: part.target_groups,
        web_acls: honmaru_wafv2::edge_web_acls(state),
        host_names: host_names(state),
    }
}

/// `<name>.localhost` of every load balancer, and the names in their tags. Of several that claim a name the oldest
/// has it, so that nobody's address changes because somebody else's balancer was made.
fn host_names(state: &State) -> BTreeMap<String, String> {
    let mut balancers: Vec<(&str, &LoadBalancer)> = state.all::<LoadBalancer>().map(|(_, arn, b)| (arn, b)).collect();
    balancers.sort_by_key(|(arn, balancer)| (balancer.created, arn.to_owned()));
    let mut names = BTreeMap::new();
    for (arn, balancer) in balancers {
        let own = format!("{}.localhost", balancer.name.to_ascii_lowercase());
        let tagged = balancer.tags.get(HOST_NAME_TAG).map(|name| name.to_ascii_lowercase());
        for name in tagged.into_iter().chain([own]) {
            names.entry(name).or_insert_with(|| arn.to_owned());
        }
    }
    names
}
