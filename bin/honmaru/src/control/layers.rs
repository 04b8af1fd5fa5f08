//! ECR's layers in the registry's store.

use honmaru_base::ApiError;
use honmaru_ecr::{Appended, Change, Completed, Layers, Look};
use honmaru_engine::{Engine, EngineError};
use honmaru_images::{Algorithm, BlobStore, Digest, StoreError, UploadId};
use honmaru_machine::BoxFuture;
use serde_json::Value;
use std::sync::Arc;

/// The keeper of blobs.
pub struct StoredLayers {
    engine: Engine,
    store: Arc<BlobStore>,
}

impl StoredLayers {
    /// A keeper over an engine's state and a store.
    pub fn new(engine: Engine, store: BlobStore) -> Self {
        Self {
            engine,
            store: Arc::new(store),
        }
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
                .map_err(|error| failed(&error))
        })
    }

    fn get_blob(&self, digest: String, bytes_max: u64) -> BoxFuture<Result<Option<Vec<u8>>, ApiError>> {
        let store = self.store.clone();
        Box::pin(async move {
            let Ok(digest) = digest.parse::<Digest>() else {
                return Ok(None);
            };
            let blob = store.read(&digest, bytes_max).await.map_err(|error| failed(&error))?;
            Ok(blob.map(|bytes| bytes.to_vec()))
        })
    }

    fn begin_upload(&self, owner: String) -> BoxFuture<Result<String, ApiError>> {
        let store = self.store.clone();
        Box::pin(async move {
            let writer = store
                .begin_upload(&owner, Algorithm::Sha256)
                .await
                .map_err(|error| failed(&error))?;
            let id = writer.id().as_str().to_owned();
            writer.pause().await.map_err(|error| failed(&error))?;
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
        Box::pin(async move {
            let Some(id) = UploadId::parse(&id, &owner) else {
                return Ok(Appended::Unknown);
            };
            let mut writer = match store.resume_upload(&id).await {
                Ok(writer) => writer,
                Err(StoreError::UploadUnknown) => return Ok(Appended::Unknown),
                Err(error) => return Err(failed(&error)),
            };
            if writer.offset() != first {
                let at = writer.pause().await.map_err(|error| failed(&error))?;
                return Ok(Appended::OutOfOrder(at));
            }
            writer.write(bytes.into()).await.map_err(|error| failed(&error))?;
            Ok(Appended::At(writer.pause().await.map_err(|error| failed(&error))?))
        })
    }

    fn complete_upload(&self, owner: String, id: String, digest: String) -> BoxFuture<Result<Completed, ApiError>> {
        let store = self.store.clone();
        Box::pin(async move {
            let Some(id) = UploadId::parse(&id, &owner) else {
                return Ok(Completed::Unknown);
            };
            let Ok(digest) = digest.parse::<Digest>() else {
                return Ok(Completed::Mismatch);
            };
            let writer = match store.resume_upload(&id).await {
                Ok(writer) => writer,
                Err(StoreError::UploadUnknown) => return Ok(Completed::Unknown),
                Err(error) => return Err(failed(&error)),
            };
            if writer.offset() == 0 {
                writer.pause().await.map_err(|error| failed(&error))?;
                return Ok(Completed::Empty);
            }
            match writer.commit(digest).await {
                Ok(info) => Ok(Completed::Done(info.size)),
                Err(StoreError::DigestMismatch { .. }) => Ok(Completed::Mismatch),
                Err(error) => Err(failed(&error)),
            }
        })
    }
}
