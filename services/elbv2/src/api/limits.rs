//! Quotas. Ref: ALB and NLB guides, "Quotas".

use super::page::page;
use crate::types;
use honmaru_base::ApiError;
use honmaru_machine::{Call, State};

/// Load balancers of one kind in a region.
pub(super) const LOAD_BALANCERS_MAX: usize = 50;
/// Attributes that one ModifyLoadBalancerAttributes may name.
pub(super) const ATTRIBUTES_MAX: usize = 20;
/// Listeners of a load balancer.
pub(super) const LISTENERS_MAX: usize = 50;
/// Rules of a load balancer without default rules.
pub(super) const RULES_MAX: usize = 100;
/// Rules that one DescribeRules may name.
pub(super) const RULES_DESCRIBED_MAX: usize = 20;
/// Target groups in a region.
pub(super) const TARGET_GROUPS_MAX: usize = 3_000;
/// Target groups of one forward action.
pub(super) const GROUPS_PER_ACTION_MAX: usize = 5;
/// Target groups of an Application Load Balancer.
pub(super) const GROUPS_PER_BALANCER_MAX: usize = 100;
/// Values of all conditions of a rule.
pub(super) const CONDITION_VALUES_MAX: usize = 5;
/// Wildcards of all conditions of a rule.
pub(super) const WILDCARDS_MAX: usize = 5;

/// Certificates in the lists of a load balancer's listeners, default ones aside.
pub(super) const CERTIFICATES_MAX: usize = 25;

const LIMITS: &[(&str, usize)] = &[
    ("application-load-balancers", LOAD_BALANCERS_MAX),
    ("certificates-per-application-load-balancer", CERTIFICATES_MAX),
    ("certificates-per-network-load-balancer", CERTIFICATES_MAX),
    ("condition-values-per-alb-rule", CONDITION_VALUES_MAX),
    ("condition-wildcards-per-alb-rule", WILDCARDS_MAX),
    ("listeners-per-application-load-balancer", LISTENERS_MAX),
    ("listeners-per-network-load-balancer", LISTENERS_MAX),
    ("network-load-balancers", LOAD_BALANCERS_MAX),
    ("rules-per-application-load-balancer", RULES_MAX),
    ("target-groups", TARGET_GROUPS_MAX),
    (
        "target-groups-per-action-on-application-load-balancer",
        GROUPS_PER_ACTION_MAX,
    ),
    // Weighted target groups came in November 2025; what AWS's answer says since is not known. The limit that is checked.
    (
        "target-groups-per-action-on-network-load-balancer",
        GROUPS_PER_ACTION_MAX,
    ),
    ("target-groups-per-application-load-balancer", GROUPS_PER_BALANCER_MAX),
    ("targets-per-application-load-balancer", 1_000),
    ("targets-per-network-load-balancer", 3_000),
];

pub(super) fn describe(
    _: &State,
    _: &Call,
    input: types::DescribeAccountLimitsInput,
) -> Result<types::DescribeAccountLimitsOutput, ApiError> {
    let limits: Vec<types::Limit> = LIMITS
        .iter()
        .map(|(name, max)| types::Limit {
            name: Some((*name).to_owned()),
            max: Some(max.to_string()),
        })
        .collect();
    let key = |limit: &types::Limit| limit.name.clone().unwrap_or_default();
    let (limits, next_marker) = page(limits, key, input.marker.as_deref(), input.page_size)?;
    Ok(types::DescribeAccountLimitsOutput {
        limits: Some(limits),
        next_marker,
    })
}
