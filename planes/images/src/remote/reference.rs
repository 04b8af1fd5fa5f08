//! Image references: `[registry/]repository[:tag][@digest]`, with Docker's defaults.
//! Ref: distribution/reference grammar; OCI distribution specification 1.1, "Pulling manifests".

use crate::{Digest, DigestError};
use std::{fmt, net::IpAddr, str::FromStr};

const DOCKER: &str = "docker.io";
/// Ref: distribution specification 1.1: many clients limit host and name to 255 characters together.
const NAME_CHARS_MAX: usize = 255;
/// Ref: distribution specification 1.1: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
const TAG_CHARS_MAX: usize = 128;

/// Why a text is no image reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// The repository's name is malformed.
    #[error("`{0}` is no repository name: lower-case letters, digits and `. _ - /` between them are expected")]
    Repository(String),
    /// The tag is malformed.
    #[error("`{0}` is no tag: 1 to 128 of letters, digits, `.`, `_` and `-`, not beginning with `.` or `-`")]
    Tag(String),
    /// The digest is malformed.
    #[error("the digest is malformed")]
    Digest(#[source] DigestError),
}

/// A valid image reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// The registry as people name it, with its port.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository's name in the registry.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag; `latest` where none is given.
    pub fn tag(&self) -> &str {
        self.tag.as_deref().unwrap_or("latest")
    }

    /// The digest, which counts more than the tag.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Whether the registry is on this machine, where plain HTTP may be spoken.
    pub(super) fn is_loopback(&self) -> bool {
        is_loopback(host_of(&self.registry))
    }

    /// The URL of something in the repository.
    pub(super) fn url(&self, is_tls: bool, tail: &str) -> String {
        format!("{}{}/{tail}", self.base(is_tls), self.repository)
    }

    /// The URL of the registry's base.
    pub(super) fn base(&self, is_tls: bool) -> String {
        let scheme = if is_tls { "https" } else { "http" };
        let host = if self.registry == DOCKER {
            "registry-1.docker.io"
        } else {
            &self.registry
        };
        format!("{scheme}://{host}/v2/")
    }
}

/// The host of `host:port`.
fn host_of(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host.trim_matches(['[', ']']),
        _ => authority.trim_matches(['[', ']']),
    }
}

/// Whether a host name means this machine. Ref: RFC 6761 section 6.3.
pub(super) fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.ends_with(".localhost") || host.parse::<IpAddr>().is_ok_and(is_here)
}

/// Whether a connection to an address ends on this machine's loopback: the unspecified address leads there too, and an
/// IPv4 address may be written as one of IPv6.
pub(super) fn is_here(address: IpAddr) -> bool {
    let address = address.to_canonical();
    address.is_loopback() || address.is_unspecified()
}

impl FromStr for Reference {
    type Err = ReferenceError;
    fn from_str(s: &str) -> Result<Self, ReferenceError> {
        let (rest, digest) = match s.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse().map_err(ReferenceError::Digest)?)),
            None => (s, None),
        };
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        if let Some(tag) = tag
            && !is_tag(tag)
        {
            return Err(ReferenceError::Tag(tag.to_owned()));
        }
        let (registry, path) = match name.split_once('/') {
            Some((first, path)) if first.contains(['.', ':']) || first == "localhost" || first.starts_with('[') => {
                (first.to_owned(), path.to_owned())
            }
            Some(_) => (DOCKER.to_owned(), name.to_owned()),
            None => (DOCKER.to_owned(), format!("library/{name}")),
        };
        let registry = if registry == "index.docker.io" {
            DOCKER.to_owned()
        } else {
            registry
        };
        let path = if registry == DOCKER && !path.contains('/') {
            format!("library/{path}")
        } else {
            path
        };
        let host_ok = registry
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b));
        if !host_ok || !is_repository(&path) || registry.len() + path.len() >= NAME_CHARS_MAX {
            return Err(ReferenceError::Repository(name.to_owned()));
        }
        Ok(Self {
            registry,
            repository: path,
            tag: tag.map(str::to_owned),
            digest,
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        match (&self.tag, &self.digest) {
            (Some(tag), Some(digest)) => write!(f, ":{tag}@{digest}"),
            (None, Some(digest)) => write!(f, "@{digest}"),
            (_, None) => write!(f, ":{}", self.tag()),
        }
    }
}

/// Whether a text is a tag. Ref: distribution specification 1.1.
pub(crate) fn is_tag(tag: &str) -> bool {
    let first = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    (1..=TAG_CHARS_MAX).contains(&tag.len())
        && tag.bytes().next().is_some_and(first)
        && tag.bytes().all(|b| first(b) || b == b'.' || b == b'-')
}

/// Whether a text is a repository's name. Ref: distribution specification 1.1:
/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*`.
pub(crate) fn is_repository(name: &str) -> bool {
    !name.is_empty() && name.split('/').all(is_component)
}

fn is_component(part: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ends = part.bytes().next().is_some_and(alphanumeric) && part.bytes().last().is_some_and(alphanumeric);
    let separators = part.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    ends && separators
        .into_iter()
        .all(|run| matches!(run, "" | "." | "_" | "__") || run.bytes().all(|b| b == b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(text.parse::<Reference>().unwrap().to_string(), expected);
    }

    #[test]
    fn reads_references_as_docker_does() {
        check("nginx", "docker.io/library/nginx:latest");
        check("nginx:1.27", "docker.io/library/nginx:1.27");
        check("bitnami/redis", "docker.io/bitnami/redis:latest");
        check("docker.io/nginx", "docker.io/library/nginx:latest");
        check("localhost/a", "localhost/a:latest");
        check("localhost:4566/a/b:c", "localhost:4566/a/b:c");
        check("quay.io/org/app", "quay.io/org/app:latest");
        let digest = Digest::sha256(b"");
        check(&format!("a.b/c@{digest}"), &format!("a.b/c@{digest}"));
    }

    #[test]
    fn refuses_what_is_none() {
        for bad in [
            "",
            "UPPER",
            "a//b",
            "a.b/",
            "a:.tag",
            "a/../b",
            "-a",
            "a@sha256:x",
            "a.b/a___b",
            "h.x/a._b",
        ] {
            assert!(bad.parse::<Reference>().is_err(), "{bad}");
        }
    }

    #[test]
    fn speaks_plain_http_to_this_machine_only() {
        let url = |text: &str| {
            let reference = text.parse::<Reference>().unwrap();
            reference.url(!reference.is_loopback(), "x")
        };
        assert_eq!(url("localhost:1/a"), "http://localhost:1/v2/a/x");
        assert_eq!(
            url("000000000000.dkr.ecr.us-east-1.localhost:1/a").split(':').next(),
            Some("http")
        );
        assert_eq!(url("127.0.0.2:1/a").split(':').next(), Some("http"));
        assert_eq!(url("10.0.0.1:1/a").split(':').next(), Some("https"));
        assert_eq!(url("nginx"), "https://registry-1.docker.io/v2/library/nginx/x");
    }
}
