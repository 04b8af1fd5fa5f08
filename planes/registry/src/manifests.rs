//! Manifests: reading, writing, deleting. Ref: specification, "Pulling manifests", "Pushing Manifests".

use crate::blobs::matches;
use crate::negotiate::{self, Form};
use crate::registry::{InRepository, Registry, parameters};
use crate::response::{empty, not_modified, set, set_digest};
use crate::route::{manifest_ref, readable_ref};
use crate::{
    Action, ErrorCode, ManifestRef, NewManifest, RegistryBody, RegistryError, Repositories, Resolved, ShownBlob,
};
use bytes::{Bytes, BytesMut};
use honmaru_images::{
    Algorithm, Digest, MANIFEST_BYTES_MAX, Manifest, ManifestError, Platform, convert, is_tag, media_type,
};
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Body;
use serde_json::json;
use tokio::time::timeout;

/// Says that the registry indexes `subject`, so that the client need not. Ref: specification, "Pushing Manifests with
/// Subject".
const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
/// The tags that were set by parameters. Ref: specification, "Pushing Manifests", end-7b.
const TAG: HeaderName = HeaderName::from_static("oci-tag");
/// Tags that one request may set by parameters. Ref: specification, "Pushing Manifests": at least 10.
const TAG_PARAMETERS_MAX: usize = 100;
/// A manifest that is too long is read to its end up to here, and forgotten: a client that still sends when the answer
/// comes sees a broken connection in its place.
const DISCARDED_BYTES_MAX: usize = 4 * MANIFEST_BYTES_MAX;
/// Configurations that are read for their platform; larger ones are stored all the same.
const CONFIG_BYTES_MAX: u64 = 8 * 1024 * 1024;

fn unknown(reference: &ManifestRef) -> RegistryError {
    let detail = match reference {
        ManifestRef::Tag(tag) => json!({"tag": tag}),
        ManifestRef::Digest(digest) => json!({"digest": digest}),
    };
    RegistryError::new(ErrorCode::ManifestUnknown, "manifest unknown").with_detail(detail)
}

/// What is sent of a manifest.
struct Sent {
    digest: Digest,
    /// The manifest that the repository has: in this form, or in the other one.
    stored: Digest,
    media_type: String,
    /// What is not in the store: the other form.
    bytes: Option<Bytes>,
}

impl<R: Repositories> Registry<R> {
    pub(crate) async fn get_manifest<B>(
        &self,
        at: InRepository<'_, R::Caller, B>,
        reference: &str,
    ) -> Result<Response<RegistryBody>, RegistryError> {
        let reference = readable_ref(reference)?;
        let is_tag = matches!(reference, ManifestRef::Tag(_));
        let sent = self.sent(&at, &reference).await?;
        let etag = format!("\"{}\"", sent.digest);
        let mut response = if matches(at.request.headers(), header::IF_NONE_MATCH, &etag) {
            not_modified(&etag, &sent.digest)
        } else {
            let bytes = match sent.bytes {
                Some(bytes) => bytes,
                None => self.stored_bytes(&sent.digest, &reference).await?,
            };
            let length = bytes.len();
            let mut response = Response::new(RegistryBody::full(bytes));
            let headers = response.headers_mut();
            set(headers, header::CONTENT_TYPE, &sent.media_type);
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
            set(headers, header::ETAG, &etag);
            set_digest(headers, &sent.digest);
            response
        };
        // Now that nothing is refused any more.
        let repositories = &self.shared.repositories;
        repositories.note_pull(at.caller, at.repository, &sent.stored).await?;
        if is_tag {
            // Ref: RFC 9110 section 12.5.5.
            response
                .headers_mut()
                .insert(header::VARY, HeaderValue::from_static("accept"));
        }
        Ok(response)
    }

    /// What a client gets for a tag or digest. By tag that may be the image's other form; by digest what has it, or was
    /// sent with it before.
    async fn sent<B>(
        &self,
        at: &InRepository<'_, R::Caller, B>,
        reference: &ManifestRef,
    ) -> Result<Sent, RegistryError> {
        let owner = || self.owner(at.caller, at.repository);
        if let ManifestRef::Digest(digest) = reference
            && let Some(source) = self.shared.conversions.source(owner, digest)
        {
            let source = ManifestRef::Digest(source);
            let found = self.shared.repositories.resolve(at.caller, at.repository, &source);
            if let Some(found) = found.await?
                && let Some(sent) = self.other_form(&found, reference).await?
            {
                return Ok(sent);
            }
        }
        let found = self.resolve(at.caller, at.repository, reference).await?;
        let found = found.ok_or_else(|| unknown(reference))?;
        let form = match reference {
            ManifestRef::Tag(_) => negotiate::form(at.request.headers(), &found.media_type),
            ManifestRef::Digest(_) => Form::Stored,
        };
        let other = match form {
            Form::Stored => {
                return Ok(Sent {
                    stored: found.digest.clone(),
                    digest: found.digest,
                    media_type: found.media_type,
                    bytes: None,
                });
            }
            Form::Other => self.other_form(&found, reference).await?,
            Form::Neither => None,
        };
        let Some(sent) = other else {
            let message = format!(
                "the manifest is of type {}, which the request does not accept",
                found.media_type
            );
            return Err(RegistryError {
                message,
                ..unknown(reference)
            });
        };
        self.shared.conversions.note(owner(), &sent.digest, &found.digest);
        Ok(sent)
    }

    /// A manifest in its other form; nothing where it has none.
    async fn other_form(&self, found: &Resolved, reference: &ManifestRef) -> Result<Option<Sent>, RegistryError> {
        let bytes = self.stored_bytes(&found.digest, reference).await?;
        Ok(convert(&bytes, &found.media_type).map(|(media_type, bytes)| Sent {
            digest: Digest::of(found.digest.algorithm(), &bytes),
            stored: found.digest.clone(),
            media_type: media_type.to_owned(),
            bytes: Some(bytes.into()),
        }))
    }

    async fn stored_bytes(&self, digest: &Digest, reference: &ManifestRef) -> Result<Bytes, RegistryError> {
        self.manifest_bytes(digest).await?.ok_or_else(|| unknown(reference))
    }

    /// The manifest that a tag or digest means, fetched from upstream where the repository mirrors one and lacks it. For
    /// readers beside the protocol: a node that starts a task.
    pub async fn pull(
        &self,
        caller: &R::Caller,
        repository: &str,
        reference: &ManifestRef,
    ) -> Result<Option<Resolved>, RegistryError> {
        let repositories = &self.shared.repositories;
        repositories
            .admit(caller, Action::ManifestRead, Some(repository))
            .await?;
        let found = self.resolve(caller, repository, reference).await?;
        if let Some(found) = &found {
            repositories.note_pull(caller, repository, &found.digest).await?;
        }
        Ok(found)
    }

    /// What the repository has, or what its upstream gave it just now.
    async fn resolve(
        &self,
        caller: &R::Caller,
        repository: &str,
        reference: &ManifestRef,
    ) -> Result<Option<Resolved>, RegistryError> {
        let repositories = &self.shared.repositories;
        if let Some(found) = repositories.resolve(caller, repository, reference).await? {
            let ManifestRef::Tag(tag) = reference else {
                return Ok(Some(found));
            };
            if !repositories.begin_check(caller, repository, tag).await? {
                return Ok(Some(found));
            }
            // What is cached is served when upstream does not have it any more, or cannot be asked.
            return match self.fetch_upstream_manifest(caller, repository, reference).await {
                Ok(_) => repositories.resolve(caller, repository, reference).await,
                Err(error) => {
                    tracing::warn!(%error, repository, tag, "a cached image could not be compared with upstream's");
                    Ok(Some(found))
                }
            };
        }
        if !self.fetch_upstream_manifest(caller, repository, reference).await? {
            return Ok(None);
        }
        repositories.resolve(caller, repository, reference).await
    }

    pub(crate) async fn manifest_bytes(&self, digest: &Digest) -> Result<Option<Bytes>, RegistryError> {
        if let Some(bytes) = self.shared.manifests.get(digest) {
            return Ok(Some(bytes));
        }
        let bytes = self.shared.store.read(digest, MANIFEST_BYTES_MAX as u64).await?;
        if let Some(bytes) = &bytes {
            self.shared.manifests.put(digest, bytes);
        }
        Ok(bytes)
    }

    pub(crate) async fn put_manifest<B>(
        &self,
        at: InRepository<'_, R::Caller, B>,
        reference: &str,
    ) -> Result<Response<RegistryBody>, RegistryError>
    where
        B: Body<Data = Bytes> + Send + Unpin,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        let InRepository {
            caller,
            repository,
            request,
        } = at;
        let reference = manifest_ref(reference)?;
        let tags = match &reference {
            ManifestRef::Tag(tag) => vec![tag.clone()],
            ManifestRef::Digest(_) => tag_parameters(&request)?,
        };
        let by_digest = matches!(reference, ManifestRef::Digest(_));
        let declared = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        // Ref: RFC 9110 section 8.3.1: in any case of letters.
        let declared = declared.map(|kind| kind.split(';').next().unwrap_or(kind).trim().to_ascii_lowercase());
        let bytes = self.manifest_body(request.into_body()).await?;
        let (digest, manifest) = self
            .store_tagged(caller, repository, &reference, tags.clone(), bytes, declared.as_deref())
            .await?;
        let mut response = empty(StatusCode::CREATED);
        let headers = response.headers_mut();
        set(
            headers,
            header::LOCATION,
            &format!("/v2/{repository}/manifests/{digest}"),
        );
        set_digest(headers, &digest);
        if let Some(subject) = &manifest.subject {
            set(headers, SUBJECT, subject.digest.as_str());
        }
        for tag in tags.iter().filter(|_| by_digest) {
            if let Ok(tag) = HeaderValue::from_str(tag) {
                headers.append(TAG, tag);
            }
        }
        Ok(response)
    }

    /// Validates, stores and records a manifest. Everything that it names is pinned from before it is looked for until
    /// the entry is durable: the collector never comes between. Also for APIs beside the protocol (ECR's PutImage).
    pub async fn store_manifest(
        &self,
        caller: &R::Caller,
        repository: &str,
        reference: &ManifestRef,
        bytes: Bytes,
        declared: Option<&str>,
    ) -> Result<(Digest, Manifest), RegistryError> {
        let tags = match reference {
            ManifestRef::Tag(tag) => vec![tag.clone()],
            ManifestRef::Digest(_) => Vec::new(),
        };
        self.store_tagged(caller, repository, reference, tags, bytes, declared)
            .await
    }

    async fn store_tagged(
        &self,
        caller: &R::Caller,
        repository: &str,
        reference: &ManifestRef,
        tags: Vec<String>,
        bytes: Bytes,
        declared: Option<&str>,
    ) -> Result<(Digest, Manifest), RegistryError> {
        let manifest = Manifest::parse(&bytes, declared)?;
        let algorithm = match reference {
            ManifestRef::Tag(_) => Algorithm::Sha256,
            ManifestRef::Digest(digest) => digest.algorithm(),
        };
        let digest = Digest::of(algorithm, &bytes);
        if let ManifestRef::Digest(expected) = reference
            && *expected != digest
        {
            let message = format!("manifest has digest {digest}, not {expected}");
            return Err(RegistryError::new(ErrorCode::DigestInvalid, message));
        }
        let blobs: Vec<Digest> = manifest.blobs().map(|blob| blob.digest.clone()).collect();
        let mut pinned = blobs.clone();
        pinned.push(digest.clone());
        let _pins = self.shared.store.pin(pinned).await;
        let shown = self.check_blobs(caller, repository, &manifest, &blobs).await?;
        let platform = self.platform(&manifest).await?;
        self.shared.store.put(algorithm, bytes.clone()).await?;
        honmaru_images::fault_point("manifest.stored");
        let new = NewManifest {
            digest: digest.clone(),
            size: bytes.len() as u64,
            tags,
            manifest: manifest.clone(),
            shown,
            platform,
        };
        self.shared.repositories.put_manifest(caller, repository, new).await?;
        honmaru_images::fault_point("manifest.recorded");
        self.shared.manifests.put(&digest, &bytes);
        Ok((digest, manifest))
    }

    /// Every blob that the manifest names must be the repository's, in the store, and as long as it says. Returns
    /// those that somebody was told lately that the repository has, which are good also without an image that has them.
    async fn check_blobs(
        &self,
        caller: &R::Caller,
        repository: &str,
        manifest: &Manifest,
        blobs: &[Digest],
    ) -> Result<Vec<ShownBlob>, RegistryError> {
        let owner = self.owner(caller, repository);
        let mut shown = Vec::new();
        let linked = self.shared.repositories.has_blobs(caller, repository, blobs).await?;
        for (blob, linked) in manifest.blobs().zip(linked) {
            let shown_at = self.shared.shown.noted_at(&owner, &blob.digest);
            let info = if linked || shown_at.is_some() {
                self.shared.store.stat(&blob.digest)?
            } else {
                None
            };
            let Some(info) = info else {
                let message = "manifest blob unknown to registry";
                return Err(RegistryError::new(ErrorCode::ManifestBlobUnknown, message)
                    .with_detail(json!({"digest": blob.digest})));
            };
            if u64::try_from(blob.size) != Ok(info.size) {
                let message = format!("blob {} has {} bytes, not {}", blob.digest, info.size, blob.size);
                return Err(RegistryError::new(ErrorCode::ManifestInvalid, message));
            }
            if let Some(at) = shown_at {
                let (digest, size) = (blob.digest.clone(), info.size);
                shown.push(ShownBlob { digest, size, at });
            }
        }
        Ok(shown)
    }

    async fn platform(&self, manifest: &Manifest) -> Result<Option<Platform>, RegistryError> {
        let is_image = |kind: &str| matches!(kind, media_type::OCI_CONFIG | media_type::DOCKER_CONFIG);
        let Some(config) = manifest.config.as_ref().filter(|config| is_image(&config.media_type)) else {
            return Ok(None);
        };
        match self.shared.store.read(&config.digest, CONFIG_BYTES_MAX).await {
            // What a configuration says is the client's word: one that says nothing is stored all the same.
            Ok(Some(bytes)) => Ok(serde_json::from_slice(&bytes).ok()),
            Ok(None) | Err(honmaru_images::StoreError::TooLarge { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn manifest_body<B>(&self, mut body: B) -> Result<Bytes, RegistryError>
    where
        B: Body<Data = Bytes> + Send + Unpin,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        let mut bytes = BytesMut::new();
        let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        if announced > DISCARDED_BYTES_MAX {
            return Err(ManifestError::TooLarge(announced).into());
        }
        let mut length = 0;
        loop {
            let frame = timeout(self.shared.limits.body_idle_timeout, body.frame()).await;
            let early = || RegistryError::new(ErrorCode::ManifestInvalid, "the body ended early");
            let frame = match frame {
                Err(_) => return Err(early().with_status(StatusCode::REQUEST_TIMEOUT)),
                Ok(None) if length > MANIFEST_BYTES_MAX => return Err(ManifestError::TooLarge(length).into()),
                Ok(None) => return Ok(bytes.freeze()),
                Ok(Some(frame)) => frame.map_err(|_| early())?,
            };
            if let Ok(data) = frame.into_data() {
                length += data.len();
                if length > DISCARDED_BYTES_MAX {
                    return Err(ManifestError::TooLarge(length).into());
                }
                if length <= MANIFEST_BYTES_MAX {
                    bytes.extend_from_slice(&data);
                } else {
                    bytes.clear();
                }
            }
        }
    }

    pub(crate) async fn delete_manifest<B>(
        &self,
        at: InRepository<'_, R::Caller, B>,
        reference: &str,
    ) -> Result<Response<RegistryBody>, RegistryError> {
        let reference = readable_ref(reference)?;
        match self
            .shared
            .repositories
            .delete_manifest(at.caller, at.repository, &reference)
            .await?
        {
            true => Ok(empty(StatusCode::ACCEPTED)),
            false => Err(unknown(&reference)),
        }
    }
}

/// The `tag` parameters of a push by digest, each once.
fn tag_parameters<B>(request: &http::Request<B>) -> Result<Vec<String>, RegistryError> {
    let mut tags: Vec<String> = Vec::new();
    for tag in parameters(request, "tag") {
        if !is_tag(&tag) {
            let message = "manifest tag did not match the form of a tag";
            return Err(RegistryError::new(ErrorCode::TagInvalid, message));
        }
        if !tags.contains(&tag) {
            tags.push(tag);
        }
        if tags.len() > TAG_PARAMETERS_MAX {
            let message = format!("a request may set at most {TAG_PARAMETERS_MAX} tags");
            return Err(RegistryError::new(ErrorCode::TagInvalid, message).with_status(StatusCode::URI_TOO_LONG));
        }
    }
    Ok(tags)
}
