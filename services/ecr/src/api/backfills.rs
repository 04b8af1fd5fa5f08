//! Back-fills of replication. Regions of one account share one store of blobs: a copy is rows, and cannot fail half-way. What
//! is sent to another cloud can.

use super::common::{page, scope_of};
use crate::backfill::{covered, destination};
use crate::errors;
use crate::machine::{Copied, copied, leaves, outstanding, tags_of};
use crate::model::{Backfill, BackfillState, Image};
use crate::types::{
    self, ImageIdentifier, ReplicationBackfillProgress, ReplicationBackfillResult, ReplicationBackfillSummary,
    ReplicationDestination,
};
use honmaru_base::{ApiError, Scope, uuid};
use honmaru_machine::{Call, State, Tx};

/// Ref: ListReplicationBackfills: 50 a page at most.
const PAGE: usize = 50;
/// Ref: DescribeReplicationBackfillResults: 100 a page unless asked otherwise.
const RESULTS_PAGE: usize = 100;
/// Back-fills that are remembered for each registry; further ones are refused.
const BACKFILLS_MAX: usize = 1_000;

fn shown_destination(scope: &Scope, row: &Backfill) -> ReplicationDestination {
    ReplicationDestination {
        region: row.region.clone(),
        registry_id: row.account.clone().unwrap_or_else(|| scope.account.to_string()),
    }
}

fn progress(state: &State, scope: &Scope, row: &Backfill) -> ReplicationBackfillProgress {
    let count = |number: u64| i32::try_from(number).unwrap_or(i32::MAX);
    let outbound = destination(scope, row).filter(|to| leaves(state, scope, to));
    // Those that wait to be sent are not copied yet.
    let waiting = match outbound {
        Some(to) if row.state == BackfillState::InProgress => outstanding(state, scope, &to).0 as u64,
        _ => 0,
    };
    let completed = row.copied.saturating_sub(waiting).saturating_sub(row.failed);
    ReplicationBackfillProgress {
        total_replication_count: count(row.total.max(row.copied)),
        completed_replication_count: count(completed),
        failed_replication_count: count(row.failed),
        failure_codes: Vec::new(),
    }
}

fn found<'a>(state: &'a State, scope: &Scope, id: &str) -> Result<&'a Backfill, ApiError> {
    state.get::<Backfill>(scope, id).ok_or_else(|| {
        ApiError::new(
            "ReplicationBackfillNotFoundException",
            format!(
                "The replication backfill with id '{id}' does not exist in the registry with id '{}'",
                scope.account
            ),
        )
    })
}

pub(super) fn start(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::StartReplicationBackfillRequest,
) -> Result<types::StartReplicationBackfillResponse, ApiError> {
    let scope = scope_of(call, input.registry_id.as_deref())?;
    let to = &input.destination;
    let of_registry = super::registry::replication(tx, &scope);
    let is_configured = of_registry
        .rules
        .iter()
        .flat_map(|rule| &rule.destinations)
        .any(|known| known.region == to.region && known.registry_id == to.registry_id);
    if !is_configured {
        return Err(errors::validation(
            "The destination is not in the registry's replication configuration",
        ));
    }
    let in_progress = |row: &Backfill| {
        let same = destination(&scope, row)
            .is_some_and(|of| of.region.as_str() == to.region && of.account.as_str() == to.registry_id);
        row.state == BackfillState::InProgress && same
    };
    if tx.list::<Backfill>(&scope).any(|(_, row)| in_progress(row)) {
        return Err(ApiError::new(
            "ReplicationBackfillInProgressException",
            "A replication backfill to the destination is in progress",
        ));
    }
    if tx.list::<Backfill>(&scope).count() >= BACKFILLS_MAX {
        return Err(errors::limit(format!(
            "A registry may have at most {BACKFILLS_MAX} replication backfills"
        )));
    }
    let mut row = Backfill {
        region: to.region.clone(),
        account: Some(to.registry_id.clone()).filter(|account| account != scope.account.as_str()),
        state: BackfillState::InProgress,
        started_at: tx.now(),
        ended_at: None,
        cursor: None,
        total: 0,
        copied: 0,
        failed: 0,
    };
    if let Some(to) = destination(&scope, &row) {
        row.total = covered(tx, &scope, &to).count() as u64;
    }
    let id = uuid(tx.rng());
    let answer = types::StartReplicationBackfillResponse {
        replication_backfill_id: Some(id.clone()),
        registry_id: Some(scope.account.to_string()),
        destination: Some(shown_destination(&scope, &row)),
        status: Some(row.state.name().to_owned()),
        started_at: Some(row.started_at.as_epoch_s()),
    };
    tx.put(&scope, &id, row);
    Ok(answer)
}

pub(super) fn stop(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::StopReplicationBackfillRequest,
) -> Result<types::StopReplicationBackfillResponse, ApiError> {
    let scope = scope_of(call, input.registry_id.as_deref())?;
    let id = input.replication_backfill_id;
    let mut row = found(tx, &scope, &id)?.clone();
    if row.state != BackfillState::InProgress {
        return Err(ApiError::new(
            "ReplicationBackfillInvalidStatusException",
            format!("The replication backfill with id '{id}' is {}", row.state.name()),
        ));
    }
    row.state = BackfillState::Stopped;
    row.ended_at = Some(tx.now());
    tx.put(&scope, &id, row.clone());
    Ok(types::StopReplicationBackfillResponse {
        replication_backfill_id: Some(id),
        registry_id: Some(scope.account.to_string()),
        destination: Some(shown_destination(&scope, &row)),
        status: Some(row.state.name().to_owned()),
        started_at: Some(row.started_at.as_epoch_s()),
    })
}

pub(super) fn list(
    state: &State,
    call: &Call,
    input: types::ListReplicationBackfillsRequest,
) -> Result<types::ListReplicationBackfillsResponse, ApiError> {
    let scope = scope_of(call, input.registry_id.as_deref())?;
    let all = state
        .list::<Backfill>(&scope)
        .map(|(id, row)| (id.to_owned(), (id, row)));
    let (rows, next_token) = page(all, input.next_token.as_deref(), input.max_results, PAGE)?;
    let summary = |(id, row): (&str, &Backfill)| ReplicationBackfillSummary {
        replication_backfill_id: id.to_owned(),
        destination: shown_destination(&scope, row),
        status: row.state.name().to_owned(),
        failure_code: None,
        progress: Some(progress(state, &scope, row)),
        started_at: row.started_at.as_epoch_s(),
        ended_at: row.ended_at.map(|at| at.as_epoch_s()),
    };
    Ok(types::ListReplicationBackfillsResponse {
        registry_id: Some(scope.account.to_string()),
        backfills: Some(rows.into_iter().map(summary).collect()),
        next_token,
    })
}

pub(super) fn results(
    state: &State,
    call: &Call,
    input: types::DescribeReplicationBackfillResultsRequest,
) -> Result<types::DescribeReplicationBackfillResultsResponse, ApiError> {
    let scope = scope_of(call, input.registry_id.as_deref())?;
    let id = input.replication_backfill_id;
    let row = found(state, &scope, &id)?;
    let to = destination(&scope, row).unwrap_or_else(|| scope.clone());
    let seen = |key: &str| row.cursor.as_deref().is_some_and(|cursor| key <= cursor);
    let is_outbound = leaves(state, &scope, &to);
    let outcome = |image: &Image| match copied(state, &scope, &to, &image.repository, &image.digest) {
        Copied::Complete => Some(("COMPLETE", None)),
        Copied::Failed(code) if is_outbound || code.is_some() => Some(("FAILED", code)),
        // A copy in this cloud that did not fail and is no more was removed by somebody.
        Copied::Failed(_) | Copied::InProgress => None,
    };
    let wanted = input.result_status_filter.as_deref();
    let copied = covered(state, &scope, &to)
        .filter(|(key, _)| seen(key))
        .filter_map(|(key, image)| {
            let (status, code) = outcome(image).filter(|(status, _)| wanted.is_none_or(|wanted| wanted == *status))?;
            Some((key.to_owned(), (image, status, code)))
        });
    let (images, next_token) = page(copied, input.next_token.as_deref(), input.max_results, RESULTS_PAGE)?;
    let result = |(image, status, failure_code): (&Image, &str, Option<String>)| ReplicationBackfillResult {
        repository_name: image.repository.clone(),
        image_id: ImageIdentifier {
            image_digest: Some(image.digest.clone()),
            image_tag: tags_of(state, &scope, &image.repository, &image.digest)
                .into_iter()
                .next(),
        },
        status: status.to_owned(),
        failure_code,
        sub_image_failure_codes: None,
    };
    Ok(types::DescribeReplicationBackfillResultsResponse {
        registry_id: Some(scope.account.to_string()),
        destination: Some(shown_destination(&scope, row)),
        status: Some(row.state.name().to_owned()),
        failure_code: None,
        progress: Some(progress(state, &scope, row)),
        results: Some(images.into_iter().map(result).collect()),
        started_at: Some(row.started_at.as_epoch_s()),
        ended_at: row.ended_at.map(|at| at.as_epoch_s()),
        replication_backfill_id: Some(id),
        next_token,
    })
}
