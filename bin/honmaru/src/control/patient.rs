//! The body of a request, whose rest is taken, within bounds, when nobody wants it any more.
//!
//! Whoever is refused before its body was read is often still sending: it sees the answer only when the connection is
//! not reset under it. Ref: RFC 9112, 9.6.

use ::http::{HeaderMap, header};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// What is still taken, and for how long.
const BYTES_MAX: usize = 64 * 1024 * 1024;
const TIMEOUT: Duration = Duration::from_secs(10);

/// A body. Dropped before its end, its rest is taken in the background.
#[derive(Debug)]
pub struct Patient<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
{
    body: Option<B>,
    is_awaited: bool,
}

impl<B> Patient<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
{
    /// The body of a request with these headers. Whoever waits to be told to go on does not send it unasked.
    pub fn new(headers: &HeaderMap, body: B) -> Self {
        Self {
            body: Some(body),
            is_awaited: headers.contains_key(header::EXPECT),
        }
    }
}

impl<B> Drop for Patient<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
{
    fn drop(&mut self) {
        if let Some(body) = self.body.take()
            && !self.is_awaited
            && !body.is_end_stream()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async { tokio::time::timeout(TIMEOUT, discard(body)).await });
        }
    }
}

async fn discard<B: Body<Data = Bytes> + Unpin>(mut body: B) {
    let mut left = BYTES_MAX;
    while let Some(Ok(frame)) = body.frame().await {
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        let Some(rest) = left.checked_sub(bytes) else { return };
        left = rest;
    }
}

impl<B> Body for Patient<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        // Whoever reads it has said that it may come.
        self.is_awaited = false;
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let polled = Pin::new(body).poll_frame(cx);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.body = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::StreamBody;
    use std::convert::Infallible;
    use tokio::sync::mpsc;

    /// A body that is fed by hand: whether somebody still takes it is seen by whether it can be fed.
    fn fed() -> (
        mpsc::Sender<Bytes>,
        impl Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static,
    ) {
        let (feed, pieces) = mpsc::channel::<Bytes>(1);
        let pieces = futures_util::stream::unfold(pieces, |mut pieces| async {
            let piece = pieces.recv().await?;
            Some((Ok(Frame::data(piece)), pieces))
        });
        (feed, StreamBody::new(Box::pin(pieces)))
    }

    #[tokio::test]
    async fn the_rest_is_taken_within_bounds() {
        let (feed, body) = fed();
        drop(Patient::new(&HeaderMap::new(), body));
        let piece = Bytes::from(vec![0; 1024 * 1024]);
        let mut taken = 0;
        while taken <= BYTES_MAX + 4 * piece.len() && feed.send(piece.clone()).await.is_ok() {
            taken += piece.len();
        }
        assert!((BYTES_MAX..=BYTES_MAX + 3 * piece.len()).contains(&taken), "{taken}");
    }

    #[tokio::test]
    async fn who_waits_to_be_asked_is_not_waited_for() {
        let mut headers = HeaderMap::new();
        headers.insert(header::EXPECT, header::HeaderValue::from_static("100-continue"));
        let (feed, body) = fed();
        drop(Patient::new(&headers, body));
        assert!(feed.send(Bytes::new()).await.is_err());
        // Once it was asked, its rest is taken like any other.
        let (feed, body) = fed();
        let mut body = Patient::new(&headers, body);
        feed.send(Bytes::from_static(b"a")).await.unwrap();
        body.frame().await.unwrap().unwrap();
        drop(body);
        for _ in 0..3 {
            feed.send(Bytes::from_static(b"b")).await.unwrap();
        }
    }
}
