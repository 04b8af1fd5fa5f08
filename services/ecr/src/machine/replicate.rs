//! Replication. Regions of one account share one store of blobs, so that a copy is a row; what goes to another cloud waits
//! to be sent (`outbound`).
//! Ref: ECR user guide, "Private image replication".

use super::creator::replication_template;
use super::image::{tags_of, write_image};
use super::manifest::NewImage;
use super::outbound::{leaves, queue};
use super::registry::made_by;
use super::repository::create_repository;
use crate::model::{Image, Registry, ReplicationJob, ReplicationResult, Repository, Tag};
use crate::mutability;
use crate::types::ReplicationConfiguration;
use honmaru_base::{ApiError, Scope};
use honmaru_machine::{State, Tx};
use honmaru_wire::tree::Tree;

/// The scopes to which images of a repository are copied.
pub(crate) fn destinations(state: &State, scope: &Scope, name: &str) -> Vec<Scope> {
    let row = state.get::<Registry>(scope, Registry::KEY);
    let Some(configuration) = row.and_then(|row| row.replication.clone()) else {
        return Vec::new();
    };
    let configuration = ReplicationConfiguration::from_tree(configuration);
    let covers = |rule: &crate::types::ReplicationRule| {
        let filters = rule.repository_filters.as_deref().unwrap_or_default();
        filters.is_empty() || filters.iter().any(|filter| name.starts_with(&filter.filter))
    };
    let mut scopes: Vec<Scope> = configuration
        .rules
        .iter()
        .filter(|rule| covers(rule))
        .flat_map(|rule| &rule.destinations)
        .filter_map(|to| Scope::new(&to.registry_id, &to.region).ok())
        .filter(|to| to != scope)
        .collect();
    scopes.sort();
    scopes.dedup();
    scopes
}

/// Copies an image, what its index names, and its tag to every destination.
pub(super) fn replicate(tx: &mut Tx<'_>, scope: &Scope, name: &str, digest: &str, tag: Option<&str>) {
    for to in destinations(tx, scope, name) {
        copy_image(tx, scope, &to, name, digest, tag);
    }
}

/// Copies an image that is there for long with all its tags. Ref: ECR user guide, "Restoring an image": restored images
/// are replicated.
pub(crate) fn replicate_again(tx: &mut Tx<'_>, scope: &Scope, name: &str, digest: &str) {
    let tags = tags_of(tx, scope, name, digest);
    replicate(tx, scope, name, digest, tags.first().map(String::as_str));
    for tag in tags.iter().skip(1) {
        replicate(tx, scope, name, digest, Some(tag));
    }
}

/// Copies an image, what its index names, and one of its tags to another scope; or asks for it to be sent there.
pub(crate) fn copy_image(tx: &mut Tx<'_>, scope: &Scope, to: &Scope, name: &str, digest: &str, tag: Option<&str>) {
    let Some(image) = tx.get::<Image>(scope, &Image::key(name, digest)).cloned() else {
        return;
    };
    if leaves(tx, scope, to) {
        queue(tx, scope, to, name, digest, tag.map(str::to_owned));
        return;
    }
    let key = ReplicationJob::key(name, digest, to);
    if let Err(error) = establish(tx, to, name) {
        let result = ReplicationResult {
            account: to.account.to_string(),
            region: to.region.to_string(),
            at: tx.now(),
            failure_code: Some(error.code),
        };
        tx.put(scope, &key, result);
        return;
    }
    if tx.get::<ReplicationResult>(scope, &key).is_some() {
        tx.delete::<ReplicationResult>(scope, &key);
    }
    for entry in image.manifests.clone() {
        if let Some(child) = tx.get::<Image>(scope, &Image::key(name, &entry.digest)).cloned() {
            write_image(tx, to, name, copy(child), None);
        }
    }
    // A tag that is set and immutable over there stays; the image itself comes without it.
    let tag = tag.filter(|tag| {
        let there = tx.get::<Tag>(to, &Tag::key(name, tag)).is_some();
        !there
            || tx
                .get::<Repository>(to, name)
                .is_some_and(|row| !mutability::is_immutable(row, tag))
    });
    write_image(tx, to, name, copy(image), tag);
}

/// Makes the repository of a copy where it is missing, as the template of its registry says, in the name of that's role.
fn establish(tx: &mut Tx<'_>, to: &Scope, name: &str) -> Result<(), ApiError> {
    if tx.get::<Repository>(to, name).is_some() {
        return Ok(());
    }
    let now = tx.now();
    let template = replication_template(tx, to, name, now)?;
    let row = template.map_or_else(|| Repository::plain(name, now), |template| made_by(template, name, now));
    create_repository(tx, to, row)
}

fn copy(image: Image) -> NewImage {
    NewImage {
        digest: image.digest,
        media_type: image.media_type,
        manifest_bytes: image.manifest_bytes,
        blobs: image.blobs,
        config_media_type: image.config_media_type,
        artifact_type: image.artifact_type,
        manifests: image.manifests,
        subject: image.subject,
        annotations: image.annotations,
        architecture: image.architecture,
    }
}
