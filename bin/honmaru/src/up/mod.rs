//! `honmaru up`: makes the state directory, starts or adopts the three roles, and keeps them running.
//!
//! It holds nothing that they need, but second descriptors of their listening sockets (`crate::sockets`): it may be
//! killed at any moment, and a new `up` adopts what runs. When it is
//! asked to end (Ctrl-C, SIGTERM) it ends the roles too; containers keep running until `honmaru destroy`.

mod certificate;
mod ports;
mod privileges;
mod role;
mod rooms;
mod secure_entry;
mod supervise;

pub use role::{ROLES, SUPERVISOR};
pub use rooms::prepare;
pub use secure_entry::SecureEntry;
pub use supervise::{holder_of, stop_all, stop_roles, supervise};

use crate::control::{AUDIT_DAYS_DEFAULT, AUDIT_MIB_DEFAULT};
use crate::dirs::Dirs;
use crate::log_filter::log_filter;
use crate::sockets::{KEPT_MAX, Store};
use crate::units::ByteSize;
use anyhow::{Context, bail};
use honmaru_base::{AccountId, Region};
use honmaru_images::Loopback;
use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long the endpoint may take for its first answer.
const READY_TIMEOUT: Duration = Duration::from_secs(30);
/// A role that ends so often with an error before its first answer will not give one.
const ENDS_MAX: usize = 3;

/// The options of `honmaru up`, all of which the roles get.
#[derive(Debug, Clone, clap::Args)]
pub struct UpOptions {
    /// The directory that holds everything of this cloud
    #[arg(long, env = "HONMARU_STATE", value_name = "DIR", default_value = "/var/lib/honmaru")]
    pub state: PathBuf,
    /// Where the AWS endpoint and the registry listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4566")]
    pub listen: SocketAddr,
    /// Where the shared entry of all load balancers listens: `http://<name>.localhost:<port>`
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub http: SocketAddr,
    /// Where it speaks TLS, for load balancers that have a certificate: `https://<name>:<port>`; `none`: nowhere
    /// [default: 127.0.0.1:8443, if that is free]
    #[arg(long, value_name = "ADDRESS")]
    pub https: Option<SecureEntry>,
    /// The default account: twelve digits
    #[arg(long, env = "HONMARU_ACCOUNT_ID", default_value = "000000000000")]
    pub account: AccountId,
    /// The region of the first start
    #[arg(long, env = "AWS_REGION", default_value = "us-east-1")]
    pub region: Region,
    /// Accept any credentials, on loopback only: for tests that bring their own fake ones
    #[arg(long)]
    pub dev: bool,
    /// Speak TLS too on the endpoint's port, with this certificate chain (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The private key of `--tls-cert` (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Trust these certificates too (PEM) when the keys of OpenID Connect issuers are fetched
    #[arg(long, value_name = "FILE")]
    pub oidc_ca: Option<PathBuf>,
    /// Trust these certificates too (PEM) when images are pulled through from other registries
    #[arg(long, value_name = "FILE")]
    pub upstream_ca: Option<PathBuf>,
    /// Where on this machine's loopback tasks and mirrors may pull images from: at `any` port, at `none`, or at these
    /// (`5000,5001`)
    #[arg(long, value_name = "PORTS", default_value = "any")]
    pub local_registries: Loopback,
    /// The secrets that pull through cache rules name (JSON): `{"ecr-pullthroughcache/NAME": {"username": "...",
    /// "accessToken": "..."}}`
    #[arg(long, value_name = "FILE")]
    pub upstream_secrets: Option<PathBuf>,
    /// The clouds that images are replicated to (JSON): `{"REGION/ACCOUNT": {"endpoint": "https://HOST:4566",
    /// "accessKeyId": "...", "secretAccessKey": "...", "ca": "FILE, if the system does not trust it"}}`
    #[arg(long, value_name = "FILE")]
    pub replicas: Option<PathBuf>,
    /// The certificates (PEM) with which clients trust `--tls-cert`, if neither it nor this system's do
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_ca: Option<PathBuf>,
    /// Keep the audit trail for so many days
    #[arg(long, value_name = "DAYS", default_value_t = AUDIT_DAYS_DEFAULT,
          value_parser = clap::value_parser!(u32).range(1..=3_650))]
    pub audit_days: u32,
    /// Keep no more of the audit trail than so many MiB; the oldest records go first
    #[arg(long, value_name = "MIB", default_value_t = AUDIT_MIB_DEFAULT,
          value_parser = clap::value_parser!(u32).range(64..=1_048_576))]
    pub audit_mib: u32,
    /// Refuse pushes once all blobs of the registry together have so many bytes, for example `50GiB`
    #[arg(long, value_name = "SIZE")]
    pub registry_bytes_max: Option<ByteSize>,
    /// Write the performance log events of Container Insights every so many seconds; AWS does once a minute
    #[arg(long, value_name = "SECONDS", default_value_t = 60,
          value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub insights_seconds: u32,
}

/// Runs the cloud until Ctrl-C or SIGTERM.
pub fn run(options: UpOptions) -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(log_filter("warn"))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()))
        .without_time()
        // See `log_to_stderr` of the roles: a log that cannot be written ends nothing.
        .log_internal_errors(false)
        .init();
    let started = Instant::now();
    let dirs = Dirs::new(&options.state);
    if nix::unistd::geteuid().is_root() && !dirs.locks().is_dir() {
        // Of a cloud that cannot start nothing shall be left.
        ports::check_free(options.listen, "--listen")?;
        ports::check_free(options.http, "--http")?;
        if let Some(SecureEntry::At(address)) = options.https {
            secure_entry::check(&options, address, None)?;
        }
    }
    let binary = prepare(&dirs)?;
    // Once more: the directory exists now, and its links can be resolved.
    let dirs = Dirs::new(&options.state);
    let options = certificate::install(options, &dirs)?;
    let me = holder_of(SUPERVISOR, &binary, &options, &dirs);
    let _lock = match crate::lock::take(&dirs.lock(SUPERVISOR), &me)? {
        Ok(lock) => lock,
        Err(holder) => bail!(
            "`honmaru up` already runs for `{}`{}\nhint: end it with Ctrl-C or SIGTERM first; containers keep running",
            dirs.state().display(),
            holder
                .map(|holder| format!(" (pid {})", holder.pid))
                .unwrap_or_default()
        ),
    };
    if options.dev && !options.listen.ip().is_loopback() {
        bail!(
            "`--dev` accepts any credentials and must not listen on {}\nhint: listen on loopback, or leave `--dev` away",
            options.listen
        );
    }
    for (role, address, option) in [
        ("control", options.listen, "--listen"),
        ("edge", options.http, "--http"),
    ] {
        // A role that runs already has its port itself.
        if crate::lock::holder(&dirs.lock(role)).is_none() {
            ports::check_free(address, option)?;
        }
    }
    let https = secure_entry::decide(&options, crate::lock::holder(&dirs.lock("edge")).as_ref())?;
    let options = UpOptions {
        https: Some(https),
        ..options
    };
    // For second descriptors of the roles' sockets.
    crate::roles::raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let sockets = Store::open(&dirs.sockets_line(), KEPT_MAX);
        let sockets = match sockets {
            Err(error) if rooms::is_full(dirs.state()) => Err(error).with_context(|| {
                format!(
                    "there is no space left on the disk of {}\nhint: make room and start it again; containers keep running",
                    dirs.state().display()
                )
            }),
            sockets => sockets,
        }?;
        let mut interrupt = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?;
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        let [control, node, edge] = ROLES;
        let log_bytes = std::fs::metadata(control_log(&dirs)).map_or(0, |found| found.len());
        let ready = async {
            wait_ready(&options, &dirs, log_bytes).await?;
            announce(&options, &dirs, started.elapsed());
            std::future::pending::<anyhow::Result<()>>().await
        };
        let ended = tokio::select! {
            ended = supervise(control, &binary, &options, &dirs, &sockets) => ended,
            ended = supervise(node, &binary, &options, &dirs, &sockets) => ended,
            ended = supervise(edge, &binary, &options, &dirs, &sockets) => ended,
            () = sockets.serve() => Ok(()),
            ended = ready => ended,
            _ = interrupt.recv() => Ok(()),
            _ = terminate.recv() => Ok(()),
        };
        // Where nobody can read it, the roles end all the same.
        let _ = writeln!(
            std::io::stderr(),
            "stopping; containers keep running: `honmaru up` adopts them, `honmaru destroy` removes them"
        );
        // First of all: a connection that comes now is refused, and does not wait for roles that are not started again.
        sockets.close().await;
        stop_roles(&dirs).await?;
        ended
    })
}

fn control_log(dirs: &Dirs) -> PathBuf {
    dirs.logs().join("control.log")
}

/// Why `control` does not stay, once it has ended so often that it will not: its last word since the log had that size.
fn why_it_ends(dirs: &Dirs, log_bytes: u64) -> Option<String> {
    let log = std::fs::read(control_log(dirs)).ok()?;
    let since = log.get(usize::try_from(log_bytes).ok()?..)?;
    let since = String::from_utf8_lossy(since);
    let said: Vec<&str> = since.lines().filter_map(|line| line.strip_prefix("error: ")).collect();
    said.last()
        .filter(|_| said.len() >= ENDS_MAX)
        .map(|said| (*said).to_owned())
}

/// Waits until the endpoint answers. A `control` that cannot start says why.
async fn wait_ready(options: &UpOptions, dirs: &Dirs, log_bytes: u64) -> anyhow::Result<()> {
    let deadline = Instant::now() + READY_TIMEOUT;
    loop {
        if health(options).await.is_ok() {
            return Ok(());
        }
        if let Some(said) = why_it_ends(dirs, log_bytes) {
            let state = dirs.state().display();
            let log = control_log(dirs);
            let log = log.display();
            if rooms::is_full(dirs.state()) {
                bail!(
                    "the role `control` cannot start, there is no space left on the disk of {state}: {said}\nhint: make \
                     room and start it again; containers keep running, and all of its words are in {log}"
                );
            }
            bail!(
                "the role `control` cannot start: {said}\nhint: put {state} back from a backup, or remove the cloud with \
                 `honmaru destroy --state {state}` and begin anew; all of its words are in {log}"
            );
        }
        if Instant::now() > deadline {
            let path = dirs.logs().join("control.log");
            let log = std::fs::read_to_string(&path).unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(5).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            bail!(
                "the endpoint did not answer on {}; {} ends with:\n{}",
                options.listen,
                path.display(),
                tail.join("\n")
            );
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn health(options: &UpOptions) -> anyhow::Result<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(options.listen).await?;
    stream
        .write_all(b"GET /_honmaru/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await?;
    let mut answer = Vec::new();
    tokio::time::timeout(Duration::from_secs(1), stream.read_to_end(&mut answer))
        .await
        .context("no answer")??;
    if answer.starts_with(b"HTTP/1.1 200") {
        Ok(())
    } else {
        bail!("the endpoint is not healthy")
    }
}

fn announce(options: &UpOptions, dirs: &Dirs, took: Duration) {
    let state = if dirs.state() == std::path::Path::new("/var/lib/honmaru") {
        String::new()
    } else {
        format!(" --state {}", dirs.state().display())
    };
    say!("honmaru is up in {:.2} s", took.as_secs_f64());
    say!("  AWS endpoint   http://{}", options.listen);
    let chain = options.tls_cert.as_deref().map(crate::trust::certificates);
    if let Some(Ok(chain)) = chain {
        let host = crate::trust::host_for(&chain, options.listen);
        let host = host.unwrap_or_else(|| options.listen.ip().to_string());
        say!("                 https://{host}:{}", options.listen.port());
    }
    say!(
        "  registry       {}/<name>",
        options.listen.to_string().replace("127.0.0.1", "localhost")
    );
    say!("  your apps      http://<name>.localhost:{}", options.http.port());
    if let Some(SecureEntry::At(address)) = options.https {
        say!(
            "                 https://<name>:{}, with the names of their certificates",
            address.port()
        );
    }
    say!("  state          {}", dirs.state().display());
    if options.dev {
        say!("  development    any credentials are accepted");
    }
    say!("next: eval \"$(honmaru env{state})\" and use the aws CLI, or `honmaru deploy{state} DIR`");
}
