//! Goal: `honmaru deploy` serves a directory over HTTPS with its owner's certificate, tells what is wrong with it before
//! anything is changed, renews it without cutting anybody off, and takes all of it away again.
//! Method: certificates of an authority that openssl makes; curl and openssl come as clients.

use anyhow::{Context, Result, ensure};
use honmaru_tests::cloud::{Cloud, bounded, phase, text, wait_until};
use honmaru_tests::scratch::Scratch;
use honmaru_tests::tls::{issued, self_signed_for};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

const NAME: &str = "shop";
const HOST: &str = "shop.example.com";
const WWW: &str = "www.shop.example.com";
/// Another app.
const BESIDE: &str = "beside";
/// The app's name at the shared entry.
const LOCAL: &str = "shop.localhost";
/// What openssl says of the alert. Ref: RFC 8446, 6: 112.
const UNRECOGNIZED_NAME: &str = "SSL alert number 112";
const GOES_ON: Duration = Duration::from_secs(60);
const CURL_TIMEOUT: Duration = Duration::from_secs(60);
/// Serves one page, and a health check.
const SERVE: &str = "mkdir -p /tmp/w && echo \\\"$PAGE\\\" > /tmp/w/index.html && cp /tmp/w/index.html /tmp/w/health && \
                     httpd -f -p 8080 -h /tmp/w & trap 'exit 0' TERM; wait";

#[test]
fn https() -> Result<()> {
    let cloud = Cloud::start()?;
    let site = Site::new()?;
    phase("what is wrong is said, and nothing is changed", || {
        mistakes(&cloud, &site)
    })?;
    phase("a directory with a certificate", || first(&cloud, &site))?;
    phase("the private key is in no word and not in the trail", || {
        secrecy(&cloud, &site)
    })?;
    phase("ps and explain tell when it ends", || told(&cloud))?;
    phase("without options it stays as it is", || {
        let before = certificates(&cloud)?;
        let said = site.deploy(&cloud, &["--env", "PAGE=two"])?;
        ensure!(
            said.contains("ends in 1 day") && said.contains("https://shop.example.com"),
            "{said}"
        );
        ensure!(certificates(&cloud)? == before, "the certificate changed");
        site.serves(&cloud, HOST, 443, "two")
    })?;
    phase(
        "the shared entry knows names, and shows no certificate for others",
        || entry(&cloud, &site),
    )?;
    phase("a renewed file, by honmaru.toml, under load: nobody is cut off", || {
        renew(&cloud, &site)
    })?;
    phase("kill -9 of edge: the shared entry refuses nobody", || {
        killed(&cloud, &site)
    })?;
    phase("another port, and HTTP serves too", || {
        let said = site.deploy(&cloud, &["--tls-port", "8443", "--no-redirect"])?;
        let plain = format!("http://{LOCAL}:{}", cloud.http_port);
        for wanted in ["https://shop.example.com:8443 at ", &plain] {
            ensure!(said.contains(wanted), "no `{wanted}`: {said}");
        }
        site.serves(&cloud, HOST, 8443, "three")?;
        site.at_entry_serves(&cloud, LOCAL, "three")?;
        let (status, body) = cloud.http(cloud.http_port, LOCAL, "/")?;
        ensure!(status == 200 && body.contains("three"), "{status}: {body}");
        ensure!(
            site.curl(&cloud, HOST, 80, &[])?.ends_with("404"),
            "HTTP does not serve"
        );
        ensure!(
            site.curl(&cloud, HOST, 443, &["-m", "2"]).is_err(),
            "port 443 still answers"
        );
        Ok(())
    })?;
    phase("without HTTPS", || {
        site.deploy(&cloud, &["--no-tls"])?;
        ensure!(certificates(&cloud)?.is_empty(), "certificates are left");
        ensure!(
            site.curl(&cloud, HOST, 8443, &["-m", "2"]).is_err(),
            "port 8443 still answers"
        );
        ensure!(
            site.curl(&cloud, HOST, 80, &[])?.ends_with("404"),
            "HTTP does not serve"
        );
        let rules = cloud.aws(&["ec2", "describe-security-groups", "--group-names", "shop-lb"])?;
        ensure!(!rules.to_string().contains("8443"), "{rules}");
        let (status, body) = cloud.http(cloud.http_port, LOCAL, "/")?;
        ensure!(status == 200 && body.contains("three"), "{status}: {body}");
        let shown = site.shown(&cloud, Some(LOCAL))?;
        ensure!(shown.contains(UNRECOGNIZED_NAME), "{shown}");
        Ok(())
    })?;
    phase("what somebody else has set stays, and is told", || {
        others(&cloud, &site)
    })?;
    phase("two apps with one certificate", || beside(&cloud, &site))?;
    phase("deleted, with its certificate and no other", || {
        site.serves(&cloud, HOST, 443, "three")?;
        std::thread::scope(|scope| {
            let cloud = &cloud;
            let deleted = [NAME, BESIDE].map(|app| scope.spawn(move || ok(cloud, &["delete", app, "--yes"])));
            for deleted in deleted {
                deleted.join().map_err(|_| anyhow::anyhow!("a delete panicked"))??;
            }
            anyhow::Ok(())
        })?;
        let left = certificates(&cloud)?;
        ensure!(left.len() == 1 && left[0].contains("/mine"), "{left:?}");
        let balancers = cloud.aws(&["elbv2", "describe-load-balancers"])?;
        ensure!(balancers["LoadBalancers"] == serde_json::json!([]), "{balancers}");
        Ok(())
    })?;
    phase("destroy leaves the host clean", || cloud.finish())
}

fn mistakes(cloud: &Cloud, site: &Site) -> Result<()> {
    let (old, renewed) = (site.pair("old"), site.pair("renewed"));
    for (cert, key, wanted) in [
        (&old.0, &renewed.1, "is not that of the certificate"),
        (&old.1, &old.0, "are they exchanged?"),
        (&site.file("none.pem"), &old.1, "cannot be read"),
    ] {
        let asked = ["deploy", &site.dir(), "--tls-cert", cert, "--tls-key", key];
        let output = cloud.honmaru(&asked)?;
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        ensure!(
            output.status.code() == Some(2),
            "the exit code is {:?}: {said}",
            output.status
        );
        ensure!(said.contains(wanted) && said.contains("hint:"), "no `{wanted}`: {said}");
    }
    let repositories = cloud.aws(&["ecr", "describe-repositories"])?;
    ensure!(repositories["repositories"] == serde_json::json!([]), "{repositories}");
    ensure!(certificates(cloud)?.is_empty(), "something was uploaded");
    Ok(())
}

fn first(cloud: &Cloud, site: &Site) -> Result<()> {
    let port = cloud.https_port;
    let (cert, key) = site.pair("old");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644))?;
    let said = site.deploy(cloud, &["--tls-cert", &cert, "--tls-key", &key, "--env", "PAGE=one"])?;
    for wanted in [
        "the certificate is for shop.example.com",
        "ends in 1 day",
        "mode 644",
        "issued by `authority.example.com`",
        "GET https://shop.example.com/health answers 200 at ",
        &format!("GET https://{HOST}:{port}/health answers 200 at 127.0.0.1:{port}"),
        &format!(", https://{HOST}:{port} at 127.0.0.1, https://{HOST} at "),
        "the certificate is not for `shop.localhost`",
    ] {
        ensure!(said.contains(wanted), "no `{wanted}`: {said}");
    }
    site.serves(cloud, HOST, 443, "one")?;
    let moved = site.curl(cloud, HOST, 80, &["-w", " %{http_code} %{redirect_url}"])?;
    ensure!(moved.ends_with(" 301 https://shop.example.com:443/page?a=1"), "{moved}");
    let followed = site.curl(cloud, HOST, 80, &["-L"])?;
    ensure!(
        followed.ends_with("404"),
        "the page is not there, but HTTPS says so: {followed}"
    );
    site.at_entry_serves(cloud, HOST, "one")
}

fn entry(cloud: &Cloud, site: &Site) -> Result<()> {
    let (http, https) = (cloud.http_port, cloud.https_port);
    // From HTTP to HTTPS, by every name.
    for host in [HOST, LOCAL] {
        let moved = site.at_entry(
            cloud,
            &format!("http://{host}:{http}/page?a=1"),
            &["-w", " %{redirect_url}"],
        )?;
        ensure!(
            moved.ends_with(&format!(" https://{host}:{https}/page?a=1")),
            "{host}: {moved}"
        );
    }
    let followed = site.at_entry(cloud, &format!("http://{HOST}:{http}/"), &["-L"])?;
    ensure!(followed.contains("two") && followed.ends_with(" 200"), "{followed}");
    let over_h2 = site.at_entry(cloud, &format!("https://{HOST}:{https}/"), &["--http2"])?;
    ensure!(over_h2.contains("two") && over_h2.ends_with("2 200"), "{over_h2}");
    let elsewhere = ["-H", "Host: other.example.com"];
    let misdirected = site.at_entry(cloud, &format!("https://{HOST}:{https}/"), &elsewhere)?;
    ensure!(misdirected.ends_with("421"), "{misdirected}");
    let shown = site.shown(cloud, Some(LOCAL))?;
    ensure!(shown.contains("issuer=CN = authority.example.com"), "{shown}");
    for unknown in [Some("other.example.com"), Some("other.localhost"), None] {
        let shown = site.shown(cloud, unknown)?;
        ensure!(
            shown.contains(UNRECOGNIZED_NAME) && shown.contains("no peer certificate"),
            "{unknown:?}: {shown}"
        );
    }
    Ok(())
}

/// Method: requests one after the other while edge is killed; one that edge had in its hands may break off, none may be
/// refused; the next edge goes on with the same socket.
fn killed(cloud: &Cloud, site: &Site) -> Result<()> {
    let (is_over, asked, broken) = (AtomicBool::new(false), AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        let load = scope.spawn(|| -> Result<()> {
            while !is_over.load(Ordering::Relaxed) {
                let output = site.curl_at_entry(cloud, &format!("https://{LOCAL}:{}/", cloud.https_port), &[])?;
                asked.fetch_add(1, Ordering::Relaxed);
                // Ref: curl(1), EXIT CODES: 7, failed to connect.
                ensure!(output.status.code() != Some(7), "refused: {}", text(&output.stderr));
                if !text(&output.stdout).ends_with("200") {
                    broken.fetch_add(1, Ordering::Relaxed);
                }
            }
            Ok(())
        });
        let killed = (0..3).try_for_each(|_| {
            let before = asked.load(Ordering::Relaxed);
            let edge = cloud.kill("edge")?;
            cloud.wait_for_restart("edge", edge)?;
            wait_until("requests go on", GOES_ON, || {
                ensure!(asked.load(Ordering::Relaxed) > before + 5, "they stand still");
                Ok(())
            })
        });
        is_over.store(true, Ordering::Relaxed);
        load.join().map_err(|_| anyhow::anyhow!("the load panicked"))??;
        killed
    })?;
    let (asked, broken) = (asked.into_inner(), broken.into_inner());
    println!("     {asked} requests, {broken} broke off with their edge");
    ensure!(broken <= 3, "{broken} of {asked} requests failed");
    let log = std::fs::read_to_string(cloud.state.join("logs/edge.log"))?;
    let kept = format!("goes on with a kept socket address=127.0.0.1:{}", cloud.https_port);
    ensure!(log.contains(&kept), "the socket was not kept");
    Ok(())
}

fn secrecy(cloud: &Cloud, site: &Site) -> Result<()> {
    let key = std::fs::read_to_string(site.file("old.key"))?;
    let line = key.lines().nth(1).context("a key has lines")?;
    let trail = ok(cloud, &["audit", "--event", "iam:UploadServerCertificate", "--json"])?;
    ensure!(trail.contains("UploadServerCertificate"), "{trail}");
    let said = site.deploy(
        cloud,
        &["--tls-cert", &site.pair("old").0, "--tls-key", &site.pair("old").1],
    )?;
    for text in [trail, said] {
        ensure!(
            !text.contains("PRIVATE KEY") && !text.contains(line),
            "the key is in it: {text}"
        );
    }
    ensure!(
        certificates(cloud)?.len() == 1,
        "the same certificate was uploaded again"
    );
    Ok(())
}

fn told(cloud: &Cloud) -> Result<()> {
    for asked in [&["ps"][..], &["ps", NAME], &["explain", NAME]] {
        let said = ok(cloud, asked)?;
        ensure!(said.contains("ends in 1 day"), "{asked:?}: {said}");
    }
    let json = cloud.honmaru(&["ps", "--output", "json"])?;
    let json: Value = serde_json::from_slice(&json.stdout)?;
    ensure!(json["services"][0]["certificateEndsAt"].is_string(), "{json}");
    Ok(())
}

fn renew(cloud: &Cloud, site: &Site) -> Result<()> {
    let before = certificates(cloud)?;
    std::fs::write(
        PathBuf::from(site.dir()).join("honmaru.toml"),
        format!(
            "name = \"{NAME}\"\n[env]\nPAGE = \"three\"\n[tls]\ncert = \"../renewed.pem\"\nkey = \"{}\"\n",
            site.pair("renewed").1
        ),
    )?;
    let rules = Rules::make(cloud)?;
    let own = format!("{}:443", site.address(cloud)?);
    let shared = format!("127.0.0.1:{}", cloud.https_port);
    let mut open = [Open::connect(site, &own)?, Open::connect(site, &shared)?];
    for open in &mut open {
        let first = open.get()?;
        ensure!(first.contains("two"), "{first}");
    }
    let (is_over, asked) = (AtomicBool::new(false), AtomicU32::new(0));
    let said = std::thread::scope(|scope| {
        let load = scope.spawn(|| -> Result<()> {
            while !is_over.load(Ordering::Relaxed) {
                let answer = site.curl(cloud, HOST, 443, &[])?;
                ensure!(answer.contains("404"), "{answer}");
                asked.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
        let said = site.deploy(cloud, &[]);
        is_over.store(true, Ordering::Relaxed);
        load.join().map_err(|_| anyhow::anyhow!("the load panicked"))??;
        said
    })?;
    println!("     {} requests while it was renewed", asked.load(Ordering::Relaxed));
    ensure!(asked.load(Ordering::Relaxed) > 5, "there was no load");
    ensure!(
        said.contains("shop.example.com, www.shop.example.com") && !said.contains("ends in"),
        "{said}"
    );
    // Who came with the old certificate is still there.
    for open in &mut open {
        open.get()?;
    }
    ensure!(
        said.contains(&format!(", https://{LOCAL}:{}, https://{HOST} at ", cloud.https_port)),
        "{said}"
    );
    ensure!(!said.contains("the certificate is not for"), "{said}");
    site.at_entry_serves(cloud, LOCAL, "three")?;
    site.at_entry_serves(cloud, WWW, "three")?;
    rules.check(cloud)?;
    let listed = ok(cloud, &["ps"])?;
    ensure!(
        listed.contains(&format!("https://{LOCAL}:{}", cloud.https_port)),
        "{listed}"
    );
    site.serves(cloud, HOST, 443, "three")?;
    site.serves(cloud, WWW, 443, "three")?;
    let after = certificates(cloud)?;
    ensure!(after.len() == 1 && after != before, "{before:?} became {after:?}");
    Ok(())
}

/// Rules of the HTTP listener for the shared entry's name: one as `deploy` made it while the entry had no TLS, and one of
/// a person's.
struct Rules {
    listener: String,
    ours: String,
    theirs: String,
}

impl Rules {
    fn make(cloud: &Cloud) -> Result<Self> {
        let groups = cloud.aws(&["elbv2", "describe-target-groups", "--names", NAME])?;
        let group = &groups["TargetGroups"][0];
        let balancer = group["LoadBalancerArns"][0].as_str().context("an ARN")?;
        let group = group["TargetGroupArn"].as_str().context("an ARN")?;
        let listed = cloud.aws(&["elbv2", "describe-listeners", "--load-balancer-arn", balancer])?;
        let rows = listed["Listeners"].as_array().context("a list")?;
        let row = rows.iter().find(|row| row["Port"] == 80).context("a listener")?;
        let listener = row["ListenerArn"].as_str().context("an ARN")?.to_owned();
        let make = |priority: &str, more: &[&str]| -> Result<String> {
            let conditions = format!("Field=host-header,Values={LOCAL}");
            let actions = format!("Type=forward,TargetGroupArn={group}");
            let fixed = [
                "elbv2",
                "create-rule",
                "--listener-arn",
                &listener,
                "--priority",
                priority,
            ];
            let what = ["--conditions", &conditions, "--actions", &actions];
            let made = cloud.aws(&[&fixed[..], &what, more].concat())?;
            Ok(made["Rules"][0]["RuleArn"].as_str().context("an ARN")?.to_owned())
        };
        Ok(Self {
            ours: make("50000", &["--tags", &format!("Key=honmaru:app,Value={NAME}")])?,
            theirs: make("49999", &[])?,
            listener,
        })
    }

    /// The one is gone, the other is there.
    fn check(self, cloud: &Cloud) -> Result<()> {
        let listed = cloud.aws(&["elbv2", "describe-rules", "--listener-arn", &self.listener])?;
        let listed = listed.to_string();
        ensure!(
            !listed.contains(&self.ours) && listed.contains(&self.theirs),
            "{listed}"
        );
        Ok(())
    }
}

/// An action of the HTTP listener that a person has set, and a person's certificate at the HTTPS listener.
fn others(cloud: &Cloud, site: &Site) -> Result<()> {
    let balancers = cloud.aws(&["elbv2", "describe-load-balancers", "--names", NAME])?;
    let balancer = balancers["LoadBalancers"][0]["LoadBalancerArn"]
        .as_str()
        .context("an ARN")?;
    let listener = |port: u16| -> Result<String> {
        let listed = cloud.aws(&["elbv2", "describe-listeners", "--load-balancer-arn", balancer])?;
        let rows = listed["Listeners"].as_array().context("a list")?;
        let row = rows.iter().find(|row| row["Port"] == port).context("a listener")?;
        Ok(row["ListenerArn"].as_str().context("an ARN")?.to_owned())
    };
    let modify = |port: u16, what: &str, value: &str| -> Result<()> {
        let arn = listener(port)?;
        cloud.aws(&["elbv2", "modify-listener", "--listener-arn", &arn, what, value])?;
        Ok(())
    };
    let refuse = "Type=fixed-response,FixedResponseConfig={StatusCode=403}";
    modify(80, "--default-actions", refuse)?;
    let said = site.deploy(cloud, &[])?;
    ensure!(said.contains("somebody has set what the HTTP listener does"), "{said}");
    ensure!(
        site.curl(cloud, HOST, 80, &[])?.ends_with("403"),
        "the person's action is gone"
    );
    let (cert, key) = site.pair("old");
    let (cert, key) = (format!("file://{cert}"), format!("file://{key}"));
    let upload = ["iam", "upload-server-certificate", "--server-certificate-name", "mine"];
    let files = ["--certificate-body", &cert, "--private-key", &key];
    let mine = cloud.aws(&[upload.as_slice(), &files].concat())?;
    let mine = mine["ServerCertificateMetadata"]["Arn"].as_str().context("an ARN")?;
    modify(443, "--certificates", &format!("CertificateArn={mine}"))?;
    let said = site.deploy(cloud, &[])?;
    ensure!(said.contains("on port 443 had another certificate"), "{said}");
    ensure!(certificates(cloud)?.len() == 2, "a person's certificate is gone");
    site.serves(cloud, WWW, 443, "three")
}

/// The older app has the names that both certificates have, and neither answers for the other.
fn beside(cloud: &Cloud, site: &Site) -> Result<()> {
    let said = site.deploy(cloud, &["--name", BESIDE, "--env", "PAGE=beside"])?;
    let url = format!("https://{HOST}:{}", cloud.https_port);
    ensure!(said.contains(&format!("{url} does not lead to the app")), "{said}");
    ensure!(!said.contains(&format!(", {url}")), "{said}");
    site.at_entry_serves(cloud, HOST, "three")?;
    let own = format!("https://{BESIDE}.localhost:{}/", cloud.https_port);
    let answer = site.at_entry(cloud, &own, &["-k"])?;
    ensure!(answer.contains("beside"), "{answer}");
    for (url, host) in [
        (&format!("{url}/"), format!("{BESIDE}.localhost")),
        (&own, HOST.to_owned()),
    ] {
        let answer = site.at_entry(cloud, url, &["-k", "-H", &format!("Host: {host}")])?;
        ensure!(answer.ends_with(" 421"), "{url} with {host}: {answer}");
    }
    Ok(())
}

/// The ARNs of all server certificates.
fn certificates(cloud: &Cloud) -> Result<Vec<String>> {
    let listed = cloud.aws(&["iam", "list-server-certificates"])?;
    let rows = listed["ServerCertificateMetadataList"].as_array().context("a list")?;
    Ok(rows.iter().map(|row| row["Arn"].to_string()).collect())
}

/// Runs a command that must succeed; what it said.
fn ok(cloud: &Cloud, arguments: &[&str]) -> Result<String> {
    let output = cloud.honmaru(arguments)?;
    let said = format!("{}\n{}", text(&output.stdout), text(&output.stderr));
    ensure!(
        output.status.success(),
        "honmaru {} failed:\n{said}",
        arguments.join(" ")
    );
    Ok(said)
}

/// A directory to deploy, and the files of its owner beside it.
struct Site {
    scratch: Scratch,
    /// The load balancer's own address, once it is known.
    address: OnceLock<String>,
}

impl Site {
    fn new() -> Result<Self> {
        let site = Self {
            scratch: Scratch::new("deploy-https")?,
            address: OnceLock::new(),
        };
        std::fs::create_dir_all(site.dir())?;
        let dockerfile =
            format!("FROM localhost/honmaru/busybox:latest\nEXPOSE 8080\nCMD [\"/bin/sh\", \"-c\", \"{SERVE}\"]\n");
        std::fs::write(PathBuf::from(site.dir()).join("Dockerfile"), dockerfile)?;
        let path = |name: &str| PathBuf::from(site.file(name));
        let (authority, authority_key) = (path("authority.pem"), path("authority.key"));
        let name = "authority.example.com";
        self_signed_for(name, &format!("DNS:{name}"), &authority, &authority_key)?;
        for (name, names, days) in [
            ("old", format!("DNS:{HOST}"), 2),
            ("renewed", format!("DNS:{HOST},DNS:{WWW},DNS:{LOCAL}"), 90),
        ] {
            let (cert, key) = (path(&format!("{name}.pem")), path(&format!("{name}.key")));
            issued((&authority, &authority_key), &names, days, &cert, &key)?;
        }
        Ok(site)
    }

    fn file(&self, name: &str) -> String {
        self.scratch.path().join(name).display().to_string()
    }

    fn dir(&self) -> String {
        self.file(NAME)
    }

    fn pair(&self, name: &str) -> (String, String) {
        (self.file(&format!("{name}.pem")), self.file(&format!("{name}.key")))
    }

    fn deploy(&self, cloud: &Cloud, more: &[&str]) -> Result<String> {
        ok(cloud, &[&["deploy", &self.dir(), "--count", "1"], more].concat())
    }

    /// Where the name must lead: the load balancer's own address.
    fn address(&self, cloud: &Cloud) -> Result<String> {
        if let Some(known) = self.address.get() {
            return Ok(known.clone());
        }
        let found = cloud.aws(&[
            "ec2",
            "describe-network-interfaces",
            "--filters",
            "Name=description,Values=ELB app/shop/*",
        ])?;
        let address = found["NetworkInterfaces"][0]["PrivateIpAddress"].as_str();
        let address = address.context("the load balancer has an address")?;
        Ok(self.address.get_or_init(|| address.to_owned()).clone())
    }

    /// What curl, which trusts the authority, gets from a page that is not there: the body, and `404` or the like.
    fn curl(&self, cloud: &Cloud, host: &str, port: u16, more: &[&str]) -> Result<String> {
        self.curl_path(cloud, (host, port, "/page?a=1"), more)
    }

    fn curl_path(&self, cloud: &Cloud, (host, port, path): (&str, u16, &str), more: &[&str]) -> Result<String> {
        let (address, authority) = (self.address(cloud)?, self.file("authority.pem"));
        let scheme = if port == 80 { "http" } else { "https" };
        let mut curl = Command::new("curl");
        curl.args(["-sS", "-m", "20", "--cacert", &authority, "-w", " %{http_code}"]);
        for port in [80, 443, 8443] {
            curl.args(["--connect-to", &format!("{host}:{port}:{address}:{port}")]);
        }
        curl.args(more).arg(format!("{scheme}://{host}:{port}{path}"));
        let output = bounded(&mut curl, CURL_TIMEOUT)?;
        ensure!(output.status.success(), "curl: {}", text(&output.stderr));
        Ok(text(&output.stdout))
    }

    /// What becomes of a request to the shared entry, wherever the URL's name leads elsewhere.
    fn curl_at_entry(&self, cloud: &Cloud, url: &str, more: &[&str]) -> Result<Output> {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "-m", "20", "--cacert", &self.file("authority.pem")])
            .args(["-w", " %{http_version} %{http_code}"]);
        for host in [HOST, WWW, LOCAL] {
            for port in [cloud.http_port, cloud.https_port] {
                curl.args(["--resolve", &format!("{host}:{port}:127.0.0.1")]);
            }
        }
        bounded(curl.args(more).arg(url), CURL_TIMEOUT)
    }

    /// What the shared entry answers: the body, the version of HTTP and the status.
    fn at_entry(&self, cloud: &Cloud, url: &str, more: &[&str]) -> Result<String> {
        let output = self.curl_at_entry(cloud, url, more)?;
        ensure!(output.status.success(), "curl {url}: {}", text(&output.stderr));
        Ok(text(&output.stdout))
    }

    /// The page comes from the shared entry over HTTPS, under a name that curl verifies.
    fn at_entry_serves(&self, cloud: &Cloud, host: &str, page: &str) -> Result<()> {
        wait_until(&format!("the shared entry serves {page} as {host}"), GOES_ON, || {
            let answer = self.at_entry(cloud, &format!("https://{host}:{}/", cloud.https_port), &[])?;
            ensure!(answer.contains(page) && answer.ends_with("200"), "{answer}");
            Ok(())
        })
    }

    /// What openssl sees of the shared entry when it asks for a name, or for none.
    fn shown(&self, cloud: &Cloud, name: Option<&str>) -> Result<String> {
        let mut openssl = Command::new("openssl");
        openssl.args(["s_client", "-connect", &format!("127.0.0.1:{}", cloud.https_port)]);
        match name {
            Some(name) => openssl.args(["-servername", name]),
            None => openssl.arg("-noservername"),
        };
        let output = bounded(openssl.stdin(Stdio::null()), CURL_TIMEOUT)?;
        Ok(format!("{}\n{}", text(&output.stdout), text(&output.stderr)))
    }

    /// The page comes over HTTPS, under a name that curl verifies.
    fn serves(&self, cloud: &Cloud, host: &str, port: u16, page: &str) -> Result<()> {
        wait_until(&format!("{host}:{port} serves {page}"), GOES_ON, || {
            let answer = self.curl_path(cloud, (host, port, "/"), &[])?;
            ensure!(answer.contains(page) && answer.ends_with("200"), "{answer}");
            Ok(())
        })
    }
}

/// A connection that stays open.
struct Open {
    process: Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Open {
    fn connect(site: &Site, server: &str) -> Result<Self> {
        let mut process = Command::new("openssl")
            .args([
                "s_client",
                "-quiet",
                "-verify_return_error",
                "-CAfile",
                &site.file("authority.pem"),
            ])
            .args(["-connect", server, "-servername", HOST, "-verify_hostname", HOST])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let answers = BufReader::new(process.stdout.take().context("a pipe")?);
        Ok(Self { process, answers })
    }

    /// Asks for the page; the body.
    fn get(&mut self) -> Result<String> {
        let pipe = self.process.stdin.as_mut().context("a pipe")?;
        write!(
            pipe,
            "GET / HTTP/1.1\r\nHost: {HOST}\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n"
        )?;
        pipe.flush()?;
        let (mut line, mut length) = (String::new(), 0);
        self.answers.read_line(&mut line)?;
        ensure!(line.starts_with("HTTP/1.1 200"), "{line}");
        loop {
            line.clear();
            ensure!(self.answers.read_line(&mut line)? > 0, "the connection was closed");
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.answers.read_exact(&mut body)?;
        Ok(text(&body))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
