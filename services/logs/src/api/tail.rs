//! StartLiveTail: the begin of a session. What follows is in [`crate::tail`].

use crate::events::{Events, Plan};
use crate::filter::Filter;
use crate::model::LogGroup;
use crate::names::{group_of, invalid, no_group, unavailable};
use crate::tail::{Tail, Wanted};
use crate::types;
use honmaru_base::{ApiError, Arn};
use honmaru_machine::Call;
use std::sync::Arc;

/// Begins a session, whose id the answer's first event tells.
pub(super) async fn start(
    events: Arc<dyn Events>,
    call: Call,
    input: types::StartLiveTailRequest,
) -> Result<types::StartLiveTailResponse, ApiError> {
    let (names, prefixes) = (input.log_stream_names, input.log_stream_name_prefixes);
    if names.is_some() && prefixes.is_some() {
        let message = "logStreamNames and logStreamNamePrefixes are mutually exclusive parameters.";
        return Err(invalid(message));
    }
    let identifiers = input.log_group_identifiers;
    if identifiers.len() > 1 && (names.is_some() || prefixes.is_some()) {
        return Err(invalid(
            "logStreamNames and logStreamNamePrefixes can only be specified with a single log group.",
        ));
    }
    let pattern = input.log_event_filter_pattern;
    let filter = Filter::parse(pattern.as_deref().unwrap_or_default())?;
    let mut groups = Vec::new();
    for identifier in &identifiers {
        // Ref: StartLiveTail, `logGroupIdentifiers`: "Specify each log group by its ARN. [...] the ARN can't end with an
        // asterisk".
        if identifier.parse::<Arn>().is_err() || identifier.ends_with('*') {
            return Err(invalid(format!("Invalid log group ARN: {identifier}")));
        }
        groups.push((
            group_of(&call.scope, None, Some(identifier.clone()))?,
            identifier.clone(),
        ));
    }
    let scope = call.scope.clone();
    // The ids are carried out of the look beside the plan: a look answers with streams only.
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    events
        .look(Box::new(move |state| {
            let mut found = Vec::new();
            for (name, identifier) in groups {
                let group = state.get::<LogGroup>(&scope, &name).ok_or_else(no_group)?;
                // Ref: CloudWatch Logs user guide, "Log classes": Live Tail is of the Standard class only.
                if group.class != "STANDARD" {
                    let message = "Live Tail is supported for log groups of the Standard class only.";
                    return Err(ApiError::new("InvalidOperationException", message));
                }
                found.push((group.id.clone(), identifier));
            }
            // The channel has room for the one message that is ever sent.
            let _ = tell.try_send(found);
            Ok(Plan::default())
        }))
        .await?;
    let tail = Tail::new(Wanted {
        scope: call.scope.clone(),
        groups: told.try_recv().map_err(|_| unavailable())?,
        names: names.clone(),
        prefixes: prefixes.clone(),
        filter,
    });
    let session_id = events.follow(Arc::new(tail))?;
    Ok(types::StartLiveTailResponse {
        response_stream: Some(types::StartLiveTailResponseStream {
            session_start: Some(types::LiveTailSessionStart {
                request_id: Some(call.request_id),
                session_id: Some(session_id),
                log_group_identifiers: Some(identifiers),
                log_stream_names: names,
                log_stream_name_prefixes: prefixes,
                log_event_filter_pattern: pattern,
            }),
            ..types::StartLiveTailResponseStream::default()
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::tests::{Memory, call, now_or_never};

    fn start_of(groups: &[&str], change: impl FnOnce(&mut types::StartLiveTailRequest)) -> Result<String, String> {
        let mut input = types::StartLiveTailRequest {
            log_group_identifiers: groups.iter().map(|group| (*group).to_owned()).collect(),
            ..Default::default()
        };
        change(&mut input);
        let started = now_or_never(start(Memory::new(), call(), input)).map_err(|error| error.code)?;
        let begun = started.response_stream.and_then(|stream| stream.session_start);
        Ok(begun.and_then(|begun| begun.session_id).expect("a session"))
    }

    #[test]
    fn a_session_is_of_groups_that_there_are() {
        let group = "arn:aws:logs:us-east-1:000000000000:log-group:g";
        assert_eq!(start_of(&[group], |_| ()), Ok("session".to_owned()));
        let invalid = Err("InvalidParameterException".to_owned());
        assert_eq!(start_of(&["g"], |_| ()), invalid);
        assert_eq!(start_of(&[&format!("{group}:*")], |_| ()), invalid);
        assert_eq!(
            start_of(&[&group.replace(":g", ":none")], |_| ()),
            Err("ResourceNotFoundException".to_owned())
        );
        let some = || Some(vec!["s".to_owned()]);
        assert!(start_of(&[group], |input| input.log_stream_names = some()).is_ok());
        assert_eq!(
            start_of(&[group, group], |input| input.log_stream_names = some()),
            invalid
        );
        let both = |input: &mut types::StartLiveTailRequest| {
            (input.log_stream_names, input.log_stream_name_prefixes) = (some(), some());
        };
        assert_eq!(start_of(&[group], both), invalid);
        let bad = |input: &mut types::StartLiveTailRequest| input.log_event_filter_pattern = Some("{ $.".to_owned());
        assert_eq!(start_of(&[group], bad), invalid);
    }
}
