//! Content discovery: tags and referrers. Ref: specification, "Listing Tags", "Listing Referrers".

use crate::registry::{InRepository, Registry, parameter};
use crate::response::{json, set};
use crate::{ErrorCode, RegistryBody, RegistryError, Repositories};
use honmaru_images::{Digest, media_type};
use http::{HeaderName, HeaderValue, Response, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

/// Tags in one answer, also when the client asks for more or does not say. Ref: ECR ListImages: at most 1,000.
const TAGS_PAGE: usize = 1_000;
/// Referrers in one answer. Ref: specification: an answer must not be larger than a manifest may be.
const REFERRERS_PAGE: usize = 500;
const FILTERS: HeaderName = HeaderName::from_static("oci-filters-applied");

impl<R: Repositories> Registry<R> {
    pub(crate) async fn list_tags<B>(
        &self,
        at: InRepository<'_, R::Caller, B>,
    ) -> Result<Response<RegistryBody>, RegistryError> {
        let n = match parameter(&at.request, "n") {
            Some(n) => n.parse::<usize>().map(|n| n.min(TAGS_PAGE)).map_err(|_| {
                RegistryError::new(
                    ErrorCode::PaginationNumberInvalid,
                    "invalid number of results requested",
                )
            })?,
            None => TAGS_PAGE,
        };
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
        let page: Vec<_> = wanted.by_ref().take(REFERRERS_PAGE).collect();
        let more = wanted.next().is_some();
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

fn encode(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
