//! The answers to refused requests.

use crate::rule::CustomResponse;
use crate::{Answer, CompileError, RequestView};
use serde_json::Value;
use std::collections::BTreeMap;

/// Custom response bodies by key: content type and content.
pub(crate) type Bodies = BTreeMap<String, (&'static str, Vec<u8>)>;

/// Ref: WAFv2 `CustomResponseBody.Content`.
const BODY_LEN_MAX: usize = 10_240;
/// Ref: AWS WAF quotas: custom response bodies of a web ACL or rule group, and their bytes together.
const BODIES_MAX: usize = 50;
const BODIES_BYTES_MAX: usize = 50 * 1_024;

/// Reads `CustomResponseBodies`.
pub(crate) fn bodies(value: &Value) -> Result<Bodies, CompileError> {
    const FIELD: &str = "CUSTOM_RESPONSE_BODY";
    let mut bodies = Bodies::new();
    let mut bytes = 0;
    for (key, body) in value.as_object().into_iter().flatten() {
        let content_type = match body.get("ContentType").and_then(Value::as_str) {
            Some("TEXT_PLAIN") => "text/plain",
            Some("TEXT_HTML") => "text/html",
            Some("APPLICATION_JSON") => "application/json",
            _ => {
                return Err(CompileError::invalid(
                    "RESPONSE_CONTENT_TYPE",
                    key.clone(),
                    "The content type is not known",
                ));
            }
        };
        let content = body.get("Content").and_then(Value::as_str).unwrap_or_default();
        bytes += content.len();
        if content.is_empty() || content.len() > BODY_LEN_MAX {
            return Err(CompileError::invalid(
                FIELD,
                key.clone(),
                "The content needs 1 to 10240 bytes",
            ));
        }
        if content_type == "application/json" && serde_json::from_str::<Value>(content).is_err() {
            return Err(CompileError::invalid(
                FIELD,
                key.clone(),
                "The content is not valid JSON",
            ));
        }
        bodies.insert(key.clone(), (content_type, content.as_bytes().to_vec()));
    }
    if bodies.len() > BODIES_MAX {
        return Err(CompileError::limit(FIELD, "NUM_CUSTOM_RESPONSE_BODY_IN_CONTAINER"));
    }
    if bytes > BODIES_BYTES_MAX {
        let reason = "There are more than 50 custom response bodies, or more than 50 KB of them";
        return Err(CompileError::invalid(FIELD, "CustomResponseBodies", reason));
    }
    Ok(bodies)
}

/// The answer of a Block action without a custom response: what an Application Load Balancer sends.
pub(crate) fn forbidden() -> Answer {
    let body = "<html>\r\n<head><title>403 Forbidden</title></head>\r\n<body>\r\n<center><h1>403 Forbidden</h1></center>\r\n\
                </body>\r\n</html>\r\n";
    Answer {
        status: 403,
        headers: Vec::new(),
        content_type: Some("text/html"),
        body: body.as_bytes().to_vec(),
    }
}

pub(crate) fn custom(custom: &CustomResponse, bodies: &Bodies) -> Result<Answer, CompileError> {
    let (content_type, body) = match &custom.body_key {
        None => (None, Vec::new()),
        Some(key) => {
            let (content_type, body) = bodies.get(key).ok_or_else(|| {
                CompileError::invalid(
                    "CUSTOM_RESPONSE_BODY",
                    key.clone(),
                    "There is no custom response body of that key",
                )
            })?;
            (Some(*content_type), body.clone())
        }
    };
    Ok(Answer {
        status: custom.status,
        headers: custom.headers.clone(),
        content_type,
        body,
    })
}

/// Ref: AWS WAF developer guide: inserted request headers get this prefix.
pub(crate) fn prefixed(headers: &[(String, String)]) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|(name, value)| (format!("x-amzn-waf-{name}"), value.clone()))
        .collect()
}

fn accepts_html(request: &RequestView<'_>) -> bool {
    request
        .header("accept")
        .is_some_and(|accept| memchr::memmem::find(accept, b"text/html").is_some())
}

fn waits(request: &RequestView<'_>, status: u16, action: &str, page: Option<&str>) -> Answer {
    let headers = [("x-amzn-waf-action", action), ("cache-control", "no-store, max-age=0")];
    let page = page.filter(|_| accepts_html(request));
    Answer {
        status,
        headers: headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        content_type: page.map(|_| "text/html; charset=UTF-8"),
        body: page.map(|page| page.as_bytes().to_vec()).unwrap_or_default(),
    }
}

/// 405 with the page that tells a person that this installation cannot show a puzzle.
pub(crate) fn captcha(request: &RequestView<'_>) -> Answer {
    const PAGE: &str = "<!DOCTYPE html>\n<html lang=\"en\"><head><title>Human verification</title></head><body><h1>Human \
                        verification</h1><p>This request needs a CAPTCHA token. This firewall does not issue \
                        tokens.</p></body></html>\n";
    waits(request, 405, "captcha", Some(PAGE))
}

/// 202, as AWS answers to clients without a token.
pub(crate) fn challenge(request: &RequestView<'_>) -> Answer {
    const PAGE: &str = "<!DOCTYPE html>\n<html lang=\"en\"><head><title>Challenge</title></head><body><p>This request needs a \
                        challenge token. This firewall does not issue tokens.</p></body></html>\n";
    waits(request, 202, "challenge", (request.method == "GET").then_some(PAGE))
}
