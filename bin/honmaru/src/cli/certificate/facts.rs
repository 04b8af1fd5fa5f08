//! What a certificate says of itself.

use crate::cli::app::App;
use crate::cli::terminal::printable;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate, X509Name};

/// What people want to know of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The DNS names that it is for, lower case: those of the subjectAltName, or the common name where there is none.
    pub names: Vec<String>,
    /// Whether the names stand in a subjectAltName, where clients look for them.
    pub is_listed: bool,
    /// Who says so.
    pub issuer: String,
    /// Whether it is its own issuer.
    pub is_own_issuer: bool,
    /// When it begins and ends to be valid, in milliseconds since the epoch.
    pub begins_ms: i64,
    pub ends_ms: i64,
}

impl Facts {
    /// Reads them; nothing where the bytes are no certificate.
    pub fn of(der: &[u8]) -> Option<Self> {
        X509Certificate::from_der(der)
            .ok()
            .map(|(_, parsed)| Self::new(&parsed))
    }

    /// Those of a certificate that was read.
    pub fn new(certificate: &X509Certificate<'_>) -> Self {
        let alternative = certificate.subject_alternative_name().ok().flatten();
        let listed = alternative
            .iter()
            .flat_map(|extension| &extension.value.general_names)
            .filter_map(|name| match name {
                GeneralName::DNSName(name) => Some(shown(name)),
                _ => None,
            });
        let listed: Vec<String> = listed.collect();
        let is_listed = !listed.is_empty();
        let common = certificate.subject().iter_common_name();
        let common = common.filter_map(|name| name.as_str().ok()).map(shown);
        Self {
            names: if is_listed { listed } else { common.collect() },
            is_listed,
            issuer: who(certificate.issuer()),
            is_own_issuer: certificate.issuer() == certificate.subject(),
            begins_ms: certificate.validity().not_before.timestamp().saturating_mul(1_000),
            ends_ms: certificate.validity().not_after.timestamp().saturating_mul(1_000),
        }
    }

    /// A name that a client can ask for: the first that is no pattern, else one that the first pattern covers.
    pub fn host(&self) -> Option<String> {
        let plain = self.names.iter().find(|name| !name.starts_with("*."));
        let covered = || Some(format!("www.{}", self.names.first()?.strip_prefix("*.")?));
        plain.cloned().or_else(covered)
    }

    /// Whether the certificate is for a name.
    pub fn covers(&self, host: &str) -> bool {
        let pattern = host.split_once('.').map(|(_, parent)| format!("*.{parent}"));
        self.names
            .iter()
            .any(|name| name == host || Some(name) == pattern.as_ref())
    }

    /// A name that leads to an app at the shared entry: the app's own, if it may be; one that begins with the app's, which
    /// is its own even if several apps have the certificate; any other.
    pub fn host_of(&self, app: &App) -> Option<String> {
        let begins = |name: &String| {
            let (label, parent) = name.split_once('.')?;
            (label == "*" || label == app.name()).then(|| format!("{}.{parent}", app.name()))
        };
        let own = Some(app.host()).filter(|host| self.covers(host));
        own.or_else(|| self.names.iter().find_map(begins))
            .or_else(|| self.host())
    }
}

/// A name as clients compare it, without what could steer a terminal.
fn shown(name: &str) -> String {
    printable(name).trim_end_matches('.').to_ascii_lowercase()
}

/// Somebody's common name, else all that is said of them.
pub fn who(name: &X509Name<'_>) -> String {
    let common = name.iter_common_name().find_map(|common| common.as_str().ok());
    printable(&common.map_or_else(|| name.to_string(), str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_at_the_shared_entry() {
        let app: App = "shop".parse().expect("a name");
        for (names, host) in [
            (&["www.example.com", "shop.localhost"][..], "shop.localhost"),
            (&["*.localhost"], "shop.localhost"),
            (&["blog.example.com", "shop.example.com"], "shop.example.com"),
            (&["example.com", "*.example.com"], "shop.example.com"),
            (&["www.example.com", "example.com"], "www.example.com"),
        ] {
            let facts = Facts {
                names: names.iter().map(|name| (*name).to_owned()).collect(),
                is_listed: true,
                issuer: String::new(),
                is_own_issuer: false,
                begins_ms: 0,
                ends_ms: 0,
            };
            assert_eq!(facts.host_of(&app).as_deref(), Some(host));
            assert!(facts.covers(host));
        }
    }
}
