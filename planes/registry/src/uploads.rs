//! Uploads: whole, in pieces, resumed, mounted. Ref: specification, "Pushing blobs".

use crate::registry::{InRepository, Registry, parameter};
use crate::response::{UPLOAD_UUID, empty, set, set_digest, set_progress};
use crate::{Action, ErrorCode, RegistryBody, RegistryError, Repositories};
use bytes::Bytes;
use honmaru_images::{Algorithm, BlobWriter, Digest, UploadId, is_repository_name};
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Body;
use tokio::time::timeout;

impl<R: Repositories> Registry<R> {
    /// POST: a mount, a whole blob, or the beginning of an upload.
    pub(crate) async fn begin_upload<B>(
        &self,
        at: InRepository<'_, R::Caller, B>,
    ) -> Result<Response<RegistryBody>, RegistryError>
    where
        B: Body<Data = Bytes> + Send + Unpin,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        let InRepository {
            caller,
            repository,
            request,
        } = at;
        if let Some(mount) = parameter(&request, "mount") {
            let digest: Digest = mount.parse()?;
            let from = parameter(&request, "from");
            if let Some(response) = self.mount(caller, repository, &digest, from.as_deref()).await? {
                return Ok(response);
            }
        }
        let expected = parameter(&request, "digest")
            .map(|digest| digest.parse::<Digest>())
            .transpose()?;
        let algorithm = match (&expected, parameter(&request, "digest-algorithm").as_deref()) {
            (Some(digest), _) => digest.algorithm(),
            (None, None | Some("sha256")) => Algorithm::Sha256,
            (None, Some("sha512")) => Algorithm::Sha512,
            (None, Some(other)) => {
                return Err(RegistryError::new(
                    ErrorCode::DigestInvalid,
                    format!("digest algorithm `{other}` is not supported"),
                ));
            }
        };
        if expected.is_some() {
            // It is a whole upload in one request.
            for action in [Action::UploadPart, Action::UploadComplete] {
                self.shared.repositories.admit(caller, action, Some(repository)).await?;
            }
        }
        let mut writer = self
            .shared
            .store
            .begin_upload(
                &self.owner(caller, repository),
                self.shared.repositories.uploader(caller),
                algorithm,
            )
            .await?;
        let id = writer.id().clone();
        if let Some(digest) = expected {
            let done = match self.receive(&mut writer, request, None).await {
                Ok(()) => self.commit(caller, repository, writer, digest).await,
                Err(error) => {
                    drop(writer);
                    Err(error)
                }
            };
            if done.is_err() {
                // A whole blob in one request has no second chance: nothing of it stays.
                self.forget(&id).await;
            }
            return done;
        }
        let offset = writer.pause().await?;
        Ok(progress(StatusCode::ACCEPTED, repository, &id, offset))
    }

    /// PATCH: more bytes.
    pub(crate) async fn append_upload<B>(
        &self,
        at: InRepository<'_, R::Caller, B>,
        id: &str,
    ) -> Result<Response<RegistryBody>, RegistryError>
    where
        B: Body<Data = Bytes> + Send + Unpin,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        let id = self.upload_id(id, at.caller, at.repository)?;
        let mut writer = self.shared.store.resume_upload(&id).await?;
        let chunk = chunk(at.request.headers())?;
        check_offset(&writer, chunk, at.repository)?;
        let received = self
            .receive(&mut writer, at.request, chunk.map(|(start, end)| end - start))
            .await;
        // What arrived is kept also when the connection broke: the client asks how far it came and goes on.
        let offset = writer.pause().await?;
        received?;
        Ok(progress(StatusCode::ACCEPTED, at.repository, &id, offset))
    }

    /// PUT: perhaps the last bytes, and the digest.
    pub(crate) async fn complete_upload<B>(
        &self,
        at: InRepository<'_, R::Caller, B>,
        id: &str,
    ) -> Result<Response<RegistryBody>, RegistryError>
    where
        B: Body<Data = Bytes> + Send + Unpin,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        let id = self.upload_id(id, at.caller, at.repository)?;
        let digest = parameter(&at.request, "digest");
        let digest = digest.ok_or_else(|| RegistryError::new(ErrorCode::DigestInvalid, "the digest is missing"))?;
        let digest: Digest = digest.parse()?;
        if !at.request.body().is_end_stream() {
            let repositories = &self.shared.repositories;
            repositories
                .admit(at.caller, Action::UploadPart, Some(at.repository))
                .await?;
        }
        let mut writer = self.shared.store.resume_upload(&id).await?;
        let chunk = chunk(at.request.headers())?;
        check_offset(&writer, chunk, at.repository)?;
        if let Err(error) = self
            .receive(&mut writer, at.request, chunk.map(|(start, end)| end - start))
            .await
        {
            writer.pause().await?;
            return Err(error);
        }
        self.commit(at.caller, at.repository, writer, digest).await
    }

    pub(crate) async fn upload_status<B>(
        &self,
        at: InRepository<'_, R::Caller, B>,
        id: &str,
    ) -> Result<Response<RegistryBody>, RegistryError> {
        let id = self.upload_id(id, at.caller, at.repository)?;
        let offset = self.shared.store.upload_offset(&id).await?;
        Ok(progress(StatusCode::NO_CONTENT, at.repository, &id, offset))
    }

    pub(crate) async fn cancel_upload<B>(
        &self,
        at: InRepository<'_, R::Caller, B>,
        id: &str,
    ) -> Result<Response<RegistryBody>, RegistryError> {
        let id = self.upload_id(id, at.caller, at.repository)?;
        self.shared.store.cancel_upload(&id).await?;
        Ok(empty(StatusCode::NO_CONTENT))
    }

    /// Gives the repository a blob of another one. Nothing when that is not possible: then the client uploads it.
    async fn mount(
        &self,
        caller: &R::Caller,
        repository: &str,
        digest: &Digest,
        from: Option<&str>,
    ) -> Result<Option<Response<RegistryBody>>, RegistryError> {
        let repositories = &self.shared.repositories;
        if !repositories.may_mount(caller).await? {
            return Ok(None);
        }
        let sources = match from {
            Some(from) if is_repository_name(from) => vec![from.to_owned()],
            Some(_) => return Ok(None),
            // Ref: specification, "Mounting a blob from another repository": automatic content discovery.
            None => repositories.holders(caller, repository, digest).await?,
        };
        for from in sources {
            if let Some(response) = self.mount_from(caller, repository, digest, &from).await? {
                return Ok(Some(response));
            }
        }
        Ok(None)
    }

    async fn mount_from(
        &self,
        caller: &R::Caller,
        repository: &str,
        digest: &Digest,
        from: &str,
    ) -> Result<Option<Response<RegistryBody>>, RegistryError> {
        let repositories = &self.shared.repositories;
        // Whoever may not read there learns nothing, not even that the blob exists.
        if repositories.admit(caller, Action::BlobRead, Some(from)).await.is_err() {
            return Ok(None);
        }
        let _pins = self.shared.store.pin(vec![digest.clone()]).await;
        if repositories
            .has_blobs(caller, from, std::slice::from_ref(digest))
            .await?
            != [true]
        {
            return Ok(None);
        }
        let Some(info) = self.shared.store.stat(digest)? else {
            return Ok(None);
        };
        repositories.link_blob(caller, repository, digest, info.size).await?;
        self.shared.shown.note(self.owner(caller, repository), digest);
        Ok(Some(created(repository, digest)))
    }

    async fn commit(
        &self,
        caller: &R::Caller,
        repository: &str,
        writer: BlobWriter,
        digest: Digest,
    ) -> Result<Response<RegistryBody>, RegistryError> {
        // From its final name until the repository has it, only the pin keeps the blob from the collector.
        let _pins = self.shared.store.pin(vec![digest.clone()]).await;
        let info = writer.commit(digest.clone()).await?;
        honmaru_images::fault_point("push.committed");
        self.shared
            .repositories
            .link_blob(caller, repository, &digest, info.size)
            .await?;
        honmaru_images::fault_point("push.linked");
        self.shared.shown.note(self.owner(caller, repository), &digest);
        Ok(created(repository, &digest))
    }

    /// Takes the body into the upload; `expected` is the length that `Content-Range` announces.
    async fn receive<B>(
        &self,
        writer: &mut BlobWriter,
        request: Request<B>,
        expected: Option<u64>,
    ) -> Result<(), RegistryError>
    where
        B: Body<Data = Bytes> + Send + Unpin,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        let begin = writer.offset();
        let mut body = request.into_body();
        loop {
            let frame = timeout(self.shared.limits.body_idle_timeout, body.frame()).await;
            let frame = match frame {
                Err(_) => {
                    return Err(
                        RegistryError::new(ErrorCode::BlobUploadInvalid, "the client was silent for too long")
                            .with_status(StatusCode::REQUEST_TIMEOUT),
                    );
                }
                Ok(None) => break,
                Ok(Some(Err(error))) => {
                    tracing::debug!(err = %honmaru_base::chain(&error), "an upload's connection broke");
                    return Err(RegistryError::new(ErrorCode::BlobUploadInvalid, "the body ended early"));
                }
                Ok(Some(Ok(frame))) => frame,
            };
            if let Ok(data) = frame.into_data() {
                let received = writer.offset() - begin + data.len() as u64;
                if expected.is_some_and(|expected| received > expected) {
                    return Err(RegistryError::new(
                        ErrorCode::SizeInvalid,
                        "the body is longer than its range",
                    ));
                }
                writer.write(data).await?;
            }
        }
        match expected {
            Some(expected) if writer.offset() - begin != expected => Err(RegistryError::new(
                ErrorCode::SizeInvalid,
                "the body is shorter than its range",
            )),
            _ => Ok(()),
        }
    }

    /// Uploads are bound to where they were begun; who may go on with one is asked of `admit` on every request.
    pub(crate) fn owner(&self, caller: &R::Caller, repository: &str) -> String {
        format!("{}/{repository}", self.shared.repositories.namespace(caller))
    }

    fn upload_id(&self, id: &str, caller: &R::Caller, repository: &str) -> Result<UploadId, RegistryError> {
        UploadId::parse(id, &self.owner(caller, repository))
            .ok_or_else(|| RegistryError::new(ErrorCode::BlobUploadUnknown, "blob upload unknown to registry"))
    }

    pub(crate) async fn forget(&self, id: &UploadId) {
        if let Err(error) = self.shared.store.cancel_upload(id).await {
            tracing::debug!(err = %honmaru_base::chain(&error), "an upload's leftover waits for the collector");
        }
    }
}

fn location(repository: &str, id: &UploadId) -> String {
    format!("/v2/{repository}/blobs/uploads/{}", id.as_str())
}

fn progress(status: StatusCode, repository: &str, id: &UploadId, offset: u64) -> Response<RegistryBody> {
    let mut response = empty(status);
    set_progress(response.headers_mut(), &location(repository, id), offset);
    set(response.headers_mut(), UPLOAD_UUID, id.as_str());
    response
}

fn created(repository: &str, digest: &Digest) -> Response<RegistryBody> {
    let mut response = empty(StatusCode::CREATED);
    set(
        response.headers_mut(),
        header::LOCATION,
        &format!("/v2/{repository}/blobs/{digest}"),
    );
    set_digest(response.headers_mut(), digest);
    response
}

/// `Content-Range: START-END`, inclusive, as start and end-exclusive; with `Content-Length` the two must agree.
fn chunk(headers: &HeaderMap) -> Result<Option<(u64, u64)>, RegistryError> {
    let Some(value) = headers.get(header::CONTENT_RANGE) else {
        return Ok(None);
    };
    let invalid = |text: &str| RegistryError::new(ErrorCode::RangeInvalid, text);
    let malformed = || invalid("Content-Range is no `<start>-<end>`");
    let text = value.to_str().map_err(|_| malformed())?;
    // RFC 9110's form, `bytes <start>-<end>/<size>`, is understood too.
    let text = text
        .strip_prefix("bytes ")
        .or(text.strip_prefix("bytes="))
        .unwrap_or(text);
    let text = text.split('/').next().unwrap_or(text);
    let (start, last) = text.split_once('-').ok_or_else(malformed)?;
    let (start, last): (u64, u64) = match (start.parse(), last.parse()) {
        (Ok(start), Ok(last)) if start <= last && last < u64::MAX => (start, last),
        _ => return Err(malformed()),
    };
    let end = last + 1;
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length != end - start) {
        return Err(RegistryError::new(
            ErrorCode::SizeInvalid,
            "Content-Length does not match Content-Range",
        ));
    }
    Ok(Some((start, end)))
}

/// Chunks must follow each other. Ref: specification: 416 for a chunk out of order.
fn check_offset(writer: &BlobWriter, chunk: Option<(u64, u64)>, repository: &str) -> Result<(), RegistryError> {
    match chunk {
        Some((start, _)) if start != writer.offset() => {
            let mut error = RegistryError::new(ErrorCode::RangeInvalid, "the chunk is out of order");
            error.resume = Some((location(repository, writer.id()), writer.offset()));
            Err(error)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_content_range() {
        let read = |range: &str, length: Option<u64>| {
            let mut headers = HeaderMap::new();
            set(&mut headers, header::CONTENT_RANGE, range);
            if let Some(length) = length {
                headers.insert(header::CONTENT_LENGTH, length.into());
            }
            chunk(&headers).map_err(|error| error.code)
        };
        assert_eq!(read("0-9", Some(10)), Ok(Some((0, 10))));
        assert_eq!(read("bytes 5-9/20", None), Ok(Some((5, 10))));
        assert_eq!(read("0-9", Some(9)), Err(ErrorCode::SizeInvalid));
        for bad in ["", "5", "9-5", "a-b", "0-18446744073709551615"] {
            assert_eq!(read(bad, None), Err(ErrorCode::RangeInvalid), "{bad}");
        }
        assert_eq!(chunk(&HeaderMap::new()).unwrap(), None);
    }
}
