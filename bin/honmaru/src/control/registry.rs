//! The registry behind `/v2/`: the store, its housekeeping, and how a request is answered and recorded.
//! Who asks is `caller`'s to say; where the rows of ECR and the store meet is `rows`.

use super::audit::Head;
use super::http::AnswerBody;
use super::listener::Peer;
use super::patient::Patient;
use super::upstreams::Upstreams;
use super::{Control, ControlOptions, public};
use ::http::{Request, Response};
use honmaru_base::{ApiError, Clock};
use honmaru_ecr_public::Door;
use honmaru_engine::{Engine, SystemClock};
use honmaru_images::{BlobKey, BlobStore, StoreLimits};
use honmaru_machine::PrincipalKind;
use honmaru_registry::{ErrorCode, Freed, HousekeepingError, Registry, RegistryLimits};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::sync::Arc;
use std::time::{Duration, Instant};

mod caller;
mod record;
mod rows;

pub use caller::Caller;
pub(super) use caller::uploader;
use caller::{caller, layer_link};
use record::{Asked, Recording};
pub use rows::Rows;

/// How long a blob may lie between its upload and its manifest. Longer than any client waits.
const GARBAGE_GRACE: Duration = Duration::from_secs(3_600);

/// How long a layer of a nearly full store waits for its manifest: as long as one that nobody has linked.
const LAYER_WAIT_S_SHORT: i64 = 3_600;

/// The registry and its store.
pub struct Front {
    registry: Registry<Rows>,
    /// One collection at a time.
    turn: tokio::sync::Mutex<()>,
}

impl Front {
    /// Opens the store.
    pub fn open(options: &ControlOptions, engine: &Engine, upstreams: &Arc<Upstreams>) -> anyhow::Result<Self> {
        let limits = StoreLimits {
            total_bytes_max: options.registry_bytes_max,
            ..StoreLimits::default()
        };
        let key = BlobKey::at(&options.dirs.blob_key());
        let store = BlobStore::open_encrypted(&options.dirs.images(), limits, key)?;
        let rows = Rows {
            engine: engine.clone(),
            upstreams: upstreams.clone(),
        };
        let remotes = upstreams.remotes();
        Ok(Self {
            registry: Registry::new(store, rows, RegistryLimits::default(), remotes),
            turn: tokio::sync::Mutex::new(()),
        })
    }

    /// The store of blobs.
    pub fn store(&self) -> &BlobStore {
        self.registry.store()
    }

    /// What the operator's commands ask.
    pub fn registry(&self) -> &Registry<Rows> {
        &self.registry
    }

    /// A collection that the operator asked for; waits for one that is under way.
    pub async fn collect_now(
        &self,
        engine: &Engine,
        grace: Duration,
        idle: Duration,
    ) -> Result<Freed, HousekeepingError> {
        let _turn = self.turn.lock().await;
        let wait_s = i64::try_from(grace.as_secs()).unwrap_or(i64::MAX);
        // Nobody is told of it: what an engine that has stopped did not give up stays.
        while let Ok(Ok(1..)) = engine
            .write(move |tx| Ok::<_, ApiError>(honmaru_ecr::give_up_left_layers(tx, wait_s)))
            .await
        {}
        self.registry.collect_and_count(grace, idle).await
    }

    /// On a store that is nearly full layers wait no longer for their manifest than any client does: not for a day.
    pub async fn make_room(&self, engine: &Engine) {
        if !self.store().room().is_ok_and(|room| room.is_short()) {
            return;
        }
        let given_up = engine.write(|tx| Ok::<_, ApiError>(honmaru_ecr::give_up_layers(tx, LAYER_WAIT_S_SHORT)));
        if let Ok(Ok(layers @ 1..)) = given_up.await {
            tracing::info!(
                layers,
                "the registry's store is nearly full: layers that no manifest names are given up"
            );
        }
    }

    /// Removes what no repository needs. Pushes and pulls go on.
    pub async fn collect_garbage(&self) {
        let _turn = self.turn.lock().await;
        match self.registry.collect(GARBAGE_GRACE, GARBAGE_GRACE).await {
            Ok(collected) => tracing::info!(?collected, "collected the registry's garbage"),
            Err(error) => tracing::warn!(err = %honmaru_base::chain(&error), "the registry's garbage stays"),
        }
    }
}

/// Answers a request under `/v2`.
pub async fn handle(control: &Arc<Control>, request: Request<Patient<Incoming>>, peer: Peer) -> Response<AnswerBody> {
    let (at, began) = (SystemClock.now(), Instant::now());
    let head = Head::of(request.method(), request.uri().path(), request.headers(), peer);
    let asked = Asked::of(&request);
    let host = public::host_of(request.headers(), request.uri());
    let known = match layer_link(control, &request, peer).await {
        Some(caller) => Ok(caller),
        None => caller(control, &request, peer).await,
    };
    let (answer, call, place) = match known {
        Ok(caller) => {
            let (call, is_link) = (caller.call.clone(), caller.is_link);
            let place = asked.repository.as_deref().map(|name| caller.place(name));
            let answer = control.registry.registry.handle(request, caller).await;
            (answer, Some((call, is_link)), place)
        }
        Err(message) => {
            let scheme = if peer.secure { "https" } else { "http" };
            let realm = format!("{scheme}://{}/", control.options.listen);
            let mut answer = honmaru_registry::unauthorized(&realm, "ecr.amazonaws.com", &message);
            if public::door(&host) == Some(Door::Host) {
                public::challenge(answer.headers_mut(), &host, peer.secure);
            }
            (answer, None, None)
        }
    };
    let status = answer.status();
    let code = answer.extensions().get::<ErrorCode>().map(|code| code.text());
    // Strangers read public repositories as often as they like: that is no call of anybody's, and may not fill the trail.
    let is_public_read = status.as_u16() < 400
        && call
            .as_ref()
            .is_some_and(|(call, _)| call.principal.kind == PrincipalKind::Anonymous);
    let record = asked.record(control, head, call, place, (status.as_u16(), code), at);
    answer.map(|body| {
        let recording = Recording {
            body,
            began,
            record: Some((control.audit.clone(), Box::new(record))).filter(|_| !is_public_read),
        };
        recording.boxed()
    })
}
