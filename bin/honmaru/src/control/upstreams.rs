//! Registries that this cloud's mirrors pull from: how they are reached, and the secrets that let us in.
//!
//! Until there is a Secrets Manager, secrets are those of a file that the operator gives (`--upstream-secrets`). Only a
//! rule that names a secret uses one: whoever may make rules must not get at images through credentials that nobody gave
//! to them.

use super::ControlOptions;
use anyhow::Context;
use honmaru_base::{AccountId, Arn};
use honmaru_images::{RemoteLimits, Remotes};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// Secrets Manager ends a secret's ARN with a hyphen and so many characters of its own. Ref: CreateSecret.
const SUFFIX_CHARS: usize = 6;

/// A secret as ECR wants it. Ref: ECR user guide, "Storing your upstream repository credentials".
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Login {
    username: String,
    access_token: String,
    /// The only registry that is told it, for example `registry-1.docker.io`: not ECR's, whose rules name known registries
    /// only. Without it every registry is that a rule with the secret names.
    registry: Option<String>,
}

/// What is in the operator's file: by the secret's name (in the default account) or by its ARN.
#[derive(Default, Deserialize)]
#[serde(transparent)]
struct Secrets(BTreeMap<String, Login>);

/// How mirrors reach their upstream registries.
pub struct Upstreams {
    remotes: Remotes,
    secrets: Secrets,
    account: AccountId,
}

impl Upstreams {
    /// Reads the operator's files.
    pub fn open(options: &ControlOptions) -> anyhow::Result<Self> {
        Ok(Self {
            remotes: Remotes::trusting(
                RemoteLimits {
                    loopback: options.local_registries.clone(),
                    ..RemoteLimits::default()
                },
                options.upstream_ca.clone(),
            ),
            secrets: options
                .upstream_secrets
                .as_deref()
                .map_or_else(|| Ok(Secrets::default()), read)?,
            account: options.account.clone(),
        })
    }

    /// The client for upstream registries. Clones share its connections.
    pub fn remotes(&self) -> Remotes {
        self.remotes.clone()
    }

    /// Whether there is such a secret.
    pub fn knows(&self, arn: &str) -> bool {
        self.login(arn).is_some()
    }

    /// `user:password` of a secret for a registry (or a repository there), or why there is none.
    pub fn credentials(&self, arn: &str, upstream: &str) -> Result<String, String> {
        let Some(login) = self.login(arn) else {
            return Err(format!("The secret '{arn}' does not exist"));
        };
        let host = upstream.split('/').next().unwrap_or_default();
        match &login.registry {
            Some(only) if !only.eq_ignore_ascii_case(host) => Err(format!("The secret '{arn}' is not for '{host}'")),
            _ => Ok(format!("{}:{}", login.username, login.access_token)),
        }
    }

    fn login(&self, arn: &str) -> Option<&Login> {
        let login = self.secrets.0.iter().find(|(key, _)| self.names(key, arn));
        login.map(|(_, login)| login)
    }

    /// Whether a key of the file means the secret with this ARN, which may end with Secrets Manager's suffix.
    fn names(&self, key: &str, arn: &str) -> bool {
        let is_it = |text: &str| match text.strip_prefix(key) {
            Some("") => true,
            Some(rest) => {
                let suffix = rest.strip_prefix('-').unwrap_or_default();
                suffix.len() == SUFFIX_CHARS && suffix.bytes().all(|byte| byte.is_ascii_alphanumeric())
            }
            None => false,
        };
        if key.starts_with("arn:") {
            return is_it(arn);
        }
        let Ok(arn) = arn.parse::<Arn>() else { return false };
        let name = arn.resource.strip_prefix("secret:");
        arn.account == self.account.as_str() && name.is_some_and(is_it)
    }

    /// Why a registry does not let us in; nothing when it does.
    pub async fn failure(&self, registry: &str, secret: Option<&str>) -> Option<String> {
        let credentials = match secret.map(|arn| self.credentials(arn, registry)).transpose() {
            Ok(credentials) => credentials,
            Err(why) => return Some(why),
        };
        let answered = self.remotes.ping(registry, credentials.as_deref()).await;
        answered.err().map(|error| honmaru_base::chain(&error))
    }
}

/// Refuses a file that is none of secrets.
pub fn check(file: &Path) -> anyhow::Result<()> {
    read(file).map(drop)
}

fn read(file: &Path) -> anyhow::Result<Secrets> {
    let text = std::fs::read(file).with_context(|| format!("failed to read {}", file.display()))?;
    // What the file holds is no text for an error: only where it is wrong.
    let wrong = |error: serde_json::Error| {
        anyhow::anyhow!(
            "{} holds no secrets (line {}, column {})\nhint: {{\"ecr-pullthroughcache/NAME\": {{\"username\": \"...\", \
             \"accessToken\": \"...\"}}}} is expected",
            file.display(),
            error.line(),
            error.column()
        )
    };
    serde_json::from_slice(&text).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_by_name_in_the_default_account_and_by_arn_in_any() {
        let secrets = r#"{
            "ecr-pullthroughcache/hub": {"username": "me", "accessToken": "t1"},
            "arn:aws:secretsmanager:eu-west-1:222222222222:secret:ecr-pullthroughcache/other":
                {"username": "you", "accessToken": "t2"},
            "ecr-pullthroughcache/bound": {"username": "us", "accessToken": "t3", "registry": "ghcr.io"}
        }"#;
        let upstreams = Upstreams {
            remotes: Remotes::new(RemoteLimits::default()),
            secrets: serde_json::from_str(secrets).unwrap(),
            account: "111111111111".parse().unwrap(),
        };
        let check = |account: &str, name: &str, expected: Option<&str>| {
            let arn = format!("arn:aws:secretsmanager:eu-west-1:{account}:secret:ecr-pullthroughcache/{name}");
            let found = upstreams.credentials(&arn, "registry-1.docker.io/library/nginx");
            assert_eq!(found.ok().as_deref(), expected, "{arn}");
            assert_eq!(upstreams.knows(&arn), expected.is_some() || name == "bound", "{arn}");
        };
        check("111111111111", "hub", Some("me:t1"));
        check("111111111111", "hub-AbC123", Some("me:t1"));
        check("111111111111", "hub-AbC12", None);
        check("111111111111", "hub2", None);
        check("222222222222", "hub", None);
        check("222222222222", "other-abcdef", Some("you:t2"));
        check("111111111111", "other", None);
        // Whoever may make a rule gets its password nowhere else.
        check("111111111111", "bound", None);
        let bound = "arn:aws:secretsmanager:eu-west-1:111111111111:secret:ecr-pullthroughcache/bound";
        assert_eq!(upstreams.credentials(bound, "GHCR.io").as_deref(), Ok("us:t3"));
        let refused = upstreams.credentials(bound, "ghcr.io.example.com").unwrap_err();
        assert_eq!(
            refused,
            format!("The secret '{bound}' is not for 'ghcr.io.example.com'")
        );
    }
}
