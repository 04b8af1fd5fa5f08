//! What the audit trail says of a request to the registry.

use super::caller::Place;
use super::rows::action;
use crate::control::Control;
use crate::control::api::request_id;
use crate::control::audit::{Audit, Head, What};
use ::http::Request;
use honmaru_base::{Scope, Time};
use honmaru_cloudtrail::{Recorded, Who};
use honmaru_machine::Call;
use honmaru_registry::{RegistryBody, Route, Target};
use hyper::body::{Body, Bytes, Frame, SizeHint};
use serde_json::{Value, json};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// What a request asks for, in ECR's words. Ref: ECR User Guide, "Logging Amazon ECR actions with AWS CloudTrail":
/// `docker push` and `docker pull` are recorded under the names of the API.
pub(super) struct Asked {
    name: &'static str,
    pub(super) repository: Option<String>,
    input: Value,
}

impl Asked {
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        let unknown = |name| Self {
            name,
            repository: None,
            input: Value::Null,
        };
        let (repository, target) = match Route::parse(request.uri().path()) {
            Ok(Route::In { repository, target }) => (repository, target),
            Ok(Route::Base) => return unknown("Ping"),
            Ok(Route::Catalog) => return unknown("DescribeRepositories"),
            Err(_) => return unknown("Unrouted"),
        };
        let name = target
            .action(request.method())
            .and_then(|wanted| action(&wanted).event())
            .and_then(|action| action.strip_prefix("ecr:"));
        let Some(name) = name else {
            return unknown("Unrouted");
        };
        let image = |reference: &str| match reference.contains(':') {
            true => json!([{ "imageDigest": reference }]),
            false => json!([{ "imageTag": reference }]),
        };
        let mut input = json!({ "repositoryName": repository });
        match &target {
            Target::Blob(digest) => input["layerDigest"] = json!(digest),
            Target::Manifest(reference) => input["imageIds"] = image(reference),
            Target::Referrers(digest) => input["subjectId"] = json!({ "imageDigest": digest }),
            Target::Uploads | Target::Upload(_) | Target::Tags => {}
        }
        Self {
            name,
            repository: Some(repository),
            input,
        }
    }

    /// The record. Its duration is that of the head until the answer is sent.
    pub(super) fn record(
        self,
        control: &Control,
        head: Head,
        call: Option<(Arc<Call>, bool)>,
        place: Option<Place>,
        (status, code): (u16, Option<&str>),
        at: Time,
    ) -> Recorded {
        let (scope, who, request_id) = match &call {
            Some((call, false)) => (call.scope.clone(), Who::of(&call.principal), call.request_id.clone()),
            Some((call, true)) => (call.scope.clone(), Who::unknown(None), call.request_id.clone()),
            None => {
                let scope = Scope {
                    account: control.home.account.clone(),
                    region: control.home.region.clone(),
                };
                (scope, Who::unknown(None), request_id())
            }
        };
        let service = match &place {
            Some(place) if place.is_public => honmaru_ecr_public::SERVICE,
            _ => honmaru_ecr::SERVICE,
        };
        let arn = match place {
            Some(place) => Some(honmaru_ecr::repository_arn(&place.scope, &place.name)),
            // Nobody knows whose it would be.
            None => self.repository.map(|name| honmaru_ecr::repository_arn(&scope, &name)),
        };
        let what = What {
            service,
            source: format!("{service}.amazonaws.com"),
            name: self.name,
            input: self.input,
            resources: arn.into_iter().collect(),
        };
        let error = code.map(|code| (code, ""));
        head.record(scope, who, what, &request_id, status, error, at, Duration::ZERO)
    }
}

/// The body of an answer; the call is recorded when it is sent, or when its reader went away.
pub(super) struct Recording {
    pub(super) body: RegistryBody,
    pub(super) began: Instant,
    pub(super) record: Option<(Arc<Audit>, Box<Recorded>)>,
}

impl Body for Recording {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if let Some((audit, mut record)) = self.record.take() {
            record.took_us = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
            audit.record(*record);
        }
    }
}
