//! Questions to edge: the requests that a web ACL's rule sampled.

use super::link::Sender;
use honmaru_base::ApiError;
use honmaru_contract::edge::{Samples, SamplesWanted, ToEdge};
use honmaru_machine::BoxFuture;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::oneshot;

/// How long edge has for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Inner {
    edge: Option<Sender<ToEdge>>,
    next: u64,
    waiting: HashMap<u64, oneshot::Sender<Samples>>,
}

/// The connected edge and the questions that wait for it.
#[derive(Default)]
pub struct Samplers(Mutex<Inner>);

impl Samplers {
    /// Remembers the edge that connected last.
    pub fn attach(&self, edge: Sender<ToEdge>) {
        self.0.lock().edge = Some(edge);
    }

    /// Hands an answer to whoever asked.
    pub fn answer(&self, samples: Samples) {
        if let Some(waiting) = self.0.lock().waiting.remove(&samples.request) {
            // Whoever asked may have given up.
            let _ = waiting.send(samples);
        }
    }

    /// Asks edge. `WAFInternalErrorException` when there is no edge, or it does not answer.
    pub fn ask(self: std::sync::Arc<Self>, mut wanted: SamplesWanted) -> BoxFuture<Result<Samples, ApiError>> {
        Box::pin(async move {
            let (tell, told) = oneshot::channel();
            let sent = {
                let mut inner = self.0.lock();
                inner.next += 1;
                wanted.request = inner.next;
                inner.waiting.insert(wanted.request, tell);
                inner.edge.as_ref().is_some_and(|edge| edge.send(ToEdge::Samples(wanted.clone())).is_ok())
            };
            let answer = if sent { tokio::time::timeout(ANSWER_TIMEOUT, told).await.ok() } else { None };
            self.0.lock().waiting.remove(&wanted.request);
            answer.and_then(Result::ok).ok_or_else(|| {
                let message = "AWS WAF couldn't perform the operation because of a system problem. Retry your request.";
                ApiError::new("WAFInternalErrorException", message).with_status(500)
            })
        })
    }
}
