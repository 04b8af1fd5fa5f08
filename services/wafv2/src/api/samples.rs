//! GetSampledRequests: the samples are with the edge, so whoever has the link to it answers.

use super::access;
use super::entities::{check_scope, text};
use crate::error;
use honmaru_base::{ApiError, Time};
use honmaru_contract::edge::{Samples, SamplesWanted};
use honmaru_machine::{BoxFuture, Call, Handler, Operation};
use serde_json::{Value, json};
use std::sync::Arc;

/// Where samples come from.
pub trait SampleSource: Send + Sync {
    /// Asks the edge. The number of the question (`request`) is the source's to set. Nothing: there is no such web ACL in
    /// the call's account and region.
    fn samples(&self, call: &Call, wanted: SamplesWanted) -> BoxFuture<Result<Option<Samples>, ApiError>>;
}

/// Ref: WAFv2 API, GetSampledRequests: the last three hours; an earlier begin is moved.
const WINDOW_S: i64 = 3 * 3_600;

/// The operation, answered by `source`.
pub fn sampled_requests(source: Arc<dyn SampleSource>) -> Operation {
    Operation {
        name: "GetSampledRequests",
        access: |state, call, input| {
            let arn = text(input, "WebAclArn").unwrap_or_default();
            access::by_web_acl_arn(state, call, &json!({"WebACLArn": arn}), "wafv2:GetSampledRequests")
        },
        handler: Handler::Async(Arc::new(move |call: Call, input: Value| {
            let asked = read(&call, &input);
            let source = Arc::clone(&source);
            Box::pin(async move {
                let wanted = asked?;
                let (from, to) = (wanted.from, wanted.to);
                let found = source.samples(&call, wanted).await?.ok_or_else(error::nonexistent)?;
                Ok(json!({
                    "SampledRequests": found.sampled,
                    "PopulationSize": found.population,
                    "TimeWindow": {"StartTime": from.as_epoch_s(), "EndTime": to.as_epoch_s()},
                }))
            })
        })),
    }
}

fn read(call: &Call, input: &Value) -> Result<SamplesWanted, ApiError> {
    check_scope(call, text(input, "Scope").unwrap_or_default())?;
    let moment = |member: &str| {
        let seconds = input
            .get("TimeWindow")
            .and_then(|window| window.get(member))
            .and_then(Value::as_f64);
        Time::from_ms((seconds.unwrap_or_default() * 1_000.0) as i64)
    };
    let (from, to) = (moment("StartTime"), moment("EndTime"));
    if from > to || from > call.now {
        return Err(error::invalid("RULE", "TimeWindow", "The time window is not valid"));
    }
    let items = input.get("MaxItems").and_then(Value::as_u64).unwrap_or(0);
    let items_max = u32::try_from(items).ok().filter(|items| (1..=500).contains(items));
    Ok(SamplesWanted {
        request: 0,
        web_acl: text(input, "WebAclArn").unwrap_or_default().to_owned(),
        rule_metric_name: text(input, "RuleMetricName").unwrap_or_default().to_owned(),
        from: from.max(call.now.plus_s(-WINDOW_S)),
        to,
        items_max: items_max.ok_or_else(|| error::invalid("RULE", "MaxItems", "MaxItems is 1 to 500"))?,
    })
}
