//! Looking at a request: components, detectors, addresses.

mod body;
mod detect;
mod extract;
mod ip;
mod json;
mod look;
mod multipart;
mod text;

pub(crate) use detect::SQL_PATTERNS;
pub(crate) use extract::{BODY_BYTES_MAX, cookie_pairs};
pub(crate) use ip::{Addresses, IpSet, forwarded_one};
pub(crate) use look::Look;
