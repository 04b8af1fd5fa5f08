//! The firewall's place: the one file that knows the firewall crate's API.

use crate::answer::{self, Refusal};
use crate::body::{Body, RequestBody};
use crate::clock;
use crate::headers::Caller;
use crate::validate::{self, TRACE_ID};
use bytes::Bytes;
use honmaru_base::chain;
use honmaru_contract::edge::{Samples, SamplesWanted, WebAcl};
use honmaru_firewall::{Decision, Firewall, RequestView};
use http::header::{HeaderName, HeaderValue};
use http::request::Parts;
use http::{Response, Version};
use std::sync::Arc;

/// A web ACL that stands before load balancers.
pub(crate) struct Wall {
    acl: WebAcl,
    /// Nothing when the rules could not be compiled: then every request fails (or passes, with `waf.fail_open`).
    firewall: Option<Firewall>,
}

/// A request that the firewall let pass, or the answer in its place.
pub(crate) enum Passage {
    Pass,
    Refused(Response<Body>),
}

impl Wall {
    /// Compiles a web ACL, or takes the earlier one when nothing changed.
    pub(crate) fn compile(acl: &WebAcl, earlier: Option<&Arc<Wall>>) -> Arc<Wall> {
        if let Some(earlier) = earlier.filter(|earlier| earlier.acl == *acl) {
            return earlier.clone();
        }
        let previous = earlier.and_then(|earlier| earlier.firewall.as_ref());
        let firewall = match Firewall::compile_from(previous, acl) {
            Ok(firewall) => Some(firewall),
            Err(error) => {
                tracing::error!(web_acl = %acl.name, err = %chain(&error), "web ACL cannot be used");
                None
            }
        };
        Arc::new(Wall {
            acl: acl.clone(),
            firewall,
        })
    }

    /// Inspects a request; headers that rules add are put into `parts`.
    pub(crate) async fn inspect(
        &self,
        parts: &mut Parts,
        body: &RequestBody,
        caller: &Caller,
        fail_open: bool,
    ) -> Result<Passage, Refusal> {
        let Some(firewall) = &self.firewall else {
            return if fail_open {
                Ok(Passage::Pass)
            } else {
                Err(Refusal::Internal)
            };
        };
        let wanted = firewall.body_bytes_wanted();
        let (begin, is_cut) = if wanted > 0 && !body.is_empty() {
            body.peek(wanted).await.map_err(|_| Refusal::BadRequest)?
        } else {
            (Vec::new(), false)
        };
        let verdict = {
            let headers: Vec<(&str, &[u8])> = parts
                .headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_bytes()))
                .collect();
            let path = parts.uri.path();
            firewall.inspect(&RequestView {
                method: parts.method.as_str(),
                path: if path.is_empty() { "/" } else { path },
                query: parts.uri.query().unwrap_or(""),
                version: version_name(parts.version),
                host: validate::host(parts),
                headers: &headers,
                peer: caller.peer.ip(),
                body: &begin,
                body_truncated: is_cut,
                now: clock::wall(),
                trace_id: parts
                    .headers
                    .get(&TRACE_ID)
                    .and_then(|value| value.to_str().ok())
                    .unwrap_or(""),
                ja3: None,
                ja4: None,
            })
        };
        match verdict.decision {
            Decision::Allow { insert_headers } => {
                for (name, value) in insert_headers {
                    if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                        parts.headers.insert(name, value);
                    }
                }
                Ok(Passage::Pass)
            }
            Decision::Block(answer) | Decision::Captcha(answer) | Decision::Challenge(answer) => {
                if answer.status == 403 && answer.body.is_empty() && answer.headers.is_empty() {
                    return Ok(Passage::Refused(Refusal::Forbidden.response()));
                }
                let mut response = answer::with_body(answer.status, answer.content_type, Bytes::from(answer.body));
                for (name, value) in answer.headers {
                    if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                        response.headers_mut().append(name, value);
                    }
                }
                Ok(Passage::Refused(response))
            }
        }
    }

    /// The samples of one rule.
    pub(crate) fn samples(&self, wanted: &SamplesWanted) -> Samples {
        let found = self
            .firewall
            .as_ref()
            .map(|firewall| firewall.samples(&wanted.rule_metric_name, wanted.from, wanted.to, wanted.items_max));
        match found {
            Some(found) => Samples {
                request: wanted.request,
                sampled: found.sampled,
                population: found.population,
            },
            None => Samples {
                request: wanted.request,
                sampled: Vec::new(),
                population: 0,
            },
        }
    }
}

fn version_name(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/1.1",
    }
}
