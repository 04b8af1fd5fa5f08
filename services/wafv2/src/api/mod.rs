//! The operations: what each needs, and the function that answers it.
//!
//! Web ACLs and rule groups are read and written as trees, since their rules are kept in the API's own form; everything
//! else has generated types.

mod access;
mod associations;
mod entities;
mod ip_set;
mod limits;
mod managed;
mod pattern_set;
mod rule_group;
mod samples;
mod tags;
mod web_acl;

pub use samples::{SampleSource, sampled_requests};

use honmaru_machine::{Call, Handler, Operation, State, Tx};
use honmaru_wire::tree::Tree;
use serde_json::Value;

macro_rules! read {
    ($name:literal, $access:path, $handler:path) => {
        Operation {
            name: $name,
            access: |state, call, input| $access(state, call, input, concat!("wafv2:", $name)),
            handler: Handler::Read(|state: &State, call: &Call, input: Value| {
                Ok($handler(state, call, Tree::from_tree(input))?.into_tree())
            }),
        }
    };
}

macro_rules! write {
    ($name:literal, $access:path, $handler:path) => {
        Operation {
            name: $name,
            access: |state, call, input| $access(state, call, input, concat!("wafv2:", $name)),
            handler: Handler::Write(|tx: &mut Tx<'_>, call: &Call, input: Value| {
                Ok($handler(tx, call, Tree::from_tree(input))?.into_tree())
            }),
        }
    };
}

/// The same for handlers that take and give trees.
macro_rules! tree {
    (read $name:literal, $access:path, $handler:path) => {
        Operation {
            name: $name,
            access: |state, call, input| $access(state, call, input, concat!("wafv2:", $name)),
            handler: Handler::Read(|state: &State, call: &Call, input: Value| $handler(state, call, &input)),
        }
    };
    (write $name:literal, $access:path, $handler:path) => {
        Operation {
            name: $name,
            access: |state, call, input| $access(state, call, input, concat!("wafv2:", $name)),
            handler: Handler::Write(|tx: &mut Tx<'_>, call: &Call, input: Value| $handler(tx, call, &input)),
        }
    };
}

/// Every operation that this service implements by itself. GetSampledRequests needs the edge: [`sampled_requests`].
pub fn operations() -> Vec<Operation> {
    use access::{
        associate, by_arn, by_web_acl_arn, create, disassociate, every, ip_set, managed as managed_groups, of_resource,
        pattern_set, rule_group, web_acl,
    };
    vec![
        write!("AssociateWebACL", associate, associations::associate),
        tree!(read "CheckCapacity", every::<crate::RuleGroup>, rule_group::check_capacity),
        write!("CreateIPSet", create::<crate::IpSet>, ip_set::create),
        write!(
            "CreateRegexPatternSet",
            create::<crate::RegexPatternSet>,
            pattern_set::create
        ),
        tree!(write "CreateRuleGroup", create::<crate::RuleGroup>, rule_group::create),
        tree!(write "CreateWebACL", create::<crate::WebAcl>, web_acl::create),
        tree!(write "DeleteIPSet", ip_set, entities::delete::<crate::IpSet>),
        tree!(write "DeleteRegexPatternSet", pattern_set, entities::delete::<crate::RegexPatternSet>),
        tree!(write "DeleteRuleGroup", rule_group, entities::delete::<crate::RuleGroup>),
        tree!(write "DeleteWebACL", web_acl, web_acl::delete),
        tree!(read "DescribeManagedRuleGroup", managed_groups, managed::describe),
        write!("DisassociateWebACL", disassociate, associations::disassociate),
        read!("GetIPSet", ip_set, ip_set::get),
        read!("GetRegexPatternSet", pattern_set, pattern_set::get),
        tree!(read "GetRuleGroup", rule_group, rule_group::get),
        tree!(read "GetWebACL", web_acl, web_acl::get),
        tree!(read "GetWebACLForResource", of_resource, web_acl::get_for_resource),
        read!(
            "ListAvailableManagedRuleGroupVersions",
            managed_groups,
            managed::versions
        ),
        read!("ListAvailableManagedRuleGroups", managed_groups, managed::list),
        tree!(read "ListIPSets", every::<crate::IpSet>, entities::list::<crate::IpSet>),
        tree!(read "ListRegexPatternSets", every::<crate::RegexPatternSet>, entities::list::<crate::RegexPatternSet>),
        read!("ListResourcesForWebACL", by_web_acl_arn, associations::resources),
        tree!(read "ListRuleGroups", every::<crate::RuleGroup>, entities::list::<crate::RuleGroup>),
        read!("ListTagsForResource", by_arn, tags::list),
        tree!(read "ListWebACLs", every::<crate::WebAcl>, entities::list::<crate::WebAcl>),
        write!("TagResource", by_arn, tags::tag),
        write!("UntagResource", by_arn, tags::untag),
        write!("UpdateIPSet", ip_set, ip_set::update),
        write!("UpdateRegexPatternSet", pattern_set, pattern_set::update),
        tree!(write "UpdateRuleGroup", rule_group, rule_group::update),
        tree!(write "UpdateWebACL", web_acl, web_acl::update),
    ]
}
