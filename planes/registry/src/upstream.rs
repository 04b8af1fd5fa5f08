//! Pull-through: what a repository lacks is fetched from the registry that it mirrors, verified, kept.
//! Ref: ECR "pull through cache rules".

use crate::{ErrorCode, ManifestRef, Registry, RegistryError, Repositories, Upstream};
use honmaru_images::{BlobWriter, Descriptor, Digest, Manifest, Reference, RemoteBlob, RemoteError};

/// RFC 6585.
const TOO_MANY_REQUESTS: u16 = 429;
/// Blobs of one image that are fetched at a time.
const FETCHES_MAX: usize = 4;

impl<R: Repositories> Registry<R> {
    /// Fetches a manifest and all that it names. False when the repository has no upstream or that has no such image.
    pub(crate) async fn fetch_upstream_manifest(
        &self,
        caller: &R::Caller,
        repository: &str,
        reference: &ManifestRef,
    ) -> Result<bool, RegistryError> {
        let Some(upstream) = self.shared.repositories.upstream(caller, repository).await? else {
            return Ok(false);
        };
        let named = match reference {
            ManifestRef::Tag(tag) => format!("{}:{tag}", upstream.repository),
            ManifestRef::Digest(digest) => format!("{}@{digest}", upstream.repository),
        };
        let named: Reference = named.parse().map_err(|error| failed(&RemoteError::Reference(error)))?;
        let credentials = upstream.credentials.as_deref();
        let found = match self.shared.remotes.manifest(&named, None, credentials).await {
            Ok(found) => found,
            Err(error) if error.is_not_found() => return Ok(false),
            Err(error) => return Err(failed(&error)),
        };
        let manifest = Manifest::parse(&found.bytes, found.media_type.as_deref())?;
        self.shared.repositories.establish(caller, repository).await?;
        self.fetch_blobs(caller, repository, &upstream, &named, &manifest)
            .await?;
        // An index is recorded before its manifests: they are fetched when somebody asks for one of them.
        self.store_manifest(caller, repository, reference, found.bytes, found.media_type.as_deref())
            .await?;
        Ok(true)
    }

    /// Fetches one blob. False when the repository has no upstream or that has no such blob.
    pub(crate) async fn fetch_upstream_blob(
        &self,
        caller: &R::Caller,
        repository: &str,
        digest: &Digest,
    ) -> Result<bool, RegistryError> {
        let Some(upstream) = self.shared.repositories.upstream(caller, repository).await? else {
            return Ok(false);
        };
        let named: Reference = upstream
            .repository
            .parse()
            .map_err(|error| failed(&RemoteError::Reference(error)))?;
        self.fetch_blob(caller, repository, &upstream, &named, digest, None)
            .await
    }

    async fn fetch_blobs(
        &self,
        caller: &R::Caller,
        repository: &str,
        upstream: &Upstream,
        named: &Reference,
        manifest: &Manifest,
    ) -> Result<(), RegistryError> {
        let wanted: Vec<&Descriptor> = manifest.blobs().collect();
        for few in wanted.chunks(FETCHES_MAX) {
            let fetches = few.iter().map(|blob| {
                let size = u64::try_from(blob.size).ok();
                self.fetch_blob(caller, repository, upstream, named, &blob.digest, size)
            });
            for (blob, fetched) in few.iter().zip(join_all(fetches).await) {
                if !fetched? {
                    let message = format!("the upstream registry lacks blob {}", blob.digest);
                    return Err(RegistryError::new(ErrorCode::ManifestBlobUnknown, message));
                }
            }
        }
        Ok(())
    }

    async fn fetch_blob(
        &self,
        caller: &R::Caller,
        repository: &str,
        upstream: &Upstream,
        named: &Reference,
        digest: &Digest,
        size: Option<u64>,
    ) -> Result<bool, RegistryError> {
        let store = &self.shared.store;
        let _pins = store.pin(vec![digest.clone()]).await;
        let repositories = &self.shared.repositories;
        if repositories
            .has_blobs(caller, repository, std::slice::from_ref(digest))
            .await?
            == [true]
            && store.stat(digest)?.is_some()
        {
            return Ok(true);
        }
        // Even if the store has these bytes for somebody else: only who can show them may have them.
        let credentials = upstream.credentials.as_deref();
        let mut blob = match self.shared.remotes.blob(named, digest, credentials).await {
            Ok(blob) => blob,
            Err(error) if error.is_not_found() => return Ok(false),
            Err(error) => return Err(failed(&error)),
        };
        let by = repositories.uploader(caller);
        let writer = store.begin_upload(named.repository(), by, digest.algorithm()).await?;
        let id = writer.id().clone();
        let taken = match take(writer, &mut blob, size).await {
            Ok(writer) => writer.commit(digest.clone()).await.map_err(RegistryError::from),
            Err(error) => Err(error),
        };
        let size = match taken {
            Ok(info) => info.size,
            Err(error) => {
                // Nobody goes on with it: the next pull begins anew.
                self.forget(&id).await;
                return Err(error);
            }
        };
        repositories.link_blob(caller, repository, digest, size).await?;
        Ok(true)
    }
}

/// Takes a blob's bytes, and no more of them than its manifest says: an upstream that does not end would fill the disk.
async fn take(mut writer: BlobWriter, blob: &mut RemoteBlob, size: Option<u64>) -> Result<BlobWriter, RegistryError> {
    while let Some(piece) = blob.next().await {
        let piece = piece.map_err(|error| failed(&error))?;
        let received = writer.offset() + piece.len() as u64;
        if size.is_some_and(|size| received > size) {
            let message = "the upstream registry gives more bytes than its manifest says";
            return Err(RegistryError::new(ErrorCode::SizeInvalid, message).with_status(http::StatusCode::BAD_GATEWAY));
        }
        writer.write(piece).await?;
    }
    Ok(writer)
}

/// All futures at once; they are few.
async fn join_all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut waiting: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|cx| {
        for (future, done) in waiting.iter_mut().filter(|(_, done)| done.is_none()) {
            if let std::task::Poll::Ready(value) = future.as_mut().poll(cx) {
                *done = Some(value);
            }
        }
        if waiting.iter().all(|(_, done)| done.is_some()) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    waiting.into_iter().filter_map(|(_, done)| done).collect()
}

fn failed(error: &RemoteError) -> RegistryError {
    tracing::warn!(err = %honmaru_base::chain(error), "the upstream registry failed");
    let refused = |code, message: &str| RegistryError::new(code, message);
    match error {
        // Ref: ECR BatchGetImage, failure codes UpstreamAccessDenied, UpstreamTooManyRequests, UpstreamUnavailable.
        error if error.is_denied() => refused(ErrorCode::Denied, "the upstream registry does not let this registry in"),
        RemoteError::Status {
            status: TOO_MANY_REQUESTS,
            ..
        } => refused(
            ErrorCode::TooManyRequests,
            "the upstream registry gives no more images for now: its rate limit is reached",
        ),
        _ => refused(ErrorCode::Unknown, "the upstream registry could not give the image")
            .with_status(http::StatusCode::BAD_GATEWAY),
    }
}
