//! From a path to what it means. Ref: OCI distribution specification 1.1, "Endpoints".

use crate::{Action, ErrorCode, RegistryError};
use honmaru_images::{Digest, is_repository_name, is_tag};
use http::Method;
use percent_encoding::percent_decode_str;

/// Ref: specification, "Pulling manifests": clients may limit names to 255 characters; ECR's names have at most 256.
const NAME_CHARS_MAX: usize = 256;

/// What a path under `/v2/` means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// `/v2/`.
    Base,
    /// `/v2/_catalog`: not of the specification, but of the protocol that it comes from.
    Catalog,
    /// Something in a repository.
    In {
        /// The repository's name, valid.
        repository: String,
        /// What in it.
        target: Target,
    },
}

/// Something in a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `blobs/<digest>`; the digest is not checked yet.
    Blob(String),
    /// `blobs/uploads/`.
    Uploads,
    /// `blobs/uploads/<id>`.
    Upload(String),
    /// `manifests/<tag or digest>`; not checked yet.
    Manifest(String),
    /// `tags/list`.
    Tags,
    /// `referrers/<digest>`; the digest is not checked yet.
    Referrers(String),
}

impl Route {
    /// Reads a path. `NAME_INVALID` for a malformed name, 404 for what is no path of the protocol.
    pub fn parse(path: &str) -> Result<Self, RegistryError> {
        let unknown = || {
            RegistryError::new(ErrorCode::NameUnknown, "no such path in the distribution protocol")
                .with_status(http::StatusCode::NOT_FOUND)
        };
        let decoded = percent_decode_str(path).decode_utf8().map_err(|_| unknown())?;
        let rest = decoded.strip_prefix("/v2").ok_or_else(unknown)?;
        if matches!(rest, "" | "/") {
            return Ok(Self::Base);
        }
        let rest = rest.strip_prefix('/').ok_or_else(unknown)?;
        if rest == "_catalog" {
            return Ok(Self::Catalog);
        }
        let (name, target) = split(rest).ok_or_else(unknown)?;
        if name.len() > NAME_CHARS_MAX || !is_repository_name(name) {
            return Err(RegistryError::new(ErrorCode::NameInvalid, "invalid repository name"));
        }
        Ok(Self::In {
            repository: name.to_owned(),
            target,
        })
    }
}

impl Target {
    /// The methods that the protocol has for it, as the header `Allow` lists them.
    pub(crate) const fn methods(&self) -> &'static str {
        match self {
            Self::Blob(_) => "GET, HEAD, DELETE",
            Self::Uploads => "POST",
            Self::Upload(_) => "GET, HEAD, PATCH, PUT, DELETE",
            Self::Manifest(_) => "GET, HEAD, PUT, DELETE",
            Self::Tags | Self::Referrers(_) => "GET, HEAD",
        }
    }

    /// What a method does to it; nothing where the protocol has no such method.
    pub fn action(&self, method: &Method) -> Option<Action> {
        let is_read = matches!(*method, Method::GET | Method::HEAD);
        Some(match (self, method) {
            (Self::Blob(_), &Method::GET) => Action::BlobRead,
            (Self::Blob(_), &Method::HEAD) => Action::BlobCheck,
            (Self::Blob(_), &Method::DELETE) => Action::BlobDelete,
            (Self::Uploads, &Method::POST) => Action::UploadBegin,
            (Self::Upload(_), &Method::PATCH | &Method::GET | &Method::HEAD | &Method::DELETE) => Action::UploadPart,
            (Self::Upload(_), &Method::PUT) => Action::UploadComplete,
            (Self::Manifest(_), &Method::GET | &Method::HEAD) => Action::ManifestRead,
            (Self::Manifest(_), &Method::PUT) => Action::ManifestWrite,
            (Self::Manifest(_), &Method::DELETE) => Action::ManifestDelete,
            (Self::Tags, _) if is_read => Action::TagList,
            (Self::Referrers(_), _) if is_read => Action::ReferrerList,
            _ => return None,
        })
    }
}

/// From the right, because names have slashes too, and may hold the words themselves.
fn split(rest: &str) -> Option<(&str, Target)> {
    if let Some(name) = rest.strip_suffix("/tags/list") {
        return Some((name, Target::Tags));
    }
    if let Some(name) = rest
        .strip_suffix("/blobs/uploads/")
        .or_else(|| rest.strip_suffix("/blobs/uploads"))
    {
        return Some((name, Target::Uploads));
    }
    let (head, last) = rest.rsplit_once('/')?;
    if last.is_empty() {
        return None;
    }
    let last = last.to_owned();
    let (name, kind) = head.rsplit_once('/')?;
    match kind {
        "uploads" => Some((name.strip_suffix("/blobs")?, Target::Upload(last))),
        "blobs" => Some((name, Target::Blob(last))),
        "manifests" => Some((name, Target::Manifest(last))),
        "referrers" => Some((name, Target::Referrers(last))),
        _ => None,
    }
}

/// A tag or a digest in a manifest's path.
pub(crate) fn manifest_ref(text: &str) -> Result<crate::ManifestRef, RegistryError> {
    if text.contains(':') {
        return Ok(crate::ManifestRef::Digest(text.parse::<Digest>()?));
    }
    if is_tag(text) {
        return Ok(crate::ManifestRef::Tag(text.to_owned()));
    }
    Err(RegistryError::new(
        ErrorCode::TagInvalid,
        "manifest tag did not match the form of a tag",
    ))
}

/// The same for what is only looked for: what cannot be a tag is the tag of nothing. Ref: the specification's conformance
/// suite 1.1 asks for `.INVALID_MANIFEST_NAME` and expects 404.
pub(crate) fn readable_ref(text: &str) -> Result<crate::ManifestRef, RegistryError> {
    manifest_ref(text).map_err(|error| match error.code {
        ErrorCode::TagInvalid => RegistryError::new(ErrorCode::ManifestUnknown, "manifest unknown"),
        _ => error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, name: &str, target: Target) {
        assert_eq!(
            Route::parse(path).unwrap(),
            Route::In {
                repository: name.to_owned(),
                target
            }
        );
    }

    #[test]
    fn reads_the_endpoints() {
        assert_eq!(Route::parse("/v2/").unwrap(), Route::Base);
        assert_eq!(Route::parse("/v2/_catalog").unwrap(), Route::Catalog);
        check("/v2/a/b/manifests/latest", "a/b", Target::Manifest("latest".into()));
        check("/v2/a/blobs/sha256%3Aab", "a", Target::Blob("sha256:ab".into()));
        check("/v2/blobs/blobs/uploads/", "blobs", Target::Uploads);
        check("/v2/manifests/tags/list", "manifests", Target::Tags);
        check("/v2/a/blobs/uploads/id", "a", Target::Upload("id".into()));
        check("/v2/a/referrers/sha256:x", "a", Target::Referrers("sha256:x".into()));
    }

    #[test]
    fn refuses_other_paths_and_names() {
        let code = |path: &str| Route::parse(path).unwrap_err().code;
        assert_eq!(code("/v2/A/manifests/x"), ErrorCode::NameInvalid);
        assert_eq!(code("/v2/../etc/manifests/x"), ErrorCode::NameInvalid);
        assert_eq!(code("/v2/a%2F..%2Fb/manifests/x"), ErrorCode::NameInvalid);
        for path in [
            "/v1/",
            "/v2x",
            "/v2/a",
            "/v2/a/b",
            "/v2/_catalog/",
            "/v2/a/manifests/",
            "/v2/%ff/tags/list",
        ] {
            assert_eq!(code(path), ErrorCode::NameUnknown, "{path}");
        }
    }
}
