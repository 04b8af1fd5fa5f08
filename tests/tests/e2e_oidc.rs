//! Goal: a workflow with a token of its OpenID Connect issuer gets a role's session, as GitHub Actions does, and
//! nobody else does; hostile tokens and issuers harm nobody; STS's federated users and decoded refusals are as AWS's,
//! and so are passwords, SSH keys and signing certificates of users, and SAML providers.
//! Method: a local issuer with a certificate authority of its own, the aws CLI and boto3.

use anyhow::{Context, Result, ensure};
use honmaru_tests::cloud::{Cloud, phase, python, root, text};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The issuer's process; it ends with the value.
struct Issuer(Child);

impl Drop for Issuer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(folder: &Path, more: &[&str]) -> Result<(Issuer, Value)> {
    let mut command = Command::new(python());
    command
        .arg(root().join("tests/clients/issuer.py"))
        .arg(folder)
        .args(more)
        .stdout(Stdio::piped());
    let mut issuer = Issuer(command.spawn().context("failed to start the issuer")?);
    let mut line = String::new();
    BufReader::new(issuer.0.stdout.take().context("a pipe")?).read_line(&mut line)?;
    Ok((issuer, serde_json::from_str(&line).context("the issuer did not start")?))
}

#[test]
fn sts_and_hostile_issuers() -> Result<()> {
    let folder = std::env::temp_dir().join(format!("honmaru-issuers-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let (issuer, said) = start(&folder, &[])?;
    let ca = folder.join("authority.crt").display().to_string();
    let cloud = Cloud::start_with(&["--oidc-ca", &ca])?;
    for name in ["advisor", "federation", "refusals", "passwords", "credentials", "saml"] {
        phase(name, || cloud.python("identity.py", &[name]))?;
    }
    phase("issuers", || {
        cloud.python("identity.py", &["issuers", &said.to_string()])
    })?;
    drop(issuer);
    let _ = std::fs::remove_dir_all(&folder);
    phase("destroy leaves the host clean", || cloud.finish())
}

#[test]
fn web_identity() -> Result<()> {
    let folder = std::env::temp_dir().join(format!("honmaru-oidc-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let (issuer, tokens) = start(&folder, &[])?;
    let ca = folder.join("authority.crt").display().to_string();
    let cloud = Cloud::start_with(&["--oidc-ca", &ca])?;
    let url = tokens["issuer"].as_str().context("an issuer")?.to_owned();
    let role = "arn:aws:iam::000000000000:role/deployer";
    let assume = |which: &str| -> Result<Result<Value, String>> {
        let token = tokens[which].as_str().with_context(|| format!("no token `{which}`"))?;
        let call = [
            "sts",
            "assume-role-with-web-identity",
            "--role-arn",
            role,
            "--role-session-name",
            "ci",
        ];
        let output = cloud.aws_output(&[&call[..], &["--web-identity-token", token]].concat())?;
        Ok(if output.status.success() {
            Ok(serde_json::from_slice(&output.stdout)?)
        } else {
            Err(text(&output.stderr))
        })
    };
    let refused = |which: &str, code: &str| -> Result<()> {
        match assume(which)? {
            Err(said) if said.contains(code) => Ok(()),
            other => anyhow::bail!("{which}: not {code}: {other:?}"),
        }
    };
    phase("an issuer that speaks plain HTTP is for development only", || {
        for url in ["http://127.0.0.1:4000", "http://localhost:4000", "http://token.example"] {
            let refused = cloud.aws_output(&["iam", "create-open-id-connect-provider", "--url", url])?;
            let said = text(&refused.stderr);
            ensure!(
                !refused.status.success() && said.contains("ValidationError"),
                "{url}: {said}"
            );
            ensure!(
                url.contains("example") || said.contains("honmaru up --dev"),
                "{url}: {said}"
            );
        }
        Ok(())
    })?;
    phase(
        "without a role or a provider nobody is let in, and nobody is asked",
        || refused("good", "AccessDenied"),
    )?;
    phase("a workflow gets its session", || {
        let provider = cloud.aws(&[
            "iam",
            "create-open-id-connect-provider",
            "--url",
            &url,
            "--client-id-list",
            "sts.amazonaws.com",
        ])?;
        let provider = provider["OpenIDConnectProviderArn"]
            .as_str()
            .context("an ARN")?
            .to_owned();
        let name = url.trim_start_matches("https://");
        let trust = json!({ "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow",
            "Principal": { "Federated": provider },
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": {
                "StringEquals": { format!("{name}:aud"): "sts.amazonaws.com" },
                "StringLike": { format!("{name}:sub"): "repo:org/app:*" },
            },
        }] });
        let trust = trust.to_string();
        cloud.aws(&[
            "iam",
            "create-role",
            "--role-name",
            "deployer",
            "--assume-role-policy-document",
            &trust,
        ])?;
        let session = assume("good")?.map_err(anyhow::Error::msg)?;
        ensure!(session["Credentials"]["SessionToken"].is_string(), "no token");
        let arn = &session["AssumedRoleUser"]["Arn"];
        ensure!(arn == "arn:aws:sts::000000000000:assumed-role/deployer/ci", "{arn}");
        assume("curve")?.map_err(anyhow::Error::msg).map(drop)
    })?;
    phase("every other token is refused", || {
        refused("forged", "InvalidIdentityToken")?;
        refused("unknown_key", "InvalidIdentityToken")?;
        refused("audience", "InvalidIdentityToken")?;
        refused("subject", "AccessDenied")?;
        refused("expired", "ExpiredTokenException")
    })?;
    phase("the keys are remembered: the issuer may be away", || {
        drop(issuer);
        assume("good")?.map_err(anyhow::Error::msg).map(drop)
    })?;
    phase("no token is in the trail", || {
        for entry in std::fs::read_dir(cloud.state.join("control/audit"))? {
            let trail = std::fs::read_to_string(entry?.path())?;
            for which in ["good", "forged"] {
                ensure!(
                    !trail.contains(tokens[which].as_str().unwrap_or_default()),
                    "a token is in the trail"
                );
            }
            ensure!(
                trail.contains("AssumeRoleWithWebIdentity"),
                "the calls are not in the trail"
            );
        }
        Ok(())
    })?;
    let _ = std::fs::remove_dir_all(&folder);
    phase("destroy leaves the host clean", || cloud.finish())
}

#[test]
fn loopback_issuer_in_development() -> Result<()> {
    let folder = std::env::temp_dir().join(format!("honmaru-oidc-http-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let (issuer, tokens) = start(&folder, &["http"])?;
    let cloud = Cloud::start_with(&["--dev"])?;
    let url = tokens["issuer"].as_str().context("an issuer")?.to_owned();
    phase("a token of an issuer that speaks plain HTTP on this machine", || {
        let create = ["iam", "create-open-id-connect-provider", "--url", &url];
        let provider = cloud.aws(&[&create[..], &["--client-id-list", "sts.amazonaws.com"]].concat())?;
        let provider = provider["OpenIDConnectProviderArn"]
            .as_str()
            .context("an ARN")?
            .to_owned();
        let trust = json!({ "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow",
            "Principal": { "Federated": provider },
            "Action": "sts:AssumeRoleWithWebIdentity",
        }] });
        let trust = trust.to_string();
        let role = [
            "iam",
            "create-role",
            "--role-name",
            "local",
            "--assume-role-policy-document",
            &trust,
        ];
        cloud.aws(&role)?;
        let assume = |which: &str| -> Result<std::process::Output> {
            let token = tokens[which].as_str().with_context(|| format!("no token `{which}`"))?;
            let role = "arn:aws:iam::000000000000:role/local";
            let call = [
                "sts",
                "assume-role-with-web-identity",
                "--role-arn",
                role,
                "--role-session-name",
                "ci",
            ];
            cloud.aws_output(&[&call[..], &["--web-identity-token", token]].concat())
        };
        let session = assume("good")?;
        ensure!(session.status.success(), "{}", text(&session.stderr));
        let forged = assume("forged")?;
        ensure!(
            text(&forged.stderr).contains("InvalidIdentityToken"),
            "{}",
            text(&forged.stderr)
        );
        Ok(())
    })?;
    phase("an issuer elsewhere must speak https all the same", || {
        let refused = cloud.aws_output(&[
            "iam",
            "create-open-id-connect-provider",
            "--url",
            "http://token.example",
        ])?;
        ensure!(
            text(&refused.stderr).contains("ValidationError"),
            "{}",
            text(&refused.stderr)
        );
        Ok(())
    })?;
    drop(issuer);
    let _ = std::fs::remove_dir_all(&folder);
    phase("destroy leaves the host clean", || cloud.finish())
}
