//! The operator's file of other clouds: which destinations of replication they are, and the keys that let us in.

use anyhow::{Context, bail};
use honmaru_base::Scope;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Other clouds at most; a replication configuration has 25 destinations at most.
const CLOUDS_MAX: usize = 1_000;

/// Another cloud. It is never printed: it holds a secret.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Other {
    /// `https://HOST[:PORT]`, or plain HTTP on this machine.
    pub endpoint: String,
    /// The keys of whoever pushes there.
    pub access_key_id: String,
    /// Their secret.
    pub secret_access_key: String,
    /// The certificates (PEM) that vouch for it, where the system's do not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
}

/// Reads a file: `{"REGION/ACCOUNT": {"endpoint": ..., "accessKeyId": ..., "secretAccessKey": ..., "ca": ...}}`.
pub fn read(file: &Path) -> anyhow::Result<BTreeMap<Scope, Other>> {
    let text = std::fs::read(file).with_context(|| format!("failed to read {}", file.display()))?;
    parse(&text).with_context(|| format!("{} names no other clouds", file.display()))
}

/// The file's text once more, with each certificate where `keep` says that it was copied to.
pub fn rewrite(file: &Path, mut keep: impl FnMut(&Path) -> anyhow::Result<PathBuf>) -> anyhow::Result<Vec<u8>> {
    let mut clouds = BTreeMap::new();
    for (scope, mut other) in read(file)? {
        if let Some(ca) = &other.ca {
            crate::trust::certificates(ca)?;
            other.ca = Some(keep(ca)?);
        }
        clouds.insert(format!("{}/{}", scope.region, scope.account), other);
    }
    Ok(serde_json::to_vec(&clouds)?)
}

fn parse(text: &[u8]) -> anyhow::Result<BTreeMap<Scope, Other>> {
    // What the file holds is no text for an error: only where it is wrong.
    let read: BTreeMap<String, Other> = serde_json::from_slice(text).map_err(|error| {
        anyhow::anyhow!(
            "line {}, column {} is wrong\nhint: {{\"eu-west-1/123456789012\": {{\"endpoint\": \"https://...\", \
             \"accessKeyId\": \"...\", \"secretAccessKey\": \"...\"}}}} is expected",
            error.line(),
            error.column()
        )
    })?;
    if read.len() > CLOUDS_MAX {
        bail!("there are {} entries; at most {CLOUDS_MAX} are possible", read.len());
    }
    let mut clouds = BTreeMap::new();
    for (name, other) in read {
        let scope = name
            .split_once('/')
            .and_then(|(region, account)| Scope::new(account, region).ok());
        let scope = scope.with_context(|| format!("`{name}` is no REGION/ACCOUNT"))?;
        check_endpoint(&other.endpoint).with_context(|| format!("the endpoint of `{name}`"))?;
        clouds.insert(scope, other);
    }
    Ok(clouds)
}

/// Whether tokens and images can be sent to an endpoint without anybody on the way who reads them.
fn check_endpoint(endpoint: &str) -> anyhow::Result<()> {
    let parsed: http::Uri = endpoint.parse().with_context(|| format!("`{endpoint}` is no URL"))?;
    let (Some(scheme), Some(authority)) = (parsed.scheme_str(), parsed.authority()) else {
        bail!("`{endpoint}` is no URL: `https://HOST:PORT` is expected");
    };
    if !matches!(parsed.path(), "" | "/") || parsed.query().is_some() || authority.as_str().contains('@') {
        bail!("`{endpoint}` is more than `https://HOST:PORT`");
    }
    let host = authority.host().trim_matches(['[', ']']);
    let is_here = host == "localhost"
        || host.ends_with(".localhost")
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback());
    match scheme {
        "https" => Ok(()),
        "http" if is_here => Ok(()),
        _ => bail!("`{endpoint}` must begin with `https://`: plain HTTP is for clouds on this machine"),
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn only_whole_entries_with_safe_endpoints_are_taken() {
        let file = |name: &str, endpoint: &str| {
            format!(r#"{{"{name}": {{"endpoint": "{endpoint}", "accessKeyId": "AKIA", "secretAccessKey": "s3cret"}}}}"#)
        };
        let good = [
            ("eu-west-1/123456789012", "https://other:4566"),
            ("eu-west-1/123456789012", "http://127.0.0.1:4566"),
            ("us-east-1/000000000000", "http://[::1]:4566/"),
        ];
        for (name, endpoint) in good {
            assert_eq!(
                parse(file(name, endpoint).as_bytes()).unwrap().len(),
                1,
                "{name} {endpoint}"
            );
        }
        let bad = [
            ("123456789012/eu-west-1", "https://other"),
            ("eu-west-1", "https://other"),
            ("eu-west-1/123456789012", "http://other"),
            ("eu-west-1/123456789012", "other:4566"),
            ("eu-west-1/123456789012", "https://other/path"),
            ("eu-west-1/123456789012", "https://me@other"),
        ];
        for (name, endpoint) in bad {
            assert!(parse(file(name, endpoint).as_bytes()).is_err(), "{name} {endpoint}");
        }
        let unknown = r#"{"eu-west-1/123456789012": {"endpoint": "https://x", "secretAccessKey": "s3cret"}}"#;
        let error = format!("{:#}", parse(unknown.as_bytes()).err().unwrap());
        assert!(!error.contains("s3cret"), "{error}");
    }
}
