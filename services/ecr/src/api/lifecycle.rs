//! Lifecycle policies: put, got, deleted, previewed.

use super::common::{page, scope_of};
use super::images::{is_asked, refuse_page};
use crate::lifecycle::{Candidate, Policy, Verdict, canonical, evaluate};
use crate::machine::{get_repository, tags_of};
use crate::model::{Image, LifecycleAction, Preview, PreviewEntry, Pull, Repository};
use crate::types::{
    self, LifecyclePolicyPreviewResult, LifecyclePolicyPreviewSummary, LifecyclePolicyRuleAction,
    TransitioningImageTotalCount,
};
use crate::{errors, reconcile};
use honmaru_base::{ApiError, Scope, Time};
use honmaru_machine::{Call, State, Tx};

/// Ref: GetLifecyclePolicyPreview: 100 a page unless asked otherwise.
const PAGE: usize = 100;

/// The images of a repository as a policy sees them.
pub(crate) fn candidates(state: &State, scope: &Scope, name: &str) -> Vec<Candidate> {
    let prefix = Image::prefix(name);
    let images = state.prefixed::<Image>(scope, &prefix);
    let candidate = |(key, image): (&str, &Image)| Candidate {
        digest: image.digest.clone(),
        tags: tags_of(state, scope, name, &image.digest),
        pushed_at: image.pushed_at,
        pulled_at: state.get::<Pull>(scope, key).map(|pull| pull.at),
        parents: state
            .find::<Image>(scope, "parent", key)
            .map(|(_, index)| index.digest.clone())
            .collect(),
        subject: image.subject.clone(),
        archive: image.archive,
    };
    images.map(candidate).collect()
}

fn parse(text: &str) -> Result<Policy, ApiError> {
    Policy::parse(text).map_err(|problem| {
        errors::invalid(format!(
            "Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: '{problem}'"
        ))
    })
}

fn policy_of(state: &State, scope: &Scope, name: &str) -> Result<(String, Option<Time>), ApiError> {
    let row = get_repository(state, scope, name)?;
    let text = row.lifecycle_policy.clone().ok_or_else(|| {
        errors::none_for_repository("LifecyclePolicyNotFoundException", "Lifecycle policy", scope, name)
    })?;
    // An evaluation that is written in advance (see `reconcile::first_evaluation`) has not happened.
    let evaluated = row.lifecycle_evaluated_at.filter(|at| *at >= row.created_at);
    Ok((canonical(&text), evaluated))
}

pub(super) fn put(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::PutLifecyclePolicyRequest,
) -> Result<types::PutLifecyclePolicyResponse, ApiError> {
    let scope = scope_of(call, input.registry_id.as_deref())?;
    get_repository(tx, &scope, &input.repository_name)?;
    parse(&input.lifecycle_policy_text)?;
    let shown = canonical(&input.lifecycle_policy_text);
    let (text, first) = (shown.clone(), reconcile::first_evaluation(tx.now()));
    tx.update::<Repository>(&scope, &input.repository_name, |row| {
        row.lifecycle_policy = Some(text);
        row.lifecycle_evaluated_at = Some(first);
    });
    Ok(types::PutLifecyclePolicyResponse {
        registry_id: Some(scope.account.to_string()),
        repository_name: Some(input.repository_name),
        lifecycle_policy_text: Some(shown),
    })
}

pub(super) fn get(
    state: &State,
    call: &Call,
    input: types::GetLifecyclePolicyRequest,
) -> Result<types::GetLifecyclePolicyResponse, ApiError> {
    let scope = scope_of(call, input.registry_id.as_deref())?;
    let (text, evaluated) = policy_of(state, &scope, &input.repository_name)?;
    Ok(types::GetLifecyclePolicyResponse {
        registry_id: Some(scope.account.to_string()),
        repository_name: Some(input.repository_name),
        lifecycle_policy_text: Some(text),
        last_evaluated_at: Some(evaluated.unwrap_or_default().as_epoch_s()),
    })
}

pub(super) fn delete(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::DeleteLifecyclePolicyRequest,
) -> Result<types::DeleteLifecyclePolicyResponse, ApiError> {
    let scope = scope_of(call, input.registry_id.as_deref())?;
    let (text, evaluated) = policy_of(tx, &scope, &input.repository_name)?;
    tx.update::<Repository>(&scope, &input.repository_name, |row| {
        row.lifecycle_policy = None;
        row.lifecycle_evaluated_at = None;
    });
    Ok(types::DeleteLifecyclePolicyResponse {
        registry_id: Some(scope.account.to_string()),
        repository_name: Some(input.repository_name),
        lifecycle_policy_text: Some(text),
        last_evaluated_at: Some(evaluated.unwrap_or_default().as_epoch_s()),
    })
}

pub(super) fn start_preview(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::StartLifecyclePolicyPreviewRequest,
) -> Result<types::StartLifecyclePolicyPreviewResponse, ApiError> {
    let scope = scope_of(call, input.registry_id.as_deref())?;
    let name = input.repository_name;
    get_repository(tx, &scope, &name)?;
    let text = match input.lifecycle_policy_text {
        Some(text) => canonical(&text),
        None => policy_of(tx, &scope, &name)?.0,
    };
    let policy = parse(&text)?;
    let images = candidates(tx, &scope, &name);
    let entry = |verdict: Verdict| {
        let image = images.iter().find(|image| image.digest == verdict.digest)?;
        Some(PreviewEntry {
            digest: verdict.digest,
            tags: image.tags.clone(),
            pushed_at: image.pushed_at,
            priority: verdict.priority,
            action: verdict.action,
            is_archived: image.archive.holds,
        })
    };
    let verdicts = evaluate(&policy, &images, tx.now());
    let mut entries: Vec<PreviewEntry> = verdicts.into_iter().filter_map(entry).collect();
    entries.sort_by(|a, b| a.digest.cmp(&b.digest));
    let preview = Preview {
        policy: text.clone(),
        entries,
    };
    tx.update::<Repository>(&scope, &name, |row| row.preview = Some(preview));
    Ok(types::StartLifecyclePolicyPreviewResponse {
        registry_id: Some(scope.account.to_string()),
        repository_name: Some(name),
        lifecycle_policy_text: Some(text),
        // The evaluation is over already; AWS's answer to the start is this one, and clients then wait for the result.
        status: Some("IN_PROGRESS".to_owned()),
    })
}

pub(super) fn get_preview(
    state: &State,
    call: &Call,
    input: types::GetLifecyclePolicyPreviewRequest,
) -> Result<types::GetLifecyclePolicyPreviewResponse, ApiError> {
    let scope = scope_of(call, input.registry_id.as_deref())?;
    let name = input.repository_name;
    let preview = get_repository(state, &scope, &name)?.preview.as_ref().ok_or_else(|| {
        let code = "LifecyclePolicyPreviewNotFoundException";
        errors::none_for_repository(code, "Lifecycle policy preview", &scope, &name)
    })?;
    let status = input.filter.as_ref().and_then(|filter| filter.tag_status.as_deref());
    let ids = input.image_ids.unwrap_or_default();
    if !ids.is_empty() {
        refuse_page(input.max_results, input.next_token.as_deref(), "imageIds")?;
    }
    let named = |entry: &&PreviewEntry| {
        ids.is_empty()
            || ids.iter().any(|id| {
                (id.image_digest.is_some() || id.image_tag.is_some())
                    && id.image_digest.as_ref().is_none_or(|digest| *digest == entry.digest)
                    && id.image_tag.as_ref().is_none_or(|tag| entry.tags.contains(tag))
            })
    };
    let asked = preview
        .entries
        .iter()
        .filter(|entry| is_asked(status, &entry.tags))
        .filter(named);
    let asked = asked.map(|entry| (entry.digest.clone(), entry));
    let (entries, next_token) = page(asked, input.next_token.as_deref(), input.max_results, PAGE)?;
    let result = |entry: &PreviewEntry| LifecyclePolicyPreviewResult {
        image_tags: Some(entry.tags.clone()),
        image_digest: Some(entry.digest.clone()),
        image_pushed_at: Some(entry.pushed_at.as_epoch_s()),
        action: Some(match entry.action {
            LifecycleAction::Expire => LifecyclePolicyRuleAction {
                r#type: Some("EXPIRE".to_owned()),
                target_storage_class: None,
            },
            LifecycleAction::Archive => LifecyclePolicyRuleAction {
                r#type: Some("TRANSITION".to_owned()),
                target_storage_class: Some("ARCHIVE".to_owned()),
            },
        }),
        applied_rule_priority: Some(entry.priority),
        storage_class: Some(if entry.is_archived { "ARCHIVE" } else { "STANDARD" }.to_owned()),
    };
    let count = |action: LifecycleAction| {
        let count = preview.entries.iter().filter(|entry| entry.action == action).count();
        i32::try_from(count).unwrap_or(i32::MAX)
    };
    let archived = TransitioningImageTotalCount {
        target_storage_class: Some("ARCHIVE".to_owned()),
        image_total_count: Some(count(LifecycleAction::Archive)),
    };
    Ok(types::GetLifecyclePolicyPreviewResponse {
        registry_id: Some(scope.account.to_string()),
        repository_name: Some(name),
        lifecycle_policy_text: Some(preview.policy.clone()),
        status: Some("COMPLETE".to_owned()),
        next_token,
        preview_results: Some(entries.into_iter().map(result).collect()),
        summary: Some(LifecyclePolicyPreviewSummary {
            expiring_image_total_count: Some(count(LifecycleAction::Expire)),
            transitioning_image_total_counts: (archived.image_total_count != Some(0)).then(|| vec![archived]),
        }),
    })
}
