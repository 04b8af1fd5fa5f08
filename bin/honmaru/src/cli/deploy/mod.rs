//! `honmaru deploy`: from a directory to a service that answers. Every step may be repeated: it makes what is missing
//! and leaves alone what is right.

mod balancer;
mod defaults;
mod definition;
mod firewall;
mod https;
mod image;
pub mod kept;
mod manifest;
mod network;
mod roles;
mod service;
mod tags;
mod walls;

pub use balancer::{find as find_balancer, find_target_group, listeners};
pub use definition::{VersionFacts, version_facts};
pub use firewall::find as find_web_acl;
pub use https::{Served, served};
pub use manifest::{COUNT_MAX, GRACE_DEFAULT_S};
pub use network::find_group;
pub use tags::upper as upper_tags;

use super::app::{App, CLUSTER};
use super::certificate::{self, end_words};
use super::client::{Client, ECS, HttpAnswer, LOGS, code_of, get, get_shown, get_shown_to};
use super::connection::Connection;
use super::failure::Failure;
use super::observed;
use super::progress::{Progress, seconds};
use super::rollout::{self, Goal, Watched};
use super::secure_entry::AtEntry;
use anyhow::bail;
use definition::Made;
use honmaru_base::Clock;
use honmaru_engine::SystemClock;
use honmaru_responsibility::looks_secret;
use https::Https;
use manifest::{HEALTH_PATH_DEFAULT, Plan};
use serde_json::json;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What is checked where an app that was never well does not know the default path.
const HEALTH_PATH_OTHER: &str = "/";
/// The first request through the entry is repeated that long: the edge may still take its last configuration in.
const FIRST_ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const FIRST_ANSWER_PAUSE: Duration = Duration::from_millis(50);
/// Ref: RFC 9110, 15.5.20.
const MISDIRECTED: u16 = 421;

/// The options of `honmaru deploy`. What they leave open `honmaru.toml` in the directory says.
#[derive(Debug, clap::Args)]
pub struct DeployOptions {
    /// The directory with the Dockerfile
    #[arg(default_value = ".")]
    dir: PathBuf,
    #[command(flatten)]
    settings: manifest::Settings,
    /// Start new tasks even when nothing changed
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Deploys a directory.
pub async fn run(options: DeployOptions) -> anyhow::Result<()> {
    let started = Instant::now();
    let plan = Plan::make(&options.dir, &options.settings)?;
    let https = Https::check(&plan, SystemClock.now().as_ms())?;
    let client = options.connection.open()?;
    let progress = Progress::start();
    let deployed = deploy(&client, &options, &plan, &https, &progress).await;
    progress.end();
    let deployed = deployed?;
    let took = seconds(u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX));
    say!("{}", summary(&plan.app, &took, &deployed));
    let flags = options.connection.flags();
    let name = plan.app.name();
    if deployed.count == 0 {
        say!("next: `honmaru scale {name}{flags} 1`: it has no tasks");
    } else {
        say!("next: `honmaru logs {name}{flags} --follow`");
        if deployed.is_first {
            say!("      `sudo honmaru check {name}{flags}`: what is secured, and what is yours to secure");
        }
    }
    Ok(())
}

struct Deployed {
    healthy: u64,
    count: u64,
    /// Whether there was no service before.
    is_first: bool,
    /// Where it answers.
    urls: Vec<String>,
}

fn summary(app: &App, took: &str, deployed: &Deployed) -> String {
    let urls: String = deployed.urls.iter().map(|url| format!(", {url}")).collect();
    let (healthy, count) = (deployed.healthy, deployed.count);
    format!(
        "deployed `{}` in {took}: {healthy} of {count} tasks healthy{urls}",
        app.name()
    )
}

/// Where an app answers: HTTPS first, with the address to which a name must be led; HTTP only where it does not lead there.
fn urls(plain: Option<String>, secure: Option<&Served>, at_entry: Option<&AtEntry>) -> Vec<String> {
    let at = |url: String, address: Option<IpAddr>| match address {
        Some(address) => format!("{url} at {address}"),
        None => url,
    };
    let shared = at_entry.map(|entry| at(entry.url(), entry.address()));
    let own = secure.map(|served| at(served.url(), Some(served.address.into())));
    let plain = plain.filter(|_| secure.is_none_or(|served| !served.redirects));
    shared.into_iter().chain(own).chain(plain).collect()
}

async fn deploy(
    client: &Client,
    options: &DeployOptions,
    plan: &Plan,
    https: &Https,
    progress: &Progress,
) -> anyhow::Result<Deployed> {
    let app = &plan.app;
    if let Some(pair) = https.pair() {
        let step = progress.step("https");
        for warning in &pair.warnings {
            step.warn(warning);
        }
        step.done(&pair.sentence(SystemClock.now().as_ms()));
    }
    for (name, value) in &plan.env {
        if let Some(why) = looks_secret(name, value) {
            progress.warn(&format!(
                "the variable `{name}` {why}: whoever may describe task definitions reads it; let the app fetch it with its \
                 role, or from a file"
            ));
        }
    }
    let builder = image::Workshop::open(client, &options.connection.state)?;

    let step = progress.step("build");
    builder
        .build(client, app, &plan.dir, &plan.build, &step, progress)
        .await?;
    step.done(&format!("image from `{}`", plan.shown_dir()));

    let step = progress.step("check");
    let target = plan.build.target.as_deref();
    let facts = builder.check(app, &plan.dir, plan.port, target, progress).await?;
    step.done(&facts.sentence());

    let step = progress.step("push");
    let pushed = builder.push(client, app, &step).await?;
    step.done(&pushed.short());

    let health = Health::of(client, plan).await?;
    let step = progress.step("resources");
    step.note("cluster, roles, logs, network, load balancer");
    let resources = resources(client, plan, facts.port, &health.path, https, progress).await?;
    step.done(&format!(
        "load balancer{}{}, security groups, roles, logs",
        if resources.secure.is_some() { " with HTTPS" } else { "" },
        if plan.waf { ", web ACL" } else { "" }
    ));

    let step = progress.step("roll out");
    let before = observed::service(client, app).await?;
    let now = definition::container_in_force(client, before.as_ref()).await?;
    let made = Made {
        port: facts.port,
        image: &pushed.image,
        roles: &resources.roles,
        health_path: &health.path,
        now: now.as_ref(),
    };
    let definition = definition::ensure(client, plan, &made, before.as_ref()).await?;
    let is_held = kept::keep_or_warn(client, app, &[&definition], progress).await;
    set_defaults(client, plan, &resources, &pushed.repository, is_held, progress).await?;
    let egress_before = match &plan.egress {
        Some(ways) => network::set_egress(client, &resources.network.task_group, ways).await?,
        None => None,
    };
    if let (Some(_), Some(ways)) = (&egress_before, &plan.egress) {
        tell(progress, &[network::egress_words(ways)]);
    }
    let request = service::Request {
        definition: &definition,
        resources: &resources,
        port: facts.port,
        count: plan.count,
        grace_s: plan.grace_s,
        force: options.force,
    };
    let group = &resources.network.task_group;
    let goal = match service::ensure(client, app, &request, before.as_ref()).await {
        Err(error) => {
            restore_egress(client, group, before.as_ref(), egress_before.as_ref()).await?;
            return Err(error);
        }
        goal => goal?,
    };
    // An app that has run well has a path that is right: another answer there is a fault of the new version.
    let has_run = before.iter().flat_map(|service| &service.deployments);
    let has_run = has_run
        .into_iter()
        .any(|deployment| deployment.rollout_state == "COMPLETED");
    let goal = Goal {
        may_lack_path: plan.health_path.is_none() && health.path == HEALTH_PATH_DEFAULT && !has_run,
        ..goal
    };
    let watched = match rollout::watch(client, app, &goal, &step).await {
        Ok(Watched::LacksPath) => {
            step.warn(&format!(
                "nothing is at `{HEALTH_PATH_DEFAULT}` (404), so `{HEALTH_PATH_OTHER}` is checked instead: \
                 `--health-path PATH` names a better one"
            ));
            balancer::set_health_path(client, &resources.target_group, HEALTH_PATH_OTHER).await?;
            let made = Made {
                health_path: HEALTH_PATH_OTHER,
                ..made
            };
            definition::correct(client, plan, &made, &definition).await?;
            let goal = Goal {
                may_lack_path: false,
                path_since_s: Some(SystemClock.now().as_epoch_s()),
                ..goal
            };
            rollout::watch(client, app, &goal, &step).await
        }
        watched => watched,
    };
    let rolled = match watched {
        Ok(Watched::Done(rolled)) => rolled,
        // Asked for once, it comes once.
        Ok(Watched::LacksPath) => bail!("`{}` is not there", health.path),
        Err(error) => {
            // The old version is judged by its own path again, or it would be taken for ill.
            if let (Some(_), Some(path)) = (&before, health.before.filter(|path| *path != health.path)) {
                balancer::set_health_path(client, &resources.target_group, &path).await?;
            }
            restore_egress(client, group, before.as_ref(), egress_before.as_ref()).await?;
            return Err(error);
        }
    };
    let health_path = balancer::health_path(client, app.name()).await?.unwrap_or(health.path);
    step.done(&format!("{} of {} tasks healthy", rolled.healthy, rolled.desired));
    network::forget_other_ports(client, &resources.network, facts.port).await?;
    if is_held {
        kept::keep_or_warn(client, app, &[], progress).await;
    }

    let url = app.url(client.entry.as_deref());
    let mut at_entry = resources.secure.as_ref().and_then(|served| served.at_entry.clone());
    if rolled.desired > 0
        && let (Some(entry), Some(url)) = (client.entry.as_deref(), url.as_deref())
    {
        let step = progress.step("answer");
        let host = app.host();
        let status = first_answer(app, url, &health_path, || get(entry, &host, &health_path)).await?;
        step.done(&format!("GET {url}{health_path} answers {status}"));
        if let Some(served) = &resources.secure {
            let step = progress.step("https");
            let (url, authority) = (served.url(), served.authority());
            let server = SocketAddr::from((served.address, served.port));
            let ask = || get_shown(server, &served.leaf, &authority, &health_path);
            let status = first_answer(app, &url, &health_path, ask).await?;
            step.done(&format!("GET {url}{health_path} answers {status} at {server}"));
            at_entry = match at_entry {
                Some(entry) => answers_at_entry(app, served, entry, &health_path, progress).await,
                None => None,
            };
        }
    }
    if https.pair().is_some()
        && let Some(served) = &resources.secure
    {
        https::forget(client, app, Some(&served.arn), progress).await?;
    }
    Ok(Deployed {
        healthy: rolled.healthy,
        count: rolled.desired,
        is_first: before.is_none(),
        urls: urls(url, resources.secure.as_ref(), at_entry.as_ref()),
    })
}

/// The shared entry, if the app answers there. Its certificate's name may be another load balancer's, too: the app is well
/// then, and its owner is told.
async fn answers_at_entry(
    app: &App,
    served: &Served,
    entry: AtEntry,
    path: &str,
    progress: &Progress,
) -> Option<AtEntry> {
    let step = progress.step("entry");
    let url = entry.url();
    let ask = async {
        // Another app may show the same certificate. The connection is this one's if its own name is served there.
        let own = get_shown_to(entry.server, &served.leaf, &entry.host, &app.host(), path).await?;
        match own.status {
            MISDIRECTED => Ok(own),
            _ => get_shown(entry.server, &served.leaf, &entry.authority(), path).await,
        }
    };
    let seen = match ask.await {
        Ok(answer) if answer.status != MISDIRECTED => {
            let at = entry.address().map(|_| format!(" at {}", entry.server));
            step.done(&format!(
                "GET {url}{path} answers {}{}",
                answer.status,
                at.unwrap_or_default()
            ));
            return Some(entry);
        }
        Ok(_) => "it is another one's".to_owned(),
        Err(error) => format!("{error:#}"),
    };
    step.warn(&format!(
        "{url} does not lead to the app ({seen}): of several load balancers whose certificates have a name, the oldest has \
         it; one that is tagged `honmaru:host-name=NAME` goes before"
    ));
    step.done("not there");
    None
}

/// The path of the health check, and the one that was in force before.
struct Health {
    path: String,
    before: Option<String>,
}

impl Health {
    /// What the plan says, else what is in force, else the default.
    async fn of(client: &Client, plan: &Plan) -> anyhow::Result<Self> {
        let before = balancer::health_path(client, plan.app.name()).await?;
        let path = plan.health_path.clone().or_else(|| before.clone());
        Ok(Self {
            path: path.unwrap_or_else(|| HEALTH_PATH_DEFAULT.to_owned()),
            before,
        })
    }
}

/// What the service needs beside its image.
pub(super) struct Resources {
    pub roles: roles::Roles,
    pub network: network::Network,
    /// Whether the log group was made just now.
    pub has_new_logs: bool,
    /// The load balancer's ARN.
    pub balancer: String,
    pub target_group: String,
    /// HTTPS, where it is served.
    pub secure: Option<Served>,
}

async fn resources(
    client: &Client,
    plan: &Plan,
    port: u16,
    health_path: &str,
    https: &Https,
    progress: &Progress,
) -> anyhow::Result<Resources> {
    let app = &plan.app;
    // Three chains that do not need each other.
    let balanced = async {
        let network = network::ensure(client, app, port).await?;
        let balancer = balancer::ensure(client, plan, port, &network, health_path, progress).await?;
        if plan.waf {
            firewall::protect(client, app, &balancer.arn).await?;
        } else {
            firewall::unprotect(client, app, &balancer.arn, progress).await?;
        }
        https::ensure(client, app, https, &balancer, &network, progress).await?;
        let secure = served(client, app, &balancer.arn).await?;
        if let (Https::Kept, Some(served)) = (https, &secure) {
            kept(app, served, progress);
        }
        if let (Https::On(_), Some(served)) = (https, &secure) {
            led_astray(client, app, served, progress);
        }
        anyhow::Ok((network, balancer, secure))
    };
    let ((network, balancer, secure), roles, has_new_logs) =
        tokio::try_join!(balanced, roles::ensure(client, app), cluster_and_logs(client, app))?;
    Ok(Resources {
        roles,
        network,
        has_new_logs,
        balancer: balancer.arn,
        target_group: balancer.target_group,
        secure,
    })
}

/// Who comes by the app's usual name is led to HTTPS under that name, which the certificate may not have.
fn led_astray(client: &Client, app: &App, served: &Served, progress: &Progress) {
    if let (Some(url), Some(entry)) = (app.url(client.entry.as_deref()), &served.at_entry)
        && served.redirects
        && !served.facts.covers(&app.host())
    {
        progress.warn(&format!(
            "{url} leads to HTTPS now, and the certificate is not for `{}`: use {}, get one that is for both, or say \
             `--no-redirect`",
            app.host(),
            entry.url()
        ));
    }
}

/// The version before goes out by its own ways again.
async fn restore_egress(
    client: &Client,
    group: &str,
    service: Option<&observed::Service>,
    rules: Option<&network::Outgoing>,
) -> anyhow::Result<()> {
    match (service, rules) {
        (Some(_), Some(rules)) => network::restore_egress(client, group, rules).await,
        _ => Ok(()),
    }
}

/// What was set, said once.
fn tell(progress: &Progress, said: &[String]) {
    for line in said {
        progress.say(&format!("set: {line}"));
    }
}

/// The defaults of what is there by now. Whoever may deploy need not have the rights for them; what was asked for must be.
async fn set_defaults(
    client: &Client,
    plan: &Plan,
    made: &Resources,
    repository: &str,
    is_held: bool,
    progress: &Progress,
) -> anyhow::Result<()> {
    let logs = defaults::of_logs(client, plan, made.has_new_logs).await;
    let balancer = defaults::of_balancer(client, plan, &made.balancer).await;
    // A policy may only come where it cannot expire what runs.
    let repository = match is_held {
        true => defaults::of_repository(client, &plan.app, repository).await,
        false => Ok(Vec::new()),
    };
    for (part, is_asked) in [
        (logs, plan.log_days.is_some()),
        (balancer, plan.odd_headers.is_some()),
        (repository, false),
    ] {
        match part {
            Ok(said) => tell(progress, &said),
            Err(error) if is_asked => return Err(error),
            Err(error) => progress.warn(&format!("a default could not be set: {error:#}")),
        }
    }
    Ok(())
}

/// What to say of HTTPS when nothing was said of it.
fn kept(app: &App, served: &Served, progress: &Progress) {
    let (now_ms, ends_ms) = (SystemClock.now().as_ms(), served.facts.ends_ms);
    if certificate::ends_soon(ends_ms, now_ms) {
        progress.warn(&format!(
            "the certificate of `{}` {}: deploy with a renewed one (`--tls-cert FILE --tls-key FILE`)",
            app.name(),
            end_words(ends_ms, now_ms)
        ));
    }
}

/// Makes what is missing; whether the log group was.
async fn cluster_and_logs(client: &Client, app: &App) -> anyhow::Result<bool> {
    // CreateCluster of a name that exists answers with the cluster.
    client
        .call(ECS, "CreateCluster", json!({ "clusterName": CLUSTER }))
        .await?;
    let group = json!({ "logGroupName": app.log_group(), "tags": tags::as_map(app) });
    match client.call(LOGS, "CreateLogGroup", group).await {
        Ok(_) => Ok(true),
        Err(error) if code_of(&error) == Some("ResourceAlreadyExistsException") => Ok(false),
        Err(error) => Err(error),
    }
}

/// Lets an earlier version be reached again: its port, and the path of its health check.
pub async fn make_way(
    client: &Client,
    app: &App,
    service: &observed::Service,
    facts: &VersionFacts,
) -> anyhow::Result<()> {
    if let Some(port) = facts.port {
        network::open_port(client, app, port).await?;
    }
    if let (Some((group, _)), Some(path)) = (&service.target, &facts.health_path) {
        balancer::set_health_path(client, group, path).await?;
    }
    Ok(())
}

/// One real request through the load balancer, as a browser would make it.
async fn first_answer<F>(app: &App, url: &str, path: &str, ask: impl Fn() -> F) -> anyhow::Result<u16>
where
    F: Future<Output = anyhow::Result<HttpAnswer>>,
{
    let deadline = Instant::now() + FIRST_ANSWER_TIMEOUT;
    loop {
        match ask().await {
            Ok(answer) if answer.status < 500 && answer.status != 404 => return Ok(answer.status),
            answer if Instant::now() > deadline => {
                let seen = match answer {
                    Ok(answer) => format!("it answers {}", answer.status),
                    Err(error) => format!("{error:#}"),
                };
                return Err(Failure::new(format!(
                    "the tasks are healthy, but {url}{path} gives no good answer: {seen}"
                ))
                .hint(format!("`honmaru explain {}` shows the way of a request", app.name()))
                .into());
            }
            _ => tokio::time::sleep(FIRST_ANSWER_PAUSE).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_says_it_all() {
        let app: App = "hello".parse().expect("a name");
        let plain = app.url(Some("http://127.0.0.1:8080"));
        let said = |secure: Option<&Served>| {
            let at_entry = secure.and_then(|served| served.at_entry.as_ref());
            let deployed = Deployed {
                healthy: 2,
                count: 2,
                is_first: false,
                urls: urls(plain.clone(), secure, at_entry),
            };
            summary(&app, "14.2 s", &deployed)
        };
        let begin = "deployed `hello` in 14.2 s: 2 of 2 tasks healthy, ";
        assert_eq!(said(None), format!("{begin}http://hello.localhost:8080"));
        let at = |host: &str| AtEntry {
            host: host.to_owned(),
            server: ([127, 0, 0, 1], 8443).into(),
        };
        let served = |at_entry: Option<AtEntry>, redirects: bool| Served {
            leaf: Vec::new().into(),
            facts: certificate::Facts {
                names: vec!["hello.example.com".to_owned(), "hello.localhost".to_owned()],
                is_listed: true,
                issuer: "Test".to_owned(),
                is_own_issuer: false,
                begins_ms: 0,
                ends_ms: 0,
            },
            arn: String::new(),
            address: [172, 31, 0, 4].into(),
            port: 443,
            at_entry,
            redirects,
        };
        assert_eq!(
            said(Some(&served(Some(at("hello.localhost")), true))),
            format!("{begin}https://hello.localhost:8443, https://hello.example.com at 172.31.0.4")
        );
        assert_eq!(
            said(Some(&served(Some(at("hello.example.com")), false))),
            format!(
                "{begin}https://hello.example.com:8443 at 127.0.0.1, https://hello.example.com at 172.31.0.4, \
                 http://hello.localhost:8080"
            )
        );
        assert_eq!(
            said(Some(&served(None, true))),
            format!("{begin}https://hello.example.com at 172.31.0.4")
        );
    }
}
