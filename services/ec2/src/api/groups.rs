//! Security groups: create, delete, describe.

use super::filter::passes;
use super::pages::paged;
use super::permissions::{by_name, missing, permissions};
use super::tags::{into_tags, of_specification};
use crate::model::{Interface, RulePeer, SecurityGroup, SecurityGroupRule};
use crate::types;
use honmaru_base::{ApiError, Arn, prefixed_id};
use honmaru_machine::{Call, State, Tx};
use ipnet::Ipv4Net;
use std::collections::BTreeMap;

/// Names and descriptions have at most so many characters. Ref: EC2 CreateSecurityGroup.
const TEXT_CHARS_MAX: usize = 255;

fn valid_text(text: &str) -> bool {
    text.chars().count() <= TEXT_CHARS_MAX
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || " ._-:/()#,@[]+=&;{}!$*".contains(c))
}

pub(super) fn create(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::CreateSecurityGroupRequest,
) -> Result<types::CreateSecurityGroupResult, ApiError> {
    let scope = &call.scope;
    let invalid = |what: &str, value: &str| {
        let message =
            format!("Value ({value}) for parameter {what} is invalid. Character sets beyond ASCII are not supported.");
        ApiError::new("InvalidParameterValue", message)
    };
    for (what, text) in [
        ("GroupName", &input.group_name),
        ("GroupDescription", &input.description),
    ] {
        if text.is_empty() {
            return Err(missing(what));
        }
    }
    if !valid_text(&input.group_name) {
        return Err(invalid("GroupName", &input.group_name));
    }
    if input.group_name.to_ascii_lowercase().starts_with("sg-") {
        let message = "Group names may not be in the format sg-*.";
        return Err(ApiError::new("InvalidParameterValue", message));
    }
    if !valid_text(&input.description) {
        return Err(invalid("GroupDescription", &input.description));
    }
    let vpc_id = match &input.vpc_id {
        Some(id) => tx
            .get::<crate::model::Vpc>(scope, id)
            .map(|vpc| vpc.id.clone())
            .ok_or_else(|| ApiError::new("InvalidVpcID.NotFound", format!("The vpc ID '{id}' does not exist")))?,
        None => crate::default_vpc(tx, scope)
            .map(|vpc| vpc.id.clone())
            .ok_or_else(|| ApiError::new("VPCIdNotSpecified", "No default VPC for this user"))?,
    };
    if by_name(tx, scope, &vpc_id, &input.group_name).is_ok() {
        let message = format!(
            "The security group '{}' already exists for VPC '{vpc_id}'",
            input.group_name
        );
        return Err(ApiError::new("InvalidGroup.Duplicate", message));
    }
    let tags = of_specification(input.tag_specifications, "security-group")?;
    let id = prefixed_id(tx.rng(), "sg");
    let rule_id = prefixed_id(tx.rng(), "sgr");
    // A new group lets everything out. Ref: VPC guide, "Security group rules".
    let egress = SecurityGroupRule {
        id: rule_id,
        is_egress: true,
        protocol: "-1".to_owned(),
        from_port: -1,
        to_port: -1,
        peer: RulePeer::Ipv4(Ipv4Net::default()),
        description: None,
        tags: BTreeMap::new(),
    };
    let group = SecurityGroup {
        id: id.clone(),
        name: input.group_name,
        description: input.description,
        vpc_id,
        rules: vec![egress],
        tags: tags.clone(),
    };
    tx.put(scope, &id, group);
    Ok(types::CreateSecurityGroupResult {
        security_group_arn: Some(arn(call, &id)),
        group_id: Some(id),
        tags: into_tags(&tags),
    })
}

pub(super) fn delete(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::DeleteSecurityGroupRequest,
) -> Result<types::DeleteSecurityGroupResult, ApiError> {
    let scope = &call.scope;
    let id = named(tx, call, input.group_id.as_deref(), input.group_name.as_deref())?
        .id
        .clone();
    let group = crate::security_group(tx, scope, &id)?;
    if group.name == "default" {
        let message = format!("the specified group: \"{id}\" name: \"default\" cannot be deleted by a user");
        return Err(ApiError::new("CannotDelete", message));
    }
    let used = tx.find::<Interface>(scope, "group", &id).next().is_some();
    let named_by_others = tx
        .list::<SecurityGroup>(scope)
        .any(|(_, other)| other.id != id && other.rules.iter().any(|rule| rule.peer == RulePeer::Group(id.clone())));
    if used || named_by_others {
        return Err(ApiError::new(
            "DependencyViolation",
            format!("resource {id} has a dependent object"),
        ));
    }
    tx.delete::<SecurityGroup>(scope, &id);
    Ok(types::DeleteSecurityGroupResult {
        r#return: Some(true),
        group_id: Some(id),
    })
}

pub(super) fn describe(
    state: &State,
    call: &Call,
    input: types::DescribeSecurityGroupsRequest,
) -> Result<types::DescribeSecurityGroupsResult, ApiError> {
    let scope = &call.scope;
    let mut groups = Vec::new();
    if let Some(ids) = input.group_ids.as_deref() {
        for id in ids {
            crate::security_group(state, scope, id)?;
        }
    }
    if let Some(names) = input.group_names.as_deref()
        && let Some(vpc) = crate::default_vpc(state, scope)
    {
        for name in names {
            by_name(state, scope, &vpc.id, name)?;
        }
    }
    for (id, group) in state.list::<SecurityGroup>(scope) {
        let asked = input.group_ids.as_ref().is_none_or(|ids| ids.iter().any(|i| i == id))
            && input
                .group_names
                .as_ref()
                .is_none_or(|names| names.contains(&group.name));
        let value_of = |name: &str| -> Option<Vec<String>> {
            Some(match name {
                "group-id" => vec![group.id.clone()],
                "group-name" => vec![group.name.clone()],
                "description" => vec![group.description.clone()],
                "vpc-id" => vec![group.vpc_id.clone()],
                "owner-id" => vec![scope.account.to_string()],
                _ => {
                    let egress = name.strip_prefix("egress.ip-permission.");
                    let field = egress.or_else(|| name.strip_prefix("ip-permission."))?;
                    let mut rules = group.rules.iter().filter(|rule| rule.is_egress == egress.is_some());
                    return permission_values(state, call, field, &mut rules);
                }
            })
        };
        if asked && passes(input.filters.as_deref(), &group.tags, value_of)? {
            groups.push((id.to_owned(), view(call, group)));
        }
    }
    let (groups, next_token) = paged(
        groups,
        |(id, _)| id.clone(),
        input.next_token.as_deref(),
        input.max_results,
    )?;
    Ok(types::DescribeSecurityGroupsResult {
        security_groups: Some(groups.into_iter().map(|(_, view)| view).collect()),
        next_token,
    })
}

/// The values of a filter `ip-permission.FIELD`; nothing when there is no such filter.
fn permission_values(
    state: &State,
    call: &Call,
    field: &str,
    rules: &mut dyn Iterator<Item = &SecurityGroupRule>,
) -> Option<Vec<String>> {
    let group_name = |id: &String| {
        let group = state.get::<SecurityGroup>(&call.scope, id);
        group.map(|group| group.name.clone())
    };
    let value: &dyn Fn(&SecurityGroupRule) -> Option<String> = match field {
        "protocol" => &|rule| Some(rule.protocol.clone()),
        "from-port" => &|rule| Some(rule.from_port.to_string()),
        "to-port" => &|rule| Some(rule.to_port.to_string()),
        "cidr" => &|rule| match &rule.peer {
            RulePeer::Ipv4(range) => Some(range.to_string()),
            RulePeer::Ipv6(_) | RulePeer::Group(_) => None,
        },
        "ipv6-cidr" => &|rule| match &rule.peer {
            RulePeer::Ipv6(range) => Some(range.clone()),
            RulePeer::Ipv4(_) | RulePeer::Group(_) => None,
        },
        "group-id" => &|rule| match &rule.peer {
            RulePeer::Group(id) => Some(id.clone()),
            RulePeer::Ipv4(_) | RulePeer::Ipv6(_) => None,
        },
        "group-name" => &|rule| match &rule.peer {
            RulePeer::Group(id) => group_name(id),
            RulePeer::Ipv4(_) | RulePeer::Ipv6(_) => None,
        },
        "user-id" => &|rule| match &rule.peer {
            RulePeer::Group(_) => Some(call.scope.account.to_string()),
            RulePeer::Ipv4(_) | RulePeer::Ipv6(_) => None,
        },
        "prefix-list-id" => &|_| None,
        _ => return None,
    };
    Some(rules.filter_map(value).collect())
}

/// The group that a call names by id, or by name in the default VPC.
pub(super) fn named<'a>(
    state: &'a State,
    call: &'a Call,
    id: Option<&str>,
    name: Option<&str>,
) -> Result<&'a SecurityGroup, ApiError> {
    match (id, name) {
        (Some(id), _) => crate::security_group(state, &call.scope, id),
        (None, Some(name)) => {
            let vpc = crate::default_vpc(state, &call.scope)
                .ok_or_else(|| ApiError::new("VPCIdNotSpecified", "No default VPC for this user"))?;
            by_name(state, &call.scope, &vpc.id, name)
        }
        (None, None) => Err(ApiError::new(
            "MissingParameter",
            "The request must contain the parameter groupName or groupId",
        )),
    }
}

fn view(call: &Call, group: &SecurityGroup) -> types::SecurityGroup {
    let account = call.scope.account.as_str();
    let side = |egress: bool| {
        let rules: Vec<_> = group.rules.iter().filter(|rule| rule.is_egress == egress).collect();
        Some(permissions(account, &rules))
    };
    types::SecurityGroup {
        group_id: Some(group.id.clone()),
        group_name: Some(group.name.clone()),
        description: Some(group.description.clone()),
        vpc_id: Some(group.vpc_id.clone()),
        owner_id: Some(account.to_owned()),
        security_group_arn: Some(arn(call, &group.id)),
        ip_permissions: side(false),
        ip_permissions_egress: side(true),
        tags: into_tags(&group.tags),
    }
}

pub(super) fn arn(call: &Call, id: &str) -> String {
    let scope = &call.scope;
    Arn::new(
        "ec2",
        scope.region.as_str(),
        scope.account.as_str(),
        format!("security-group/{id}"),
    )
    .to_string()
}
