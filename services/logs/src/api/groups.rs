//! Log groups.

use super::tags::checked;
use crate::events::{Events, Plan};
use crate::machine::{group_exists, stream_ref};
use crate::model::{LogGroup, LogStream, ResourcePolicy, attached_key};
use crate::names::{group_arn, group_of, invalid, no_group, unavailable};
use crate::types;
use honmaru_base::{ApiError, uuid};
use honmaru_machine::{Call, State, Tx};
use honmaru_wire::page;
use std::sync::Arc;

/// Ref: PutRetentionPolicy, `retentionInDays`.
const RETENTION_DAYS: &[i32] = &[
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
];
/// Ref: DescribeLogGroups, `limit`: 1 to 50.
const PAGE_MAX: usize = 50;

pub(super) fn create(tx: &mut Tx<'_>, call: &Call, input: types::CreateLogGroupRequest) -> Result<(), ApiError> {
    let name = input.log_group_name;
    if name.starts_with("aws/") {
        return Err(invalid("Log groups starting with AWS/ are reserved for AWS."));
    }
    if input.kms_key_id.is_some() {
        return Err(invalid("kmsKeyId is not supported: there is no key service yet."));
    }
    if group_exists(tx, &call.scope, &name) {
        return Err(ApiError::new(
            "ResourceAlreadyExistsException",
            "The specified log group already exists",
        ));
    }
    let tags = checked(&group_arn(&call.scope, &name), input.tags.unwrap_or_default())?;
    let row = LogGroup {
        name: name.clone(),
        id: uuid(tx.rng()),
        created_at: tx.now(),
        retention_days: None,
        class: input.log_group_class.unwrap_or_else(|| "STANDARD".to_owned()),
        deletion_protection: input.deletion_protection_enabled.unwrap_or(false),
        tags,
    };
    tx.put(&call.scope, &name, row);
    Ok(())
}

pub(super) fn delete(tx: &mut Tx<'_>, call: &Call, input: types::DeleteLogGroupRequest) -> Result<(), ApiError> {
    let name = input.log_group_name;
    let group = tx.get::<LogGroup>(&call.scope, &name).ok_or_else(no_group)?;
    if group.deletion_protection {
        let message = "Log group deletion protection is enabled. Disable it before you delete the log group.";
        return Err(ApiError::new("ValidationException", message));
    }
    let prefix = format!("{name}\0");
    let keys: Vec<String> = tx
        .prefixed::<LogStream>(&call.scope, &prefix)
        .map(|(key, _)| key.to_owned())
        .collect();
    for key in keys {
        tx.delete::<LogStream>(&call.scope, &key);
    }
    tx.delete::<ResourcePolicy>(&call.scope, &attached_key(&name));
    tx.delete::<LogGroup>(&call.scope, &name);
    Ok(())
}

fn change(tx: &mut Tx<'_>, call: &Call, name: &str, change: impl FnOnce(&mut LogGroup)) -> Result<(), ApiError> {
    tx.update::<LogGroup>(&call.scope, name, change)
        .map(drop)
        .ok_or_else(no_group)
}

pub(super) fn put_retention(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::PutRetentionPolicyRequest,
) -> Result<(), ApiError> {
    let days = input.retention_in_days;
    if !RETENTION_DAYS.contains(&days) {
        let valid: Vec<String> = RETENTION_DAYS.iter().map(i32::to_string).collect();
        let valid = valid.join(", ");
        return Err(invalid(format!(
            "1 validation error detected: Value '{days}' at 'retentionInDays' failed to satisfy constraint: Member must \
             satisfy enum value set: [{valid}]"
        )));
    }
    change(tx, call, &input.log_group_name, |group| {
        group.retention_days = Some(days)
    })
}

pub(super) fn delete_retention(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::DeleteRetentionPolicyRequest,
) -> Result<(), ApiError> {
    change(tx, call, &input.log_group_name, |group| group.retention_days = None)
}

pub(super) fn put_deletion_protection(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::PutLogGroupDeletionProtectionRequest,
) -> Result<(), ApiError> {
    let name = group_of(&call.scope, None, Some(input.log_group_identifier))?;
    change(tx, call, &name, |group| {
        group.deletion_protection = input.deletion_protection_enabled;
    })
}

/// Whether a name matches a pattern of ListLogGroups: parts between `|`, with `^` before those that it must begin with.
/// Ref: `logGroupNamePattern`; the model lets no other characters through.
fn is_named_so(name: &str, pattern: &str) -> bool {
    pattern.split('|').any(|part| match part.strip_prefix('^') {
        Some(prefix) => name.starts_with(prefix),
        None => name.contains(part),
    })
}

/// Whether a group has the tag that a filter asks for. Ref: ListLogGroups, `values`: any of them; `*` at an end is a
/// wildcard, for which case does not count; `!` before a value means any other.
fn is_tagged_so(group: &LogGroup, filter: &types::TagFilter) -> bool {
    let Some(found) = group.tags.get(&filter.key) else {
        return false;
    };
    let values = filter.values.as_deref().unwrap_or_default();
    values.is_empty()
        || values.iter().any(|value| match value.strip_prefix('!') {
            Some(other) => !is_value(found, other),
            None => is_value(found, value),
        })
}

fn is_value(found: &str, wanted: &str) -> bool {
    let (lower, text) = (found.to_lowercase(), wanted.trim_matches('*').to_lowercase());
    match (wanted.starts_with('*'), wanted.ends_with('*')) {
        (false, false) => found == wanted,
        (true, false) => lower.ends_with(&text),
        (false, true) => lower.starts_with(&text),
        (true, true) => lower.contains(&text),
    }
}

pub(super) fn list(
    state: &State,
    call: &Call,
    input: types::ListLogGroupsRequest,
) -> Result<types::ListLogGroupsResponse, ApiError> {
    // No group has a data source or a field index: there is nothing here that makes them.
    let asks_for_none = input.data_sources.is_some() || input.field_index_names.is_some();
    let (pattern, class) = (input.log_group_name_pattern, input.log_group_class);
    let filters = input.log_group_tags.unwrap_or_default();
    let max = input.limit.and_then(|n| usize::try_from(n).ok()).unwrap_or(PAGE_MAX);
    let asked = state
        .list::<LogGroup>(&call.scope)
        .map(|(_, group)| group)
        .filter(|group| {
            !asks_for_none
                && pattern.as_ref().is_none_or(|pattern| is_named_so(&group.name, pattern))
                && class.as_ref().is_none_or(|class| group.class == *class)
                && filters.iter().all(|filter| is_tagged_so(group, filter))
        });
    let page = page(asked, |group| &group.name, input.next_token.as_deref(), max)
        .map_err(|_| invalid("The specified nextToken is invalid."))?;
    let view = |group: &LogGroup| types::LogGroupSummary {
        log_group_arn: Some(group_arn(&call.scope, &group.name)),
        log_group_name: Some(group.name.clone()),
        log_group_class: Some(group.class.clone()),
    };
    Ok(types::ListLogGroupsResponse {
        log_groups: Some(page.items.into_iter().map(view).collect()),
        next_token: page.next,
    })
}

/// The groups that a call asks for, and for each the bytes of its streams.
pub(super) async fn describe(
    events: Arc<dyn Events>,
    call: Call,
    input: types::DescribeLogGroupsRequest,
) -> Result<types::DescribeLogGroupsResponse, ApiError> {
    let (prefix, pattern) = (input.log_group_name_prefix, input.log_group_name_pattern);
    if prefix.is_some() && pattern.is_some() {
        return Err(invalid(
            "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.",
        ));
    }
    // Ref: DescribeLogGroups, `logGroupIdentifiers`: "the only other filter that you can choose to specify is
    // includeLinkedAccounts".
    let filters = prefix.is_some() || pattern.is_some() || input.log_group_class.is_some();
    if input.log_group_identifiers.is_some() && filters {
        return Err(invalid(
            "logGroupIdentifiers cannot be specified together with a prefix, a pattern or a class.",
        ));
    }
    // Ref: as above, `logGroupNamePattern`: "then only arn, creationTime, and logGroupName are included in the response".
    // AWS has meanwhile come to tell a few more: recorded in localstack/localstack,
    // tests/aws/services/logs/test_logs_groups.snapshot.json.
    let is_short = pattern.is_some();
    let identifiers = input
        .log_group_identifiers
        .map(|all| {
            all.into_iter()
                .map(|one| group_of(&call.scope, None, Some(one)))
                // A group elsewhere is none of those here, as one that does not exist: this call has no error for either.
                .filter(|one| *one != Err(no_group()))
                .collect::<Result<Vec<_>, _>>()
        })
        .transpose()?;
    let class = input.log_group_class;
    let max = input
        .limit
        .and_then(|n| usize::try_from(n).ok())
        .unwrap_or(PAGE_MAX)
        .min(PAGE_MAX);
    let token = input.next_token;
    let scope = call.scope.clone();
    // The rows are carried out of the look beside the plan: a look answers with streams only.
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    events
        .look(Box::new(move |state| {
            let asked = state.list::<LogGroup>(&scope).map(|(_, group)| group).filter(|group| {
                prefix.as_ref().is_none_or(|prefix| group.name.starts_with(prefix))
                    // Ref: as above: "a case-sensitive substring search".
                    && pattern.as_ref().is_none_or(|pattern| group.name.contains(pattern.as_str()))
                    && identifiers.as_ref().is_none_or(|names| names.contains(&group.name))
                    && class.as_ref().is_none_or(|class| group.class == *class)
            });
            let page = page(asked.cloned(), |group| &group.name, token.as_deref(), max)
                .map_err(|_| invalid("The specified nextToken is invalid."))?;
            let streams: Vec<Vec<_>> = page
                .items
                .iter()
                .map(|group| {
                    let prefix = format!("{}\0", group.name);
                    let streams = state.prefixed::<LogStream>(&scope, &prefix);
                    streams
                        .filter_map(|(_, s)| stream_ref(state, &scope, &s.group, &s.name))
                        .collect()
                })
                .collect();
            // The channel has room for the one message that is ever sent.
            let _ = tell.try_send((page, streams));
            Ok(Plan::default())
        }))
        .await?;
    let (page, streams) = told.try_recv().map_err(|_| unavailable())?;
    let mut groups = Vec::new();
    for (group, streams) in page.items.into_iter().zip(streams) {
        if is_short {
            let arn = group_arn(&call.scope, &group.name);
            groups.push(types::LogGroup {
                arn: Some(format!("{arn}:*")),
                log_group_arn: Some(arn),
                creation_time: Some(group.created_at.as_ms()),
                metric_filter_count: Some(0),
                log_group_class: Some(group.class),
                log_group_name: Some(group.name),
                ..types::LogGroup::default()
            });
            continue;
        }
        let mut bytes = 0;
        for stream in streams {
            bytes += events.stat(stream).await?.bytes;
        }
        let arn = group_arn(&call.scope, &group.name);
        groups.push(types::LogGroup {
            arn: Some(format!("{arn}:*")),
            log_group_arn: Some(arn),
            creation_time: Some(group.created_at.as_ms()),
            retention_in_days: group.retention_days,
            metric_filter_count: Some(0),
            stored_bytes: Some(i64::try_from(bytes).unwrap_or(i64::MAX)),
            log_group_class: Some(group.class),
            deletion_protection_enabled: Some(group.deletion_protection),
            log_group_name: Some(group.name),
            ..types::LogGroup::default()
        });
    }
    Ok(types::DescribeLogGroupsResponse {
        log_groups: Some(groups),
        next_token: page.next,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_tags_are_found_by_patterns() {
        assert!(is_named_so("/aws/lambda/a", "^/aws/lambda|discovery"));
        assert!(is_named_so("my-discovery", "^/aws/lambda|discovery"));
        assert!(!is_named_so("x/aws/lambda", "^/aws/lambda|discovery"));
        for (found, wanted, is_so) in [
            ("prod", "prod", true),
            ("Prod", "prod", false),
            ("Production", "prod*", true),
            ("pre-PROD", "*prod", true),
            ("a-prod-b", "*prod*", true),
            ("test", "prod*", false),
        ] {
            assert_eq!(is_value(found, wanted), is_so, "{found} {wanted}");
        }
    }

    #[test]
    fn groups_are_found_by_parts_of_their_names_as_they_are_written() {
        use crate::api::tests::{Memory, call, now_or_never};
        let found = |change: &dyn Fn(&mut types::DescribeLogGroupsRequest)| {
            let mut input = types::DescribeLogGroupsRequest::default();
            change(&mut input);
            let answer = now_or_never(describe(Memory::new(), call(), input));
            answer.map(|answer| answer.log_groups.unwrap_or_default())
        };
        let all = found(&|_| ()).expect("groups");
        assert_eq!(all.first().and_then(|group| group.stored_bytes), Some(0));
        let named = found(&|input| input.log_group_name_pattern = Some("g".to_owned())).expect("groups");
        assert_eq!(named.len(), 1);
        assert_eq!(named.first().and_then(|group| group.stored_bytes), None);
        // Without the bytes and the protection, with the rest.
        assert!(named.iter().all(|group| {
            let told = group.arn.is_some() && group.log_group_arn.is_some() && group.creation_time.is_some();
            told && group.log_group_class.as_deref() == Some("STANDARD")
                && group.metric_filter_count == Some(0)
                && group.deletion_protection_enabled.is_none()
        }));
        let other = found(&|input| input.log_group_name_pattern = Some("G".to_owned())).expect("groups");
        assert!(other.is_empty(), "case counts");
        let both = found(&|input| {
            input.log_group_identifiers = Some(vec!["g".to_owned()]);
            input.log_group_class = Some("STANDARD".to_owned());
        });
        assert_eq!(both.expect_err("one filter").code, "InvalidParameterException");
    }
}
