//! The registry: one request in, one answer out.

use crate::cache::ManifestCache;
use crate::converted::Conversions;
use crate::route::{Route, Target};
use crate::shown::Shown;
use crate::{Action, ErrorCode, RegistryBody, RegistryError, Repositories, response};
use bytes::Bytes;
use honmaru_images::{BlobStore, Remotes};
use http::{HeaderValue, Method, Request, Response, header};
use hyper::body::Body;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

/// Limits of the registry, beside the store's own.
#[derive(Debug, Clone)]
pub struct RegistryLimits {
    /// Manifests kept in memory, in bytes.
    pub manifest_cache_bytes_max: usize,
    /// An upload's connection may be silent for so long.
    pub body_idle_timeout: Duration,
}

impl Default for RegistryLimits {
    fn default() -> Self {
        Self {
            manifest_cache_bytes_max: 16 * 1024 * 1024,
            body_idle_timeout: Duration::from_secs(60),
        }
    }
}

/// The registry. Clones share it.
pub struct Registry<R> {
    pub(crate) shared: Arc<Shared<R>>,
}

impl<R> Clone for Registry<R> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
        }
    }
}

pub(crate) struct Shared<R> {
    pub(crate) store: BlobStore,
    pub(crate) repositories: R,
    pub(crate) manifests: ManifestCache,
    pub(crate) shown: Shown,
    pub(crate) conversions: Conversions,
    pub(crate) limits: RegistryLimits,
    pub(crate) remotes: Remotes,
    marks: RandomState,
}

impl<R> Shared<R> {
    /// Stands for a name in what a caller sees who may not see the name: nobody else can make it, or guess from it. Good
    /// as long as this process lives.
    pub(crate) fn mark_of(&self, name: &str) -> String {
        format!("{:016x}", self.marks.hash_one(name))
    }
}

/// A request in a repository.
pub(crate) struct InRepository<'a, C, B> {
    pub(crate) caller: &'a C,
    pub(crate) repository: &'a str,
    pub(crate) request: Request<B>,
}

impl<R: Repositories> Registry<R> {
    /// A registry over a store, with a client for upstream registries.
    pub fn new(store: BlobStore, repositories: R, limits: RegistryLimits, remotes: Remotes) -> Self {
        let manifests = ManifestCache::new(limits.manifest_cache_bytes_max);
        Self {
            shared: Arc::new(Shared {
                store,
                repositories,
                manifests,
                shown: Shown::default(),
                conversions: Conversions::default(),
                limits,
                remotes,
                marks: RandomState::new(),
            }),
        }
    }

    /// The store.
    pub fn store(&self) -> &BlobStore {
        &self.shared.store
    }

    /// What the registry was told to ask.
    pub fn repositories(&self) -> &R {
        &self.shared.repositories
    }

    /// Answers one request whose path begins with `/v2`. Authentication lies behind the caller: see
    /// [`crate::unauthorized`] for the answer to one without credentials.
    pub async fn handle<B>(&self, request: Request<B>, caller: R::Caller) -> Response<RegistryBody>
    where
        B: Body<Data = Bytes> + Send + Unpin,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        let is_head = request.method() == Method::HEAD;
        let mut answer = self
            .dispatch(request, &caller)
            .await
            .unwrap_or_else(|error| error.response());
        if is_head {
            // The body of an answer to HEAD does not stay, its length does. Ref: RFC 9110 section 9.3.2.
            let length = answer.body().size_hint().exact().filter(|length| *length > 0);
            let headers = answer.headers_mut();
            if let (false, Some(length)) = (headers.contains_key(header::CONTENT_LENGTH), length) {
                headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
            }
            *answer.body_mut() = RegistryBody::empty();
        }
        response::finish(answer)
    }

    async fn dispatch<B>(
        &self,
        request: Request<B>,
        caller: &R::Caller,
    ) -> Result<Response<RegistryBody>, RegistryError>
    where
        B: Body<Data = Bytes> + Send + Unpin,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        let method = request.method().clone();
        let is_read = matches!(method, Method::GET | Method::HEAD);
        let route = Route::parse(request.uri().path())?;
        let (repository, target) = match &route {
            _ if !is_read && !matches!(route, Route::In { .. }) => return Ok(unsupported("GET, HEAD")),
            Route::In { repository, target } => (repository, target),
            Route::Catalog => return self.list_catalog(caller, &request).await,
            Route::Base => {
                self.shared.repositories.admit(caller, Action::Ping, None).await?;
                return Ok(response::json(&serde_json::json!({}), "application/json"));
            }
        };
        let Some(action) = target.action(&method) else {
            return Ok(unsupported(target.methods()));
        };
        self.shared
            .repositories
            .admit(caller, action.clone(), Some(repository))
            .await?;
        let at = InRepository {
            caller,
            repository,
            request,
        };
        match (target, action) {
            (Target::Blob(digest), Action::BlobDelete) => self.delete_blob(at, digest).await,
            (Target::Blob(digest), _) => self.get_blob(at, digest).await,
            (Target::Uploads, _) => self.begin_upload(at).await,
            (Target::Upload(id), Action::UploadComplete) => self.complete_upload(at, id).await,
            (Target::Upload(id), _) if method == Method::PATCH => self.append_upload(at, id).await,
            (Target::Upload(id), _) if method == Method::DELETE => self.cancel_upload(at, id).await,
            (Target::Upload(id), _) => self.upload_status(at, id).await,
            (Target::Manifest(reference), Action::ManifestWrite) => self.put_manifest(at, reference).await,
            (Target::Manifest(reference), Action::ManifestDelete) => self.delete_manifest(at, reference).await,
            (Target::Manifest(reference), _) => self.get_manifest(at, reference).await,
            (Target::Tags, _) => self.list_tags(at).await,
            (Target::Referrers(digest), _) => self.list_referrers(at, digest).await,
        }
    }
}

/// 405 with the methods that there are. Ref: RFC 9110 section 15.5.6.
fn unsupported(methods: &'static str) -> Response<RegistryBody> {
    let mut response = RegistryError::new(ErrorCode::Unsupported, "the operation is unsupported").response();
    let headers = response.headers_mut();
    headers.insert(header::ALLOW, HeaderValue::from_static(methods));
    response
}

/// A parameter of the query: the first of that name.
pub(crate) fn parameter<B>(request: &Request<B>, name: &str) -> Option<String> {
    parameters(request, name).next()
}

/// All parameters of that name in their order.
pub(crate) fn parameters<B>(request: &Request<B>, name: &str) -> impl Iterator<Item = String> {
    let query = request.uri().query().unwrap_or_default();
    form_urlencoded::parse(query.as_bytes())
        .filter(move |(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}
