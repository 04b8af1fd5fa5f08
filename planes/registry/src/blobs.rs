//! Blobs: reading whole or in part, looking, deleting. Ref: specification, "Pulling blobs", "Deleting Blobs".

use crate::registry::{InRepository, Registry};
use crate::response::{empty, not_modified, set, set_digest};
use crate::{ErrorCode, RegistryBody, RegistryError, Repositories, Unlinked};
use honmaru_images::Digest;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use serde_json::json;

fn unknown(digest: &Digest) -> RegistryError {
    RegistryError::new(ErrorCode::BlobUnknown, "blob unknown to registry").with_detail(json!({"digest": digest}))
}

impl<R: Repositories> Registry<R> {
    pub(crate) async fn get_blob<B>(
        &self,
        at: InRepository<'_, R::Caller, B>,
        digest: &str,
    ) -> Result<Response<RegistryBody>, RegistryError> {
        let digest: Digest = digest.parse()?;
        let store = &self.shared.store;
        let linked = self
            .shared
            .repositories
            .has_blobs(at.caller, at.repository, std::slice::from_ref(&digest))
            .await?;
        if linked != [true] && !self.fetch_upstream_blob(at.caller, at.repository, &digest).await? {
            return Err(unknown(&digest));
        }
        let size = store.look(&digest).await?.ok_or_else(|| unknown(&digest))?.size;
        let etag = format!("\"{digest}\"");
        let headers = at.request.headers();
        if matches(headers, header::IF_NONE_MATCH, &etag) {
            return Ok(not_modified(&etag, &digest));
        }
        let range = match headers
            .get(header::IF_RANGE)
            .is_none_or(|value| value.as_bytes() == etag.as_bytes())
        {
            true => range(headers, size),
            false => Range::Whole,
        };
        let (status, start, end) = match range {
            Range::Whole => (StatusCode::OK, 0, size),
            Range::Part { start, end } => (StatusCode::PARTIAL_CONTENT, start, end),
            Range::Unsatisfiable => {
                // Without a body: the specification has no code for it.
                let mut response = empty(StatusCode::RANGE_NOT_SATISFIABLE);
                let size = format!("bytes */{size}");
                set(response.headers_mut(), header::CONTENT_RANGE, &size);
                return Ok(response);
            }
        };
        let body = if at.request.method() == Method::HEAD {
            self.shared.shown.note(self.owner(at.caller, at.repository), &digest);
            RegistryBody::empty()
        } else {
            let (file, _) = store.open_blob(&digest)?.ok_or_else(|| unknown(&digest))?;
            RegistryBody::blob(file, start, end)
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/octet-stream"),
        );
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(end - start));
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        headers.insert(
            header::CACHE_CONTROL,
            HeaderValue::from_static("private, max-age=31536000, immutable"),
        );
        set(headers, header::ETAG, &etag);
        set_digest(headers, &digest);
        if status == StatusCode::PARTIAL_CONTENT {
            set(
                headers,
                header::CONTENT_RANGE,
                &format!("bytes {start}-{}/{size}", end - 1),
            );
        }
        Ok(response)
    }

    pub(crate) async fn delete_blob<B>(
        &self,
        at: InRepository<'_, R::Caller, B>,
        digest: &str,
    ) -> Result<Response<RegistryBody>, RegistryError> {
        let digest: Digest = digest.parse()?;
        match self
            .shared
            .repositories
            .unlink_blob(at.caller, at.repository, &digest)
            .await?
        {
            Unlinked::Done => {
                self.shared.shown.forget(&self.owner(at.caller, at.repository), &digest);
                Ok(empty(StatusCode::ACCEPTED))
            }
            Unlinked::Unknown => Err(unknown(&digest)),
            Unlinked::InUse => Err(RegistryError::new(
                ErrorCode::Unsupported,
                "a manifest of this repository names the blob; delete the manifest first",
            )),
        }
    }
}

/// Whether a list of entity tags holds `etag` or `*`.
pub(crate) fn matches(headers: &HeaderMap, name: header::HeaderName, etag: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|one| {
        let one = one.trim();
        let one = one.strip_prefix("W/").unwrap_or(one);
        one == "*" || one == etag
    })
}

#[derive(Debug, PartialEq)]
enum Range {
    Whole,
    Part { start: u64, end: u64 },
    Unsatisfiable,
}

/// One range of bytes; several, or another unit, mean the whole; one that ends before it begins is refused, as the
/// specification's conformance suite wants it. Ref: RFC 9110 section 14.2.
fn range(headers: &HeaderMap, size: u64) -> Range {
    let Some(value) = headers.get(header::RANGE).and_then(|value| value.to_str().ok()) else {
        return Range::Whole;
    };
    let of_bytes = value
        .split_once('=')
        .filter(|(unit, _)| unit.eq_ignore_ascii_case("bytes"));
    let Some((first, last)) = of_bytes.and_then(|(_, set)| set.split_once('-')) else {
        return Range::Whole;
    };
    let (start, end) = match (first.trim(), last.trim()) {
        ("", suffix) => match position(suffix) {
            Some(suffix) => (size.saturating_sub(suffix), size),
            None => return Range::Whole,
        },
        (first, "") => match position(first) {
            Some(start) => (start, size),
            None => return Range::Whole,
        },
        (first, last) => match (position(first), position(last)) {
            (Some(start), Some(last)) if start <= last => (start, last.saturating_add(1).min(size)),
            (Some(_), Some(_)) => return Range::Unsatisfiable,
            _ => return Range::Whole,
        },
    };
    if start >= end {
        Range::Unsatisfiable
    } else {
        Range::Part { start, end }
    }
}

/// Digits, of which there may be any number: what is larger than every blob is as good as the largest number.
fn position(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, expected: Range) {
        let mut headers = HeaderMap::new();
        set(&mut headers, header::RANGE, value);
        assert_eq!(range(&headers, 10), expected, "{value}");
    }

    #[test]
    fn reads_ranges() {
        check("bytes=0-3", Range::Part { start: 0, end: 4 });
        check("bytes=4-", Range::Part { start: 4, end: 10 });
        check("bytes=-3", Range::Part { start: 7, end: 10 });
        check("bytes=-30", Range::Part { start: 0, end: 10 });
        check("bytes=8-99", Range::Part { start: 8, end: 10 });
        check("Bytes=0-3", Range::Part { start: 0, end: 4 });
        check("bytes=8-99999999999999999999", Range::Part { start: 8, end: 10 });
        check("bytes=-99999999999999999999", Range::Part { start: 0, end: 10 });
        check("bytes=99999999999999999999-", Range::Unsatisfiable);
        check("bytes=10-", Range::Unsatisfiable);
        check("bytes=-0", Range::Unsatisfiable);
        check("bytes=3-2", Range::Unsatisfiable);
        for whole in [
            "bytes=0-1,3-4",
            "lines=1-2",
            "bytes=x-y",
            "bytes=-",
            "bytes=+1-2",
            "bytes",
        ] {
            check(whole, Range::Whole);
        }
    }
}
