//! Who asks the registry: by a token, by a link to one layer, by name only, or as the cloud itself for a task.

use crate::control::listener::Peer;
use crate::control::{Control, caller, public};
use ::http::{Method, Request, header};
use honmaru_base::{ApiError, Clock, Scope};
use honmaru_ecr_public::Door;
use honmaru_engine::SystemClock;
use honmaru_identity::ProtocolFamily;
use honmaru_images::Uploader;
use honmaru_machine::{Access, Call, Principal, PrincipalKind, State};
use std::sync::Arc;

/// What is known of a request to the registry.
#[derive(Clone)]
pub struct Caller {
    pub(super) call: Arc<Call>,
    /// Whether a link stands for the caller, who is somebody that nobody knows.
    pub(super) is_link: bool,
    /// Whether the permission was given before: policies are not asked again.
    pub(super) is_admitted: bool,
    /// By which door the request came, where it may be one to a public repository.
    pub(super) door: Option<Door>,
}

impl Caller {
    /// The account itself, as whose tasks pull from its registry. Whether their role may is asked before.
    pub(in crate::control) fn of_task(scope: &Scope) -> Self {
        let call = Call {
            principal: caller::root_of(scope.account.clone(), ""),
            scope: scope.clone(),
            request_id: crate::control::api::request_id(),
            now: SystemClock.now(),
            source_ip: None,
            user_agent: String::new(),
            referer: String::new(),
            host: String::new(),
            secure: false,
        };
        Self {
            call: Arc::new(call),
            is_link: false,
            is_admitted: true,
            door: None,
        }
    }

    /// Whoever called the API, in the registry that the call is about.
    pub(in crate::control) fn of_call(call: Call) -> Self {
        Self {
            call: Arc::new(call),
            is_link: false,
            is_admitted: false,
            door: None,
        }
    }

    /// Whether policies allow something.
    pub(super) fn check(&self, state: &State, accesses: &[Access]) -> Result<(), ApiError> {
        if self.is_admitted {
            return Ok(());
        }
        honmaru_iam::authorize(state, &self.call, accesses, ProtocolFamily::Json)
    }

    /// Where a repository's rows lie: in the registry that the caller addressed, or in an account's public one.
    pub(super) fn place(&self, repository: &str) -> Place {
        let scope = self.call.scope.clone();
        let place = |scope, name: &str, is_public| Place {
            scope,
            name: name.to_owned(),
            is_public,
        };
        match (self.door, self.door.and_then(|door| door.open(repository))) {
            (_, Some(space)) => place(space.scope, space.name, true),
            // The public registries' host has no others: nobody's repository has such a name there.
            (Some(Door::Host), None) => place(scope.global(), repository, true),
            (_, None) => place(scope, repository, false),
        }
    }
}

/// Where a repository's rows lie.
pub(super) struct Place {
    pub(super) scope: Scope,
    pub(super) name: String,
    pub(super) is_public: bool,
}

/// Whoever holds a link of GetDownloadUrlForLayer: it opens one blob of one repository, for reading only.
pub(super) async fn layer_link<B>(control: &Arc<Control>, request: &Request<B>, peer: Peer) -> Option<Caller> {
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
        request_id: crate::control::api::request_id(),
        now,
        source_ip: Some(peer.address.ip()),
        user_agent: String::new(),
        referer: String::new(),
        host: String::new(),
        secure: peer.secure,
    };
    Some(Caller {
        call: Arc::new(call),
        is_link: true,
        is_admitted: true,
        door: None,
    })
}

/// Who asks: `Basic` with the token of GetAuthorizationToken, or `Bearer` with the token itself.
pub(super) async fn caller<B>(control: &Arc<Control>, request: &Request<B>, peer: Peer) -> Result<Caller, String> {
    let text = |name| {
        request
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    };
    let host = public::host_of(request.headers(), request.uri());
    let door = public::door(&host);
    let is_public = public::is_public(door, request.uri().path());
    let authorization = text(header::AUTHORIZATION);
    let now = SystemClock.now();
    let nobody = || Err("no basic auth credentials".to_owned());
    let principal: Principal = if !public::has_credentials(&authorization) {
        match door {
            _ if control.options.dev => caller::root_of(control.options.account.clone(), ""),
            // By name everybody may read; on their own host public registries ask for a token first, as AWS's do.
            Some(Door::Path) if is_public => caller::anonymous(control),
            _ => return nobody(),
        }
    } else {
        let checked = control
            .engine
            .read(|state| honmaru_cloud::registry_caller(state, &authorization, now))
            .await;
        match checked.map_err(|error| error.to_string())? {
            // A token that everybody gets opens public repositories only, whatever a private one's policy says.
            Ok(principal) if principal.kind == PrincipalKind::Anonymous && !is_public => return nobody(),
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
        request_id: crate::control::api::request_id(),
        now,
        source_ip: Some(peer.address.ip()),
        user_agent: text(header::USER_AGENT),
        referer: text(header::REFERER),
        host,
        secure: peer.secure,
    };
    Ok(Caller {
        call: Arc::new(call),
        is_link: false,
        is_admitted: false,
        door,
    })
}

/// In whose name uploads count: a user's, or a role's, whatever its sessions are called.
pub(in crate::control) fn uploader(principal: &Principal) -> Uploader {
    let id = principal.user_id.split(':').next().unwrap_or_default();
    Uploader::new(principal.account.as_str(), id)
}
