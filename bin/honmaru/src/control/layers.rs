//! ECR's layers in the registry's store.

use super::registry::{Caller, Rows, uploader};
use super::upstreams::Upstreams;
use honmaru_base::ApiError;
use honmaru_ecr::{Appended, Change, Completed, Kept, Layers, Look, NotPulled, Parts, Secret};
use honmaru_engine::{Engine, EngineError};
use honmaru_images::{Algorithm, BlobStore, Digest, StoreError, UploadId};
use honmaru_machine::{BoxFuture, Call, Principal};
use honmaru_registry::{Action, ErrorCode, ManifestRef, Registry, RegistryError, Repositories};
use parking_lot::Mutex;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;

/// Uploads whose parts are remembered. Forgotten ones are held to no rule about parts.
const PARTS_REMEMBERED_MAX: usize = 4_096;

/// The keeper of blobs.
pub struct StoredLayers {
    engine: Engine,
    store: Arc<BlobStore>,
    /// The parts of uploads in progress, by owner and id.
    parts: Arc<Mutex<HashMap<(String, String), Parts>>>,
    upstreams: Arc<Upstreams>,
    registry: Registry<Rows>,
}

impl StoredLayers {
    /// A keeper over an engine's state and the registry with its store.
    pub fn new(engine: Engine, registry: &Registry<Rows>, upstreams: Arc<Upstreams>) -> Self {
        Self {
            engine,
            store: Arc::new(registry.store().clone()),
            parts: Arc::default(),
            upstreams,
            registry: registry.clone(),
        }
    }
}

/// Why a mirror is not there and does not come to be, as the API says it.
fn not_admitted(error: RegistryError) -> ApiError {
    match error.code {
        ErrorCode::Denied => ApiError::new("AccessDeniedException", error.message),
        ErrorCode::TooManyRequests => ApiError::new("LimitExceededException", error.message),
        _ => ApiError::new("ServerException", error.message).with_status(500),
    }
}

/// Why nothing came from upstream. What is not there is no failure: whoever looks for it next says so.
fn not_pulled(error: RegistryError) -> Result<(), NotPulled> {
    match error.code {
        ErrorCode::NameUnknown | ErrorCode::NameInvalid | ErrorCode::ManifestUnknown => Ok(()),
        ErrorCode::Denied => Err(NotPulled::Denied(error.message)),
        ErrorCode::TooManyRequests => Err(NotPulled::TooMany(error.message)),
        // What upstream gave is no image, or not whole; or it gave nothing.
        _ => Err(NotPulled::Unavailable(error.message)),
    }
}

/// The caller learns that it did not work, the operator why.
fn failed(error: &(dyn std::error::Error + 'static)) -> ApiError {
    tracing::error!(err = %honmaru_base::chain(error), "the image store failed");
    ApiError::new(
        "ServerException",
        "The service encountered an internal error. Retry your request.",
    )
    .with_status(500)
}

/// What the store refuses is the caller's affair where a quota is the reason.
fn refused(error: &StoreError) -> ApiError {
    match error {
        full if full.is_full() => {
            tracing::warn!(err = %honmaru_base::chain(error), "the image store refused");
            ApiError::new(
                "LimitExceededException",
                "The registry's quota is reached: its storage is full",
            )
        }
        StoreError::TooLarge { .. } | StoreError::TooManyUploads { .. } => {
            tracing::warn!(err = %honmaru_base::chain(error), "the image store refused");
            ApiError::new(
                "LimitExceededException",
                format!("The registry's quota is reached: {error}"),
            )
        }
        other => failed(other),
    }
}

fn stopped(error: EngineError) -> ApiError {
    failed(&error)
}

impl Layers for StoredLayers {
    fn read(&self, look: Look) -> BoxFuture<Result<Value, ApiError>> {
        let engine = self.engine.clone();
        Box::pin(async move { engine.read(look).await.map_err(stopped)? })
    }

    fn write(&self, change: Change) -> BoxFuture<Result<Value, ApiError>> {
        let engine = self.engine.clone();
        Box::pin(async move { engine.write(change).await.map_err(stopped)? })
    }

    fn put_blob(&self, bytes: Vec<u8>) -> BoxFuture<Result<(), ApiError>> {
        let store = self.store.clone();
        Box::pin(async move {
            store
                .put(Algorithm::Sha256, bytes.into())
                .await
                .map(drop)
                .map_err(|error| refused(&error))
        })
    }

    fn get_blob(&self, digest: String, bytes_max: u64) -> BoxFuture<Result<Option<Vec<u8>>, ApiError>> {
        let store = self.store.clone();
        Box::pin(async move {
            let Ok(digest) = digest.parse::<Digest>() else {
                return Ok(None);
            };
            let blob = store.read(&digest, bytes_max).await.map_err(|error| refused(&error))?;
            Ok(blob.map(|bytes| bytes.to_vec()))
        })
    }

    fn other_form(&self, manifest: &[u8], media_type: &str) -> Option<(String, Vec<u8>)> {
        honmaru_images::convert(manifest, media_type).map(|(media_type, bytes)| (media_type.to_owned(), bytes))
    }

    fn blob_sizes(&self, digests: Vec<String>) -> BoxFuture<Result<Vec<Option<u64>>, ApiError>> {
        let store = self.store.clone();
        Box::pin(async move {
            let mut sizes = Vec::with_capacity(digests.len());
            for digest in &digests {
                let found = match digest.parse::<Digest>() {
                    Ok(digest) => store.look(&digest).await.map_err(|error| refused(&error))?,
                    Err(_) => None,
                };
                sizes.push(found.map(|info| info.size));
            }
            Ok(sizes)
        })
    }

    fn keep(&self, digests: Vec<String>) -> BoxFuture<Kept> {
        let store = self.store.clone();
        Box::pin(async move {
            let digests = digests.iter().filter_map(|digest| digest.parse().ok());
            let kept: Kept = Box::new(store.pin(digests.collect()).await);
            kept
        })
    }

    fn parts(&self, owner: String, id: String) -> BoxFuture<Parts> {
        let known = self.parts.lock().get(&(owner, id)).copied();
        Box::pin(std::future::ready(known.unwrap_or_default()))
    }

    fn begin_upload(&self, owner: String, by: Principal) -> BoxFuture<Result<String, ApiError>> {
        let (store, by) = (self.store.clone(), uploader(&by));
        Box::pin(async move {
            let writer = store
                .begin_upload(&owner, by, Algorithm::Sha256)
                .await
                .map_err(|error| refused(&error))?;
            // ECR's ids are UUIDs, and the model holds clients to it.
            let id = writer.id().short().to_owned();
            writer.pause().await.map_err(|error| refused(&error))?;
            Ok(id)
        })
    }

    fn append_upload(
        &self,
        owner: String,
        id: String,
        first: u64,
        bytes: Vec<u8>,
    ) -> BoxFuture<Result<Appended, ApiError>> {
        let store = self.store.clone();
        let (known, key) = (self.parts.clone(), (owner.clone(), id.clone()));
        Box::pin(async move {
            let Some(id) = UploadId::from_short(&id, &owner) else {
                return Ok(Appended::Unknown);
            };
            let mut writer = match store.resume_upload(&id).await {
                Ok(writer) => writer,
                Err(StoreError::UploadUnknown) => return Ok(Appended::Unknown),
                Err(error) => return Err(refused(&error)),
            };
            if writer.offset() != first {
                let at = writer.pause().await.map_err(|error| refused(&error))?;
                return Ok(Appended::OutOfOrder(at));
            }
            let length = bytes.len() as u64;
            writer.write(bytes.into()).await.map_err(|error| refused(&error))?;
            let offset = writer.pause().await.map_err(|error| refused(&error))?;
            let mut parts = known.lock();
            if parts.len() >= PARTS_REMEMBERED_MAX && !parts.contains_key(&key) {
                parts.clear();
            }
            let so_far = parts.entry(key).or_default();
            *so_far = so_far.and(length);
            Ok(Appended::At(offset))
        })
    }

    fn secret(&self, arn: String) -> BoxFuture<Result<Secret, ApiError>> {
        let found = if self.upstreams.knows(&arn) {
            Secret::Good
        } else {
            Secret::Missing
        };
        Box::pin(std::future::ready(Ok(found)))
    }

    fn try_upstream(&self, registry: String, secret: Option<String>) -> BoxFuture<Result<Option<String>, ApiError>> {
        let upstreams = self.upstreams.clone();
        Box::pin(async move { Ok(upstreams.failure(&registry, secret.as_deref()).await) })
    }

    fn pull(&self, call: Call, repository: String, reference: String) -> BoxFuture<Result<(), NotPulled>> {
        let registry = self.registry.clone();
        Box::pin(async move {
            let reference = match (reference.contains(':'), reference.parse::<Digest>()) {
                (false, _) => ManifestRef::Tag(reference),
                (true, Ok(digest)) => ManifestRef::Digest(digest),
                (true, Err(_)) => return Ok(()),
            };
            let caller = Caller::of_call(call);
            // First whether the mirror is there, or may come to be: that is no matter of upstream's.
            let admitted = registry
                .repositories()
                .admit(&caller, Action::ManifestRead, Some(&repository))
                .await;
            match admitted {
                Ok(()) => {}
                Err(error) if matches!(error.code, ErrorCode::NameUnknown | ErrorCode::NameInvalid) => return Ok(()),
                Err(error) => return Err(NotPulled::Refused(not_admitted(error))),
            }
            match registry.pull(&caller, &repository, &reference).await {
                Ok(_) => Ok(()),
                Err(error) => not_pulled(error),
            }
        })
    }

    fn complete_upload(&self, owner: String, id: String, digest: String) -> BoxFuture<Result<Completed, ApiError>> {
        let store = self.store.clone();
        self.parts.lock().remove(&(owner.clone(), id.clone()));
        Box::pin(async move {
            let Some(id) = UploadId::from_short(&id, &owner) else {
                return Ok(Completed::Unknown);
            };
            let Ok(digest) = digest.parse::<Digest>() else {
                return Ok(Completed::Mismatch);
            };
            let writer = match store.resume_upload(&id).await {
                Ok(writer) => writer,
                Err(StoreError::UploadUnknown) => return Ok(Completed::Unknown),
                Err(error) => return Err(refused(&error)),
            };
            if writer.offset() == 0 {
                writer.pause().await.map_err(|error| refused(&error))?;
                return Ok(Completed::Empty);
            }
            match writer.commit(digest).await {
                Ok(info) => Ok(Completed::Done(info.size)),
                Err(StoreError::DigestMismatch { .. }) => Ok(Completed::Mismatch),
                Err(error) => Err(refused(&error)),
            }
        })
    }
}
