//! The processes behind `honmaru up`: one role each.

use crate::control::{self, ControlOptions};
use crate::dirs::Dirs;
use crate::lock::{self, Holder};
use crate::log_filter::log_filter;
use crate::sockets::Keeper;
use crate::up::{SecureEntry, UpOptions, holder_of};
use crate::users::uid_of;
use anyhow::{Context, bail};
use honmaru_images::Loopback;
use std::future::Future;
use std::sync::Arc;

/// The arguments of a role's process.
#[derive(Debug, clap::Args)]
pub struct RoleArguments {
    /// `control`, `node` or `edge`
    role: String,
    #[command(flatten)]
    options: UpOptions,
}

/// Threads of a role at least.
const WORKERS_MIN: usize = 2;

/// Runs a role until SIGTERM.
pub fn run(arguments: RoleArguments) -> anyhow::Result<()> {
    let RoleArguments { role, options } = arguments;
    log_to_stderr(&role);
    let uid = nix::unistd::geteuid().as_raw();
    if uid != uid_of(&role) {
        bail!(
            "role `{role}` must run as user {}, not {uid}: `honmaru up` sees to that",
            uid_of(&role)
        );
    }
    raise_descriptor_limit();
    let dirs = Dirs::new(&options.state);
    let binary = std::env::current_exe().context("failed to find this binary")?;
    let me = holder_of(&role, &binary, &options, &dirs);
    // This cloud's own registries, the public one too, are everybody's.
    let local_registries = options.local_registries.and(options.listen.port());
    match role.as_str() {
        "control" => runtime(async move {
            let options = ControlOptions {
                dirs,
                listen: options.listen,
                http: options.http,
                https: options.https.and_then(SecureEntry::address),
                account: options.account,
                region: options.region,
                dev: options.dev,
                tls: options
                    .tls_cert
                    .zip(options.tls_key)
                    .map(|(cert, key)| control::TlsFiles { cert, key }),
                oidc_ca: options.oidc_ca,
                tls_ca: options.tls_ca,
                audit: control::AuditBounds {
                    days: options.audit_days,
                    bytes_max: u64::from(options.audit_mib) << 20,
                },
                upstream_ca: options.upstream_ca,
                local_registries,
                upstream_secrets: options.upstream_secrets,
                replicas: options.replicas,
                registry_bytes_max: options.registry_bytes_max.map(|size| size.0),
                insights_seconds: options.insights_seconds,
            };
            control::run(options, me).await
        }),
        "node" => runtime(async move {
            let _lock = taken(&dirs, &role, &me)?;
            Ok(honmaru_node::run(node_config(&dirs, local_registries), terminated()?).await?)
        }),
        "edge" => runtime(async move {
            let _lock = taken(&dirs, &role, &me)?;
            let config = honmaru_edge::EdgeRunConfig {
                state_dir: dirs.state().to_owned(),
                planes_socket: Some(dirs.planes_socket()),
                entry: honmaru_edge::EntryAddresses {
                    http: Some(options.http),
                    https: options.https.and_then(SecureEntry::address),
                },
                name: host_name(),
                kept: Arc::new(Keeper::start(dirs.sockets_line())?),
            };
            Ok(honmaru_edge::run(config, terminated()?).await?)
        }),
        other => bail!("there is no role `{other}`: control, node and edge are"),
    }
}

fn taken(dirs: &Dirs, role: &str, me: &Holder) -> anyhow::Result<lock::RoleLock> {
    match lock::take(&dirs.lock(role), me)? {
        Ok(lock) => Ok(lock),
        Err(holder) => bail!("role `{role}` already runs for this state directory: {holder:?}"),
    }
}

/// Runs a role on as many threads as there are processors, and on two at least: work that takes a while on one of them
/// shall not hold up everybody.
fn runtime(role: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(processors.max(WORKERS_MIN))
        .enable_all()
        .build()
        .context("failed to start the runtime")?
        .block_on(role)
}

/// Resolves at SIGTERM.
fn terminated() -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    Ok(async move {
        terminate.recv().await;
    })
}

fn host_name() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    name.unwrap_or_else(|| "localhost".to_owned())
}

/// What the agent of a state directory needs to know.
pub fn node_config(dirs: &Dirs, local_registries: Loopback) -> honmaru_node::NodeConfig {
    honmaru_node::NodeConfig {
        state_dir: dirs.state().to_owned(),
        socket: dirs.planes_socket(),
        blob_key: dirs.blob_key(),
        name: host_name(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        control_uid: uid_of("control"),
        local_registries,
    }
}

/// The soft limit of open files up to the hard one: every connection and every task needs some.
pub fn raise_descriptor_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // Without it there are fewer places, and nothing else.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

fn log_to_stderr(role: &str) {
    tracing_subscriber::fmt()
        .with_env_filter(log_filter("info"))
        .with_writer(std::io::stderr)
        .with_ansi(false)
        // It would tell on standard error that this cannot be written, and panic: a full disk would end the role.
        .log_internal_errors(false)
        .init();
    tracing::info!(role, version = env!("CARGO_PKG_VERSION"), "a role starts");
}
