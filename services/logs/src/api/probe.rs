//! TestMetricFilter: which of some messages a pattern matches, and what it takes out of them.

use crate::filter::Filter;
use crate::types;
use honmaru_base::ApiError;
use honmaru_machine::{Call, State};

pub(super) fn test(
    _: &State,
    _: &Call,
    input: types::TestMetricFilterRequest,
) -> Result<types::TestMetricFilterResponse, ApiError> {
    let filter = Filter::parse(&input.filter_pattern)?;
    let messages = input.log_event_messages.into_iter().zip(1_i64..);
    let matches = messages
        .filter(|(message, _)| filter.passes(message))
        .map(|(message, number)| types::MetricFilterMatchRecord {
            event_number: Some(number),
            extracted_values: Some(filter.extract(&message)),
            event_message: Some(message),
        });
    Ok(types::TestMetricFilterResponse {
        matches: Some(matches.collect()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::tests::{call, in_tx};

    /// The messages that match, and what is taken out of the first.
    fn found(pattern: &str, messages: &[&str]) -> (Vec<i64>, Vec<(String, String)>) {
        in_tx(|tx| {
            let input = types::TestMetricFilterRequest {
                filter_pattern: pattern.to_owned(),
                log_event_messages: messages.iter().map(|text| (*text).to_owned()).collect(),
            };
            let matches = test(tx, &call(), input).expect("an answer").matches.expect("matches");
            let first = matches.first().and_then(|found| found.extracted_values.clone());
            (
                matches.iter().filter_map(|found| found.event_number).collect(),
                first.unwrap_or_default().into_iter().collect(),
            )
        })
    }

    /// Ref: TestMetricFilter, "Examples": Apache's access log.
    #[test]
    fn fields_are_told_by_their_names_and_those_without_by_their_numbers() {
        let line = "127.0.0.1 - frank [10/Oct/2000:13:25:15 -0700] \"GET /apache_pb.gif HTTP/1.0\" 200 1534";
        let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            let owned = pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            owned.collect()
        };
        let (numbers, values) = found(
            "[ip, identity, user_id, timestamp, request, status_code, size]",
            &["x", line],
        );
        assert_eq!(numbers, [2]);
        assert_eq!(
            values,
            pairs(&[
                ("$identity", "-"),
                ("$ip", "127.0.0.1"),
                ("$request", "GET /apache_pb.gif HTTP/1.0"),
                ("$size", "1534"),
                ("$status_code", "200"),
                ("$timestamp", "10/Oct/2000:13:25:15 -0700"),
                ("$user_id", "frank"),
            ])
        );
        let (_, values) = found("[..., size]", &[line]);
        assert_eq!(values.len(), 7);
        assert!(values.contains(&("$6".to_owned(), "200".to_owned())));
        assert!(values.contains(&("$size".to_owned(), "1534".to_owned())));
    }

    #[test]
    fn members_are_told_by_their_selectors() {
        let (numbers, values) = found(
            "{ $.status = 4* && $.user.name = \"*\" }",
            &[
                r#"{"status": 404, "user": {"name": "ann"}, "other": 1}"#,
                r#"{"status": 200, "user": {"name": "ann"}}"#,
            ],
        );
        assert_eq!(numbers, [1]);
        let wanted = [("$.status", "404"), ("$.user.name", "ann")];
        assert_eq!(values, wanted.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(found("error", &["an error", "fine"]), (vec![1], Vec::new()));
    }
}
