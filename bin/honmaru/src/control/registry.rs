//! The registry behind `/v2/`: who asks, which repositories are theirs, and where the rows of ECR and the store meet.

use super::http::AnswerBody;
use super::{Control, ControlOptions, caller};
use ::http::{Method, Request, Response, header};
use honmaru_base::{ApiError, Clock, Scope};
use honmaru_ecr::{NewImage, PutImage, Reference, RegistryAction};
use honmaru_engine::{Engine, EngineError, SystemClock};
use honmaru_identity::ProtocolFamily;
use honmaru_images::{BlobStore, Descriptor, Digest, Manifest, StoreLimits};
use honmaru_machine::{Access, Call, Principal, State};
use honmaru_registry::{
    Action, ErrorCode, ManifestRef, NewManifest, Referrer, Registry, RegistryError, RegistryLimits, Repositories,
    Resolved, TagPage, Unlinked, Upstream,
};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::sync::Arc;
use std::time::Duration;

/// How long a blob may lie between its upload and its manifest. Longer than any client waits.
const GARBAGE_GRACE: Duration = Duration::from_secs(3_600);

/// What is known of a request to the registry.
#[derive(Clone)]
pub struct Caller {
    call: Arc<Call>,
}

/// ECR's rows as the registry asks for them.
pub struct Rows {
    engine: Engine,
}

/// The registry and its store.
pub struct Front {
    registry: Registry<Rows>,
}

impl Front {
    /// Opens the store.
    pub fn open(options: &ControlOptions, engine: &Engine) -> anyhow::Result<Self> {
        let store = BlobStore::open(&options.dirs.images(), StoreLimits::default())?;
        let rows = Rows { engine: engine.clone() };
        Ok(Self {
            registry: Registry::new(store, rows, RegistryLimits::default()),
        })
    }

    /// The store of blobs.
    pub fn store(&self) -> &BlobStore {
        self.registry.store()
    }

    /// Removes what no repository needs. Pushes and pulls go on.
    pub async fn collect_garbage(&self) {
        match self.registry.collect(GARBAGE_GRACE).await {
            Ok(collected) => tracing::info!(?collected, "collected the registry's garbage"),
            Err(error) => tracing::warn!(err = %honmaru_base::chain(&error), "the registry's garbage stays"),
        }
    }
}

/// Answers a request under `/v2`.
pub async fn handle(control: &Arc<Control>, request: Request<Incoming>, secure: bool) -> Response<AnswerBody> {
    let known = match layer_link(control, &request).await {
        Some(caller) => Ok(caller),
        None => caller(control, &request).await,
    };
    let answer = match known {
        Ok(caller) => control.registry.registry.handle(request, caller).await,
        Err(message) => {
            let scheme = if secure { "https" } else { "http" };
            let realm = format!("{scheme}://{}/", control.options.listen);
            honmaru_registry::unauthorized(&realm, "ecr.amazonaws.com", &message)
        }
    };
    answer.map(BodyExt::boxed)
}

/// Whoever holds a link of GetDownloadUrlForLayer: it opens one blob of one repository, for reading only.
async fn layer_link(control: &Arc<Control>, request: &Request<Incoming>) -> Option<Caller> {
    let query = request.uri().query()?;
    let (_, token) =
        form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == honmaru_ecr::LAYER_TOKEN_PARAMETER)?;
    let now = SystemClock.now();
    let opened = control
        .engine
        .read(|state| honmaru_ecr::check_layer_token(state, &token, now))
        .await
        .ok()?;
    let (scope, repository, digest) = opened.ok()?;
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    if !is_read || request.uri().path() != format!("/v2/{repository}/blobs/{digest}") {
        return None;
    }
    let call = Call {
        // The link was made for somebody who was allowed to; it carries the permission itself.
        principal: caller::root_of(scope.account.clone(), ""),
        scope,
        request_id: super::api::request_id(),
        now,
        source_ip: None,
        user_agent: String::new(),
        host: String::new(),
        secure: false,
    };
    Some(Caller { call: Arc::new(call) })
}

/// Who asks: `Basic` with the token of GetAuthorizationToken, or `Bearer` with the token itself.
async fn caller(control: &Arc<Control>, request: &Request<Incoming>) -> Result<Caller, String> {
    let text = |name| {
        request
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    };
    let host = match text(header::HOST) {
        host if host.is_empty() => request.uri().authority().map(ToString::to_string).unwrap_or_default(),
        host => host,
    };
    let authorization = text(header::AUTHORIZATION);
    let now = SystemClock.now();
    let principal: Principal = if authorization.is_empty() {
        if !control.options.dev {
            return Err("no basic auth credentials".to_owned());
        }
        caller::root_of(control.options.account.clone(), "")
    } else {
        let checked = control
            .engine
            .read(|state| honmaru_ecr::check_authorization(state, &authorization, now))
            .await;
        match checked.map_err(|error| error.to_string())? {
            Ok(principal) => principal,
            Err(_) if control.options.dev => caller::root_of(control.options.account.clone(), ""),
            Err(error) => return Err(error.to_string()),
        }
    };
    let own = Scope {
        account: principal.account.clone(),
        region: control.options.region.clone(),
    };
    let call = Call {
        scope: honmaru_ecr::scope_of_host(&host).unwrap_or(own),
        principal,
        request_id: super::api::request_id(),
        now,
        source_ip: None,
        user_agent: text(header::USER_AGENT),
        host,
        secure: false,
    };
    Ok(Caller { call: Arc::new(call) })
}

fn action(action: &Action) -> RegistryAction {
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
        _ => ErrorCode::Unknown,
    };
    RegistryError::new(code, error.message)
}

fn failed(error: EngineError) -> RegistryError {
    RegistryError::internal(&error)
}

impl Rows {
    async fn look<T: Send>(&self, look: impl FnOnce(&State) -> T + Send) -> Result<T, RegistryError> {
        self.engine.read(look).await.map_err(failed)
    }

    /// Notes that an image was pulled, at most once a day.
    async fn note_pull(&self, caller: &Caller, repository: &str, digest: &str) -> Result<(), RegistryError> {
        let call = caller.call.clone();
        let is_due = self
            .look(|state| honmaru_ecr::needs_record(state, &call.scope, repository, digest, call.now))
            .await?;
        if is_due {
            let (name, digest) = (repository.to_owned(), digest.to_owned());
            let noted = self.engine.write(move |tx| {
                honmaru_ecr::record_pull(tx, &call.scope, &name, &digest);
                Ok::<_, ApiError>(())
            });
            noted.await.map_err(failed)?.map_err(refused)?;
        }
        Ok(())
    }
}

impl Repositories for Rows {
    type Caller = Caller;

    fn namespace(&self, caller: &Caller) -> String {
        caller.call.scope.to_string()
    }

    async fn admit(&self, caller: &Caller, wanted: Action, repository: Option<&str>) -> Result<(), RegistryError> {
        let (call, wanted) = (caller.call.clone(), action(&wanted));
        let name = repository.map(str::to_owned);
        let is_there = self
            .look(|state| -> Result<bool, ApiError> {
                let accesses: Vec<Access> = honmaru_ecr::registry_access(state, &call.scope, wanted, name.as_deref());
                honmaru_iam::authorize(state, &call, &accesses, ProtocolFamily::Json)?;
                Ok(name
                    .as_deref()
                    .is_none_or(|name| state.get::<honmaru_ecr::Repository>(&call.scope, name).is_some()))
            })
            .await?
            .map_err(refused)?;
        let Some(name) = name.filter(|_| !is_there) else {
            return Ok(());
        };
        let made = self
            .engine
            .write(move |tx| honmaru_ecr::admit(tx, &call.scope, wanted, &name))
            .await;
        made.map_err(failed)?.map_err(refused)
    }

    async fn has_blobs(
        &self,
        caller: &Caller,
        repository: &str,
        digests: &[Digest],
    ) -> Result<Vec<bool>, RegistryError> {
        let digests: Vec<String> = digests.iter().map(ToString::to_string).collect();
        let digests = digests.iter().map(String::as_str);
        self.look(|state| honmaru_ecr::has_blobs(state, &caller.call.scope, repository, digests))
            .await
    }

    async fn link_blob(
        &self,
        caller: &Caller,
        repository: &str,
        digest: &Digest,
        size: u64,
    ) -> Result<(), RegistryError> {
        let (call, name, digest) = (caller.call.clone(), repository.to_owned(), digest.to_string());
        let linked = self
            .engine
            .write(move |tx| honmaru_ecr::link_layer(tx, &call.scope, &name, &digest, size))
            .await;
        linked.map_err(failed)?.map_err(refused)
    }

    async fn unlink_blob(&self, caller: &Caller, repository: &str, digest: &Digest) -> Result<Unlinked, RegistryError> {
        let (call, name, digest) = (caller.call.clone(), repository.to_owned(), digest.to_string());
        let unlinked = self.engine.write(move |tx| -> Result<Unlinked, ApiError> {
            if honmaru_ecr::is_layer_in_use(tx, &call.scope, &name, &digest) {
                return Ok(Unlinked::InUse);
            }
            let was_there = honmaru_ecr::unlink_layer(tx, &call.scope, &name, &digest);
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
        let found = self
            .look(|state| honmaru_ecr::resolve_image(state, &caller.call.scope, repository, &reference(wanted)))
            .await?;
        let Some(found) = found else { return Ok(None) };
        self.note_pull(caller, repository, &found.digest).await?;
        let digest: Digest = found.digest.parse().map_err(RegistryError::from)?;
        Ok(Some(Resolved {
            digest,
            media_type: found.media_type,
        }))
    }

    async fn put_manifest(
        &self,
        caller: &Caller,
        repository: &str,
        manifest: NewManifest,
    ) -> Result<(), RegistryError> {
        let (call, name) = (caller.call.clone(), repository.to_owned());
        let put = PutImage {
            tag: manifest.tag.clone(),
            image: image_of(manifest),
            refuse_same: false,
            sparse: false,
        };
        let written = self
            .engine
            .write(move |tx| honmaru_ecr::put_image(tx, &call.scope, &name, put))
            .await;
        written.map_err(failed)?.map_err(refused)
    }

    async fn delete_manifest(
        &self,
        caller: &Caller,
        repository: &str,
        wanted: &ManifestRef,
    ) -> Result<bool, RegistryError> {
        let (call, name, wanted) = (caller.call.clone(), repository.to_owned(), reference(wanted));
        let deleted = self.engine.write(move |tx| -> Result<bool, ApiError> {
            match wanted {
                Reference::Tag(tag) => Ok(honmaru_ecr::untag_image(tx, &call.scope, &name, &tag)),
                Reference::Digest(digest) => match honmaru_ecr::delete_image(tx, &call.scope, &name, &digest) {
                    Ok(()) => Ok(true),
                    Err(honmaru_ecr::DeleteProblem::NotFound) => Ok(false),
                    Err(honmaru_ecr::DeleteProblem::InIndex { parents }) => {
                        let message = format!("the image is named by the index {}", parents.join(", "));
                        Err(ApiError::new("AccessDeniedException", message))
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
        let (tags, more) = self
            .look(|state| honmaru_ecr::tags_page(state, &caller.call.scope, repository, last, n))
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
        self.look(|state| {
            honmaru_ecr::referrers(state, &caller.call.scope, repository, &digest)
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
        let found = self
            .look(|state| honmaru_ecr::upstream_of(state, &caller.call.scope, repository))
            .await?;
        // Until there is a store of secrets, upstreams are asked without credentials.
        Ok(found.map(|upstream| Upstream {
            repository: upstream.repository,
            credentials: None,
        }))
    }

    async fn are_live(&self, digests: &[Digest]) -> Result<Vec<bool>, RegistryError> {
        let digests: Vec<String> = digests.iter().map(ToString::to_string).collect();
        self.look(|state| honmaru_ecr::are_live(state, digests.iter().map(String::as_str)))
            .await
    }
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
