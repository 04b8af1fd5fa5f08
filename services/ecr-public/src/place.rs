//! Where public repositories are: host names, paths, and the scope behind them.

use crate::alias::{account_of, alias_of};
use honmaru_base::{AccountId, GLOBAL_REGION, Scope};

/// The labels that a public registry's host name begins with: `public.ecr.localhost`, and AWS's own `public.ecr.aws`.
const HOST_LABELS: &str = "public.ecr.";
/// What paths of public repositories begin with on hosts that name no registry: `localhost:4566/public/<alias>/<name>`.
pub const PATH_PREFIX: &str = "public/";

/// By which door a request of the distribution protocol came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// The host name of public registries: names are `<alias>/<name>`.
    Host,
    /// Any other host that names no private registry: names may be `public/<alias>/<name>`.
    Path,
}

/// A public repository that a name means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Space<'a> {
    /// The account's global scope, in which its public repositories lie.
    pub scope: Scope,
    /// The repository's name there.
    pub name: &'a str,
}

/// Whether a host (with or without a port) is the public registries'.
pub fn is_public_host(host: &str) -> bool {
    host.starts_with(HOST_LABELS)
}

/// The host name of public registries, with the port under which this cloud was reached.
pub fn host(call_host: &str) -> String {
    let port = call_host
        .rsplit_once(':')
        .and_then(|(_, port)| port.parse::<u16>().ok());
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    format!("{HOST_LABELS}localhost{port}")
}

/// The address of an account's public registry: `public.ecr.localhost:<port>/<alias>`.
pub fn registry_uri(account: &AccountId, call_host: &str) -> String {
    format!("{}/{}", host(call_host), alias_of(account))
}

/// The scope in which an account's public repositories lie.
pub fn scope_of(account: AccountId) -> Scope {
    let region = GLOBAL_REGION.parse().expect("a constant that is a region's name");
    Scope { account, region }
}

impl Door {
    /// The public repository that a name means at this door, if it means one. An alias is eight characters that follow
    /// from an account's number: a private repository `public/app` is no public one.
    pub fn open(self, name: &str) -> Option<Space<'_>> {
        let rest = match self {
            Self::Host => name,
            Self::Path => name.strip_prefix(PATH_PREFIX)?,
        };
        let (alias, name) = rest.split_once('/')?;
        let scope = scope_of(account_of(alias)?);
        Some(Space { scope, name })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_mean_public_repositories() {
        let account: AccountId = "123456789012".parse().unwrap();
        let alias = alias_of(&account);
        let check = |door: Door, name: &str, expected: Option<&str>| {
            let found = door.open(name).map(|space| format!("{} {}", space.scope, space.name));
            let expected = expected.map(|name| format!("123456789012/aws-global {name}"));
            assert_eq!(found, expected, "{door:?} {name}");
        };
        check(Door::Host, &format!("{alias}/team/app"), Some("team/app"));
        check(Door::Path, &format!("public/{alias}/app"), Some("app"));
        check(Door::Path, &format!("{alias}/app"), None);
        check(Door::Path, "public/app", None);
        check(Door::Host, &alias, None);
    }

    #[test]
    fn addresses_carry_the_callers_port() {
        let account: AccountId = "000000000000".parse().unwrap();
        let uri = registry_uri(&account, "127.0.0.1:4566");
        assert!(uri.starts_with("public.ecr.localhost:4566/"), "{uri}");
        assert!(is_public_host(&uri) && is_public_host("public.ecr.aws") && !is_public_host("localhost:4566"));
    }
}
