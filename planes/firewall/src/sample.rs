//! Samples of requests by rule metric, for GetSampledRequests, in bounded memory.

use crate::RequestView;
use honmaru_base::Time;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Samples kept of one metric.
const SAMPLES_MAX: usize = 100;
/// Once that many are kept, at most one more in this time; the others count in its weight.
const SPACING_MS: i64 = 50;
/// Bytes kept of one request's headers.
const HEADER_BYTES_MAX: usize = 2_048;
/// Bytes kept of a path with its query.
const URI_BYTES_MAX: usize = 1_024;
/// Ref: WAFv2 GetSampledRequests: the last three hours.
const WINDOW_S: i64 = 3 * 3_600;
const POPULATION_SLICE_MS: i64 = 60_000;

/// The answer to a question for samples.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SampleSet {
    /// `SampledHTTPRequest`s of the API, oldest first.
    pub sampled: Vec<Value>,
    /// How many requests matched in the window.
    pub population: u64,
}

/// What is known of the decision when a sample is taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken<'a> {
    pub(crate) action: &'static str,
    pub(crate) overridden: Option<&'static str>,
    pub(crate) inside_group: Option<&'a str>,
    pub(crate) labels: &'a [String],
    pub(crate) inserted: &'a [(String, String)],
    pub(crate) status: Option<u16>,
}

/// The samples of one metric.
#[derive(Debug, Default)]
pub(crate) struct Samples(Mutex<Ring>);

#[derive(Debug, Default)]
struct Ring {
    kept: VecDeque<(Time, Value)>,
    last: Option<Time>,
    unsampled: u64,
    /// Requests by minute, oldest first.
    population: VecDeque<(i64, u64)>,
}

impl Samples {
    pub(crate) fn take(&self, request: &RequestView<'_>, taken: Taken<'_>) {
        let now = request.now;
        let weight = {
            let mut ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let slice = now.as_ms().div_euclid(POPULATION_SLICE_MS);
            match ring.population.back_mut() {
                Some((at, count)) if *at >= slice => *count += 1,
                _ => ring.population.push_back((slice, 1)),
            }
            let oldest = slice - WINDOW_S * 1_000 / POPULATION_SLICE_MS;
            while ring.population.front().is_some_and(|(at, _)| *at < oldest) {
                ring.population.pop_front();
            }
            let full = ring.kept.len() >= SAMPLES_MAX;
            if full && ring.last.is_some_and(|last| now.since_ms(last) < SPACING_MS) {
                ring.unsampled += 1;
                return;
            }
            ring.last = Some(now);
            std::mem::take(&mut ring.unsampled) + 1
        };
        let sample = sample(request, taken, weight);
        let mut ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if ring.kept.len() >= SAMPLES_MAX {
            ring.kept.pop_front();
        }
        ring.kept.push_back((now, sample));
    }

    pub(crate) fn read(&self, from: Time, to: Time, items_max: usize) -> SampleSet {
        let ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let inside = |at: &Time| (from..=to).contains(at);
        let sampled: Vec<Value> = ring
            .kept
            .iter()
            .filter(|(at, _)| inside(at))
            .take(items_max)
            .map(|(_, sample)| sample.clone())
            .collect();
        let slices = from.as_ms().div_euclid(POPULATION_SLICE_MS)..=to.as_ms().div_euclid(POPULATION_SLICE_MS);
        let population = ring
            .population
            .iter()
            .filter(|(at, _)| slices.contains(at))
            .map(|(_, count)| *count)
            .sum();
        SampleSet { sampled, population }
    }
}

fn cut(text: &str, max: usize) -> &str {
    let end = (0..=max.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

fn sample(request: &RequestView<'_>, taken: Taken<'_>, weight: u64) -> Value {
    let uri = match request.query {
        "" => request.path.to_owned(),
        query => format!("{}?{query}", request.path),
    };
    let mut left = HEADER_BYTES_MAX;
    let mut headers = Vec::new();
    for (name, value) in request.headers {
        if name.len() > left {
            break;
        }
        left -= name.len();
        let text = String::from_utf8_lossy(value.get(..left).unwrap_or(value));
        left = left.saturating_sub(text.len());
        headers.push(json!({"Name": name, "Value": text}));
    }
    let mut sample = json!({
        "Request": {
            "ClientIP": request.peer.to_canonical().to_string(),
            "Country": "-",
            "URI": cut(&uri, URI_BYTES_MAX),
            "Method": request.method,
            "HTTPVersion": request.version,
            "Headers": headers,
        },
        "Weight": weight,
        "Timestamp": request.now.as_epoch_s(),
        "Action": taken.action,
    });
    let labels: Vec<Value> = taken
        .labels
        .iter()
        .take(100)
        .map(|label| json!({"Name": label}))
        .collect();
    let inserted: Vec<Value> = taken
        .inserted
        .iter()
        .map(|(name, value)| json!({"Name": name, "Value": value}))
        .collect();
    let more = [
        ("RuleNameWithinRuleGroup", taken.inside_group.map(Value::from)),
        ("OverriddenAction", taken.overridden.map(Value::from)),
        ("Labels", (!labels.is_empty()).then(|| labels.into())),
        (
            "RequestHeadersInserted",
            (!inserted.is_empty()).then(|| inserted.into()),
        ),
        ("ResponseCodeSent", taken.status.map(Value::from)),
    ];
    if let Some(sample) = sample.as_object_mut() {
        for (name, value) in more {
            if let Some(value) = value {
                sample.insert(name.to_owned(), value);
            }
        }
    }
    sample
}
