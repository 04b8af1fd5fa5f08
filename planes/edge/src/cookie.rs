//! The load balancer's own cookies: opaque to clients, encrypted and authenticated with a key of this machine.

use crate::error::EdgeError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use http::header::{COOKIE, HeaderMap};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Which cookie; part of what is authenticated, so that one cannot be used as another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `AWSALB`: a target.
    Target = 1,
    /// `AWSALBAPP-0`: a target, beside the application's cookie.
    Application = 2,
    /// `AWSALBTG`: a target group.
    Group = 3,
}

/// What a cookie holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket {
    /// Until when it counts, in seconds since the epoch.
    pub(crate) expires_s: u64,
    /// The target group: [`group_number`] of its ARN.
    pub(crate) group: u64,
    /// The target; all zero in group cookies.
    pub(crate) target: SocketAddrV4,
}

const PLAIN_BYTES: usize = 8 + 8 + 4 + 2;
const NONCE_BYTES: usize = 12;

/// A number for an ARN (FNV-1a). Tickets are authenticated: nobody can choose colliding ones.
pub(crate) fn group_number(arn: &str) -> u64 {
    arn.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

/// Makes and reads cookies.
pub(crate) struct Jar(ChaCha20Poly1305);

impl Jar {
    /// A jar with the key in `file`, which is made when it is not there.
    pub(crate) fn open(file: &Path) -> Result<Self, EdgeError> {
        let wrong = |source| EdgeError::State {
            path: file.to_owned(),
            source,
        };
        match std::fs::read(file) {
            Ok(key) if key.len() == 32 => Ok(Self(ChaCha20Poly1305::new(Key::from_slice(&key)))),
            Ok(_) => Err(wrong(std::io::Error::new(
                std::io::ErrorKind::InvalidData,
                "32 bytes are expected",
            ))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let key = random_key()?;
                let mut out = std::fs::OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(file)
                    .map_err(wrong)?;
                out.write_all(&key).and_then(|()| out.sync_all()).map_err(wrong)?;
                Ok(Self(ChaCha20Poly1305::new(Key::from_slice(&key))))
            }
            Err(error) => Err(wrong(error)),
        }
    }

    /// A jar with a key that ends with the process.
    pub(crate) fn ephemeral() -> Result<Self, EdgeError> {
        Ok(Self(ChaCha20Poly1305::new(Key::from_slice(&random_key()?))))
    }

    /// The cookie's value.
    pub(crate) fn seal(&self, kind: Kind, ticket: &Ticket) -> Option<String> {
        let mut plain = Vec::with_capacity(PLAIN_BYTES);
        plain.extend_from_slice(&ticket.expires_s.to_be_bytes());
        plain.extend_from_slice(&ticket.group.to_be_bytes());
        plain.extend_from_slice(&ticket.target.ip().octets());
        plain.extend_from_slice(&ticket.target.port().to_be_bytes());
        let mut sealed = vec![0; NONCE_BYTES];
        getrandom::fill(&mut sealed).ok()?;
        let payload = Payload {
            msg: &plain,
            aad: &[kind as u8],
        };
        let secret = self.0.encrypt(Nonce::from_slice(&sealed), payload).ok()?;
        sealed.extend_from_slice(&secret);
        Some(STANDARD.encode(sealed))
    }

    /// What a value holds, when we made it and it still counts.
    pub(crate) fn open_value(&self, kind: Kind, value: &str, now_s: u64) -> Option<Ticket> {
        let sealed = STANDARD.decode(value).ok()?;
        let (nonce, secret) = sealed.split_at_checked(NONCE_BYTES)?;
        let plain = self
            .0
            .decrypt(
                Nonce::from_slice(nonce),
                Payload {
                    msg: secret,
                    aad: &[kind as u8],
                },
            )
            .ok()?;
        let plain: [u8; PLAIN_BYTES] = plain.try_into().ok()?;
        let (expires, rest) = plain.split_first_chunk::<8>()?;
        let (group, rest) = rest.split_first_chunk::<8>()?;
        let (ip, port) = rest.split_first_chunk::<4>()?;
        let ticket = Ticket {
            expires_s: u64::from_be_bytes(*expires),
            group: u64::from_be_bytes(*group),
            target: SocketAddrV4::new(Ipv4Addr::from(*ip), u16::from_be_bytes(port.try_into().ok()?)),
        };
        (ticket.expires_s > now_s).then_some(ticket)
    }
}

fn random_key() -> Result<[u8; 32], EdgeError> {
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(|error| EdgeError::Random(std::io::Error::other(error.to_string())))?;
    Ok(key)
}

/// The first cookie of that name in a request. Values are not decoded.
pub(crate) fn find<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .find_map(|pair| {
            pair.trim()
                .split_once('=')
                .filter(|(have, _)| *have == name)
                .map(|(_, value)| value)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_comes_back_and_nothing_else_does() {
        let jar = Jar::ephemeral().unwrap();
        let ticket = Ticket {
            expires_s: 100,
            group: 7,
            target: "10.0.0.1:80".parse().unwrap(),
        };
        let value = jar.seal(Kind::Target, &ticket).unwrap();
        assert_eq!(jar.open_value(Kind::Target, &value, 99), Some(ticket));
        assert_eq!(jar.open_value(Kind::Target, &value, 100), None, "expired");
        assert_eq!(jar.open_value(Kind::Group, &value, 99), None, "another kind");
        assert_eq!(
            Jar::ephemeral().unwrap().open_value(Kind::Target, &value, 99),
            None,
            "another key"
        );
        let mut other = value.into_bytes();
        other[20] ^= 1;
        assert_eq!(
            jar.open_value(Kind::Target, &String::from_utf8_lossy(&other), 99),
            None,
            "changed"
        );
    }
}
