//! BatchGetImage: manifests by tag or digest. A mirror fetches what it lacks from upstream first, as for docker.

use super::common::scope_of;
use super::images::identify;
use crate::layers::{Layers, NotPulled, Secret};
use crate::machine::{self, Reference, Upstream, find_image, get_repository, upstream_of};
use crate::names;
use crate::types::{self, ImageFailure, ImageIdentifier};
use honmaru_base::{ApiError, Scope};
use honmaru_machine::{Call, State, Tx};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Ref: OCI distribution specification 1.1.
const MANIFEST_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A failure's code and reason.
type Failure = (&'static str, &'static str);
const NOT_FOUND: Failure = ("ImageNotFound", "Requested image not found");
const UNREADABLE: Failure = ("ImageInaccessible", "The manifest cannot be read");

pub(super) async fn batch_get(
    layers: Arc<dyn Layers>,
    call: Call,
    input: types::BatchGetImageRequest,
) -> Result<types::BatchGetImageResponse, ApiError> {
    let scope = scope_of(&call, input.registry_id.as_deref())?;
    let name = input.repository_name;
    let not_pulled = fetch(&layers, &call, &scope, &name, &input.image_ids).await?;
    let (look_scope, look_name, ids) = (scope.clone(), name.clone(), input.image_ids.clone());
    let (principal, now) = (call.principal.clone(), call.now);
    let accepted = input.accepted_media_types.unwrap_or_default();
    // A mirror that did not come to be because upstream gave nothing says what upstream said.
    let must_be_there = not_pulled.is_empty();
    let found = layers.read(Box::new(move |state| {
        if must_be_there {
            get_repository(state, &look_scope, &look_name)?;
        }
        let excluded = machine::is_pull_excluded(state, &look_scope, &principal);
        let found = ids.iter().map(|id| match identify(state, &look_scope, &look_name, id) {
            Ok(digest) => {
                let image = find_image(state, &look_scope, &look_name, &Reference::Digest(digest.clone()));
                let Some(image) = image.filter(|image| !image.archive.holds) else {
                    return json!({"code": NOT_FOUND.0, "reason": NOT_FOUND.1});
                };
                let record = !excluded && machine::needs_record(state, &look_scope, &look_name, &digest, now);
                json!({"digest": digest, "type": image.media_type, "record": record})
            }
            Err(failure) => json!({"code": failure.failure_code, "reason": failure.failure_reason}),
        });
        Ok(Value::Array(found.collect()))
    }));
    let found = found.await?;
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let (mut images, mut failures, mut pulled) = (Vec::new(), Vec::new(), Vec::new());
    let found = found.as_array().cloned().unwrap_or_default();
    for (at, (id, found)) in input.image_ids.into_iter().zip(found).enumerate() {
        let Some(digest) = text(&found, "digest") else {
            let mut failure = ImageFailure {
                image_id: Some(id),
                failure_code: text(&found, "code"),
                failure_reason: text(&found, "reason"),
            };
            // What is not there because upstream did not give it says why.
            if let Some((code, reason)) = not_pulled
                .get(&at)
                .filter(|_| failure.failure_code.as_deref() == Some("ImageNotFound"))
            {
                failure.failure_code = Some((*code).to_owned());
                failure.failure_reason = Some(reason.clone());
            }
            failures.push(failure);
            continue;
        };
        let bytes = layers.get_blob(digest.clone(), MANIFEST_BYTES_MAX).await?;
        let stored = text(&found, "type").unwrap_or_default();
        let given = match bytes {
            None => Err(UNREADABLE),
            Some(bytes) if is_accepted(&accepted, &id, &stored) => Ok((stored, bytes)),
            Some(bytes) => layers
                .other_form(&bytes, &stored)
                .filter(|(media_type, _)| accepted.contains(media_type))
                .ok_or(NOT_FOUND),
        };
        let given = given.and_then(|(media_type, bytes)| {
            let manifest = String::from_utf8(bytes).map_err(|_| UNREADABLE)?;
            Ok((media_type, manifest))
        });
        let (media_type, manifest) = match given {
            Ok(given) => given,
            Err((code, reason)) => {
                failures.push(ImageFailure {
                    image_id: Some(id),
                    failure_code: Some(code.to_owned()),
                    failure_reason: Some(reason.to_owned()),
                });
                continue;
            }
        };
        if found.get("record") == Some(&Value::Bool(true)) {
            pulled.push(digest.clone());
        }
        images.push(types::Image {
            registry_id: Some(scope.account.to_string()),
            repository_name: Some(name.clone()),
            image_id: Some(ImageIdentifier {
                image_digest: Some(digest),
                image_tag: id.image_tag,
            }),
            image_manifest: Some(manifest),
            image_manifest_media_type: Some(media_type),
        });
    }
    if !pulled.is_empty() {
        let change = move |tx: &mut Tx<'_>| {
            for digest in &pulled {
                machine::record_pull(tx, &scope, &name, digest);
            }
            Ok(Value::Null)
        };
        layers.write(Box::new(change)).await?;
    }
    Ok(types::BatchGetImageResponse {
        images: Some(images),
        failures: Some(failures),
    })
}

/// Whether the client understands an image as it was pushed: by tag it gets none of a kind that it did not name, but its other
/// form where it named that; by digest what it asked for.
/// Ref: ECR user guide, "Container image manifest format support in Amazon ECR".
fn is_accepted(accepted: &[String], id: &ImageIdentifier, media_type: &str) -> bool {
    accepted.is_empty() || id.image_digest.is_some() || accepted.iter().any(|one| one == media_type)
}

/// Has a mirror fetch what is asked for. What could not be fetched, by its place in the list: a code and a reason.
async fn fetch(
    layers: &Arc<dyn Layers>,
    call: &Call,
    scope: &Scope,
    name: &str,
    ids: &[ImageIdentifier],
) -> Result<BTreeMap<usize, (&'static str, String)>, ApiError> {
    let mut not_pulled = BTreeMap::new();
    let Some(secret) = mirror(layers, scope, name).await? else {
        return Ok(not_pulled);
    };
    let mut in_scope = call.clone();
    in_scope.scope = scope.clone();
    for (at, id) in ids.iter().enumerate() {
        let reference = match (&id.image_digest, &id.image_tag) {
            (Some(digest), _) if names::is_digest(digest) => digest,
            (None, Some(tag)) if names::is_tag(tag) => tag,
            // Said by whoever looks for it next.
            _ => continue,
        };
        let failure = match layers.pull(in_scope.clone(), name.to_owned(), reference.clone()).await {
            Ok(()) => continue,
            Err(NotPulled::Refused(error)) => return Err(error),
            Err(NotPulled::Denied(reason)) => {
                if let Some(arn) = &secret
                    && layers.secret(arn.clone()).await? == Secret::Missing
                {
                    let code = "UnableToGetUpstreamImageException";
                    return Err(ApiError::new(
                        code,
                        format!("The secret '{arn}' of the pull through cache rule does not exist"),
                    ));
                }
                ("UpstreamAccessDenied", reason)
            }
            Err(NotPulled::TooMany(reason)) => ("UpstreamTooManyRequests", reason),
            Err(NotPulled::Unavailable(reason)) => ("UpstreamUnavailable", reason),
        };
        not_pulled.insert(at, failure);
    }
    Ok(not_pulled)
}

/// Whether a repository is, or would be, a mirror: then the secret of its rule, if that names one.
async fn mirror(layers: &Arc<dyn Layers>, scope: &Scope, name: &str) -> Result<Option<Option<String>>, ApiError> {
    let (scope, name) = (scope.clone(), name.to_owned());
    let look = move |state: &State| {
        let upstream = upstream_of(state, &scope, &name);
        Ok(upstream.map_or(
            Value::Null,
            |Upstream { credential_arn, .. }| json!({"secret": credential_arn}),
        ))
    };
    let found = layers.read(Box::new(look)).await?;
    let secret = |found: &Value| found.get("secret").and_then(Value::as_str).map(str::to_owned);
    Ok((!found.is_null()).then(|| secret(&found)))
}
