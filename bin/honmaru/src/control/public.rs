//! Public repositories behind `/v2/`: by which door a request came in, and tokens for whoever has no credentials.
//!
//! As at AWS: the host of public registries asks for a bearer token and says where one is given; everybody gets one,
//! and with one that names nobody only public repositories can be read.
//! Ref: distribution project, "Token Authentication Specification".

use super::http::{AnswerBody, full};
use super::{Control, caller};
use ::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use honmaru_base::{ApiError, Clock};
use honmaru_ecr_public::Door;
use honmaru_engine::SystemClock;
use honmaru_registry::Route;
use hyper::body::Incoming;
use serde_json::json;
use std::sync::Arc;

/// The name of public registries as a service, in challenges. Ref: `public.ecr.aws`.
const SERVICE: &str = "public.ecr.aws";
/// How long clients keep a token without asking again. It may end earlier: then they are challenged anew.
const TOKEN_KEPT_S: u32 = 3_600;

/// The door that a host name is. A private registry's host has none: every path there is a private repository's.
pub fn door(host: &str) -> Option<Door> {
    if honmaru_ecr_public::is_public_host(host) {
        return Some(Door::Host);
    }
    honmaru_ecr::scope_of_host(host).is_none().then_some(Door::Path)
}

/// Whether a path at a door is one of public repositories.
pub fn is_public(door: Option<Door>, path: &str) -> bool {
    match (door, Route::parse(path)) {
        (Some(Door::Host), _) => true,
        (Some(door), Ok(Route::In { repository, .. })) => door.open(&repository).is_some(),
        _ => false,
    }
}

/// Whether a request has credentials. Clients that were told "Basic" and know none send an empty user and password.
pub fn has_credentials(authorization: &str) -> bool {
    let empty = authorization
        .split_once(' ')
        .is_some_and(|(scheme, value)| scheme.eq_ignore_ascii_case("basic") && value.trim() == "Og==");
    !authorization.is_empty() && !empty
}

/// Turns the refusal of a request to the public registries' host into a challenge for a bearer token.
pub fn challenge(headers: &mut HeaderMap, host: &str, secure: bool) {
    let scheme = if secure { "https" } else { "http" };
    // The name as the client wrote it, so that it reaches the token's address as it reached us.
    let clean = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    if !host.bytes().all(clean) {
        return;
    }
    let text = format!("Bearer realm=\"{scheme}://{host}/token/\",service=\"{SERVICE}\",scope=\"aws\"");
    if let Ok(value) = HeaderValue::from_str(&text) {
        headers.insert(header::WWW_AUTHENTICATE, value);
    }
}

/// Whether a request asks for a token.
pub fn is_token_request(request: &Request<Incoming>) -> bool {
    matches!(request.uri().path(), "/token" | "/token/")
        && honmaru_ecr_public::is_public_host(&host_of(request.headers(), request.uri()))
}

/// The host that a client addressed.
pub fn host_of(headers: &HeaderMap, uri: &::http::Uri) -> String {
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok());
    match host.filter(|host| !host.is_empty()) {
        Some(host) => host.to_owned(),
        None => uri.authority().map(ToString::to_string).unwrap_or_default(),
    }
}

/// Gives a token: to whoever shows one of GetAuthorizationToken that same one, to everybody else one that names nobody.
pub async fn token(control: &Arc<Control>, request: &Request<Incoming>) -> Response<AnswerBody> {
    if *request.method() != Method::GET {
        // Clients that would rather POST fall back to GET. Ref: "Token Authentication Specification".
        return answer(
            StatusCode::METHOD_NOT_ALLOWED,
            &json!({"errors": [{"code": "UNSUPPORTED"}]}),
        );
    }
    let authorization = request.headers().get(header::AUTHORIZATION);
    let authorization = authorization.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let refused = |message: String| {
        let errors = json!({"errors": [{"code": "UNAUTHORIZED", "message": message}]});
        answer(StatusCode::UNAUTHORIZED, &errors)
    };
    let token = if has_credentials(authorization) {
        let (shown, now) = (authorization.to_owned(), SystemClock.now());
        let checked = control
            .engine
            .read(|state| honmaru_cloud::registry_caller(state, &shown, now))
            .await;
        match checked {
            Ok(Ok(_)) => honmaru_ecr::password_of(authorization).unwrap_or_default(),
            Ok(Err(error)) => return refused(error.to_string()),
            Err(error) => return refused(error.to_string()),
        }
    } else {
        let nobody = caller::anonymous(control);
        let sealed = control
            .engine
            .write(move |tx| Ok::<_, ApiError>(honmaru_ecr::registry_token(tx, &nobody)));
        match sealed.await {
            Ok(Ok(token)) => token,
            Ok(Err(error)) => return refused(error.message),
            Err(error) => return refused(error.to_string()),
        }
    };
    answer(StatusCode::OK, &json!({"token": token, "expires_in": TOKEN_KEPT_S}))
}

fn answer(status: StatusCode, body: &serde_json::Value) -> Response<AnswerBody> {
    let mut response = Response::new(full(body.to_string()));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_password_is_none() {
        for none in ["", "Basic Og==", "basic  Og=="] {
            assert!(!has_credentials(none), "{none}");
        }
        assert!(has_credentials("Basic QVdTOng=") && has_credentials("Bearer x"));
    }

    #[test]
    fn doors() {
        assert_eq!(door("public.ecr.localhost:4566"), Some(Door::Host));
        assert_eq!(door("127.0.0.1:4566"), Some(Door::Path));
        assert_eq!(door("000000000000.dkr.ecr.us-east-1.localhost:4566"), None);
        let alias = honmaru_ecr_public::alias_of(&"000000000000".parse().unwrap());
        assert!(is_public(
            Some(Door::Path),
            &format!("/v2/public/{alias}/app/manifests/v1")
        ));
        assert!(is_public(Some(Door::Host), "/v2/"));
        for private in ["/v2/", "/v2/public/app/manifests/v1", "/v2/app/manifests/v1"] {
            assert!(!is_public(Some(Door::Path), private), "{private}");
        }
        assert!(!is_public(None, &format!("/v2/public/{alias}/app/manifests/v1")));
    }
}
