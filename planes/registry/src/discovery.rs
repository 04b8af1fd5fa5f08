//! Content discovery: tags, referrers, repositories. Ref: specification, "Listing Tags", "Listing Referrers".

use crate::registry::{InRepository, Registry, parameter};
use crate::response::{json, set};
use crate::{Action, ErrorCode, RegistryBody, RegistryError, Repositories};
use honmaru_images::{Descriptor, Digest, media_type};
use http::{HeaderName, HeaderValue, Request, Response, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

/// Tags in one answer, also when the client asks for more or does not say. Ref: ECR ListImages: at most 1,000.
const TAGS_PAGE: usize = 1_000;
/// Repositories in one answer, unless the client asks for another number; at most `TAGS_PAGE`. Ref: DescribeRepositories.
const CATALOG_PAGE: usize = 100;
/// Referrers in one answer.
const REFERRERS_PAGE: usize = 500;
/// Bytes of the referrers in one answer. Ref: specification, "Listing Referrers": the answer is an index, and a client
/// need not take one that is larger than a manifest may be. One referrer is answered however long it is.
const REFERRERS_BYTES: usize = 4_000_000;
/// Repositories that one request for the catalog looks at. Whoever may list few of many gets them on several pages.
const CATALOG_LOOKS_MAX: usize = 1_000;
/// Those that are looked at with one question: what was looked at beyond a full page was in vain.
const CATALOG_LOOKS: usize = 250;
const FILTERS: HeaderName = HeaderName::from_static("oci-filters-applied");

impl<R: Repositories> Registry<R> {
    pub(crate) async fn list_tags<B>(
        &self,
        at: InRepository<'_, R::Caller, B>,
    ) -> Result<Response<RegistryBody>, RegistryError> {
        let n = page_size(&at.request, TAGS_PAGE)?;
        let last = parameter(&at.request, "last");
        let page = self
            .shared
            .repositories
            .tags(at.caller, at.repository, last.as_deref(), n)
            .await?;
        let mut response = json(&json!({"name": at.repository, "tags": page.tags}), "application/json");
        if let Some(last) = page.tags.last().filter(|_| page.more) {
            let link = format!(
                "</v2/{}/tags/list?n={n}&last={}>; rel=\"next\"",
                at.repository,
                encode(last)
            );
            set(response.headers_mut(), header::LINK, &link);
        }
        Ok(response)
    }

    /// The caller's repositories in the order of their names: those whose tags they may list. Not of the specification: of
    /// the protocol that it comes from, and ECR's registry has it.
    pub(crate) async fn list_catalog<B>(
        &self,
        caller: &R::Caller,
        request: &Request<B>,
    ) -> Result<Response<RegistryBody>, RegistryError> {
        let repositories = &self.shared.repositories;
        repositories.admit(caller, Action::Ping, None).await?;
        let n = page_size(request, CATALOG_PAGE)?;
        let last = parameter(request, "last").filter(|last| !last.is_empty());
        let namespace = repositories.namespace(caller);
        let mut names: Vec<String> = repositories
            .repositories()
            .await?
            .into_iter()
            .filter(|(of, name)| *of == namespace && last.as_ref().is_none_or(|last| name > last))
            .map(|(_, name)| name)
            .collect();
        names.sort_unstable();
        // Where the page before ended, if it ended at a name that the caller may not see.
        let seen = parameter(request, "seen");
        let seen = seen.and_then(|seen| names.iter().position(|name| self.shared.mark_of(name) == seen));
        let names = seen.map_or(names.as_slice(), |at| &names[at + 1..]);
        let looked_at = &names[..names.len().min(CATALOG_LOOKS_MAX)];
        let (mut page, mut more): (Vec<&str>, bool) = (Vec::new(), false);
        'full: for some in looked_at.chunks(CATALOG_LOOKS) {
            for (name, may) in some.iter().zip(repositories.may_list(caller, some).await?) {
                more = may && page.len() >= n;
                if more {
                    break 'full;
                }
                if may {
                    page.push(name);
                }
            }
        }
        let mut response = json(&json!({"repositories": page}), "application/json");
        let shown = page.last().copied().or(last.as_deref()).unwrap_or_default();
        let link = match looked_at.last() {
            // A client that wants none gets none, and no further page.
            _ if more && n > 0 => format!("</v2/_catalog?n={n}&last={}>; rel=\"next\"", encode(shown)),
            Some(seen) if n > 0 && !more && looked_at.len() < names.len() => {
                let (last, seen) = (encode(shown), self.shared.mark_of(seen));
                format!("</v2/_catalog?n={n}&last={last}&seen={seen}>; rel=\"next\"")
            }
            _ => return Ok(response),
        };
        set(response.headers_mut(), header::LINK, &link);
        Ok(response)
    }

    pub(crate) async fn list_referrers<B>(
        &self,
        at: InRepository<'_, R::Caller, B>,
        digest: &str,
    ) -> Result<Response<RegistryBody>, RegistryError> {
        let digest: Digest = digest.parse()?;
        // Whoever does not encode a query writes the `+` of a media type as it is; media types hold no spaces.
        let kind = parameter(&at.request, "artifactType").map(|kind| kind.replace(' ', "+"));
        let kind = kind.filter(|kind| !kind.is_empty());
        let last = parameter(&at.request, "last");
        let all = self
            .shared
            .repositories
            .referrers(at.caller, at.repository, &digest)
            .await?;
        let mut wanted = all
            .into_iter()
            .map(|referrer| referrer.descriptor)
            .filter(|found| kind.is_none() || found.artifact_type == kind)
            .filter(|found| last.as_deref().is_none_or(|last| found.digest.as_str() > last));
        let (mut page, mut bytes, mut more) = (Vec::new(), 0, false);
        for found in wanted.by_ref() {
            bytes += weight(&found);
            more = page.len() >= REFERRERS_PAGE || (bytes > REFERRERS_BYTES && !page.is_empty());
            if more {
                break;
            }
            page.push(found);
        }
        let index = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": page});
        let mut response = json(&index, media_type::OCI_INDEX);
        if let Some(last) = page.last().filter(|_| more) {
            let filter = kind
                .as_deref()
                .map(|kind| format!("&artifactType={}", encode(kind)))
                .unwrap_or_default();
            let last = encode(last.digest.as_str());
            let link = format!(
                "</v2/{}/referrers/{digest}?last={last}{filter}>; rel=\"next\"",
                at.repository
            );
            set(response.headers_mut(), header::LINK, &link);
        }
        if kind.is_some() {
            response
                .headers_mut()
                .insert(FILTERS, HeaderValue::from_static("artifactType"));
        }
        Ok(response)
    }
}

/// Bytes of a descriptor in an answer.
fn weight(descriptor: &Descriptor) -> usize {
    // Descriptors are plain data with text keys; one that cannot be written is met again, and reported, by the answer.
    serde_json::to_vec(descriptor).map_or(0, |text| text.len() + 1)
}

/// How many results the client wants, at most `TAGS_PAGE`.
fn page_size<B>(request: &Request<B>, usual: usize) -> Result<usize, RegistryError> {
    match parameter(request, "n").filter(|n| !n.is_empty()) {
        Some(n) if n.bytes().all(|byte| byte.is_ascii_digit()) => {
            // More digits than a number has mean "all", too.
            Ok(n.parse().unwrap_or(usize::MAX).min(TAGS_PAGE))
        }
        Some(_) => Err(RegistryError::new(
            ErrorCode::PaginationNumberInvalid,
            "invalid number of results requested",
        )),
        None => Ok(usual),
    }
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
