//! Tags of web ACLs, rule groups and sets.

use super::entities::check_tags;
use crate::error;
use crate::model::{Entity, Kind};
use crate::rules::by_arn;
use crate::types::{
    ListTagsForResourceRequest, ListTagsForResourceResponse, Tag, TagInfoForResource, TagResourceRequest,
    TagResourceResponse, UntagResourceRequest, UntagResourceResponse,
};
use crate::{IpSet, RegexPatternSet, RuleGroup, WebAcl};
use honmaru_base::{ApiError, Arn, Scope};
use honmaru_machine::{Call, State, Tx};
use std::collections::BTreeMap;

fn entity<'s>(state: &'s State, owner: &Scope, arn: &str) -> Result<&'s Entity, ApiError> {
    by_arn::<WebAcl>(state, owner, arn)
        .map(Kind::entity)
        .or_else(|| by_arn::<RuleGroup>(state, owner, arn).map(Kind::entity))
        .or_else(|| by_arn::<IpSet>(state, owner, arn).map(Kind::entity))
        .or_else(|| by_arn::<RegexPatternSet>(state, owner, arn).map(Kind::entity))
        .ok_or_else(error::nonexistent)
}

fn put(tx: &mut Tx<'_>, owner: &Scope, arn: &str, tags: BTreeMap<String, String>) -> Result<(), ApiError> {
    fn set<K: Kind>(tx: &mut Tx<'_>, owner: &Scope, key: &str, tags: &BTreeMap<String, String>) {
        tx.update::<K>(owner, key, |row| row.entity_mut().tags.clone_from(tags));
    }
    let key = arn.parse::<Arn>().map_err(|_| error::nonexistent())?.resource;
    set::<WebAcl>(tx, owner, &key, &tags);
    set::<RuleGroup>(tx, owner, &key, &tags);
    set::<IpSet>(tx, owner, &key, &tags);
    set::<RegexPatternSet>(tx, owner, &key, &tags);
    Ok(())
}

pub(super) fn list(
    state: &State,
    call: &Call,
    input: ListTagsForResourceRequest,
) -> Result<ListTagsForResourceResponse, ApiError> {
    let tags = &entity(state, &call.scope, &input.resource_arn)?.tags;
    let after = input.next_marker.as_deref().unwrap_or_default();
    let limit = input
        .limit
        .and_then(|limit| usize::try_from(limit).ok())
        .unwrap_or(usize::MAX)
        .max(1);
    let mut rest = tags.iter().filter(|(key, _)| key.as_str() > after).peekable();
    let mut page = Vec::new();
    while page.len() < limit {
        let Some((key, value)) = rest.next() else { break };
        page.push(Tag {
            key: key.clone(),
            value: value.clone(),
        });
    }
    let next_marker = rest.peek().and_then(|_| page.last()).map(|tag| tag.key.clone());
    let info = TagInfoForResource {
        resource_arn: Some(input.resource_arn),
        tag_list: Some(page),
    };
    Ok(ListTagsForResourceResponse {
        next_marker,
        tag_info_for_resource: Some(info),
    })
}

pub(super) fn tag(tx: &mut Tx<'_>, call: &Call, input: TagResourceRequest) -> Result<TagResourceResponse, ApiError> {
    let mut tags = entity(tx, &call.scope, &input.resource_arn)?.tags.clone();
    tags.extend(input.tags.into_iter().map(|tag| (tag.key, tag.value)));
    check_tags(&tags)?;
    put(tx, &call.scope, &input.resource_arn, tags)?;
    Ok(TagResourceResponse {})
}

pub(super) fn untag(
    tx: &mut Tx<'_>,
    call: &Call,
    input: UntagResourceRequest,
) -> Result<UntagResourceResponse, ApiError> {
    let mut tags = entity(tx, &call.scope, &input.resource_arn)?.tags.clone();
    tags.retain(|key, _| !input.tag_keys.contains(key));
    put(tx, &call.scope, &input.resource_arn, tags)?;
    Ok(UntagResourceResponse {})
}
