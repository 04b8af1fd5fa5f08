//! Managed rule groups: only those that the firewall has.

use super::entities::{check_scope, text};
use crate::error;
use crate::types::{
    ListAvailableManagedRuleGroupVersionsRequest, ListAvailableManagedRuleGroupVersionsResponse,
    ListAvailableManagedRuleGroupsRequest, ListAvailableManagedRuleGroupsResponse, ManagedRuleGroupSummary,
    ManagedRuleGroupVersion,
};
use honmaru_base::ApiError;
use honmaru_firewall::{ManagedRuleGroup, managed_group, managed_groups};
use honmaru_machine::{Call, State};
use serde_json::{Value, json};

pub(super) fn list(
    _: &State,
    call: &Call,
    input: ListAvailableManagedRuleGroupsRequest,
) -> Result<ListAvailableManagedRuleGroupsResponse, ApiError> {
    check_scope(call, &input.scope)?;
    let limit = input
        .limit
        .and_then(|limit| usize::try_from(limit).ok())
        .unwrap_or(usize::MAX)
        .max(1);
    let after = input.next_marker.as_deref();
    let start = match after {
        None => 0,
        Some(name) => managed_groups()
            .iter()
            .position(|group| group.name == name)
            .map_or(managed_groups().len(), |at| at + 1),
    };
    let page: Vec<&ManagedRuleGroup> = managed_groups().iter().skip(start).take(limit).collect();
    let more = start + page.len() < managed_groups().len();
    Ok(ListAvailableManagedRuleGroupsResponse {
        next_marker: page.last().filter(|_| more).map(|group| group.name.to_owned()),
        managed_rule_groups: Some(
            page.into_iter()
                .map(|group| ManagedRuleGroupSummary {
                    vendor_name: Some(group.vendor.to_owned()),
                    name: Some(group.name.to_owned()),
                    versioning_supported: Some(true),
                    description: Some(group.description.to_owned()),
                })
                .collect(),
        ),
    })
}

pub(super) fn versions(
    _: &State,
    call: &Call,
    input: ListAvailableManagedRuleGroupVersionsRequest,
) -> Result<ListAvailableManagedRuleGroupVersionsResponse, ApiError> {
    check_scope(call, &input.scope)?;
    let group = managed_group(&input.vendor_name, &input.name).ok_or_else(error::nonexistent)?;
    let version = |name: &&str| ManagedRuleGroupVersion {
        name: Some((*name).to_owned()),
        ..ManagedRuleGroupVersion::default()
    };
    let limit = input
        .limit
        .and_then(|limit| usize::try_from(limit).ok())
        .unwrap_or(usize::MAX)
        .max(1);
    let all = group.versions();
    let start = match input.next_marker.as_deref() {
        None => 0,
        Some(last) => all.iter().position(|name| *name == last).map_or(all.len(), |at| at + 1),
    };
    let page: Vec<&str> = all.iter().skip(start).take(limit).copied().collect();
    let more = start + page.len() < all.len();
    Ok(ListAvailableManagedRuleGroupVersionsResponse {
        next_marker: page.last().filter(|_| more).map(|name| (*name).to_owned()),
        versions: Some(page.iter().map(version).collect()),
        current_default_version: group.versions().last().map(|name| (*name).to_owned()),
    })
}

pub(super) fn describe(_: &State, call: &Call, input: &Value) -> Result<Value, ApiError> {
    let member = |name| text(input, name).unwrap_or_default();
    check_scope(call, member("Scope"))?;
    let group = managed_group(member("VendorName"), member("Name")).ok_or_else(error::nonexistent)?;
    let version = text(input, "VersionName")
        .or(group.versions().last().copied())
        .unwrap_or_default();
    if !group.versions().contains(&version) {
        return Err(error::nonexistent());
    }
    let namespace = group.label_namespace();
    let rules: Vec<Value> = group
        .rules
        .iter()
        .map(|rule| json!({"Name": rule.name, "Action": {"Block": {}}}))
        .collect();
    let labels: Vec<Value> = group
        .rules
        .iter()
        .map(|rule| json!({"Name": format!("{namespace}{}", rule.label)}))
        .collect();
    Ok(json!({
        "VersionName": version,
        "Capacity": group.capacity,
        "Rules": rules,
        "LabelNamespace": namespace,
        "AvailableLabels": labels,
        "ConsumedLabels": [],
    }))
}
