//! One port speaks plain HTTP and TLS, and every command of ours goes the way that the endpoint has.

use crate::trail::document;
use crate::{ANSWER_TIMEOUT, ok};
use anyhow::{Context, Result, ensure};
use honmaru_tests::cloud::{Cloud, bounded, phase, root, text};
use honmaru_tests::tls::self_signed;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

pub fn tls() -> Result<()> {
    let folder = std::env::temp_dir().join(format!("honmaru-tls-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let (cert, key) = certificate(&folder, "cert")?;
    let (other, _) = certificate(&folder, "other")?;
    let cloud = Cloud::start_with(&["--tls-cert", &cert, "--tls-key", &key])?;
    let curl = |arguments: &[&str], scheme: &str| -> Result<String> {
        let url = format!("{scheme}://localhost:{}/_honmaru/health", cloud.port);
        let mut curl = Command::new("curl");
        curl.args([
            "-sS",
            "--ipv4",
            "--max-time",
            "60",
            "-w",
            " %{http_version} %{http_code}",
            "--cacert",
            &cert,
        ]);
        let done = bounded(curl.args(arguments).arg(url), Duration::from_secs(90))?;
        ensure!(done.status.success(), "{}", text(&done.stderr));
        Ok(text(&done.stdout).replace('\n', ""))
    };
    phase("plain and TLS on one port, HTTP/1.1 and HTTP/2", || {
        for (arguments, scheme, wanted) in [
            (&["--http1.1"][..], "http", "ok 1.1 200"),
            (&["--http1.1"][..], "https", "ok 1.1 200"),
            (&["--http2"][..], "https", "ok 2 200"),
            (&["--tls-max", "1.2"][..], "https", "ok 2 200"),
        ] {
            let said = curl(arguments, scheme)?;
            ensure!(said == wanted, "{arguments:?} {scheme}: `{said}`, not `{wanted}`");
        }
        Ok(())
    })?;
    phase("the state directory says where, and whom to believe", || {
        let keys = std::fs::read_to_string(cloud.state.join("control/credentials.json"))?;
        let keys: Value = serde_json::from_str(&keys)?;
        ensure!(
            keys["endpoint"] == format!("https://127.0.0.1:{}", cloud.port),
            "{}",
            keys["endpoint"]
        );
        let ca = keys["ca"].as_str().context("no certificate is named")?;
        ensure!(std::fs::read(ca)? == std::fs::read(&cert)?, "it is another certificate");
        let env = ok(&cloud, &["env"])?;
        ensure!(env.contains(&format!("export AWS_CA_BUNDLE={ca}")), "no AWS_CA_BUNDLE");
        ensure!(
            env.contains(&format!("export AWS_ENDPOINT_URL=https://127.0.0.1:{}", cloud.port)),
            "no https"
        );
        // As a shell would use it: the aws CLI believes the endpoint.
        let mut shell = cloud.command("sh")?;
        shell.args(["-c", &format!("{env}\naws sts get-caller-identity --output json")]);
        let said = bounded(&mut shell, Duration::from_secs(60))?;
        ensure!(said.status.success(), "{}", text(&said.stderr));
        Ok(())
    })?;
    phase("every command speaks TLS: deploy, ps, logs, exec, audit", || {
        let hello = root().join("examples/hello").display().to_string();
        ok(&cloud, &["deploy", &hello, "--count", "1"])?;
        ensure!(ok(&cloud, &["ps"])?.contains("hello"), "no app");
        ok(&cloud, &["logs", "hello"])?;
        let said = ok(
            &cloud,
            &["exec", "hello", "--", "sh", "-c", "echo over=$((40 + 2)); exit 0"],
        )?;
        ensure!(said.contains("over=42"), "{said}");
        let failed = cloud.honmaru(&["exec", "hello", "--", "sh", "-c", "exit 9"])?;
        ensure!(failed.status.code() == Some(9), "the exit code is {:?}", failed.status);
        let script = "wget -qO- http://169.254.170.2$AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
        let said = ok(&cloud, &["exec", "hello", "--", "sh", "-c", script])?;
        let keys: Value = serde_json::from_str(&said).context("the task has no credentials")?;
        ensure!(
            keys["AccessKeyId"].as_str().is_some_and(|id| id.starts_with("ASIA")),
            "no key"
        );
        assumed(&cloud, &keys)?;
        let trail = ok(&cloud, &["audit", "--json", "--event", "PutImage"])?;
        let record: Value = serde_json::from_str(trail.lines().last().context("the push is not in the trail")?)?;
        ensure!(
            record["additionalEventData"]["tls"] == true,
            "the push went over plain HTTP: {record}"
        );
        ensure!(record["userIdentity"]["type"] == "IAMUser", "{record}");
        ok(&cloud, &["delete", "hello", "--yes"]).map(drop)
    })?;
    phase("who is not believed gets no keys and no calls", || {
        let mut honmaru = cloud.command(cloud.binary())?;
        honmaru
            // Not the address that the state directory vouches for, and another certificate than the endpoint's.
            .env("AWS_ENDPOINT_URL", format!("https://localhost:{}", cloud.port))
            .env("AWS_CA_BUNDLE", &other)
            .arg("ps");
        let refused = bounded(&mut honmaru, Duration::from_secs(90))?;
        let said = text(&refused.stderr);
        ensure!(!refused.status.success() && said.contains("not believed"), "{said}");
        Ok(())
    })?;
    phase("signed calls over TLS", || {
        let endpoint = format!("https://localhost:{}", cloud.port);
        let call = [
            "--endpoint-url",
            &endpoint,
            "--ca-bundle",
            &cert,
            "sts",
            "get-caller-identity",
        ];
        let identity = cloud.aws(&call)?;
        ensure!(identity["Account"] == "000000000000", "{identity}");
        let seen = cloud.aws(&["cloudtrail", "lookup-events", "--max-results", "1"])?;
        let document = document(&seen["Events"][0])?;
        ensure!(document["additionalEventData"]["tls"] == true, "{document}");
        let details = &document["tlsDetails"];
        ensure!(details["tlsVersion"] == "TLSv1.3", "{document}");
        ensure!(
            details["clientProvidedHostHeader"] == format!("localhost:{}", cloud.port),
            "{document}"
        );
        ensure!(
            details["cipherSuite"]
                .as_str()
                .is_some_and(|name| name.starts_with("TLS_")),
            "{document}"
        );
        Ok(())
    })?;
    phase("a broken handshake harms nobody", || {
        let mut stream = TcpStream::connect(("127.0.0.1", cloud.port))?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        stream.write_all(b"\x16\x03\x01\x00\x05hello, this is no handshake")?;
        let mut answer = Vec::new();
        // An alert and the end, or a reset: both are an end.
        let _ = stream.read_to_end(&mut answer);
        ensure!(curl(&["--http1.1"], "https")? == "ok 1.1 200", "the endpoint is gone");
        Ok(())
    })?;
    let _ = std::fs::remove_dir_all(&folder);
    phase("destroy leaves the host clean", || cloud.finish())
}

/// The files of a certificate and its key.
fn certificate(folder: &Path, name: &str) -> Result<(String, String)> {
    let (cert, key) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
    self_signed(&cert, &key)?;
    Ok((cert.display().to_string(), key.display().to_string()))
}

/// What ECS did to get the keys of a task is in the trail as CloudTrail shows it, and the keys are not.
fn assumed(cloud: &Cloud, keys: &Value) -> Result<()> {
    let trail = ok(cloud, &["audit", "--json", "--event", "AssumeRole"])?;
    let record: Value = serde_json::from_str(trail.lines().last().context("AssumeRole is not in the trail")?)?;
    let wanted = json!({ "type": "AWSService", "invokedBy": "ecs-tasks.amazonaws.com" });
    ensure!(record["userIdentity"] == wanted, "{record}");
    ensure!(record["eventSource"] == "sts.amazonaws.com", "{record}");
    ensure!(record["requestParameters"]["roleArn"] == keys["RoleArn"], "{record}");
    for secret in ["SecretAccessKey", "Token"] {
        let secret = keys[secret].as_str().context("a secret")?;
        for entry in std::fs::read_dir(cloud.state.join("control/audit"))? {
            let path = entry?.path();
            ensure!(
                !std::fs::read_to_string(&path)?.contains(secret),
                "a secret is in {}",
                path.display()
            );
        }
    }
    Ok(())
}
