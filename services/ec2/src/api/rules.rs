//! Rules of security groups: authorize, revoke, modify, describe.

use super::filter::passes;
use super::groups::named;
use super::pages::paged;
use super::permissions::{
    Asked, Wanted, check_description, ipv4_range, ipv6_range, missing, permissions, protocol_and_ports, wanted,
};
use super::tags::{into_tags, of_specification};
use crate::model::{RulePeer, SecurityGroup, SecurityGroupRule};
use crate::types;
use honmaru_base::{ApiError, Arn, prefixed_id};
use honmaru_machine::{Call, State, Tx};
use std::collections::BTreeMap;

/// Rules of one group, inbound or outbound, at most. Ref: VPC quotas, "Inbound or outbound rules per security group".
const RULES_MAX: usize = 60;

pub(super) fn authorize_ingress(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::AuthorizeSecurityGroupIngressRequest,
) -> Result<types::AuthorizeSecurityGroupIngressResult, ApiError> {
    let asked = Asked {
        permissions: input.ip_permissions,
        protocol: input.ip_protocol,
        from_port: input.from_port,
        to_port: input.to_port,
        cidr: input.cidr_ip,
        source_group: input.source_security_group_name,
    };
    let id = named(tx, call, input.group_id.as_deref(), input.group_name.as_deref())?
        .id
        .clone();
    let rules = authorize(tx, call, &id, false, asked, input.tag_specifications)?;
    Ok(types::AuthorizeSecurityGroupIngressResult {
        r#return: Some(true),
        security_group_rules: Some(rules),
    })
}

pub(super) fn authorize_egress(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::AuthorizeSecurityGroupEgressRequest,
) -> Result<types::AuthorizeSecurityGroupEgressResult, ApiError> {
    let asked = Asked {
        permissions: input.ip_permissions,
        protocol: input.ip_protocol,
        from_port: input.from_port,
        to_port: input.to_port,
        cidr: input.cidr_ip,
        source_group: input.source_security_group_name,
    };
    let rules = authorize(tx, call, &input.group_id, true, asked, input.tag_specifications)?;
    Ok(types::AuthorizeSecurityGroupEgressResult {
        r#return: Some(true),
        security_group_rules: Some(rules),
    })
}

fn authorize(
    tx: &mut Tx<'_>,
    call: &Call,
    id: &str,
    is_egress: bool,
    asked: Asked,
    tags: Option<Vec<types::TagSpecification>>,
) -> Result<Vec<types::SecurityGroupRule>, ApiError> {
    let scope = &call.scope;
    let mut group = crate::security_group(tx, scope, id)?.clone();
    let tags = of_specification(tags, "security-group-rule")?;
    let mut views = Vec::new();
    for rule in wanted(tx, scope, &group, asked)? {
        if group
            .rules
            .iter()
            .any(|have| have.is_egress == is_egress && rule.is(have))
        {
            let message = format!("the specified rule \"{}\" already exists", rule.describe());
            return Err(ApiError::new("InvalidPermission.Duplicate", message));
        }
        let rule = made(tx, rule, is_egress, tags.clone());
        views.push(view(call, id, &rule));
        group.rules.push(rule);
    }
    if group.rules.iter().filter(|rule| rule.is_egress == is_egress).count() > RULES_MAX {
        let message = "The maximum number of rules per security group has been reached.";
        return Err(ApiError::new("RulesPerSecurityGroupLimitExceeded", message));
    }
    tx.put(scope, id, group);
    Ok(views)
}

fn made(tx: &mut Tx<'_>, rule: Wanted, is_egress: bool, tags: BTreeMap<String, String>) -> SecurityGroupRule {
    SecurityGroupRule {
        id: prefixed_id(tx.rng(), "sgr"),
        is_egress,
        protocol: rule.protocol,
        from_port: rule.from_port,
        to_port: rule.to_port,
        peer: rule.peer,
        description: rule.description,
        tags,
    }
}

pub(super) fn revoke_ingress(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::RevokeSecurityGroupIngressRequest,
) -> Result<types::RevokeSecurityGroupIngressResult, ApiError> {
    let asked = Asked {
        permissions: input.ip_permissions,
        protocol: input.ip_protocol,
        from_port: input.from_port,
        to_port: input.to_port,
        cidr: input.cidr_ip,
        source_group: input.source_security_group_name,
    };
    let id = named(tx, call, input.group_id.as_deref(), input.group_name.as_deref())?
        .id
        .clone();
    let (revoked, unknown) = revoke(tx, call, &id, false, asked, input.security_group_rule_ids)?;
    Ok(types::RevokeSecurityGroupIngressResult {
        r#return: Some(true),
        unknown_ip_permissions: unknown,
        revoked_security_group_rules: Some(revoked),
    })
}

pub(super) fn revoke_egress(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::RevokeSecurityGroupEgressRequest,
) -> Result<types::RevokeSecurityGroupEgressResult, ApiError> {
    let asked = Asked {
        permissions: input.ip_permissions,
        protocol: input.ip_protocol,
        from_port: input.from_port,
        to_port: input.to_port,
        cidr: input.cidr_ip,
        source_group: input.source_security_group_name,
    };
    let (revoked, unknown) = revoke(tx, call, &input.group_id, true, asked, input.security_group_rule_ids)?;
    Ok(types::RevokeSecurityGroupEgressResult {
        r#return: Some(true),
        unknown_ip_permissions: unknown,
        revoked_security_group_rules: Some(revoked),
    })
}

type Revoked = (Vec<types::RevokedSecurityGroupRule>, Option<Vec<types::IpPermission>>);

fn revoke(
    tx: &mut Tx<'_>,
    call: &Call,
    id: &str,
    is_egress: bool,
    asked: Asked,
    rule_ids: Option<Vec<String>>,
) -> Result<Revoked, ApiError> {
    let scope = &call.scope;
    let mut group = crate::security_group(tx, scope, id)?.clone();
    let mut gone = Vec::new();
    let mut unknown = Vec::new();
    if let Some(ids) = rule_ids.filter(|ids| !ids.is_empty()) {
        for rule_id in ids {
            let at = group
                .rules
                .iter()
                .position(|rule| rule.id == rule_id && rule.is_egress == is_egress);
            let at = at.ok_or_else(|| not_found(&rule_id))?;
            gone.push(group.rules.remove(at));
        }
    } else {
        for rule in wanted(tx, scope, &group, asked)? {
            match group
                .rules
                .iter()
                .position(|have| have.is_egress == is_egress && rule.is(have))
            {
                Some(at) => gone.push(group.rules.remove(at)),
                None => unknown.push(made(tx, rule, is_egress, BTreeMap::new())),
            }
        }
        // In a VPC an unknown rule is an error. Ref: EC2 API reference, RevokeSecurityGroupIngress.
        if gone.is_empty() && !unknown.is_empty() {
            return Err(no_such_rule());
        }
    }
    tx.put(scope, id, group);
    let revoked = gone.iter().map(|rule| revoked(id, rule)).collect();
    let unknown: Vec<&SecurityGroupRule> = unknown.iter().collect();
    let unknown = (!unknown.is_empty()).then(|| permissions(scope.account.as_str(), &unknown));
    Ok((revoked, unknown))
}

fn not_found(id: &str) -> ApiError {
    let message = format!("The security group rule ID '{id}' does not exist");
    ApiError::new("InvalidSecurityGroupRuleId.NotFound", message)
}

pub(super) fn modify(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::ModifySecurityGroupRulesRequest,
) -> Result<types::ModifySecurityGroupRulesResult, ApiError> {
    let scope = &call.scope;
    let mut group = crate::security_group(tx, scope, &input.group_id)?.clone();
    for update in input.security_group_rules {
        let Some(to) = update.security_group_rule else { continue };
        let id = update.security_group_rule_id;
        if !group.rules.iter().any(|rule| rule.id == id) {
            return Err(not_found(&id));
        }
        let (protocol, from_port, to_port) = protocol_and_ports(to.ip_protocol.as_deref(), to.from_port, to.to_port)?;
        let peer = match (
            &to.cidr_ipv4,
            &to.cidr_ipv6,
            &to.referenced_group_id,
            &to.prefix_list_id,
        ) {
            (Some(range), None, None, None) => RulePeer::Ipv4(ipv4_range(range)?),
            (None, Some(range), None, None) => RulePeer::Ipv6(ipv6_range(range)?),
            (None, None, Some(id), None) => RulePeer::Group(crate::security_group(tx, scope, id)?.id.clone()),
            (None, None, None, Some(id)) => {
                let message = format!("The prefix list ID '{id}' does not exist");
                return Err(ApiError::new("InvalidPrefixListId.NotFound", message));
            }
            (None, None, None, None) => {
                let message =
                    "The request must contain exactly one of: cidrIp, cidrIpv6, prefixListId, or referencedGroupId";
                return Err(ApiError::new("MissingParameter", message));
            }
            _ => {
                let message = "Only one of cidrIp, cidrIpv6, prefixListId, or referencedGroupId can be specified";
                return Err(ApiError::new("InvalidParameterCombination", message));
            }
        };
        check_description(to.description.as_deref())?;
        let rule = group
            .rules
            .iter_mut()
            .find(|rule| rule.id == id)
            .ok_or_else(|| not_found(&id))?;
        rule.protocol = protocol;
        rule.from_port = from_port;
        rule.to_port = to_port;
        rule.peer = peer;
        rule.description = to.description;
    }
    tx.put(scope, &input.group_id, group);
    Ok(types::ModifySecurityGroupRulesResult { r#return: Some(true) })
}

pub(super) fn describe_ingress(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::UpdateSecurityGroupRuleDescriptionsIngressRequest,
) -> Result<types::UpdateSecurityGroupRuleDescriptionsIngressResult, ApiError> {
    let id = named(tx, call, input.group_id.as_deref(), input.group_name.as_deref())?
        .id
        .clone();
    let by_id = input.security_group_rule_descriptions;
    set_descriptions(tx, call, &id, false, input.ip_permissions, by_id)?;
    Ok(types::UpdateSecurityGroupRuleDescriptionsIngressResult { r#return: Some(true) })
}

pub(super) fn describe_egress(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::UpdateSecurityGroupRuleDescriptionsEgressRequest,
) -> Result<types::UpdateSecurityGroupRuleDescriptionsEgressResult, ApiError> {
    let id = named(tx, call, input.group_id.as_deref(), input.group_name.as_deref())?
        .id
        .clone();
    let by_id = input.security_group_rule_descriptions;
    set_descriptions(tx, call, &id, true, input.ip_permissions, by_id)?;
    Ok(types::UpdateSecurityGroupRuleDescriptionsEgressResult { r#return: Some(true) })
}

/// Gives rules, named by what they let through or by their ids, another description; none takes theirs away.
fn set_descriptions(
    tx: &mut Tx<'_>,
    call: &Call,
    id: &str,
    is_egress: bool,
    permissions: Option<Vec<types::IpPermission>>,
    by_id: Option<Vec<types::SecurityGroupRuleDescription>>,
) -> Result<(), ApiError> {
    let scope = &call.scope;
    let mut group = crate::security_group(tx, scope, id)?.clone();
    let permissions = permissions.filter(|list| !list.is_empty());
    let by_id = by_id.filter(|list| !list.is_empty());
    match (permissions, by_id) {
        (Some(_), Some(_)) => {
            let message = "Only one of IpPermissions and SecurityGroupRuleDescriptions may be specified.";
            return Err(ApiError::new("InvalidParameterCombination", message));
        }
        (None, None) => return Err(missing("ipPermissions")),
        (Some(permissions), None) => {
            let asked = Asked {
                permissions: Some(permissions),
                protocol: None,
                from_port: None,
                to_port: None,
                cidr: None,
                source_group: None,
            };
            for asked in wanted(tx, scope, &group, asked)? {
                let mut own = group.rules.iter_mut();
                let rule = own.find(|have| have.is_egress == is_egress && asked.is(have));
                rule.ok_or_else(no_such_rule)?.description = asked.description;
            }
        }
        (None, Some(updates)) => {
            for update in updates {
                let rule_id = update.security_group_rule_id.unwrap_or_default();
                check_description(update.description.as_deref())?;
                let mut own = group.rules.iter_mut();
                let rule = own.find(|have| have.is_egress == is_egress && have.id == rule_id);
                rule.ok_or_else(|| not_found(&rule_id))?.description = update.description;
            }
        }
    }
    tx.put(scope, id, group);
    Ok(())
}

fn no_such_rule() -> ApiError {
    let message = "The specified rule does not exist in this security group.";
    ApiError::new("InvalidPermission.NotFound", message)
}

pub(super) fn describe(
    state: &State,
    call: &Call,
    input: types::DescribeSecurityGroupRulesRequest,
) -> Result<types::DescribeSecurityGroupRulesResult, ApiError> {
    let mut rules = Vec::new();
    let all = || {
        state
            .list::<SecurityGroup>(&call.scope)
            .flat_map(|(id, g)| g.rules.iter().map(move |r| (id, r)))
    };
    for wanted in input.security_group_rule_ids.iter().flatten() {
        if !all().any(|(_, rule)| rule.id == *wanted) {
            return Err(not_found(wanted));
        }
    }
    let filters = input.filters.iter().flatten();
    let of_groups = filters.filter(|filter| filter.name.as_deref() == Some("group-id"));
    for id in of_groups.flat_map(|filter| filter.values.iter().flatten()) {
        // Seen of AWS by getmoto/moto, `test_invalid_security_group_id_in_rules_search`.
        if !id.starts_with("sg-") && !id.contains(['*', '?']) {
            let message = format!("The security group ID '{id}' is malformed");
            return Err(ApiError::new("InvalidGroupId.Malformed", message));
        }
    }
    for (group, rule) in all() {
        let value_of = |name: &str| match name {
            "group-id" => Some(vec![group.to_owned()]),
            "security-group-rule-id" => Some(vec![rule.id.clone()]),
            _ => None,
        };
        let asked = input
            .security_group_rule_ids
            .as_ref()
            .is_none_or(|ids| ids.contains(&rule.id));
        if asked && passes(input.filters.as_deref(), &rule.tags, value_of)? {
            let mut rule = view(call, group, rule);
            // Here AWS shows that there are none; where rules are made it does not (the aws CLI's examples).
            rule.tags.get_or_insert_default();
            rules.push(rule);
        }
    }
    let key = |rule: &types::SecurityGroupRule| rule.security_group_rule_id.clone().unwrap_or_default();
    let (rules, next_token) = paged(rules, key, input.next_token.as_deref(), input.max_results)?;
    Ok(types::DescribeSecurityGroupRulesResult {
        security_group_rules: Some(rules),
        next_token,
    })
}

/// The three forms of a peer: IPv4 range, IPv6 range, group.
fn peer(rule: &SecurityGroupRule) -> (Option<String>, Option<String>, Option<String>) {
    match &rule.peer {
        RulePeer::Ipv4(range) => (Some(range.to_string()), None, None),
        RulePeer::Ipv6(range) => (None, Some(range.clone()), None),
        RulePeer::Group(id) => (None, None, Some(id.clone())),
    }
}

fn view(call: &Call, group: &str, rule: &SecurityGroupRule) -> types::SecurityGroupRule {
    let account = call.scope.account.as_str();
    let (cidr_ipv4, cidr_ipv6, referenced) = peer(rule);
    let arn = Arn::new(
        "ec2",
        call.scope.region.as_str(),
        account,
        format!("security-group-rule/{}", rule.id),
    );
    types::SecurityGroupRule {
        security_group_rule_id: Some(rule.id.clone()),
        group_id: Some(group.to_owned()),
        group_owner_id: Some(account.to_owned()),
        is_egress: Some(rule.is_egress),
        ip_protocol: Some(rule.protocol.clone()),
        from_port: Some(rule.from_port),
        to_port: Some(rule.to_port),
        cidr_ipv4,
        cidr_ipv6,
        referenced_group_info: referenced.map(|id| types::ReferencedSecurityGroup {
            group_id: Some(id),
            user_id: Some(account.to_owned()),
            ..types::ReferencedSecurityGroup::default()
        }),
        description: rule.description.clone(),
        tags: into_tags(&rule.tags),
        security_group_rule_arn: Some(arn.to_string()),
        ..types::SecurityGroupRule::default()
    }
}

fn revoked(group: &str, rule: &SecurityGroupRule) -> types::RevokedSecurityGroupRule {
    let (cidr_ipv4, cidr_ipv6, referenced_group_id) = peer(rule);
    types::RevokedSecurityGroupRule {
        security_group_rule_id: Some(rule.id.clone()),
        group_id: Some(group.to_owned()),
        is_egress: Some(rule.is_egress),
        ip_protocol: Some(rule.protocol.clone()),
        from_port: Some(rule.from_port),
        to_port: Some(rule.to_port),
        cidr_ipv4,
        cidr_ipv6,
        referenced_group_id,
        description: rule.description.clone(),
        ..types::RevokedSecurityGroupRule::default()
    }
}
