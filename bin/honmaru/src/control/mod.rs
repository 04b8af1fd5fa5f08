//! The role `control`: the AWS endpoint, the registry, the engine, and the links to node and edge.
//!
//! It runs without privileges. When it is killed, containers keep running and edge keeps serving; what was
//! acknowledged is in the log.

mod accesses;
mod api;
mod audit;
mod bootstrap;
mod caller;
mod container_logs;
mod edge_link;
mod events;
mod exec;
mod full;
mod housekeeping;
mod http;
mod insights;
mod issuers;
mod janitor;
mod kept;
mod key_uses;
mod layers;
mod link;
mod listener;
mod node_link;
mod pace;
mod passwords;
mod patient;
mod planes;
mod provision;
mod public;
mod ranges;
mod registry;
mod replicas;
mod samples;
mod scopes;
mod session_log;
mod tails;
mod task_credentials;
mod tls;
mod upstreams;

pub use audit::{Bounds as AuditBounds, DAYS_DEFAULT as AUDIT_DAYS_DEFAULT, MIB_DEFAULT as AUDIT_MIB_DEFAULT};
pub use replicas::rewrite as rewrite_replicas;
pub use tls::{TlsFiles, acceptor as tls_acceptor};
pub use upstreams::check as check_upstream_secrets;

use crate::dirs::Dirs;
use crate::lock;
use crate::sockets::Keeper;
use anyhow::{Context, bail};
use honmaru_base::{AccountId, Region};
use honmaru_edge::KeptSockets as _;
use honmaru_engine::{Engine, EngineConfig, SystemClock, system_rng};
use honmaru_identity::{KeyCache, Sealer};
use honmaru_images::Loopback;
use honmaru_journal::Journal;
use honmaru_log::SqliteLog;
use honmaru_machine::{Operation, State};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// The options of the role.
#[derive(Debug, Clone)]
pub struct ControlOptions {
    /// The state directory.
    pub dirs: Dirs,
    /// Where the AWS endpoint listens.
    pub listen: SocketAddr,
    /// Where edge's shared entry listens; known here for messages only.
    pub http: SocketAddr,
    /// The same with TLS.
    pub https: Option<SocketAddr>,
    /// The default account.
    pub account: AccountId,
    /// The region of the first start.
    pub region: Region,
    /// Whether any credentials are accepted.
    pub dev: bool,
    /// The endpoint's certificate, if it speaks TLS too.
    pub tls: Option<TlsFiles>,
    /// What vouches for the endpoint's certificate: a PEM file that everybody can read.
    pub tls_ca: Option<PathBuf>,
    /// Further certificates to trust when the keys of OpenID Connect issuers are fetched: a PEM file.
    pub oidc_ca: Option<PathBuf>,
    /// How long the audit trail is.
    pub audit: AuditBounds,
    /// Further certificates to trust when images are pulled through: a PEM file.
    pub upstream_ca: Option<PathBuf>,
    /// What of this machine's loopback images may be pulled from.
    pub local_registries: Loopback,
    /// The secrets of pull through cache rules: a JSON file.
    pub upstream_secrets: Option<PathBuf>,
    /// The other clouds that images are replicated to: a JSON file.
    pub replicas: Option<PathBuf>,
    /// Bytes that all blobs of the registry may have together; nothing: as much as the disk holds.
    pub registry_bytes_max: Option<u64>,
    /// Seconds between two performance log events of Container Insights.
    pub insights_seconds: u32,
}

impl ControlOptions {
    /// Milliseconds between two performance log events of Container Insights; at least a second.
    pub(crate) fn insights_interval_ms(&self) -> u64 {
        u64::from(self.insights_seconds.max(1)) * 1_000
    }
}

/// Everything that the parts of control share.
pub struct Control {
    pub(crate) options: ControlOptions,
    pub(crate) engine: Engine,
    pub(crate) operations: HashMap<&'static str, HashMap<&'static str, Operation>>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) tails: Arc<tails::Tails>,
    pub(crate) sealer: Sealer,
    pub(crate) keys: KeyCache,
    pub(crate) execs: exec::Execs,
    pub(crate) samples: Arc<samples::Samplers>,
    pub(crate) registry: registry::Front,
    pub(crate) replicas: replicas::Replicas,
    pub(crate) scopes: scopes::KnownScopes,
    pub(crate) audit: Arc<audit::Audit>,
    pub(crate) home: audit::Home,
    pub(crate) key_uses: key_uses::KeyUses,
    pub(crate) issuers: issuers::Issuers,
}

/// Runs what every change wakes as a task: this future has a thread of its own, which would be woken from its sleep each time.
async fn in_background(work: impl Future<Output = ()> + Send + 'static) {
    if let Err(failed) = tokio::spawn(work).await
        && let Ok(panic) = failed.try_into_panic()
    {
        std::panic::resume_unwind(panic);
    }
}

/// Runs the role until SIGTERM.
pub async fn run(options: ControlOptions, me: lock::Holder) -> anyhow::Result<()> {
    if options.dev && !options.listen.ip().is_loopback() {
        bail!(
            "`--dev` accepts any credentials and must not listen on {}\nhint: listen on loopback, or leave `--dev` away",
            options.listen
        );
    }
    let _lock = match lock::take(&options.dirs.lock("control"), &me)? {
        Ok(lock) => lock,
        Err(holder) => bail!("control already runs for this state directory: {holder:?}"),
    };
    let tls = options.tls.as_ref().map(tls::acceptor).transpose()?;
    let keeper = Keeper::start(options.dirs.sockets_line()).context("failed to start a thread")?;
    let listener = http::bind(&keeper, options.listen)?;
    keeper.settle();
    let log = SqliteLog::open(&options.dirs.control().join("log.db")).context("failed to open the log")?;
    let mut state = State::new();
    honmaru_cloud::register_all(&mut state);
    let engine = Engine::open(EngineConfig {
        log: Arc::new(log),
        state,
        reconcilers: honmaru_cloud::reconcilers(),
        clock: Arc::new(SystemClock),
        rng: system_rng(),
        on_failure: Box::new(|error| {
            tracing::error!(err = %honmaru_base::chain(&error), "the log failed; control ends and starts afresh");
            std::process::exit(70);
        }),
    })
    .context("failed to rebuild the state from the log")?;
    let journal = Arc::new(Journal::open(&options.dirs.control().join("journal"))?);
    let bootstrap = bootstrap::run(&engine, &options).await?;
    let samples = Arc::new(samples::Samplers::default());
    let upstreams = Arc::new(upstreams::Upstreams::open(&options)?);
    let registry = registry::Front::open(&options, &engine, &upstreams)?;
    let replicas = replicas::Replicas::open(options.replicas.as_deref(), &engine).await?;
    let tails = Arc::new(tails::Tails::default());
    let events: Arc<dyn honmaru_logs::Events> = Arc::new(events::JournalEvents::new(
        engine.clone(),
        journal.clone(),
        tails.clone(),
    ));
    let audit = Arc::new(audit::Audit::open(
        &options.dirs.control().join("audit"),
        options.audit,
    )?);
    let operations = api::table(honmaru_cloud::services(honmaru_cloud::Planes {
        events,
        samples: Arc::new(samples::Asked(samples.clone())),
        layers: Arc::new(layers::StoredLayers::new(
            engine.clone(),
            registry.registry(),
            upstreams,
        )),
        trail: Arc::new(audit::Kept(audit.clone())),
        passwords: Arc::new(passwords::Hashing::new(engine.clone())),
    }));
    // Loading a model takes milliseconds: not in the first call's time.
    for service in operations.keys() {
        honmaru_wire::service(service);
    }
    let control = Arc::new(Control {
        operations,
        engine,
        journal,
        tails,
        sealer: bootstrap.sealer,
        keys: KeyCache::new(),
        execs: exec::Execs::default(),
        samples,
        registry,
        replicas,
        scopes: bootstrap.scopes,
        audit,
        home: audit::Home {
            account: options.account.clone(),
            region: options.region.clone(),
        },
        key_uses: key_uses::KeyUses::default(),
        issuers: issuers::Issuers::new(options.oidc_ca.clone(), options.dev),
        options,
    });
    let socket = control.options.dirs.planes_socket();
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let ending = async {
        terminate.recv().await;
        control.tails.end();
        if keeper.is_taken_over() {
            listener::End::Handover
        } else {
            listener::End::Last
        }
    };
    // The links to the planes go on while the endpoint ends: calls in flight may need them.
    let ended = tokio::select! {
        served = http::serve(control.clone(), listener, tls, ending, || keeper.leave()) => served,
        served = planes::serve(control.clone(), &socket) => served,
        () = janitor::run(control.clone()) => Ok(()),
        () = key_uses::run(control.clone()) => Ok(()),
        () = accesses::run(control.clone()) => Ok(()),
        () = in_background(replicas::run(control.clone())) => Ok(()),
        () = in_background(provision::run(control.clone())) => Ok(()),
        () = insights::run(control.clone()) => Ok(()),
    };
    // What was answered is on its way to the trail: it gets there before the process ends.
    let _ = tokio::task::spawn_blocking(move || control.audit.finish()).await;
    ended
}
