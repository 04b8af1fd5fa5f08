//! Names of repositories, tags and digests; ARNs and URIs; which repository a registry host and path mean.

use honmaru_base::{Arn, GLOBAL_REGION, Scope};

/// Ref: ECR `RepositoryName`: 2 to 256 characters.
const NAME_CHARS_MIN: usize = 2;
const NAME_CHARS_MAX: usize = 256;
/// Ref: OCI distribution specification 1.1.
const TAG_CHARS_MAX: usize = 128;

/// Whether a text may be a repository's name. Ref: ECR `RepositoryName`:
/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*`.
pub fn is_repository_name(name: &str) -> bool {
    (NAME_CHARS_MIN..=NAME_CHARS_MAX).contains(&name.len()) && name.split('/').all(is_component)
}

/// Whether a text may be the prefix of repositories' names, without the slash at its end, which is understood. It may be
/// as short as one character. Ref: ECR `Prefix`.
pub(crate) fn is_prefix(prefix: &str) -> bool {
    prefix.len() <= NAME_CHARS_MAX && prefix.split('/').all(is_component)
}

fn is_component(part: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ends = part.bytes().next().is_some_and(alphanumeric) && part.bytes().last().is_some_and(alphanumeric);
    let mut runs = part.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    ends && runs.all(|run| matches!(run, "" | "." | "_" | "__") || run.bytes().all(|b| b == b'-'))
}

/// Whether a text may be a tag.
pub fn is_tag(tag: &str) -> bool {
    let first = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    (1..=TAG_CHARS_MAX).contains(&tag.len())
        && tag.bytes().next().is_some_and(first)
        && tag.bytes().all(|b| first(b) || b == b'.' || b == b'-')
}

/// Whether a text is a digest that the store can hold.
pub fn is_digest(digest: &str) -> bool {
    let hex = |hex: &str, len: usize| hex.len() == len && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    match digest.split_once(':') {
        Some(("sha256", rest)) => hex(rest, 64),
        Some(("sha512", rest)) => hex(rest, 128),
        _ => false,
    }
}

/// A repository's ARN. Those of the global scope are the account's public ones, which belong to no region.
pub fn repository_arn(scope: &Scope, name: &str) -> String {
    let (service, region) = match scope.region.as_str() {
        GLOBAL_REGION => ("ecr-public", ""),
        region => ("ecr", region),
    };
    Arn::new(service, region, scope.account.as_str(), format!("repository/{name}")).to_string()
}

/// The scope and name in a repository's ARN.
pub(crate) fn parse_repository_arn(arn: &str) -> Option<(Scope, String)> {
    let arn: Arn = arn.parse().ok()?;
    let name = arn
        .resource
        .strip_prefix("repository/")
        .filter(|_| arn.service == "ecr")?;
    Some((Scope::new(&arn.account, &arn.region).ok()?, name.to_owned()))
}

/// The domains of AWS's own host names. Ref: AWS General Reference, "Amazon ECR endpoints and quotas".
const AWS_DOMAINS: [&str; 2] = ["amazonaws.com", "amazonaws.com.cn"];

/// AWS's domain, where this cloud was reached by a name in it (`api.ecr.<region>.amazonaws.com`): a resolver or a proxy
/// of the caller's leads here.
fn aws_domain(call_host: &str) -> Option<&'static str> {
    let name = port_of(call_host).map_or(call_host, |_| {
        call_host.rsplit_once(':').map_or(call_host, |(name, _)| name)
    });
    let name = name.to_ascii_lowercase();
    let is_in = |domain: &&str| name.strip_suffix(*domain).is_some_and(|rest| rest.ends_with('.'));
    AWS_DOMAINS.into_iter().find(is_in)
}

/// The registry's host name for a scope, with the domain and the port under which this cloud was reached.
pub fn registry_host(scope: &Scope, call_host: &str) -> String {
    let port = port_of(call_host).map(|port| format!(":{port}")).unwrap_or_default();
    let domain = aws_domain(call_host).unwrap_or("localhost");
    format!("{}.dkr.ecr.{}.{domain}{port}", scope.account, scope.region)
}

/// The host to which a caller logs in for the registry of their own account: that by which this cloud was reached, except
/// that AWS's name of the API (`api.ecr.<region>.amazonaws.com`) is none of a registry's.
pub(crate) fn login_host(scope: &Scope, call_host: &str) -> String {
    match aws_domain(call_host) {
        Some(_) => registry_host(scope, call_host),
        None => call_host.to_owned(),
    }
}

/// A repository's URI: `<account>.dkr.ecr.<region>.localhost:<port>/<name>`, or in AWS's domain as [`registry_host`].
pub fn repository_uri(scope: &Scope, call_host: &str, name: &str) -> String {
    format!("{}/{name}", registry_host(scope, call_host))
}

fn port_of(host: &str) -> Option<u16> {
    host.rsplit_once(':').and_then(|(_, port)| port.parse().ok())
}

/// Which repository an image name's host and path mean: the scope in `<account>.dkr.ecr.<region>.<any domain>`, or the
/// default one for every other host (`localhost:4566`). `path` is the repository's name, or a path under `/v2/`.
/// Nothing when no repository can have such a name.
pub fn repository_of(host: &str, path: &str, default: &Scope) -> Option<(Scope, String)> {
    let scope = scope_of_host(host).unwrap_or_else(|| default.clone());
    let rest = path.trim_start_matches('/');
    let name = match rest.strip_prefix("v2/") {
        Some(rest) => name_in_route(rest)?,
        None => rest,
    };
    is_repository_name(name).then(|| (scope, name.to_owned()))
}

/// The scope that a registry's host name says, if it says one.
pub fn scope_of_host(host: &str) -> Option<Scope> {
    let host = host
        .rsplit_once(':')
        .filter(|(_, port)| port.parse::<u16>().is_ok())
        .map_or(host, |(host, _)| host);
    let mut labels = host.split('.');
    let account = labels.next()?;
    if labels.next() != Some("dkr") || labels.next() != Some("ecr") {
        return None;
    }
    Scope::new(account, labels.next()?).ok()
}

/// The repository's name in a path of the distribution protocol, without `/v2/`.
fn name_in_route(rest: &str) -> Option<&str> {
    if let Some(name) = rest.strip_suffix("/tags/list") {
        return Some(name);
    }
    if let Some((name, _)) = rest.rsplit_once("/blobs/uploads") {
        return Some(name);
    }
    let (head, _) = rest.rsplit_once('/')?;
    let (name, kind) = head.rsplit_once('/')?;
    matches!(kind, "blobs" | "manifests" | "referrers").then_some(name)
}

/// Whether a host is one of this cloud's registry: a `localhost` name or loopback address with the cloud's port.
pub fn is_own_registry(host: &str, port: u16) -> bool {
    let (name, given) = match host.rsplit_once(':') {
        Some((name, digits)) => match digits.parse::<u16>() {
            Ok(given) => (name, Some(given)),
            Err(_) => (host, None),
        },
        None => (host, None),
    };
    let local = name == "localhost" || name == "127.0.0.1" || name.ends_with(".localhost");
    // AWS's own names are understood too, so that task definitions written for AWS run unchanged.
    let aws = scope_of_host(host).is_some();
    (local && given == Some(port)) || aws
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope() -> Scope {
        Scope::new("000000000000", "us-east-1").unwrap()
    }

    #[test]
    fn names_follow_the_models_pattern() {
        for good in ["ab", "team/app", "a.b_c__d---e", "0/1"] {
            assert!(is_repository_name(good), "{good}");
        }
        for bad in [
            "a",
            "",
            "A/b",
            "a//b",
            "/ab",
            "ab/",
            "a..b",
            "a___b",
            "-ab",
            "ab-",
            "a._b",
            &"a".repeat(257),
        ] {
            assert!(!is_repository_name(bad), "{bad}");
        }
    }

    #[test]
    fn hosts_and_paths_mean_repositories() {
        let check = |host: &str, path: &str, expected: &str| {
            let found = repository_of(host, path, &scope()).map(|(scope, name)| format!("{scope} {name}"));
            assert_eq!(found.as_deref().unwrap_or("none"), expected, "{host} {path}");
        };
        check("localhost:4566", "team/app", "000000000000/us-east-1 team/app");
        check(
            "localhost:4566",
            "/v2/team/app/manifests/latest",
            "000000000000/us-east-1 team/app",
        );
        check(
            "123456789012.dkr.ecr.eu-west-1.localhost:4566",
            "/v2/app/blobs/uploads/",
            "123456789012/eu-west-1 app",
        );
        check(
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
            "app",
            "123456789012/eu-west-1 app",
        );
        check("x.dkr.ecr.eu-west-1.localhost", "app", "000000000000/us-east-1 app");
        check(
            "localhost",
            "/v2/app/blobs/uploads/some-id",
            "000000000000/us-east-1 app",
        );
        check("localhost", "/v2/", "none");
        check("localhost", "UPPER", "none");
    }

    #[test]
    fn uris_carry_the_callers_port() {
        let uri = "000000000000.dkr.ecr.us-east-1.localhost:4566/app";
        assert_eq!(repository_uri(&scope(), "localhost:4566", "app"), uri);
        assert_eq!(
            repository_uri(&scope(), "localhost", "app"),
            "000000000000.dkr.ecr.us-east-1.localhost/app"
        );
        for (call_host, host) in [
            (
                "api.ecr.us-east-1.amazonaws.com",
                "000000000000.dkr.ecr.us-east-1.amazonaws.com",
            ),
            (
                "API.ECR.us-east-1.amazonaws.com:8443",
                "000000000000.dkr.ecr.us-east-1.amazonaws.com:8443",
            ),
            (
                "api.ecr.cn-north-1.amazonaws.com.cn",
                "000000000000.dkr.ecr.us-east-1.amazonaws.com.cn",
            ),
            ("notamazonaws.com", "000000000000.dkr.ecr.us-east-1.localhost"),
            ("amazonaws.com.example", "000000000000.dkr.ecr.us-east-1.localhost"),
        ] {
            assert_eq!(registry_host(&scope(), call_host), host, "{call_host}");
        }
        assert!(is_own_registry("localhost:4566", 4566) && !is_own_registry("localhost:5000", 4566));
        assert!(is_own_registry("000000000000.dkr.ecr.us-east-1.localhost:4566", 4566));
        assert!(!is_own_registry("docker.io", 4566) && !is_own_registry("quay.io:4566", 4566));
    }
}
