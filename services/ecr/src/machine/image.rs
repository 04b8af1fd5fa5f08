//! Images: put, found, tagged, removed; and the layers that wait for one.

use super::manifest::{NewImage, PutImage};
use super::outbound::forget;
use super::pull_through::{note_checked, rule_for};
use super::replicate::replicate;
use super::repository::get_repository;
use crate::model::{Archive, Image, IndexEntry, LayerLink, Pull, PullTimeExclusion, Tag, UpstreamCheck};
use crate::{errors, mutability};
use honmaru_base::{ApiError, Scope, Time};
use honmaru_machine::{Principal, PrincipalKind, State, Tx};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Waiting blobs that are given up in one change; the rest follow with the next.
const GIVEN_UP_MAX: usize = 1_000;
/// Ref: ECR: a pull's time is recorded at least once every 24 hours.
const PULL_RECORDED_EVERY_S: i64 = 24 * 3_600;
/// Ref: ECR quota "images per repository".
const IMAGES_MAX: usize = 100_000;
/// Ref: ECR Public quota "images per repository".
const PUBLIC_IMAGES_MAX: usize = 10_000;
/// Ref: ECR quota "tags per image".
const TAGS_MAX: usize = 1_000;

/// An image by tag or digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// By tag.
    Tag(String),
    /// By digest of its manifest.
    Digest(String),
}

impl Reference {
    /// Reads the part of an image name after `:` (a tag) or `@` (a digest).
    pub fn parse(text: &str) -> Self {
        if text.contains(':') {
            Self::Digest(text.to_owned())
        } else {
            Self::Tag(text.to_owned())
        }
    }
}

/// A manifest that a repository holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestInfo {
    /// Its digest.
    pub digest: String,
    /// Its media type.
    pub media_type: String,
}

/// Why an image cannot be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeleteProblem {
    /// There is none.
    NotFound,
    /// An index of the repository names it.
    InIndex {
        /// The indexes.
        parents: Vec<String>,
    },
}

pub(crate) fn find_image<'a>(state: &'a State, scope: &Scope, name: &str, reference: &Reference) -> Option<&'a Image> {
    match reference {
        Reference::Digest(digest) => state.get(scope, &Image::key(name, digest)),
        Reference::Tag(tag) => {
            let tag = state.get::<Tag>(scope, &Tag::key(name, tag))?;
            state.get(scope, &Image::key(name, &tag.digest))
        }
    }
}

/// The manifest that a tag or digest means; an index stays an index.
pub fn resolve_image(state: &State, scope: &Scope, name: &str, reference: &Reference) -> Option<ManifestInfo> {
    let image = find_image(state, scope, name, reference).filter(|image| !image.archive.holds)?;
    Some(ManifestInfo {
        digest: image.digest.clone(),
        media_type: image.media_type.clone(),
    })
}

/// The manifest to run on `linux/<architecture>`: of an index the entry that fits, everything else as it is. Nothing
/// when the image is not there, or has no manifest for the architecture. For ECS's `ImageSource::Local`.
pub fn select_platform(
    state: &State,
    scope: &Scope,
    name: &str,
    reference: &Reference,
    architecture: &str,
) -> Option<ManifestInfo> {
    let image = find_image(state, scope, name, reference).filter(|image| !image.archive.holds)?;
    if !image.is_index() {
        return Some(ManifestInfo {
            digest: image.digest.clone(),
            media_type: image.media_type.clone(),
        });
    }
    let entry = entry_for(image, architecture)?;
    let child = state.get::<Image>(scope, &Image::key(name, &entry.digest))?;
    // An index in an index is no image that runs: what it names may be none of the repository's, where that is a mirror.
    let child = Some(child).filter(|child| !child.archive.holds && !child.is_index())?;
    Some(ManifestInfo {
        digest: child.digest.clone(),
        media_type: child.media_type.clone(),
    })
}

fn entry_for<'a>(image: &'a Image, architecture: &str) -> Option<&'a IndexEntry> {
    let fits = |entry: &&IndexEntry| entry.os == "linux" && entry.architecture == architecture;
    image.manifests.iter().find(fits)
}

/// The digest of the manifest for `linux/<architecture>` that an index names, whether or not the repository has it.
pub fn index_entry(state: &State, scope: &Scope, name: &str, digest: &str, architecture: &str) -> Option<String> {
    let image = state.get::<Image>(scope, &Image::key(name, digest))?;
    entry_for(image, architecture).map(|entry| entry.digest.clone())
}

/// The tags of an image in their order.
pub fn tags_of(state: &State, scope: &Scope, name: &str, digest: &str) -> Vec<String> {
    state
        .find::<Tag>(scope, "image", &Image::key(name, digest))
        .map(|(_, tag)| tag.tag.clone())
        .collect()
}

/// At most `n` tags of a repository in ASCII order, those after `last`, and whether more follow.
pub fn tags_page(state: &State, scope: &Scope, name: &str, last: Option<&str>, n: usize) -> (Vec<String>, bool) {
    let prefix = Tag::prefix(name);
    let mut after = state
        .prefixed::<Tag>(scope, &prefix)
        .map(|(_, tag)| &tag.tag)
        .filter(|tag| last.is_none_or(|last| tag.as_str() > last));
    let tags = after.by_ref().take(n).cloned().collect();
    (tags, after.next().is_some())
}

/// The images whose subject is `digest`, in the order of their digests.
pub fn referrers<'a>(state: &'a State, scope: &'a Scope, name: &str, digest: &str) -> std::vec::IntoIter<&'a Image> {
    let key = Image::key(name, digest);
    state
        .find::<Image>(scope, "subject", &key)
        .map(|(_, image)| image)
        .collect::<Vec<_>>()
        .into_iter()
}

/// Which of these blobs the repository has: named by one of its images, or waiting for one.
pub fn has_blobs<'a>(
    state: &State,
    scope: &Scope,
    name: &str,
    digests: impl IntoIterator<Item = &'a str>,
) -> Vec<bool> {
    digests
        .into_iter()
        .map(|digest| has_blob(state, scope, name, digest))
        .collect()
}

fn has_blob(state: &State, scope: &Scope, name: &str, digest: &str) -> bool {
    let key = Image::key(name, digest);
    state.get::<LayerLink>(scope, &key).is_some() || state.find::<Image>(scope, "blob", &key).next().is_some()
}

/// Gives the repository a blob that waits for its manifest. Also where an image names it already: that one may be deleted
/// before the manifest comes.
pub fn link_layer(tx: &mut Tx<'_>, scope: &Scope, name: &str, digest: &str, size: u64) -> Result<(), ApiError> {
    get_repository(tx, scope, name)?;
    let linked_at = tx.now();
    tx.put(
        scope,
        &Image::key(name, digest),
        LayerLink {
            digest: digest.to_owned(),
            size,
            linked_at,
            is_left: false,
        },
    );
    Ok(())
}

/// Gives up blobs that have waited longer than `wait_s` for their manifest, in all repositories: for a store that is full,
/// which cannot keep them for as long as it would. How many they were.
pub fn give_up_layers(tx: &mut Tx<'_>, wait_s: i64) -> usize {
    let now = tx.now();
    // What was deleted goes first of all: it was to make room.
    let is_over = |link: &LayerLink| link.is_left || link.linked_at.plus_s(wait_s) <= now;
    give_up(tx, is_over)
}

fn give_up(tx: &mut Tx<'_>, is_over: impl Fn(&LayerLink) -> bool) -> usize {
    let over: Vec<(Scope, String)> = tx
        .all::<LayerLink>()
        .filter(|(_, _, link)| is_over(link))
        .map(|(scope, key, _)| (scope.clone(), key.to_owned()))
        .take(GIVEN_UP_MAX)
        .collect();
    for (scope, key) in &over {
        tx.delete::<LayerLink>(scope, key);
    }
    over.len()
}

/// Takes a waiting blob from the repository. False when it has none, or an image names it.
pub fn unlink_layer(tx: &mut Tx<'_>, scope: &Scope, name: &str, digest: &str) -> bool {
    tx.delete::<LayerLink>(scope, &Image::key(name, digest)).is_some()
}

/// Puts an image under a tag, and copies it to where the registry replicates to.
pub fn put_image(tx: &mut Tx<'_>, scope: &Scope, name: &str, put: PutImage) -> Result<(), ApiError> {
    let repository = get_repository(tx, scope, name)?.clone();
    let digest = put.image.digest.clone();
    check_content(tx, scope, name, &put)?;
    let before = tx.get::<Image>(scope, &Image::key(name, &digest));
    let known = before.is_some();
    // Pushing an archived image restores it, and is never for nothing.
    let is_archived = before.is_some_and(|image| image.archive.holds);
    let refuse_same = put.refuse_same && !is_archived;
    if let Some(tag) = &put.tag {
        let before = tx
            .get::<Tag>(scope, &Tag::key(name, tag))
            .map(|before| before.digest.clone());
        let is_set = before.as_ref() == Some(&digest);
        match before {
            Some(before) if before == digest && refuse_same => {
                return Err(errors::image_exists(scope, name, &digest, Some(tag)));
            }
            Some(before) if before != digest && mutability::is_immutable(&repository, tag) => {
                return Err(errors::tag_immutable(name, tag));
            }
            _ => {}
        }
        if !is_set && tx.count_found::<Tag>(scope, "image", &Image::key(name, &digest)) >= TAGS_MAX {
            return Err(errors::limit(format!("An image may have at most {TAGS_MAX} tags")));
        }
    } else if known && refuse_same {
        return Err(errors::image_exists(scope, name, &digest, None));
    }
    let images_max = if *scope == scope.global() {
        PUBLIC_IMAGES_MAX
    } else {
        IMAGES_MAX
    };
    if !known && tx.count_found::<Image>(scope, "repository", name) >= images_max {
        return Err(errors::limit(format!(
            "A repository may have at most {images_max} images"
        )));
    }
    write_image(tx, scope, name, put.image, put.tag.as_deref());
    if let Some(tag) = &put.tag {
        note_checked(tx, scope, name, tag);
    }
    replicate(tx, scope, name, &digest, put.tag.as_deref());
    Ok(())
}

fn check_content(state: &State, scope: &Scope, name: &str, put: &PutImage) -> Result<(), ApiError> {
    let missing = put
        .image
        .blobs
        .iter()
        .filter(|blob| !has_blob(state, scope, name, &blob.digest));
    let missing: Vec<String> = missing.map(|blob| blob.digest.clone()).collect();
    if !missing.is_empty() {
        return Err(errors::layers_missing(scope, name, &missing));
    }
    let there = |digest: &str| state.get::<Image>(scope, &Image::key(name, digest)).is_some();
    let missing = put.image.manifests.iter().filter(|entry| !there(&entry.digest));
    let missing: Vec<String> = missing.map(|entry| entry.digest.clone()).collect();
    // A mirror records an index before its manifests: they are fetched when somebody asks for one of them.
    let sparse = put.sparse || rule_for(state, scope, name).is_some();
    if !missing.is_empty() && !sparse {
        return Err(errors::images_missing(scope, name, &missing));
    }
    Ok(())
}

/// Writes the rows; everything has been checked.
pub(super) fn write_image(tx: &mut Tx<'_>, scope: &Scope, name: &str, new: NewImage, tag: Option<&str>) {
    let digest = new.digest.clone();
    let key = Image::key(name, &digest);
    for blob in &new.blobs {
        tx.delete::<LayerLink>(scope, &Image::key(name, &blob.digest));
    }
    if tx.get::<Image>(scope, &key).is_none() {
        let row = Image {
            repository: name.to_owned(),
            digest: new.digest,
            media_type: new.media_type,
            manifest_bytes: new.manifest_bytes,
            pushed_at: tx.now(),
            blobs: new.blobs,
            config_media_type: new.config_media_type,
            artifact_type: new.artifact_type,
            manifests: new.manifests,
            annotations: if new.subject.is_some() {
                new.annotations
            } else {
                BTreeMap::new()
            },
            subject: new.subject,
            architecture: new.architecture,
            archive: Archive::default(),
        };
        tx.put(scope, &key, row);
    } else {
        restore_image(tx, scope, name, &digest);
    }
    if let Some(tag) = tag {
        let (key, set_at) = (Tag::key(name, tag), Some(tx.now()));
        if tx.get::<Tag>(scope, &key).is_none_or(|before| before.digest != digest) {
            tx.put(
                scope,
                &key,
                Tag {
                    repository: name.to_owned(),
                    tag: tag.to_owned(),
                    digest,
                    set_at,
                },
            );
        }
    }
}

/// Archives an image with what is about it: it cannot be pulled until it is restored. False when an index that is not
/// archived names it.
pub(crate) fn archive_image(tx: &mut Tx<'_>, scope: &Scope, name: &str, digest: &str) -> bool {
    let key = Image::key(name, digest);
    let is_held = tx
        .find::<Image>(scope, "parent", &key)
        .any(|(_, index)| !index.archive.holds);
    if is_held {
        return false;
    }
    for digest in with_referrers(tx, scope, name, digest) {
        let now = tx.now();
        set_archive(tx, scope, name, &digest, |archive| {
            (archive.holds, archive.archived_at) = (true, Some(now));
        });
    }
    true
}

/// Restores an archived image with what is about it; another stays as it is. Whether it was archived.
pub(crate) fn restore_image(tx: &mut Tx<'_>, scope: &Scope, name: &str, digest: &str) -> bool {
    let was = |tx: &Tx<'_>, digest: &str| {
        let image = tx.get::<Image>(scope, &Image::key(name, digest));
        image.is_some_and(|image| image.archive.holds)
    };
    if !was(tx, digest) {
        return false;
    }
    for digest in with_referrers(tx, scope, name, digest) {
        let now = tx.now();
        if was(tx, &digest) {
            set_archive(tx, scope, name, &digest, |archive| {
                (archive.holds, archive.restored_at) = (false, Some(now));
            });
        }
    }
    true
}

fn with_referrers(state: &State, scope: &Scope, name: &str, digest: &str) -> Vec<String> {
    let about = referrers(state, scope, name, digest).map(|image| image.digest.clone());
    std::iter::once(digest.to_owned()).chain(about).collect()
}

/// Changes whether an image is archived, where `change` does change that.
fn set_archive(tx: &mut Tx<'_>, scope: &Scope, name: &str, digest: &str, change: impl FnOnce(&mut Archive)) {
    let key = Image::key(name, digest);
    let Some(image) = tx.get::<Image>(scope, &key) else {
        return;
    };
    let mut archive = image.archive;
    change(&mut archive);
    if archive.holds != image.archive.holds {
        tx.update::<Image>(scope, &key, |image| image.archive = archive);
    }
}

/// Removes a tag; the image stays. False when there is no such tag.
pub fn untag_image(tx: &mut Tx<'_>, scope: &Scope, name: &str, tag: &str) -> bool {
    let key = Tag::key(name, tag);
    tx.delete::<UpstreamCheck>(scope, &key);
    tx.delete::<Tag>(scope, &key).is_some()
}

/// Removes an image with all its tags.
pub fn delete_image(tx: &mut Tx<'_>, scope: &Scope, name: &str, digest: &str) -> Result<(), DeleteProblem> {
    let key = Image::key(name, digest);
    if tx.get::<Image>(scope, &key).is_none() {
        return Err(DeleteProblem::NotFound);
    }
    let parents: Vec<String> = tx
        .find::<Image>(scope, "parent", &key)
        .map(|(_, index)| index.digest.clone())
        .collect();
    if !parents.is_empty() {
        return Err(DeleteProblem::InIndex { parents });
    }
    let Some(image) = remove_image(tx, scope, name, digest) else {
        return Ok(());
    };
    leave_layers(tx, scope, name, &image);
    Ok(())
}

/// What only that image named waits a while: whoever pushed it again just now was told that the layers are there.
/// Ref: ECR removes layers that no image names some time after the image.
fn leave_layers(tx: &mut Tx<'_>, scope: &Scope, name: &str, image: &Image) {
    let linked_at = tx.now();
    for blob in &image.blobs {
        let key = Image::key(name, &blob.digest);
        if has_blob(tx, scope, name, &blob.digest) {
            continue;
        }
        let link = LayerLink {
            digest: blob.digest.clone(),
            size: blob.size,
            linked_at,
            is_left: true,
        };
        tx.put(scope, &key, link);
    }
}

/// Gives up the layers that were left by deleted images more than `wait_s` ago. How many they were.
pub fn give_up_left_layers(tx: &mut Tx<'_>, wait_s: i64) -> usize {
    let now = tx.now();
    give_up(tx, |link| link.is_left && link.linked_at.plus_s(wait_s) <= now)
}

/// Removes an image with its tags, whatever names it.
pub(super) fn remove_image(tx: &mut Tx<'_>, scope: &Scope, name: &str, digest: &str) -> Option<Arc<Image>> {
    for tag in tags_of(tx, scope, name, digest) {
        untag_image(tx, scope, name, &tag);
    }
    forget(tx, scope, name, digest);
    let key = Image::key(name, digest);
    tx.delete::<Pull>(scope, &key);
    tx.delete::<Image>(scope, &key)
}

/// Notes that an image was pulled, at most once a day. Returns whether anything changed: ask `needs_record` first to
/// spare a write.
pub fn record_pull(tx: &mut Tx<'_>, scope: &Scope, name: &str, digest: &str) -> bool {
    let key = Image::key(name, digest);
    let at = tx.now();
    if tx.get::<Image>(scope, &key).is_none() || !needs_record(tx, scope, name, digest, at) {
        return false;
    }
    tx.put(scope, &key, Pull { at });
    true
}

/// Whether the pulls of a principal are not recorded. An exclusion names a user or a role, with its path; a session is its
/// role's. Ref: RegisterPullTimeUpdateExclusion.
pub fn is_pull_excluded(state: &State, scope: &Scope, principal: &Principal) -> bool {
    if state.get::<PullTimeExclusion>(scope, &principal.arn).is_some() {
        return true;
    }
    let PrincipalKind::AssumedRole { role, .. } = &principal.kind else {
        return false;
    };
    let begin = format!("arn:aws:iam::{}:role/", principal.account);
    state.list::<PullTimeExclusion>(scope).any(|(arn, _)| {
        let path = arn.strip_prefix(&begin);
        path.and_then(|path| path.rsplit('/').next()) == Some(role.as_str())
    })
}

/// Whether a pull at `now` is to be recorded.
pub fn needs_record(state: &State, scope: &Scope, name: &str, digest: &str, now: Time) -> bool {
    let last = state.get::<Pull>(scope, &Image::key(name, digest));
    last.is_none_or(|last| now.since_ms(last.at) >= PULL_RECORDED_EVERY_S * 1_000)
}
