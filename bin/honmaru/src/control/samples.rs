//! Questions to edge: the requests that a web ACL's rule sampled.

use super::link::Sender;
use honmaru_base::ApiError;
use honmaru_contract::edge::{Samples, SamplesWanted, ToEdge};
use honmaru_machine::{BoxFuture, Call};
use honmaru_wafv2::SampleSource;
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
}

/// The connected edge as WAFv2 asks it.
pub struct Asked(pub std::sync::Arc<Samplers>);

impl SampleSource for Asked {
    fn samples(&self, _: &Call, mut wanted: SamplesWanted) -> BoxFuture<Result<Option<Samples>, ApiError>> {
        let samplers = self.0.clone();
        Box::pin(async move {
            let (tell, told) = oneshot::channel();
            let (number, sent) = {
                let mut inner = samplers.0.lock();
                inner.next += 1;
                let number = inner.next;
                wanted.request = number;
                inner.waiting.insert(number, tell);
                (
                    number,
                    inner
                        .edge
                        .as_ref()
                        .is_some_and(|edge| edge.send(ToEdge::Samples(wanted)).is_ok()),
                )
            };
            let answer = if sent {
                tokio::time::timeout(ANSWER_TIMEOUT, told).await.ok()
            } else {
                None
            };
            samplers.0.lock().waiting.remove(&number);
            match answer {
                Some(Ok(samples)) => Ok(Some(samples)),
                _ => {
                    let message =
                        "AWS WAF couldn't perform the operation because of a system problem. Retry your request.";
                    Err(ApiError::new("WAFInternalErrorException", message).with_status(500))
                }
            }
        })
    }
}
