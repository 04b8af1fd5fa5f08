//! Managed policies and their versions. AWS's own are read-only.

use super::Done;
use super::common::{
    Answer, POLICIES_MAX, check_arn, check_document, check_path, encoded, page, quota, remove_tags, scope, set_tags,
    size_of, some_tags, tags_out,
};
use super::holders::path_of;
use crate::errors::{already_exists, delete_conflict, limit_exceeded, malformed, no_such_entity};
use crate::machine::customer_policy;
use crate::managed::{AwsManaged, all_aws_managed, aws_managed};
use crate::model::{ATTACHED, BOUNDARY, Group, Holder, ManagedPolicy, PolicyVersion, Role, User, iam_arn, key_of};
use crate::types;
use honmaru_base::{ApiError, Scope};
use honmaru_identity::unique_id;
use honmaru_machine::{Call, State, Tx};

/// Ref: "IAM and AWS STS quotas": versions of a managed policy, and its size without white space.
const VERSIONS_MAX: usize = 5;
const DOCUMENT_BYTES_MAX: usize = 6_144;

fn not_found(arn: &str) -> ApiError {
    no_such_entity(format!("Policy {arn} was not found."))
}

fn customer<'a>(state: &'a State, call: &Call, arn: &str) -> Answer<&'a ManagedPolicy> {
    if aws_managed(arn).is_some() {
        let message = format!(
            "User: {} is not authorized to perform this action on resource: policy {arn} because AWS manages it",
            call.principal.arn
        );
        return Err(ApiError::new("AccessDenied", message).with_status(403));
    }
    check_arn(arn, "policy")?;
    customer_policy(state, arn)
        .filter(|_| arn.split(':').nth(4) == Some(call.scope.account.as_str()))
        .ok_or_else(|| not_found(arn))
}

fn uses(state: &State, scope: &Scope, index: &'static str, arn: &str) -> usize {
    state.find::<User>(scope, index, arn).count()
        + state.find::<Group>(scope, index, arn).count()
        + state.find::<Role>(scope, index, arn).count()
}

fn count(n: usize) -> Option<i32> {
    Some(i32::try_from(n).unwrap_or(i32::MAX))
}

pub(super) fn shape(state: &State, scope: &Scope, policy: &ManagedPolicy) -> types::Policy {
    types::Policy {
        policy_name: Some(policy.name.clone()),
        policy_id: Some(policy.id.clone()),
        arn: Some(policy.arn.clone()),
        path: Some(policy.path.clone()),
        default_version_id: Some(format!("v{}", policy.default_version)),
        attachment_count: count(uses(state, scope, ATTACHED, &policy.arn)),
        permissions_boundary_usage_count: count(uses(state, scope, BOUNDARY, &policy.arn)),
        is_attachable: Some(true),
        description: policy.description.clone(),
        create_date: Some(policy.created_at.as_epoch_s().floor()),
        update_date: Some(policy.updated_at.as_epoch_s().floor()),
        tags: Some(tags_out(&policy.tags)),
    }
}

pub(super) fn aws_shape(state: &State, scope: &Scope, policy: &AwsManaged) -> types::Policy {
    types::Policy {
        policy_name: Some(policy.name().to_owned()),
        policy_id: Some(policy.id.to_owned()),
        arn: Some(policy.arn.to_owned()),
        path: Some(path_of(policy.arn).to_owned()),
        default_version_id: Some(policy.version_id()),
        attachment_count: count(uses(state, scope, ATTACHED, policy.arn)),
        permissions_boundary_usage_count: count(uses(state, scope, BOUNDARY, policy.arn)),
        is_attachable: Some(true),
        description: Some(policy.description.to_owned()),
        create_date: Some(policy.created_s.into()),
        update_date: Some(policy.updated_s.into()),
        tags: Some(Vec::new()),
    }
}

pub(super) fn create(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::CreatePolicyRequest,
) -> Answer<types::CreatePolicyResponse> {
    let (scope, key) = (scope(call), key_of(&input.policy_name));
    if tx.get::<ManagedPolicy>(&scope, &key).is_some() {
        return Err(already_exists(format!(
            "A policy called {} already exists. Duplicate names are not allowed.",
            input.policy_name
        )));
    }
    check_size(&input.policy_document)?;
    quota::<ManagedPolicy>(tx, call, "PoliciesPerAccount", POLICIES_MAX)?;
    let path = check_path(input.path)?;
    let now = tx.now();
    let mut tags = Vec::new();
    set_tags(&mut tags, input.tags.unwrap_or_default())?;
    let policy = ManagedPolicy {
        arn: iam_arn(&call.scope.account, "policy", &path, &input.policy_name),
        path,
        name: input.policy_name,
        id: unique_id("ANPA", tx.rng()),
        description: input.description,
        versions: vec![PolicyVersion {
            number: 1,
            document: input.policy_document,
            created_at: now,
        }],
        default_version: 1,
        next_version: 2,
        created_at: now,
        updated_at: now,
        tags,
    };
    let answer = types::CreatePolicyResponse {
        policy: Some(types::Policy {
            // AWS's answer to CreatePolicy leaves out what is empty; that to GetPolicy does not.
            tags: some_tags(&policy.tags),
            ..shape(tx, &scope, &policy)
        }),
    };
    tx.put(&scope, &key, policy);
    Ok(answer)
}

fn check_size(document: &str) -> Answer<()> {
    if !check_document(document)?.is_version_2012() {
        return Err(malformed("Policy document must be version 2012-10-17 or greater."));
    }
    if size_of(document) > DOCUMENT_BYTES_MAX {
        return Err(limit_exceeded(format!(
            "Cannot exceed quota for PolicySize: {DOCUMENT_BYTES_MAX}"
        )));
    }
    Ok(())
}

pub(super) fn get(state: &State, call: &Call, input: types::GetPolicyRequest) -> Answer<types::GetPolicyResponse> {
    let scope = scope(call);
    let policy = match aws_managed(&input.policy_arn) {
        Some(policy) => aws_shape(state, &scope, policy),
        None => shape(state, &scope, customer(state, call, &input.policy_arn)?),
    };
    Ok(types::GetPolicyResponse { policy: Some(policy) })
}

pub(super) fn list(
    state: &State,
    call: &Call,
    input: types::ListPoliciesRequest,
) -> Answer<types::ListPoliciesResponse> {
    let scope = scope(call);
    let wanted = input.scope.as_deref().unwrap_or("All");
    let mut rows: Vec<(String, types::Policy)> = Vec::new();
    if wanted != "Local" {
        rows.extend(
            all_aws_managed()
                .iter()
                .map(|p| (p.arn.to_owned(), aws_shape(state, &scope, p))),
        );
    }
    if wanted != "AWS" {
        rows.extend(
            state
                .list::<ManagedPolicy>(&scope)
                .map(|(_, p)| (p.arn.clone(), shape(state, &scope, p))),
        );
    }
    let prefix = input.path_prefix.as_deref().unwrap_or("/");
    rows.retain(|(_, policy)| {
        let attached = policy.attachment_count.unwrap_or(0) > 0;
        let bounds = policy.permissions_boundary_usage_count.unwrap_or(0) > 0;
        policy.path.as_deref().is_some_and(|path| path.starts_with(prefix))
            && match input.policy_usage_filter.as_deref() {
                Some("PermissionsBoundary") => bounds,
                Some("PermissionsPolicy") => attached,
                _ => input.only_attached != Some(true) || attached || bounds,
            }
    });
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    let rows = rows.into_iter().map(|(key, policy)| {
        (
            key,
            types::Policy {
                tags: None,
                description: None,
                ..policy
            },
        )
    });
    let page = page(rows, input.marker.as_deref(), input.max_items)?;
    Ok(types::ListPoliciesResponse {
        policies: Some(page.items),
        is_truncated: page.is_truncated,
        marker: page.marker,
    })
}

pub(super) fn delete(tx: &mut Tx<'_>, call: &Call, input: types::DeletePolicyRequest) -> Answer<Done> {
    let scope = scope(call);
    let policy = customer(tx, call, &input.policy_arn)?;
    let key = key_of(&policy.name);
    if uses(tx, &scope, ATTACHED, &policy.arn) + uses(tx, &scope, BOUNDARY, &policy.arn) > 0 {
        return Err(delete_conflict("Cannot delete a policy attached to entities."));
    }
    if policy.versions.len() > 1 {
        return Err(delete_conflict(
            "This policy has more than one version. Before you delete a policy, you must delete the policy's \
             versions. The default version is deleted with the policy.",
        ));
    }
    tx.delete::<ManagedPolicy>(&scope, &key);
    Ok(Done)
}

pub(super) fn version_shape(version: &PolicyVersion, default: u32, with_document: bool) -> types::PolicyVersion {
    types::PolicyVersion {
        document: with_document.then(|| encoded(&version.document)),
        version_id: Some(format!("v{}", version.number)),
        is_default_version: Some(version.number == default),
        create_date: Some(version.created_at.as_epoch_s().floor()),
    }
}

pub(super) fn create_version(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::CreatePolicyVersionRequest,
) -> Answer<types::CreatePolicyVersionResponse> {
    let mut policy = customer(tx, call, &input.policy_arn)?.clone();
    check_size(&input.policy_document)?;
    if policy.versions.len() >= VERSIONS_MAX {
        return Err(limit_exceeded(format!(
            "A managed policy can have up to {VERSIONS_MAX} versions. Before you create a new version, you must \
             delete an existing version."
        )));
    }
    let now = tx.now();
    let version = PolicyVersion {
        number: policy.next_version,
        document: input.policy_document,
        created_at: now,
    };
    policy.next_version += 1;
    if input.set_as_default == Some(true) {
        policy.default_version = version.number;
        policy.updated_at = now;
    }
    let shape = version_shape(&version, policy.default_version, false);
    policy.versions.push(version);
    let key = key_of(&policy.name);
    tx.put(&scope(call), &key, policy);
    Ok(types::CreatePolicyVersionResponse {
        policy_version: Some(shape),
    })
}

fn number_of(policy: &ManagedPolicy, id: &str) -> Answer<u32> {
    let number = id.strip_prefix('v').and_then(|n| n.parse::<u32>().ok());
    number
        .filter(|n| policy.versions.iter().any(|v| v.number == *n))
        .ok_or_else(|| {
            no_such_entity(format!(
                "Policy {} version {id} does not exist or is not attachable.",
                policy.arn
            ))
        })
}

pub(super) fn get_version(
    state: &State,
    call: &Call,
    input: types::GetPolicyVersionRequest,
) -> Answer<types::GetPolicyVersionResponse> {
    let shape = match aws_managed(&input.policy_arn) {
        Some(policy) if input.version_id == policy.version_id() => aws_version(policy, true),
        Some(policy) => {
            return Err(no_such_entity(format!(
                "Policy {} version {} does not exist or is not attachable.",
                policy.arn, input.version_id
            )));
        }
        None => {
            let policy = customer(state, call, &input.policy_arn)?;
            let number = number_of(policy, &input.version_id)?;
            let version = policy.versions.iter().find(|v| v.number == number);
            version
                .map(|v| version_shape(v, policy.default_version, true))
                .unwrap_or_default()
        }
    };
    Ok(types::GetPolicyVersionResponse {
        policy_version: Some(shape),
    })
}

pub(super) fn aws_version(policy: &AwsManaged, with_document: bool) -> types::PolicyVersion {
    types::PolicyVersion {
        document: with_document.then(|| encoded(policy.document)),
        version_id: Some(policy.version_id()),
        is_default_version: Some(true),
        create_date: Some(policy.updated_s.into()),
    }
}

pub(super) fn list_versions(
    state: &State,
    call: &Call,
    input: types::ListPolicyVersionsRequest,
) -> Answer<types::ListPolicyVersionsResponse> {
    let rows: Vec<(String, types::PolicyVersion)> = match aws_managed(&input.policy_arn) {
        Some(policy) => vec![(String::new(), aws_version(policy, false))],
        None => {
            let policy = customer(state, call, &input.policy_arn)?;
            // Newest first, as AWS lists them; the key turns the order around.
            let newest = policy.versions.iter().rev();
            newest
                .map(|v| {
                    (
                        format!("{:010}", u32::MAX - v.number),
                        version_shape(v, policy.default_version, false),
                    )
                })
                .collect()
        }
    };
    let page = page(rows.into_iter(), input.marker.as_deref(), input.max_items)?;
    Ok(types::ListPolicyVersionsResponse {
        versions: Some(page.items),
        is_truncated: page.is_truncated,
        marker: page.marker,
    })
}

pub(super) fn delete_version(tx: &mut Tx<'_>, call: &Call, input: types::DeletePolicyVersionRequest) -> Answer<Done> {
    let policy = customer(tx, call, &input.policy_arn)?;
    let number = number_of(policy, &input.version_id)?;
    if number == policy.default_version {
        return Err(delete_conflict("Cannot delete the default version of a policy."));
    }
    let key = key_of(&policy.name);
    tx.update::<ManagedPolicy>(&scope(call), &key, |policy| {
        policy.versions.retain(|v| v.number != number)
    });
    Ok(Done)
}

pub(super) fn set_default(tx: &mut Tx<'_>, call: &Call, input: types::SetDefaultPolicyVersionRequest) -> Answer<Done> {
    let policy = customer(tx, call, &input.policy_arn)?;
    let number = number_of(policy, &input.version_id)?;
    let (key, now) = (key_of(&policy.name), tx.now());
    tx.update::<ManagedPolicy>(&scope(call), &key, |policy| {
        policy.default_version = number;
        policy.updated_at = now;
    });
    Ok(Done)
}

pub(super) fn list_entities(
    state: &State,
    call: &Call,
    input: types::ListEntitiesForPolicyRequest,
) -> Answer<types::ListEntitiesForPolicyResponse> {
    let scope = scope(call);
    let arn = &input.policy_arn;
    if aws_managed(arn).is_none() {
        customer(state, call, arn)?;
    }
    let mut rows: Vec<(String, (&'static str, String, String))> = Vec::new();
    let indexes: &[&'static str] = match input.policy_usage_filter.as_deref() {
        Some("PermissionsBoundary") => &[BOUNDARY],
        Some("PermissionsPolicy") => &[ATTACHED],
        _ => &[ATTACHED, BOUNDARY],
    };
    let filter = input.entity_filter.as_deref();
    let prefix = input.path_prefix.as_deref().unwrap_or("/");
    for &index in indexes {
        collect::<User>(state, &scope, index, arn, "User", prefix, &mut rows);
        collect::<Group>(state, &scope, index, arn, "Group", prefix, &mut rows);
        collect::<Role>(state, &scope, index, arn, "Role", prefix, &mut rows);
    }
    rows.retain(|(_, (noun, _, _))| filter.is_none_or(|wanted| wanted == *noun));
    rows.sort();
    rows.dedup();
    let page = page(rows.into_iter(), input.marker.as_deref(), input.max_items)?;
    let (mut users, mut groups, mut roles) = (Vec::new(), Vec::new(), Vec::new());
    for (noun, name, id) in page.items {
        let (name, id) = (Some(name), Some(id));
        match noun {
            "User" => users.push(types::PolicyUser {
                user_name: name,
                user_id: id,
            }),
            "Group" => groups.push(types::PolicyGroup {
                group_name: name,
                group_id: id,
            }),
            _ => roles.push(types::PolicyRole {
                role_name: name,
                role_id: id,
            }),
        }
    }
    Ok(types::ListEntitiesForPolicyResponse {
        policy_groups: Some(groups),
        policy_users: Some(users),
        policy_roles: Some(roles),
        is_truncated: page.is_truncated,
        marker: page.marker,
    })
}

type EntityRow = (String, (&'static str, String, String));

fn collect<H: Holder>(
    state: &State,
    scope: &Scope,
    index: &'static str,
    arn: &str,
    noun: &'static str,
    prefix: &str,
    rows: &mut Vec<EntityRow>,
) {
    for (key, row) in state.find::<H>(scope, index, arn) {
        let entity = row.entity();
        if entity.path.starts_with(prefix) {
            rows.push((format!("{noun}/{key}"), (noun, entity.name.clone(), entity.id.clone())));
        }
    }
}

pub(super) fn tag(tx: &mut Tx<'_>, call: &Call, input: types::TagPolicyRequest) -> Answer<Done> {
    let policy = customer(tx, call, &input.policy_arn)?;
    let (key, mut tags) = (key_of(&policy.name), policy.tags.clone());
    set_tags(&mut tags, input.tags)?;
    tx.update::<ManagedPolicy>(&scope(call), &key, |policy| policy.tags = tags);
    Ok(Done)
}

pub(super) fn untag(tx: &mut Tx<'_>, call: &Call, input: types::UntagPolicyRequest) -> Answer<Done> {
    let key = key_of(&customer(tx, call, &input.policy_arn)?.name);
    tx.update::<ManagedPolicy>(&scope(call), &key, |policy| {
        remove_tags(&mut policy.tags, &input.tag_keys)
    });
    Ok(Done)
}

pub(super) fn list_tags(
    state: &State,
    call: &Call,
    input: types::ListPolicyTagsRequest,
) -> Answer<types::ListPolicyTagsResponse> {
    let tags = if aws_managed(&input.policy_arn).is_some() {
        Vec::new()
    } else {
        tags_out(&customer(state, call, &input.policy_arn)?.tags)
    };
    let page = page(
        tags.into_iter().map(|t| (t.key.clone(), t)),
        input.marker.as_deref(),
        input.max_items,
    )?;
    Ok(types::ListPolicyTagsResponse {
        tags: page.items,
        is_truncated: page.is_truncated,
        marker: page.marker,
    })
}
