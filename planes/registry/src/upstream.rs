//! Pull-through: what a repository lacks is fetched from the registry that it mirrors, verified, kept.
//! Ref: ECR "pull through cache rules".

use crate::{ErrorCode, ManifestRef, Registry, RegistryError, Repositories, Upstream};
use honmaru_images::{BlobWriter, Descriptor, Digest, Manifest, Pins, Reference, RemoteBlob, RemoteError, StoreError};

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
        let manifest = Manifest::parse(&found.bytes, found.media_type.as_deref()).map_err(|error| broken(&error))?;
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
        let fetched = self
            .fetch_blob(caller, repository, &upstream, &named, digest, None)
            .await?;
        let Some(fetched) = fetched else { return Ok(false) };
        self.keep_blob(caller, repository, fetched).await?;
        Ok(true)
    }

    /// Fetches the blobs that a manifest names, a few at a time. The repository is made when the first few are there and
    /// whole: an upstream that fails, or gives something else, leaves no mirror behind.
    async fn fetch_blobs(
        &self,
        caller: &R::Caller,
        repository: &str,
        upstream: &Upstream,
        named: &Reference,
        manifest: &Manifest,
    ) -> Result<(), RegistryError> {
        let repositories = &self.shared.repositories;
        let wanted: Vec<&Descriptor> = manifest.blobs().collect();
        let mut is_there = wanted.is_empty();
        if is_there {
            // Of an index the first that comes is itself.
            repositories.establish(caller, repository).await?;
        }
        for few in wanted.chunks(FETCHES_MAX) {
            let fetches = few.iter().map(|blob| {
                let size = u64::try_from(blob.size).ok();
                self.fetch_blob(caller, repository, upstream, named, &blob.digest, size)
            });
            let (mut came, mut failure) = (Vec::new(), None);
            for (blob, fetched) in few.iter().zip(join_all(fetches).await) {
                match fetched {
                    Ok(Some(fetched)) => came.push(fetched),
                    Ok(None) => failure = failure.or_else(|| Some(lacking(&blob.digest))),
                    Err(error) => failure = failure.or(Some(error)),
                }
            }
            if failure.is_none() && !is_there {
                repositories.establish(caller, repository).await?;
                is_there = true;
            }
            for fetched in came {
                match self.keep_blob(caller, repository, fetched).await {
                    // A repository that is not there keeps nothing of an image that is not whole.
                    Err(error) if failure.is_some() && error.code == ErrorCode::NameUnknown => {}
                    kept => kept?,
                }
            }
            if let Some(failure) = failure {
                return Err(failure);
            }
        }
        Ok(())
    }

    /// Has a blob in the store. Nothing when upstream has no such blob.
    async fn fetch_blob(
        &self,
        caller: &R::Caller,
        repository: &str,
        upstream: &Upstream,
        named: &Reference,
        digest: &Digest,
        size: Option<u64>,
    ) -> Result<Option<Fetched>, RegistryError> {
        let store = &self.shared.store;
        let pins = store.pin(vec![digest.clone()]).await;
        let fetched = |size| Fetched {
            digest: digest.clone(),
            size,
            _pins: pins,
        };
        let repositories = &self.shared.repositories;
        if repositories
            .has_blobs(caller, repository, std::slice::from_ref(digest))
            .await?
            == [true]
            && store.stat(digest)?.is_some()
        {
            return Ok(Some(fetched(None)));
        }
        // Even if the store has these bytes for somebody else: only who can show them may have them.
        let credentials = upstream.credentials.as_deref();
        let mut blob = match self.shared.remotes.blob(named, digest, credentials).await {
            Ok(blob) => blob,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(failed(&error)),
        };
        let by = repositories.uploader(caller);
        let writer = store.begin_upload(named.repository(), by, digest.algorithm()).await?;
        let id = writer.id().clone();
        let taken = match take(writer, &mut blob, size).await {
            Ok(writer) => writer.commit(digest.clone()).await.map_err(not_stored),
            Err(error) => Err(error),
        };
        match taken {
            Ok(info) => Ok(Some(fetched(Some(info.size)))),
            Err(error) => {
                // Nobody goes on with it: the next pull begins anew.
                self.forget(&id).await;
                Err(error)
            }
        }
    }

    /// Gives the repository a blob that was fetched for it.
    async fn keep_blob(&self, caller: &R::Caller, repository: &str, fetched: Fetched) -> Result<(), RegistryError> {
        let Some(size) = fetched.size else { return Ok(()) };
        let repositories = &self.shared.repositories;
        repositories.link_blob(caller, repository, &fetched.digest, size).await
    }
}

/// A blob that is in the store, and stays there while this lives.
struct Fetched {
    digest: Digest,
    /// Its length; nothing when the repository has it already.
    size: Option<u64>,
    _pins: Pins,
}

/// Takes a blob's bytes, as many as its manifest says and no more: an upstream that does not end would fill the disk.
async fn take(mut writer: BlobWriter, blob: &mut RemoteBlob, size: Option<u64>) -> Result<BlobWriter, RegistryError> {
    while let Some(piece) = blob.next().await {
        let piece = piece.map_err(|error| failed(&error))?;
        let received = writer.offset() + piece.len() as u64;
        if size.is_some_and(|size| received > size) {
            let message = "the upstream registry gives more bytes than its manifest says";
            return Err(bad_gateway(ErrorCode::SizeInvalid, message));
        }
        writer.write(piece).await?;
    }
    if size.is_some_and(|size| writer.offset() < size) {
        let message = "the upstream registry gives fewer bytes than its manifest says";
        return Err(bad_gateway(ErrorCode::SizeInvalid, message));
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

fn bad_gateway(code: ErrorCode, message: impl Into<String>) -> RegistryError {
    RegistryError::new(code, message).with_status(http::StatusCode::BAD_GATEWAY)
}

fn lacking(digest: &Digest) -> RegistryError {
    let message = format!("the upstream registry lacks blob {digest}");
    bad_gateway(ErrorCode::ManifestBlobUnknown, message)
}

/// What upstream gave is not what it should be: no fault of the client's, whose request was good.
fn broken(error: &(dyn std::error::Error + 'static)) -> RegistryError {
    tracing::warn!(err = %honmaru_base::chain(error), "the upstream registry gave something else");
    bad_gateway(
        ErrorCode::Unknown,
        "the upstream registry gave something else than the image",
    )
}

/// Why the store did not take what upstream gave.
fn not_stored(error: StoreError) -> RegistryError {
    match &error {
        StoreError::DigestMismatch { .. } | StoreError::SizeMismatch { .. } => broken(&error),
        _ => error.into(),
    }
}

fn failed(error: &RemoteError) -> RegistryError {
    tracing::warn!(err = %honmaru_base::chain(error), "the upstream registry failed");
    let refused = |code, message: &str| RegistryError::new(code, message);
    match error {
        // Ref: ECR BatchGetImage, failure codes UpstreamAccessDenied, UpstreamTooManyRequests, UpstreamUnavailable.
        RemoteError::Digest { .. } => broken(error),
        error if error.is_denied() => refused(ErrorCode::Denied, "the upstream registry does not let this registry in"),
        RemoteError::Status {
            status: TOO_MANY_REQUESTS,
            ..
        } => refused(
            ErrorCode::TooManyRequests,
            "the upstream registry gives no more images for now: its rate limit is reached",
        ),
        _ => bad_gateway(ErrorCode::Unknown, "the upstream registry could not give the image"),
    }
}
