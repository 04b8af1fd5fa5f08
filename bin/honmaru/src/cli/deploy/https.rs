//! HTTPS before an app: its certificate, the listener that serves with it, and the way there from HTTP.
//!
//! Nobody is cut off: a listener gets another certificate without being closed, and HTTP leads to HTTPS only once that is
//! there. What people have set otherwise stays: other actions of the listeners, other listeners.

use super::balancer::{Balancer, listeners};
use super::manifest::{Plan, Tls};
use super::network::{self, LISTENER_PORT, Network};
use super::tags;
use crate::cli::app::App;
use crate::cli::certificate::{self, Facts, Pair};
use crate::cli::client::{Client, EC2, ELBV2};
use crate::cli::failure::{Failure, Usage};
use crate::cli::progress::Progress;
use crate::cli::secure_entry::AtEntry;
use anyhow::Context;
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use std::path::Path;

/// TLS 1.2 and 1.3. Ref: ALB guide, "Security policies": what its console chooses; the API's own default has no TLS 1.3.
const SSL_POLICY: &str = "ELBSecurityPolicy-TLS13-1-2-2021-06";

/// What shall become of HTTPS, with what was read and checked for it.
#[derive(Debug)]
pub enum Https {
    /// It stays as it is.
    Kept,
    /// It goes.
    Off,
    /// It serves with this pair.
    On(Box<Serving>),
}

/// What shall be served.
#[derive(Debug)]
pub struct Serving {
    pair: Pair,
    port: u16,
    /// Whether HTTP leads there.
    redirects: bool,
}

impl Https {
    /// Reads what the plan names.
    pub fn check(plan: &Plan, now_ms: i64) -> Result<Self, Usage> {
        Ok(match &plan.tls {
            Tls::Kept => Self::Kept,
            Tls::Off => Self::Off,
            Tls::On(files) => {
                let mut pair = Pair::read(&files.cert, &files.key, now_ms)?;
                pair.warnings.extend(built_in(&plan.dir, &files.key));
                Self::On(Box::new(Serving {
                    pair,
                    port: files.port,
                    redirects: files.redirects,
                }))
            }
        })
    }

    /// The pair that shall serve, if there is one.
    pub fn pair(&self) -> Option<&Pair> {
        match self {
            Self::On(serving) => Some(&serving.pair),
            Self::Kept | Self::Off => None,
        }
    }
}

/// What to say of a key in the directory that is built, unless `.dockerignore` plainly leaves it out.
fn built_in(dir: &Path, key: &Path) -> Option<String> {
    let (dir, path) = (dir.canonicalize().ok()?, key.canonicalize().ok()?);
    let inside = path.strip_prefix(&dir).ok()?;
    let ignored = std::fs::read_to_string(dir.join(".dockerignore")).unwrap_or_default();
    let (inside, name) = (inside.to_string_lossy(), inside.file_name()?.to_string_lossy());
    let leaves_out = |line: &str| {
        let (is_deep, line) = match line.trim().strip_prefix("**/") {
            Some(line) => (true, line),
            None => (false, line.trim().trim_matches('/')),
        };
        let ending = line
            .strip_prefix('*')
            .filter(|ending| !ending.contains(['*', '?', '/']));
        line == inside
            || inside
                .strip_prefix(line)
                .is_some_and(|rest| !line.is_empty() && rest.starts_with('/'))
            || ending.is_some_and(|ending| name.ends_with(ending) && (is_deep || !inside.contains('/')))
    };
    (!ignored.lines().any(leaves_out)).then(|| {
        format!(
            "the private key `{}` is in the directory that is built, so that `COPY . .` puts it into the image: keep it \
             elsewhere, or name it in `.dockerignore`",
            key.display()
        )
    })
}

/// Makes HTTPS what it shall be.
pub async fn ensure(
    client: &Client,
    app: &App,
    https: &Https,
    balancer: &Balancer,
    network: &Network,
    progress: &Progress,
) -> anyhow::Result<()> {
    match https {
        Https::Kept => Ok(()),
        Https::Off => stop(client, app, balancer, network, progress).await,
        Https::On(serving) => serve(client, app, serving, balancer, network, progress).await,
    }
}

async fn serve(
    client: &Client,
    app: &App,
    serving: &Serving,
    balancer: &Balancer,
    network: &Network,
    progress: &Progress,
) -> anyhow::Result<()> {
    let known = listeners(client, &balancer.arn).await?;
    let port = serving.port;
    let at_port = known.iter().find(|listener| port_of(listener) == Some(port));
    if let Some(other) = at_port.filter(|listener| listener["Protocol"] != "HTTPS") {
        let protocol = other["Protocol"].as_str().unwrap_or_default();
        return Err(Failure::new(format!(
            "port {port} of the load balancer `{}` is that of its {protocol} listener",
            app.name()
        ))
        .hint("`--tls-port PORT` names another one")
        .into());
    }
    let arn = certificate::upload(client, app, &serving.pair).await?;
    network::open_to_all(client, network, port).await?;
    let certificates = json!([{ "CertificateArn": arn }]);
    match at_port {
        None => {
            let create = json!({
                "LoadBalancerArn": balancer.arn, "Protocol": "HTTPS", "Port": port, "SslPolicy": SSL_POLICY,
                "Certificates": certificates,
                "DefaultActions": [{ "Type": "forward", "TargetGroupArn": balancer.target_group }],
                "Tags": tags::upper(app),
            });
            client.call(ELBV2, "CreateListener", create).await?;
        }
        Some(listener) if certificate_of(listener) != Some(arn.as_str()) => {
            if !is_own(app, listener) {
                progress.warn(&format!(
                    "the HTTPS listener on port {port} had another certificate; it has yours now, and what else was set of it \
                     stays"
                ));
            }
            let modify = json!({ "ListenerArn": listener["ListenerArn"], "Certificates": certificates });
            client.call(ELBV2, "ModifyListener", modify).await?;
        }
        Some(_) => {}
    }
    let lead = Lead {
        to: serving.redirects.then_some(port),
        ..Lead::away(app, balancer)
    };
    lead.ensure(client, &known, progress).await?;
    remove(client, app, &known, network, Some(port)).await
}

async fn stop(
    client: &Client,
    app: &App,
    balancer: &Balancer,
    network: &Network,
    progress: &Progress,
) -> anyhow::Result<()> {
    let known = listeners(client, &balancer.arn).await?;
    Lead::away(app, balancer).ensure(client, &known, progress).await?;
    remove(client, app, &known, network, None).await?;
    forget(client, app, None, progress).await
}

/// Removes the app's HTTPS listeners but the one of that port.
async fn remove(
    client: &Client,
    app: &App,
    known: &[Value],
    network: &Network,
    stays: Option<u16>,
) -> anyhow::Result<()> {
    for listener in known.iter().filter(|listener| is_own(app, listener)) {
        let Some(port) = port_of(listener).filter(|port| Some(*port) != stays) else {
            continue;
        };
        let delete = json!({ "ListenerArn": listener["ListenerArn"] });
        client.call(ELBV2, "DeleteListener", delete).await?;
        network::close_to_all(client, network, port).await?;
    }
    Ok(())
}

/// Deletes the certificates of the app that are not the one of that ARN.
pub async fn forget(client: &Client, app: &App, arn: Option<&str>, progress: &Progress) -> anyhow::Result<()> {
    for name in certificate::forget_others(client, app, arn).await? {
        progress.warn(&format!(
            "the certificate `{name}` stays: something else than `{}` serves with it",
            app.name()
        ));
    }
    Ok(())
}

fn port_of(listener: &Value) -> Option<u16> {
    listener["Port"].as_str()?.parse().ok()
}

fn certificate_of(listener: &Value) -> Option<&str> {
    listener["Certificates"][0]["CertificateArn"].as_str()
}

/// Whether a listener serves with a certificate of the app's.
fn is_own(app: &App, listener: &Value) -> bool {
    listener["Protocol"] == "HTTPS" && certificate_of(listener).and_then(certificate::app_of) == Some(app.name())
}

/// Where the HTTP listener leads: to HTTPS, or to the app.
struct Lead<'a> {
    app: &'a App,
    balancer: &'a Balancer,
    /// The port of HTTPS.
    to: Option<u16>,
}

impl<'a> Lead<'a> {
    fn away(app: &'a App, balancer: &'a Balancer) -> Self {
        Self {
            app,
            balancer,
            to: None,
        }
    }

    async fn ensure(&self, client: &Client, known: &[Value], progress: &Progress) -> anyhow::Result<()> {
        let Some(listener) = known.iter().find(|listener| port_of(listener) == Some(LISTENER_PORT)) else {
            return Ok(());
        };
        let (arn, action) = (&listener["ListenerArn"], &listener["DefaultActions"][0]);
        let is_ours =
            redirect_port(action).is_some() || action["TargetGroupArn"] == self.balancer.target_group.as_str();
        if !is_ours {
            if self.to.is_some() {
                progress.warn("somebody has set what the HTTP listener does, so it does not lead to HTTPS");
            }
            return Ok(());
        }
        let Some(port) = self.to else {
            if redirect_port(action).is_some() {
                self.set(client, arn, self.forward()).await?;
            }
            return self.remove_rule(client, arn).await;
        };
        self.remove_rule(client, arn).await?;
        let port = port.to_string();
        if redirect_port(action) != Some(&port) {
            let to = json!({ "Protocol": "HTTPS", "Port": port, "StatusCode": "HTTP_301" });
            self.set(client, arn, json!([{ "Type": "redirect", "RedirectConfig": to }]))
                .await?;
        }
        Ok(())
    }

    fn forward(&self) -> Value {
        json!([{ "Type": "forward", "TargetGroupArn": self.balancer.target_group }])
    }

    async fn set(&self, client: &Client, listener: &Value, actions: Value) -> anyhow::Result<()> {
        let modify = json!({ "ListenerArn": listener, "DefaultActions": actions });
        client.call(ELBV2, "ModifyListener", modify).await?;
        Ok(())
    }

    async fn rules(&self, client: &Client, listener: &Value) -> anyhow::Result<Vec<Value>> {
        let answer = client
            .call(ELBV2, "DescribeRules", json!({ "ListenerArn": listener }))
            .await?;
        Ok(answer["Rules"].as_array().cloned().unwrap_or_default())
    }

    /// Takes away the rule that an earlier `deploy` made, when the shared entry had no TLS.
    async fn remove_rule(&self, client: &Client, listener: &Value) -> anyhow::Result<()> {
        let rules = self.rules(client, listener).await?;
        for rule in rules.iter().filter(|rule| is_entry_rule(self.app, rule)) {
            let asked = json!({ "ResourceArns": [rule["RuleArn"]] });
            let answer = client.call(ELBV2, "DescribeTags", asked).await?;
            // One that a person has made stays.
            if answer["TagDescriptions"][0]["Tags"] == tags::upper(self.app) {
                let delete = json!({ "RuleArn": rule["RuleArn"] });
                client.call(ELBV2, "DeleteRule", delete).await?;
            }
        }
        Ok(())
    }
}

/// The port of a redirect as `deploy` makes it.
fn redirect_port(action: &Value) -> Option<&str> {
    let to = &action["RedirectConfig"];
    let is_ours = action["Type"] == "redirect"
        && to["Protocol"] == "HTTPS"
        && to["StatusCode"] == "HTTP_301"
        && to["Host"] == "#{host}"
        && to["Path"] == "/#{path}"
        && to["Query"] == "#{query}";
    to["Port"].as_str().filter(|_| is_ours)
}

/// Whether a rule may be the one that an earlier `deploy` made for the app's name in the shared entry.
fn is_entry_rule(app: &App, rule: &Value) -> bool {
    let only = |list: &'_ Value| list.as_array().is_some_and(|items| items.len() == 1);
    let condition = &rule["Conditions"][0];
    only(&rule["Conditions"])
        && condition["Field"] == "host-header"
        && condition["HostHeaderConfig"]["Values"] == json!([app.host()])
        && only(&rule["Actions"])
        && rule["Actions"][0]["Type"] == "forward"
}

/// HTTPS as it is served.
#[derive(Debug, Clone)]
pub struct Served {
    /// The server's own certificate, and what it says.
    pub leaf: CertificateDer<'static>,
    pub facts: Facts,
    /// Its ARN.
    pub arn: String,
    /// The load balancer's own address, and the port there.
    pub address: Ipv4Addr,
    pub port: u16,
    /// The shared entry, if it has TLS.
    pub at_entry: Option<AtEntry>,
    /// Whether HTTP leads there.
    pub redirects: bool,
}

impl Served {
    /// The name and port for people and for the header `Host`.
    pub fn authority(&self) -> String {
        let host = self.facts.host().unwrap_or_default();
        match self.port {
            443 => host,
            port => format!("{host}:{port}"),
        }
    }

    /// The URL for people.
    pub fn url(&self) -> String {
        format!("https://{}", self.authority())
    }
}

/// What the app's HTTPS listener serves with, if it has one.
pub async fn served(client: &Client, app: &App, balancer: &str) -> anyhow::Result<Option<Served>> {
    let known = listeners(client, balancer).await?;
    let own = known.iter().find(|listener| is_own(app, listener));
    let Some((port, arn)) = own.and_then(|own| port_of(own).zip(certificate_of(own))) else {
        return Ok(None);
    };
    let name = arn.rsplit('/').next().unwrap_or_default();
    let Some((leaf, facts)) = certificate::read(client, name).await? else {
        return Ok(None);
    };
    let http = known.iter().find(|listener| port_of(listener) == Some(LISTENER_PORT));
    let leads_to = http.and_then(|http| redirect_port(&http["DefaultActions"][0]));
    Ok(Some(Served {
        at_entry: AtEntry::of(client, app, &facts),
        redirects: leads_to == Some(port.to_string().as_str()),
        leaf,
        facts,
        arn: arn.to_owned(),
        address: address(client, balancer).await?,
        port,
    }))
}

/// The first address of a load balancer. Ref: ELB guide: its network interfaces are described as `ELB app/NAME/ID`.
async fn address(client: &Client, balancer: &str) -> anyhow::Result<Ipv4Addr> {
    let name = balancer.split_once(":loadbalancer/").map_or(balancer, |(_, name)| name);
    let filter = json!([{ "Name": "description", "Value": [format!("ELB {name}")] }]);
    let answer = client
        .call(EC2, "DescribeNetworkInterfaces", json!({ "Filter": filter }))
        .await?;
    let found = answer["networkInterfaceSet"][0]["privateIpAddress"].as_str();
    let found = found.and_then(|address| address.parse().ok());
    found.with_context(|| format!("EC2 does not say the address of the load balancer `{name}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app() -> App {
        "shop".parse().expect("a name")
    }

    #[test]
    fn own_things_are_told_from_those_of_others() {
        let redirect = |host: &str, status: &str| {
            json!({ "Type": "redirect", "RedirectConfig": {
                "Protocol": "HTTPS", "Port": "443", "Host": host, "Path": "/#{path}", "Query": "#{query}",
                "StatusCode": status } })
        };
        assert_eq!(redirect_port(&redirect("#{host}", "HTTP_301")), Some("443"));
        assert_eq!(redirect_port(&redirect("shop.example.com", "HTTP_301")), None);
        assert_eq!(redirect_port(&redirect("#{host}", "HTTP_302")), None);
        let listener = |protocol: &str, path: &str| {
            let arn = format!("arn:aws:iam::000000000000:server-certificate{path}");
            json!({ "Protocol": protocol, "Certificates": [{ "CertificateArn": arn }] })
        };
        assert!(is_own(&app(), &listener("HTTPS", "/honmaru/shop/shop-01")));
        assert!(!is_own(&app(), &listener("HTTPS", "/honmaru/other/other-01")));
        assert!(!is_own(&app(), &listener("HTTPS", "/mine")));
        assert!(!is_own(&app(), &json!({ "Protocol": "HTTP", "Certificates": "" })));
    }

    #[test]
    fn the_rule_of_an_earlier_deploy_is_known() {
        let rule = |host: &str, action: &str| {
            json!({ "Priority": "50000", "Actions": [{ "Type": action }],
                "Conditions": [{ "Field": "host-header", "HostHeaderConfig": { "Values": [host] } }] })
        };
        let rules = [
            rule("a.example.com", "forward"),
            rule("shop.localhost", "forward"),
            rule("shop.localhost", "fixed-response"),
            json!({ "Priority": "default" }),
        ];
        let own: Vec<bool> = rules.iter().map(|rule| is_entry_rule(&app(), rule)).collect();
        assert_eq!(own, [false, true, false, false]);
    }

    #[test]
    fn a_key_that_is_built_into_the_image_is_told() {
        let dir = tempfile::tempdir().expect("a directory");
        let key = dir.path().join("pem/shop.key");
        std::fs::create_dir_all(dir.path().join("pem")).expect("a directory");
        std::fs::write(&key, "").expect("a file");
        for (ignored, is_told) in [
            ("", true),
            ("*.pem\n", true),
            ("# pem\n", true),
            ("pem\n", false),
            ("/pem/\n", false),
            ("pem/shop.key\n", false),
            ("*.key\n", true),
            ("**/*.key\n", false),
        ] {
            std::fs::write(dir.path().join(".dockerignore"), ignored).expect("a file");
            assert_eq!(built_in(dir.path(), &key).is_some(), is_told, "{ignored}");
        }
        let elsewhere = tempfile::tempdir().expect("a directory");
        assert_eq!(built_in(elsewhere.path(), &key), None);
    }
}
