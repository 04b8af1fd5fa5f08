//! ECR's rows, as the registry asks for them and changes them.

use super::caller::{Caller, Place, uploader};
use crate::control::upstreams::Upstreams;
use honmaru_base::{ApiError, Scope};
use honmaru_ecr::{NewImage, PutImage, Reference, RegistryAction};
use honmaru_ecr_public::Door;
use honmaru_engine::{Engine, EngineError};
use honmaru_images::{Descriptor, Digest, Manifest, Uploader};
use honmaru_machine::{Access, State};
use honmaru_registry::{
    Action, ErrorCode, HeldManifest, Holding, ManifestRef, NewManifest, Referrer, RegistryError, Repositories,
    Resolved, TagPage, Unlinked, Upstream,
};
use std::sync::Arc;

/// Repositories that are tried for a mount that does not say from where.
const MOUNT_SOURCES_MAX: usize = 32;

/// Marks the refusal to delete what an index names; never leaves this file. Ref: OCI distribution specification 1.1,
/// "Deleting Manifests": 405 where a deletion is not supported.
const IN_INDEX: &str = "ImageReferencedByManifestList";

/// ECR's rows as the registry asks for them.
pub struct Rows {
    pub(super) engine: Engine,
    pub(super) upstreams: Arc<Upstreams>,
}

pub(super) fn action(action: &Action) -> RegistryAction {
    match action {
        Action::Ping => RegistryAction::Ping,
        Action::BlobRead => RegistryAction::BlobRead,
        Action::BlobCheck => RegistryAction::BlobCheck,
        Action::UploadBegin => RegistryAction::UploadBegin,
        Action::UploadPart => RegistryAction::UploadPart,
        Action::UploadComplete => RegistryAction::UploadComplete,
        Action::BlobDelete => RegistryAction::BlobDelete,
        Action::ManifestRead => RegistryAction::ManifestRead,
        Action::ManifestWrite => RegistryAction::ManifestWrite,
        Action::ManifestDelete => RegistryAction::ManifestDelete,
        Action::TagList => RegistryAction::TagList,
        Action::ReferrerList => RegistryAction::ReferrerList,
    }
}

fn reference(reference: &ManifestRef) -> Reference {
    match reference {
        ManifestRef::Tag(tag) => Reference::Tag(tag.clone()),
        ManifestRef::Digest(digest) => Reference::Digest(digest.to_string()),
    }
}

fn refused(error: ApiError) -> RegistryError {
    let code = match honmaru_ecr::registry_code(&error) {
        "NAME_UNKNOWN" => ErrorCode::NameUnknown,
        "TAG_INVALID" => ErrorCode::TagInvalid,
        "MANIFEST_BLOB_UNKNOWN" => ErrorCode::ManifestBlobUnknown,
        "TOOMANYREQUESTS" => ErrorCode::TooManyRequests,
        "NAME_INVALID" => ErrorCode::NameInvalid,
        "MANIFEST_UNKNOWN" => ErrorCode::ManifestUnknown,
        "DENIED" => ErrorCode::Denied,
        _ if error.code == IN_INDEX => ErrorCode::Unsupported,
        _ => ErrorCode::Unknown,
    };
    RegistryError::new(code, error.message)
}

fn failed(error: EngineError) -> RegistryError {
    match error {
        EngineError::Full => RegistryError::full(),
        error @ (EngineError::Stopped | EngineError::Panicked) => RegistryError::internal(&error),
    }
}

impl Rows {
    async fn look<T: Send>(&self, look: impl FnOnce(&State) -> T + Send) -> Result<T, RegistryError> {
        self.engine.read(look).await.map_err(failed)
    }
}

impl Repositories for Rows {
    type Caller = Caller;

    fn namespace(&self, caller: &Caller) -> String {
        // There names begin with the account's alias.
        if caller.door == Some(Door::Host) {
            return "public".to_owned();
        }
        caller.call.scope.to_string()
    }

    async fn admit(&self, caller: &Caller, wanted: Action, repository: Option<&str>) -> Result<(), RegistryError> {
        let wanted = action(&wanted);
        let place = repository.map(|repository| caller.place(repository));
        let is_there = self
            .look(|state| -> Result<bool, ApiError> {
                let accesses: Vec<Access> = match &place {
                    Some(Place { scope, name, is_public }) if *is_public => {
                        honmaru_ecr_public::registry_access(state, scope, wanted, name)
                    }
                    Some(Place { scope, name, .. }) => honmaru_ecr::registry_access(state, scope, wanted, Some(name)),
                    None => Vec::new(),
                };
                caller.check(state, &accesses)?;
                Ok(match &place {
                    // Public repositories come to be by the API alone.
                    Some(Place { scope, name, is_public }) if *is_public => {
                        honmaru_ecr::get_repository(state, scope, name).map(|_| true)?
                    }
                    Some(Place { scope, name, .. }) => {
                        caller.check(state, &honmaru_ecr::creation_access(state, scope, wanted, name))?;
                        honmaru_ecr::may_create(state, scope, wanted, name, caller.call.now)?;
                        // A mirror comes to be with its first image: see `establish`.
                        let is_mirror = wanted == RegistryAction::ManifestRead
                            && honmaru_ecr::upstream_of(state, scope, name).is_some();
                        is_mirror || state.get::<honmaru_ecr::Repository>(scope, name).is_some()
                    }
                    None => true,
                })
            })
            .await?
            .map_err(refused)?;
        let Some(Place { scope, name, .. }) = place.filter(|_| !is_there) else {
            return Ok(());
        };
        let made = self
            .engine
            .write_if_room(move |tx| honmaru_ecr::admit(tx, &scope, wanted, &name))
            .await;
        made.map_err(failed)?.map_err(refused)
    }

    fn uploader(&self, caller: &Caller) -> Uploader {
        uploader(&caller.call.principal)
    }

    async fn may_list(&self, caller: &Caller, repositories: &[String]) -> Result<Vec<bool>, RegistryError> {
        let wanted = action(&Action::TagList);
        self.look(|state| {
            let may = |name: &String| {
                let Place { scope, name, is_public } = caller.place(name);
                let accesses = match is_public {
                    true => honmaru_ecr_public::registry_access(state, &scope, wanted, &name),
                    false => honmaru_ecr::registry_access(state, &scope, wanted, Some(&name)),
                };
                caller.check(state, &accesses).is_ok() && state.get::<honmaru_ecr::Repository>(&scope, &name).is_some()
            };
            repositories.iter().map(may).collect()
        })
        .await
    }

    async fn has_blobs(
        &self,
        caller: &Caller,
        repository: &str,
        digests: &[Digest],
    ) -> Result<Vec<bool>, RegistryError> {
        let digests: Vec<String> = digests.iter().map(ToString::to_string).collect();
        let digests = digests.iter().map(String::as_str);
        let Place { scope, name, .. } = caller.place(repository);
        self.look(|state| honmaru_ecr::has_blobs(state, &scope, &name, digests))
            .await
    }

    async fn link_blob(
        &self,
        caller: &Caller,
        repository: &str,
        digest: &Digest,
        size: u64,
    ) -> Result<(), RegistryError> {
        let Place { scope, name, .. } = caller.place(repository);
        let digest = digest.to_string();
        let linked = self
            .engine
            .write_if_room(move |tx| honmaru_ecr::link_layer(tx, &scope, &name, &digest, size))
            .await;
        linked.map_err(failed)?.map_err(refused)
    }

    async fn unlink_blob(&self, caller: &Caller, repository: &str, digest: &Digest) -> Result<Unlinked, RegistryError> {
        let Place { scope, name, .. } = caller.place(repository);
        let digest = digest.to_string();
        let unlinked = self.engine.write(move |tx| -> Result<Unlinked, ApiError> {
            if honmaru_ecr::is_layer_in_use(tx, &scope, &name, &digest) {
                return Ok(Unlinked::InUse);
            }
            let was_there = honmaru_ecr::unlink_layer(tx, &scope, &name, &digest);
            Ok(if was_there { Unlinked::Done } else { Unlinked::Unknown })
        });
        unlinked.await.map_err(failed)?.map_err(refused)
    }

    async fn resolve(
        &self,
        caller: &Caller,
        repository: &str,
        wanted: &ManifestRef,
    ) -> Result<Option<Resolved>, RegistryError> {
        let Place { scope, name, .. } = caller.place(repository);
        let found = self
            .look(|state| honmaru_ecr::resolve_image(state, &scope, &name, &reference(wanted)))
            .await?;
        let Some(found) = found else { return Ok(None) };
        let digest: Digest = found.digest.parse().map_err(RegistryError::from)?;
        Ok(Some(Resolved {
            digest,
            media_type: found.media_type,
        }))
    }

    /// At most once a day.
    async fn note_pull(&self, caller: &Caller, repository: &str, digest: &Digest) -> Result<(), RegistryError> {
        let (Place { scope, name, .. }, digest) = (caller.place(repository), digest.to_string());
        let now = caller.call.now;
        let is_due = self.engine.peek(|state| {
            honmaru_ecr::needs_record(state, &scope, &name, &digest, now)
                && !honmaru_ecr::is_pull_excluded(state, &scope, &caller.call.principal)
        });
        if !is_due {
            return Ok(());
        }
        let noted = self.engine.write_if_room(move |tx| {
            honmaru_ecr::record_pull(tx, &scope, &name, &digest);
            Ok::<_, ApiError>(())
        });
        match noted.await {
            // No pull fails for that.
            Err(EngineError::Full) => Ok(()),
            noted => noted.map_err(failed)?.map_err(refused),
        }
    }

    async fn put_manifest(
        &self,
        caller: &Caller,
        repository: &str,
        manifest: NewManifest,
    ) -> Result<(), RegistryError> {
        let Place { scope, name, .. } = caller.place(repository);
        let tags = manifest.tags.clone();
        let shown = manifest.shown.clone();
        let image = image_of(manifest);
        let put = move |tag: Option<String>| PutImage {
            tag,
            image: image.clone(),
            refuse_same: false,
            sparse: false,
        };
        // One change: a tag that is refused takes the others with it.
        let written = self.engine.write_if_room(move |tx| -> Result<(), ApiError> {
            for blob in &shown {
                if honmaru_ecr::has_blobs(tx, &scope, &name, [blob.digest.as_str()]) == [true] {
                    continue;
                }
                let ago = i64::try_from(blob.at.elapsed().as_millis()).unwrap_or(i64::MAX);
                let made_at = honmaru_ecr::get_repository(tx, &scope, &name)?.created_at;
                // What was shown of another repository that had the name before is nothing of this one's: then the image
                // lacks it.
                if tx.now().plus_ms(-ago) >= made_at {
                    // It waits for this manifest, which takes it in the same change.
                    honmaru_ecr::link_layer(tx, &scope, &name, blob.digest.as_str(), blob.size)?;
                }
            }
            if tags.is_empty() {
                return honmaru_ecr::put_image(tx, &scope, &name, put(None));
            }
            tags.into_iter()
                .try_for_each(|tag| honmaru_ecr::put_image(tx, &scope, &name, put(Some(tag))))
        });
        let written = written.await;
        written.map_err(failed)?.map_err(refused)
    }

    async fn delete_manifest(
        &self,
        caller: &Caller,
        repository: &str,
        wanted: &ManifestRef,
    ) -> Result<bool, RegistryError> {
        let Place { scope, name, .. } = caller.place(repository);
        let wanted = reference(wanted);
        let deleted = self.engine.write(move |tx| -> Result<bool, ApiError> {
            match wanted {
                Reference::Tag(tag) => Ok(honmaru_ecr::untag_image(tx, &scope, &name, &tag)),
                Reference::Digest(digest) => match honmaru_ecr::delete_image(tx, &scope, &name, &digest) {
                    Ok(()) => Ok(true),
                    Err(honmaru_ecr::DeleteProblem::NotFound) => Ok(false),
                    Err(honmaru_ecr::DeleteProblem::InIndex { parents }) => {
                        let message = format!("the image is named by the index {}", parents.join(", "));
                        Err(ApiError::new(IN_INDEX, message))
                    }
                },
            }
        });
        deleted.await.map_err(failed)?.map_err(refused)
    }

    async fn tags(
        &self,
        caller: &Caller,
        repository: &str,
        last: Option<&str>,
        n: usize,
    ) -> Result<TagPage, RegistryError> {
        let Place { scope, name, .. } = caller.place(repository);
        let (tags, more) = self
            .look(|state| honmaru_ecr::tags_page(state, &scope, &name, last, n))
            .await?;
        Ok(TagPage { tags, more })
    }

    async fn referrers(
        &self,
        caller: &Caller,
        repository: &str,
        digest: &Digest,
    ) -> Result<Vec<Referrer>, RegistryError> {
        let digest = digest.to_string();
        let Place { scope, name, .. } = caller.place(repository);
        self.look(|state| {
            honmaru_ecr::referrers(state, &scope, &name, &digest)
                .map(|image| {
                    let descriptor = Descriptor {
                        media_type: image.media_type.clone(),
                        digest: image.digest.parse()?,
                        size: i64::try_from(image.manifest_bytes).unwrap_or(i64::MAX),
                        urls: Vec::new(),
                        annotations: (!image.annotations.is_empty()).then(|| image.annotations.clone()),
                        platform: None,
                        artifact_type: image.artifact_type.clone(),
                    };
                    Ok(Referrer { descriptor })
                })
                .collect()
        })
        .await?
    }

    async fn upstream(&self, caller: &Caller, repository: &str) -> Result<Option<Upstream>, RegistryError> {
        let Place { scope, name, .. } = caller.place(repository);
        let found = self
            .look(|state| {
                let found = honmaru_ecr::upstream_of(state, &scope, &name);
                if found.is_some() {
                    caller.check(state, &[honmaru_ecr::import_access(state, &scope, &name)])?;
                }
                Ok::<_, ApiError>(found)
            })
            .await?;
        let Some(upstream) = found.map_err(refused)? else {
            return Ok(None);
        };
        let credentials = match &upstream.credential_arn {
            None => None,
            Some(arn) => {
                let found = self.upstreams.credentials(arn, &upstream.repository);
                Some(found.map_err(|why| RegistryError::new(ErrorCode::Denied, why))?)
            }
        };
        Ok(Some(Upstream {
            repository: upstream.repository,
            credentials,
        }))
    }

    async fn establish(&self, caller: &Caller, repository: &str) -> Result<(), RegistryError> {
        let Place { scope, name, is_public } = caller.place(repository);
        if is_public {
            return Ok(());
        }
        let made = self
            .engine
            .write_if_room(move |tx| honmaru_ecr::admit(tx, &scope, RegistryAction::ManifestRead, &name))
            .await;
        made.map_err(failed)?.map_err(refused)
    }

    async fn holders(&self, caller: &Caller, repository: &str, digest: &Digest) -> Result<Vec<String>, RegistryError> {
        let place = caller.place(repository);
        if place.is_public {
            return Ok(Vec::new());
        }
        let held = self
            .look(|state| honmaru_ecr::holders_of(state, &place.scope, digest.as_str(), MOUNT_SOURCES_MAX))
            .await?;
        Ok(held.into_iter().filter(|name| *name != place.name).collect())
    }

    async fn may_mount(&self, caller: &Caller) -> Result<bool, RegistryError> {
        self.look(|state| honmaru_ecr::mounts_blobs(state, &caller.call.scope))
            .await
    }

    async fn begin_check(&self, caller: &Caller, repository: &str, tag: &str) -> Result<bool, RegistryError> {
        let Place { scope, name, .. } = caller.place(repository);
        let now = caller.call.now;
        // For whoever may not have it fetched, what is cached is good.
        let is_due = self
            .look(|state| {
                honmaru_ecr::is_check_due(state, &scope, &name, tag, now)
                    && caller
                        .check(state, &[honmaru_ecr::import_access(state, &scope, &name)])
                        .is_ok()
            })
            .await?;
        if !is_due {
            return Ok(false);
        }
        let tag = tag.to_owned();
        let begun = self
            .engine
            .write(move |tx| Ok::<_, ApiError>(honmaru_ecr::begin_check(tx, &scope, &name, &tag)))
            .await;
        begun.map_err(failed)?.map_err(refused)
    }

    async fn are_live(&self, digests: &[Digest]) -> Result<Vec<bool>, RegistryError> {
        let digests: Vec<String> = digests.iter().map(ToString::to_string).collect();
        self.look(|state| honmaru_ecr::are_live(state, digests.iter().map(String::as_str)))
            .await
    }

    async fn repositories(&self) -> Result<Vec<(String, String)>, RegistryError> {
        self.look(|state| {
            let rows = state.all::<honmaru_ecr::Repository>();
            rows.map(|(scope, name, _)| (scope.to_string(), name.to_owned()))
                .collect()
        })
        .await
    }

    async fn holding(&self, namespace: &str, repository: &str) -> Result<Option<Holding>, RegistryError> {
        let scope = namespace
            .split_once('/')
            .and_then(|(account, region)| Scope::new(account, region).ok());
        let Some(scope) = scope else { return Ok(None) };
        self.look(|state| holding(state, &scope, repository)).await?
    }
}

/// The rows of one repository, all of one moment.
fn holding(state: &State, scope: &Scope, name: &str) -> Result<Option<Holding>, RegistryError> {
    if state.get::<honmaru_ecr::Repository>(scope, name).is_none() {
        return Ok(None);
    }
    let digest = |text: &str| text.parse::<Digest>().map_err(RegistryError::from);
    let mut holding = Holding {
        is_mirror: honmaru_ecr::upstream_of(state, scope, name).is_some(),
        ..Holding::default()
    };
    let prefix = honmaru_ecr::Image::prefix(name);
    for (_, image) in state.prefixed::<honmaru_ecr::Image>(scope, &prefix) {
        let blobs = image.blobs.iter().map(|blob| Ok((digest(&blob.digest)?, blob.size)));
        holding.manifests.push(HeldManifest {
            digest: digest(&image.digest)?,
            size: image.manifest_bytes,
            media_type: image.media_type.clone(),
            blobs: blobs.collect::<Result<_, RegistryError>>()?,
            manifests: image
                .manifests
                .iter()
                .map(|entry| digest(&entry.digest))
                .collect::<Result<_, _>>()?,
        });
    }
    for (_, tag) in state.prefixed::<honmaru_ecr::Tag>(scope, &honmaru_ecr::Tag::prefix(name)) {
        holding.tags.push((tag.tag.clone(), digest(&tag.digest)?));
    }
    for (_, link) in state.prefixed::<honmaru_ecr::LayerLink>(scope, &prefix) {
        holding.waiting.push((digest(&link.digest)?, link.size));
    }
    Ok(Some(holding))
}

/// What ECR records of a manifest.
fn image_of(new: NewManifest) -> NewImage {
    let manifest = new.manifest;
    let content = |descriptor: &Descriptor| honmaru_ecr::Content {
        digest: descriptor.digest.to_string(),
        size: u64::try_from(descriptor.size).unwrap_or(0),
        media_type: descriptor.media_type.clone(),
    };
    let blobs = manifest.blobs().map(content).collect();
    let Manifest {
        media_type,
        config,
        manifests,
        subject,
        artifact_type,
        annotations,
        ..
    } = manifest;
    let entry = |descriptor: &Descriptor| honmaru_ecr::IndexEntry {
        digest: descriptor.digest.to_string(),
        media_type: descriptor.media_type.clone(),
        architecture: descriptor
            .platform
            .as_ref()
            .map(|p| p.architecture.clone())
            .unwrap_or_default(),
        os: descriptor.platform.as_ref().map(|p| p.os.clone()).unwrap_or_default(),
        variant: descriptor.platform.as_ref().and_then(|p| p.variant.clone()),
    };
    NewImage {
        digest: new.digest.to_string(),
        media_type,
        manifest_bytes: new.size,
        blobs,
        config_media_type: config.as_ref().map(|config| config.media_type.clone()),
        artifact_type,
        manifests: manifests.iter().map(entry).collect(),
        subject: subject.map(|subject| subject.digest.to_string()),
        annotations,
        architecture: new.platform.map(|platform| platform.architecture),
    }
}
