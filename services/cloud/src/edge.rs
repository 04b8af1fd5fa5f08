//! What the edge shall serve: load balancers and target groups, web ACLs, and the names of the shared entry.

use crate::host_names::host_names;
use honmaru_contract::edge::EdgeConfig;
use honmaru_elbv2::LoadBalancer;
use honmaru_machine::State;

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
        host_names: host_names(state, &part.load_balancers),
        load_balancers: part.load_balancers,
        target_groups: part.target_groups,
        web_acls: honmaru_wafv2::edge_web_acls(state),
    }
}
