//! Takes a signed request apart: the `Authorization` header, or the `X-Amz-...` parameters of a presigned query.

use crate::sigv4::canonical::{decode, encode, hexadecimal};
use crate::sigv4::{
    ALGORITHM, AuthError, AuthErrorKind, Signed, TERMINATOR, UNSIGNED_PAYLOAD, canonical_request, is_s3,
};
use base64::Engine;
use honmaru_base::Time;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use time::{Date, Month, OffsetDateTime, UtcOffset, format_description::well_known::Rfc2822};

/// The longest life of a presigned request, in seconds: seven days. Ref: S3 API, "Authenticating Requests: Using
/// Query Parameters".
pub const EXPIRES_S_MAX: i64 = 604_800;
/// The longest session token that is looked at, in bytes. Ours stay below it: STS bounds policies and tags.
pub const SESSION_TOKEN_BYTES_MAX: usize = 16 * 1_024;
const AUTHORIZATION_BYTES_MAX: usize = 16 * 1_024;
const SIGNED_HEADERS_MAX: usize = 256;

/// Where the signature stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// In the `Authorization` header.
    Header,
    /// In the query: a presigned request that is valid for so many seconds from its date.
    Query {
        /// `X-Amz-Expires`; at most [`EXPIRES_S_MAX`].
        expires_s: i64,
    },
}

/// A signature that was presented and not verified yet: whose key, for what, and what it must cover.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presented {
    /// Whose secret must verify it.
    pub access_key_id: String,
    /// The day of the credential scope, `YYYYMMDD`.
    pub date: String,
    /// The region of the credential scope.
    pub region: String,
    /// The signing name of the credential scope.
    pub service: String,
    /// The request's date.
    pub at: Time,
    /// `X-Amz-Security-Token`.
    pub session_token: Option<String>,
    /// Where the signature stood.
    pub placement: Placement,
    pub(crate) string_to_sign: String,
    /// Nothing when the text is no SHA-256 in hexadecimal: it then matches nothing.
    pub(crate) signature: Option<[u8; 32]>,
}

/// The raw parts of either placement.
struct Parts {
    credential: String,
    signed_headers: String,
    signature: String,
    timestamp: Option<String>,
    token: Option<String>,
    placement: Placement,
}

/// Takes the signature out of a request and computes what it must cover. Nothing when the request is not signed.
/// Errors: a signature that is malformed, or whose scope, headers or body do not fit the request.
pub fn parse(request: &Signed<'_>) -> Result<Option<Presented>, AuthError> {
    let mut authorizations = request.header_values("authorization");
    let header = authorizations.next();
    if authorizations.next().is_some() {
        return Err(incomplete("Authorization header must not be repeated."));
    }
    let query = if request.raw_query.contains("X-Amz-") {
        presigned(request.raw_query)?
    } else {
        None
    };
    let parts = match (header, query) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            return Err(incomplete(
                "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter or the Authorization \
                 header should be specified",
            ));
        }
        (Some(header), None) => from_header(request, header)?,
        (None, Some(parts)) => parts,
    };
    present(request, parts).map(Some)
}

fn incomplete(message: impl Into<String>) -> AuthError {
    AuthError::new(AuthErrorKind::Incomplete, message)
}

fn wrong(message: impl Into<String>) -> AuthError {
    AuthError::new(AuthErrorKind::Mismatch, message)
}

fn from_header(request: &Signed<'_>, header: &[u8]) -> Result<Parts, AuthError> {
    // AWS names a malformed header by its digest, because it may hold secrets.
    let digest = || base64::engine::general_purpose::STANDARD.encode(Sha256::digest(header));
    let text = std::str::from_utf8(header)
        .ok()
        .map(str::trim)
        .filter(|text| text.len() <= AUTHORIZATION_BYTES_MAX);
    let Some(text) = text else {
        return Err(incomplete(format!(
            "Authorization header (hashed with SHA-256 and encoded with Base64) is not readable: '{}'.",
            digest()
        )));
    };
    let (algorithm, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    match algorithm {
        ALGORITHM => {}
        "AWS4-ECDSA-P256-SHA256" => return Err(unsupported("SigV4A signatures")),
        _ => {
            return Err(incomplete(format!(
                "Unsupported AWS 'algorithm': '{}'.",
                printable(algorithm)
            )));
        }
    }
    let (mut credential, mut signed_headers, mut signature) = (None, None, None);
    for pair in rest.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let Some((name, value)) = pair.split_once('=') else {
            return Err(incomplete(format!(
                "Invalid key=value pair (missing equal-sign) in Authorization header (hashed with SHA-256 and encoded \
                 with Base64): '{}'.",
                digest()
            )));
        };
        let slot = match name.trim() {
            "Credential" => &mut credential,
            "SignedHeaders" => &mut signed_headers,
            "Signature" => &mut signature,
            _ => continue,
        };
        if slot.replace(value.trim().to_owned()).is_some() {
            return Err(incomplete(format!("Authorization header repeats '{}'.", name.trim())));
        }
    }
    let timestamp = request
        .header("x-amz-date")
        .or_else(|| request.header("date"))
        .map(str::to_owned);
    let mut missing = String::new();
    for (name, absent) in [
        ("Credential", &credential),
        ("Signature", &signature),
        ("SignedHeaders", &signed_headers),
    ] {
        if absent.as_ref().is_none_or(String::is_empty) {
            missing.push_str(&format!("Authorization header requires '{name}' parameter. "));
        }
    }
    if timestamp.is_none() {
        missing.push_str("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ");
    }
    if !missing.is_empty() {
        return Err(incomplete(format!(
            "{missing}(Hashed with SHA-256 and encoded with Base64) Authorization={}",
            digest()
        )));
    }
    for name in ["x-amz-date", "x-amz-security-token", "host"] {
        if request.header_values(name).count() > 1 {
            return Err(incomplete(format!("Header '{name}' must not be repeated.")));
        }
    }
    Ok(Parts {
        credential: credential.unwrap_or_default(),
        signed_headers: signed_headers.unwrap_or_default(),
        signature: signature.unwrap_or_default(),
        timestamp,
        token: request.header("x-amz-security-token").map(str::to_owned),
        placement: Placement::Header,
    })
}

/// The parts of a presigned query; nothing when it has neither an algorithm nor a signature.
fn presigned(raw_query: &str) -> Result<Option<Parts>, AuthError> {
    const NAMES: [&str; 7] = [
        "X-Amz-Algorithm",
        "X-Amz-Credential",
        "X-Amz-SignedHeaders",
        "X-Amz-Signature",
        "X-Amz-Date",
        "X-Amz-Expires",
        "X-Amz-Security-Token",
    ];
    let mut found: [Option<String>; 7] = Default::default();
    for pair in raw_query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decode(name.as_bytes());
        let slot = NAMES.iter().zip(&mut found).find(|(known, _)| known.as_bytes() == name);
        if let Some((known, slot)) = slot {
            let value = String::from_utf8(decode(value.as_bytes()))
                .map_err(|_| incomplete(format!("Query parameter '{known}' is not UTF-8.")))?;
            if slot.replace(value).is_some() {
                return Err(incomplete(format!("Query parameter '{known}' must not be repeated.")));
            }
        }
    }
    let [
        algorithm,
        credential,
        signed_headers,
        signature,
        timestamp,
        expires,
        token,
    ] = found;
    if algorithm.is_none() && signature.is_none() && credential.is_none() {
        return Ok(None);
    }
    match algorithm.as_deref() {
        Some(ALGORITHM) => {}
        Some("AWS4-ECDSA-P256-SHA256") => return Err(unsupported("SigV4A signatures")),
        other => {
            return Err(incomplete(format!(
                "Unsupported AWS 'algorithm': '{}'.",
                printable(other.unwrap_or_default())
            )));
        }
    }
    let mut missing = String::new();
    for (name, part) in [
        ("X-Amz-Credential", &credential),
        ("X-Amz-Signature", &signature),
        ("X-Amz-SignedHeaders", &signed_headers),
        ("X-Amz-Date", &timestamp),
    ] {
        if part.as_ref().is_none_or(String::is_empty) {
            missing.push_str(&format!("AWS query-string parameters must include '{name}'. "));
        }
    }
    if !missing.is_empty() {
        return Err(incomplete(format!("{missing}Re-examine the query-string parameters.")));
    }
    let expires_s = match expires {
        // AWS lets s3 alone demand it; other services take 15 minutes. Ref: STS presigned GetCallerIdentity.
        None => 900,
        Some(text) => match text.parse::<i64>() {
            Ok(s) if (1..=EXPIRES_S_MAX).contains(&s) => s,
            Ok(s) if s > EXPIRES_S_MAX => {
                return Err(incomplete(
                    "X-Amz-Expires must be less than a week (in seconds) that is 604800",
                ));
            }
            Ok(_) => return Err(incomplete("X-Amz-Expires must be non-negative")),
            Err(_) => return Err(incomplete("X-Amz-Expires should be a number")),
        },
    };
    Ok(Some(Parts {
        credential: credential.unwrap_or_default(),
        signed_headers: signed_headers.unwrap_or_default(),
        signature: signature.unwrap_or_default(),
        timestamp,
        token,
        placement: Placement::Query { expires_s },
    }))
}

fn unsupported(what: &str) -> AuthError {
    AuthError::new(AuthErrorKind::Unsupported, format!("{what} are not implemented"))
}

fn present(request: &Signed<'_>, parts: Parts) -> Result<Presented, AuthError> {
    let mut scope = parts.credential.split('/');
    let mut next = || scope.next();
    let (Some(access_key_id), Some(date), Some(region), Some(service), Some(terminator), None) =
        (next(), next(), next(), next(), next(), next())
    else {
        return Err(incomplete(format!(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '{}'",
            printable(&parts.credential)
        )));
    };
    if access_key_id.is_empty() || access_key_id.len() > 128 {
        return Err(incomplete(
            "Credential must start with an access key id of 1 to 128 characters",
        ));
    }
    if terminator != TERMINATOR {
        return Err(wrong(format!(
            "Credential should be scoped with a valid terminator: 'aws4_request', not '{}'.",
            printable(terminator)
        )));
    }
    if region.is_empty() || region.len() > 64 {
        return Err(wrong("Credential should be scoped to a valid region. "));
    }
    if service.is_empty() || service.len() > 64 {
        return Err(wrong("Credential should be scoped to correct service. "));
    }
    let timestamp = parts.timestamp.unwrap_or_default();
    let (at, is_basic) = timestamp_of(&timestamp).ok_or_else(|| {
        incomplete(format!(
            "Date must be in ISO-8601 'basic format'. Got '{}'. See http://en.wikipedia.org/wiki/ISO_8601",
            printable(&timestamp)
        ))
    })?;
    let timestamp = if is_basic { timestamp } else { basic(at) };
    if !timestamp.starts_with(date) || date.len() != 8 {
        return Err(wrong(format!(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{}' != '{}', \
             from '{timestamp}'.",
            printable(date),
            &timestamp[..8],
        )));
    }
    let signed_headers = signed_headers(request, &parts.signed_headers)?;
    let payload = payload_hash(request, service, parts.placement)?;
    let presigned = matches!(parts.placement, Placement::Query { .. });
    let canonical = canonical_request(request, service, &signed_headers, &payload, presigned);
    let string_to_sign = string_to_sign(&timestamp, date, region, service, &canonical);
    if parts
        .token
        .as_ref()
        .is_some_and(|token| token.len() > SESSION_TOKEN_BYTES_MAX)
    {
        return Err(AuthError::unknown_key());
    }
    let mut signature = [0; 32];
    let signature = hex::decode_to_slice(&parts.signature, &mut signature)
        .ok()
        .map(|()| signature);
    Ok(Presented {
        access_key_id: access_key_id.to_owned(),
        date: date.to_owned(),
        region: region.to_owned(),
        service: service.to_owned(),
        at,
        session_token: parts.token.filter(|token| !token.is_empty()),
        placement: parts.placement,
        string_to_sign,
        signature,
    })
}

/// The names in their canonical order, between semicolons. The host must be signed, and so must every `x-amz-` header
/// that is there: an unsigned `x-amz-target` would let a stranger choose the operation.
fn signed_headers<'t>(request: &Signed<'_>, text: &'t str) -> Result<Cow<'t, str>, AuthError> {
    let mut names: Vec<Cow<'t, str>> = text.split(';').map(|name| lower(name.trim())).collect();
    if names.len() > SIGNED_HEADERS_MAX {
        return Err(incomplete(format!(
            "SignedHeaders must not have more than {SIGNED_HEADERS_MAX} names."
        )));
    }
    names.sort_unstable();
    names.dedup();
    let signed = |name: &str| names.binary_search_by(|n| (**n).cmp(name)).is_ok();
    if !signed("host") && !signed(":authority") {
        return Err(wrong(
            "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
        ));
    }
    for (name, _) in request.headers {
        let begins = name.get(..6).is_some_and(|begin| begin.eq_ignore_ascii_case("x-amz-"));
        if !begins {
            continue;
        }
        let lower = lower(name);
        // The token is bound to the access key by its seal; the user agent means nothing.
        let free = matches!(&*lower, "x-amz-security-token" | "x-amz-user-agent");
        if !free && !signed(&lower) {
            return Err(wrong(format!(
                "'{lower}' must be a 'SignedHeader' in the AWS Authorization."
            )));
        }
    }
    // Nearly every client writes them as they are to be.
    if names.iter().map(|name| &**name).eq(text.split(';')) {
        return Ok(Cow::Borrowed(text));
    }
    Ok(Cow::Owned(names.join(";")))
}

fn lower(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

fn payload_hash(request: &Signed<'_>, service: &str, placement: Placement) -> Result<String, AuthError> {
    let of_body = || hexadecimal(&Sha256::digest(request.body).into());
    if !is_s3(service) {
        // A hash in a header is signed with the headers and must then be the body's as well.
        return Ok(of_body());
    }
    match (request.header("x-amz-content-sha256"), placement) {
        (None, Placement::Query { .. }) => Ok(UNSIGNED_PAYLOAD.to_owned()),
        (None, Placement::Header) => Err(incomplete(
            "Missing required header for this request: x-amz-content-sha256",
        )),
        (Some(UNSIGNED_PAYLOAD), _) => Ok(UNSIGNED_PAYLOAD.to_owned()),
        (Some(text), _) if text.starts_with("STREAMING-") => Err(unsupported("chunked signatures")),
        (Some(text), _) if text == of_body() => Ok(text.to_owned()),
        (Some(_), _) => Err(AuthError::new(
            AuthErrorKind::ContentHash,
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
        )),
    }
}

pub(crate) fn string_to_sign(timestamp: &str, date: &str, region: &str, service: &str, canonical: &[u8]) -> String {
    let digest = hexadecimal(&Sha256::digest(canonical).into());
    [
        ALGORITHM, "\n", timestamp, "\n", date, "/", region, "/", service, "/", TERMINATOR, "\n", &digest,
    ]
    .concat()
}

/// `20150830T123600Z`, or the date of a `Date` header; and whether it is the first.
fn timestamp_of(text: &str) -> Option<(Time, bool)> {
    let basic = basic_parts(text);
    let at = match basic {
        Some(at) => at,
        None => OffsetDateTime::parse(text, &Rfc2822).ok()?.to_offset(UtcOffset::UTC),
    };
    (1..=9_999)
        .contains(&at.year())
        .then(|| (Time::from_ms(at.unix_timestamp() * 1_000), basic.is_some()))
}

fn basic_parts(text: &str) -> Option<OffsetDateTime> {
    let b = text.as_bytes();
    if b.len() != 16 || b[8] != b'T' || b[15] != b'Z' {
        return None;
    }
    let digits = |from: usize, to: usize| -> Option<u16> {
        let part = text.get(from..to)?;
        if part.bytes().all(|b| b.is_ascii_digit()) {
            part.parse().ok()
        } else {
            None
        }
    };
    let two = |from: usize| digits(from, from + 2).and_then(|n| u8::try_from(n).ok());
    let date = Date::from_calendar_date(i32::from(digits(0, 4)?), Month::try_from(two(4)?).ok()?, two(6)?).ok()?;
    Some(date.with_hms(two(9)?, two(11)?, two(13)?).ok()?.assume_utc())
}

/// A moment as `20150830T123600Z`.
pub(crate) fn basic(at: Time) -> String {
    let seconds = at.as_ms().div_euclid(1_000);
    let at = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    format!(
        "{:04}{:02}{:02}T{:02}{:02}{:02}Z",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second()
    )
}

/// A stranger's text, cut short and made harmless for an error message.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// `text` as it stands in a query.
pub(crate) fn query_text(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    encode(text.as_bytes(), &mut out);
    out.into_iter().map(char::from).collect()
}
