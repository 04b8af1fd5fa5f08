//! Where the shared entry speaks TLS. Nobody has to say it, and few need it: the default address is taken only if nothing
//! else wants it, and a cloud starts without it.

use super::{UpOptions, ports};
use crate::lock::Holder;
use anyhow::bail;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::str::FromStr;

/// Beside `--http`'s 8080.
const DEFAULT: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8443));
const OPTION: &str = "--https";

/// `--https`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecureEntry {
    /// There.
    At(SocketAddr),
    /// Nowhere: `none`.
    Off,
}

impl FromStr for SecureEntry {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::Off),
            address => address
                .parse()
                .map(Self::At)
                .map_err(|_| "an ADDRESS:PORT is expected, or `none`".to_owned()),
        }
    }
}

impl fmt::Display for SecureEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(address) => write!(f, "{address}"),
            Self::Off => f.write_str("none"),
        }
    }
}

impl SecureEntry {
    /// The address.
    pub fn address(self) -> Option<SocketAddr> {
        match self {
            Self::At(address) => Some(address),
            Self::Off => None,
        }
    }
}

/// Decides where it is, given who runs as `edge` already. An address that was asked for and cannot be had is an error.
pub(super) fn decide(options: &UpOptions, edge: Option<&Holder>) -> anyhow::Result<SecureEntry> {
    match options.https {
        Some(SecureEntry::Off) => Ok(SecureEntry::Off),
        Some(SecureEntry::At(address)) => {
            check(options, address, edge)?;
            Ok(SecureEntry::At(address))
        }
        None => match check(options, DEFAULT, edge) {
            Ok(()) => Ok(SecureEntry::At(DEFAULT)),
            Err(error) => {
                tell!(
                    "warning: apps with a certificate serve HTTPS at the addresses of their load balancers only, not at the \
                     shared entry: {error}"
                );
                Ok(SecureEntry::Off)
            }
        },
    }
}

/// Fails when an address cannot be listened on.
pub(super) fn check(options: &UpOptions, address: SocketAddr, edge: Option<&Holder>) -> anyhow::Result<()> {
    for (other, option) in [(options.listen, "--listen"), (options.http, "--http")] {
        if overlap(address, other) {
            bail!(
                "{address} is that of `{option}`\nhint: choose another with `{OPTION} {}:PORT`",
                address.ip()
            );
        }
    }
    match edge {
        // It has the port itself.
        Some(edge) if listens(edge, address) => Ok(()),
        _ => ports::check_free(address, OPTION),
    }
}

fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let is_all = |address: SocketAddr| address.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && (one.ip() == other.ip() || is_all(one) || is_all(other))
}

/// Whether a running edge was started with that address.
fn listens(edge: &Holder, address: SocketAddr) -> bool {
    format!(" {} ", edge.options).contains(&format!(" {OPTION} {address} "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use std::net::TcpListener;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        options: UpOptions,
    }

    fn options(more: &[&str]) -> UpOptions {
        let fixed = ["up", "--listen", "127.0.0.1:1", "--http", "127.0.0.1:2"];
        Command::parse_from([&fixed[..], more].concat()).options
    }

    fn edge(options: &str) -> Holder {
        Holder {
            pid: 1,
            binary: "honmaru".to_owned(),
            options: options.to_owned(),
        }
    }

    #[test]
    fn what_was_asked_for_must_be_free() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = taken.local_addr().expect("it is bound");
        let asked = options(&["--https", &address.to_string()]);
        let error = decide(&asked, None).expect_err("it is taken").to_string();
        assert!(error.contains("hint: choose another with `--https"), "{error}");
        // A running edge has it, unless it has another one.
        let own = edge(&format!("role edge --https {address} --dev"));
        assert_eq!(decide(&asked, Some(&own)).expect("its own"), SecureEntry::At(address));
        assert!(decide(&asked, Some(&edge(&format!("role edge --https {address}0")))).is_err());
        drop(taken);
        assert_eq!(decide(&asked, None).expect("it is free"), SecureEntry::At(address));
        for same in ["127.0.0.1:2", "0.0.0.0:1"] {
            let error = decide(&options(&["--https", same]), None).expect_err(same).to_string();
            assert!(error.contains("is that of `--"), "{error}");
        }
        assert_eq!(
            decide(&options(&["--https", "none"]), None).expect("none"),
            SecureEntry::Off
        );
        assert!(Command::try_parse_from(["up", "--https", "8443"]).is_err());
    }

    #[test]
    fn nobody_is_kept_from_starting_by_the_default() {
        // Whether somebody else on this machine listens there or not.
        let _held = TcpListener::bind(DEFAULT);
        assert_eq!(decide(&options(&[]), None).expect("it starts"), SecureEntry::Off);
        let own = edge("role edge --https 127.0.0.1:8443");
        assert_eq!(
            decide(&options(&[]), Some(&own)).expect("its own"),
            SecureEntry::At(DEFAULT)
        );
        let same = UpOptions {
            http: DEFAULT,
            ..options(&[])
        };
        assert_eq!(decide(&same, Some(&own)).expect("it starts"), SecureEntry::Off);
    }
}
