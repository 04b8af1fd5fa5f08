//! SAML providers: what an identity provider says of itself, checked once when it is uploaded. Nobody signs in with one as yet:
//! they are there to be named in trust policies.

use honmaru_base::{ApiError, Time};
use honmaru_machine::Resource;
use quick_xml::NsReader;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{Namespace, ResolveResult};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Ref: SAML V2.0 metadata, section 2.
const METADATA: Namespace<'static> = Namespace(b"urn:oasis:names:tc:SAML:2.0:metadata");
/// How deep elements may be nested.
const DEPTH_MAX: usize = 64;

/// A SAML provider; its key is its lower-case name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SamlProvider {
    /// The ARN.
    pub(crate) arn: String,
    /// Letters and digits that are its own.
    pub(crate) uuid: String,
    /// The metadata document as it was given.
    pub(crate) metadata: String,
    /// `Required` or `Allowed`; nothing when it was never set.
    #[serde(default)]
    pub(crate) encryption_mode: Option<String>,
    /// The keys that open encrypted assertions.
    #[serde(default)]
    pub(crate) private_keys: Vec<SamlPrivateKey>,
    /// When it was created.
    pub(crate) created_at: Time,
    /// Until when the metadata says that it is valid.
    pub(crate) valid_until: Time,
    /// Tags.
    #[serde(default)]
    pub(crate) tags: Vec<(String, String)>,
}

impl Resource for SamlProvider {
    const KIND: &'static str = "iam.saml_provider";
}

/// A private key of a provider.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SamlPrivateKey {
    /// Letters and digits.
    pub(crate) id: String,
    /// The key, PEM: never for an answer.
    pub(crate) pem: String,
    /// When it was uploaded.
    pub(crate) uploaded_at: Time,
}

impl std::fmt::Debug for SamlPrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SamlPrivateKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

fn unparsable() -> ApiError {
    ApiError::new("InvalidInputException", "Could not parse metadata")
}

/// Checks a metadata document: XML of one `EntityDescriptor` that has a name and describes an identity provider with a
/// certificate and somewhere to sign in. Answers until when it says that it is valid.
pub(crate) fn check(document: &str) -> Result<Option<Time>, ApiError> {
    read(document).ok_or_else(unparsable)
}

/// What was found of what a document must have.
#[derive(Default)]
struct Found {
    has_provider: bool,
    has_certificate: bool,
    has_sign_on: bool,
}

fn read(document: &str) -> Option<Option<Time>> {
    let mut reader = NsReader::from_str(document.trim_start_matches('\u{feff}'));
    reader.config_mut().check_end_names = true;
    let (mut path, mut found, mut valid_until, mut is_over) = (Vec::<Vec<u8>>::new(), Found::default(), None, false);
    loop {
        let (space, event) = reader.read_resolved_event().ok()?;
        let is_metadata = space == ResolveResult::Bound(METADATA);
        let (element, is_empty) = match event {
            Event::Start(element) => (element, false),
            Event::Empty(element) => (element, true),
            Event::End(_) => {
                path.pop()?;
                is_over = path.is_empty();
                continue;
            }
            Event::Text(text) if path.last().is_some_and(|name| name == b"X509Certificate") => {
                found.has_certificate |= !text.is_empty() && path.iter().any(|name| name == b"IDPSSODescriptor");
                continue;
            }
            Event::Eof => break,
            // Ref: OWASP, "XML Security Cheat Sheet": no document type, and so no entities of its own.
            Event::DocType(_) => return None,
            Event::Text(_)
            | Event::CData(_)
            | Event::Comment(_)
            | Event::Decl(_)
            | Event::PI(_)
            | Event::GeneralRef(_) => {
                continue;
            }
        };
        let name = element.local_name().as_ref().to_vec();
        if path.is_empty() {
            if is_over
                || is_empty
                || !is_metadata
                || name != b"EntityDescriptor"
                || attribute(&element, "entityID").is_none()
            {
                return None;
            }
            if let Some(text) = attribute(&element, "validUntil") {
                valid_until = Some(moment(&text)?);
            }
        }
        if is_metadata && path.len() == 1 && name == b"IDPSSODescriptor" {
            found.has_provider = true;
        }
        if is_metadata && name == b"SingleSignOnService" && attribute(&element, "Location").is_some() {
            found.has_sign_on = true;
        }
        if !is_empty {
            path.push(name);
            if path.len() > DEPTH_MAX {
                return None;
            }
        }
    }
    let is_whole = is_over && found.has_provider && found.has_certificate && found.has_sign_on;
    is_whole.then_some(valid_until)
}

/// Ref: SAML V2.0 core, 1.3.3: times are in UTC, whether they say so or not.
fn moment(text: &str) -> Option<Time> {
    let parsed =
        OffsetDateTime::parse(text, &Rfc3339).or_else(|_| OffsetDateTime::parse(&format!("{text}Z"), &Rfc3339));
    Some(Time::from_ms(parsed.ok()?.unix_timestamp() * 1_000))
}

/// An attribute's value, if it has one that is not empty.
fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = element.try_get_attribute(name).ok()??;
    let value = found.unescape_value().ok()?.into_owned();
    (!value.is_empty()).then_some(value)
}
