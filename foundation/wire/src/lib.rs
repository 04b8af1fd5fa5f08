//! The AWS protocols, driven by the API models: an HTTP request to a checked input tree, an output tree or an error
//! to an HTTP answer.
//!
//! The way of a request: [`Request::new`] (unpacks), [`route`], the caller verifies the signature and authorizes,
//! [`parse`], [`validate`], [`open_token`], the handler, [`seal_token`], [`ok`] or [`error`]. [`tree`] turns trees into the generated structs.
//!
//! Not here: signatures and policies (`identity`), handlers (the services), sockets. Nothing here reads a clock.
//! Invariant: no request, however malformed, panics, recurses without bound or is answered with a 500.

#![forbid(unsafe_code)]

mod catalog;
mod codec;
mod dialect;
mod fault;
mod limits;
mod model;
mod page;
mod parse;
mod pattern;
mod redact;
mod request;
mod respond;
mod route;
mod timestamp;
mod token;
mod trail;
pub mod tree;
mod validate;

pub use catalog::{service, service_names};
pub use fault::{Common, NOT_IMPLEMENTED, WireError, common_error, error, not_implemented};
pub use limits::{DEPTH_MAX, GZIP_DECODED_BYTES_MAX};
pub use model::{ModelError, Op, Protocol, Service};
pub use page::{BadToken, Page, page};
pub use parse::parse;
pub use redact::{Excerpt, redacted, redacted_input, redacted_json};
pub use request::Request;
pub use respond::{Reply, asks_for_json, error_in_json, further_events, ok, ok_in_json, ok_json};
pub use route::{Target, route, unread};
pub use token::{open_token, seal_token};
pub use trail::{Side, leaves, recorded};
pub use validate::{flaws_of_output, validate};
