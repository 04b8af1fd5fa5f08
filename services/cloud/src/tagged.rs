//! The tagged resources of every service.

use honmaru_base::Scope;
use honmaru_machine::State;
use std::collections::BTreeMap;

/// Resources without a region (IAM's, public repositories) are shown in this one. Ref: Resource Groups Tagging API,
/// GetResources.
const GLOBAL_SHOWN_IN: &str = "us-east-1";

/// All services together.
pub(crate) struct EveryService;

impl honmaru_tagging::Source for EveryService {
    fn tagged(state: &State, scope: &Scope) -> BTreeMap<String, BTreeMap<String, String>> {
        let mut all: BTreeMap<_, _> = honmaru_ec2::tagged(state, scope)
            .chain(honmaru_ecr::tagged(state, scope))
            .chain(honmaru_ecs::tagged(state, scope))
            .chain(honmaru_elbv2::tagged(state, scope))
            .chain(honmaru_logs::tagged(state, scope))
            .chain(honmaru_wafv2::tagged(state, scope))
            .collect();
        if scope.region.as_str() == GLOBAL_SHOWN_IN {
            all.extend(honmaru_iam::tagged(state, &scope.account));
            all.extend(honmaru_ecr::tagged(state, &scope.global()));
        }
        all
    }
}
