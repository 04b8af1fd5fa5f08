//! Logs and the audit trail.

use crate::control::{Control, Finding, Owner, Scope, Severity, act, each, fail, pass, run};
use crate::facts::{Facts, text};
use crate::layers::Layer;

pub const CONTROLS: &[Control] = &[
    Control {
        id: "L-01",
        title: "calls of the API are recorded",
        owner: Owner::Platform,
        severity: Severity::High,
        layer: Layer::Logs,
        scope: Scope::Cloud,
        refs: &["CloudTrail.1"],
        check: trail,
    },
    Control {
        id: "L-02",
        title: "logs are kept for a year",
        owner: Owner::You,
        severity: Severity::Low,
        layer: Layer::Logs,
        scope: Scope::App,
        refs: &["CloudWatch.16"],
        check: retention,
    },
];

const RETENTION_DAYS_MIN: u64 = 365;
/// The calls that gather the facts are in the trail themselves: its newest event cannot be older.
const TRAIL_S_MAX: f64 = 5.0 * 60.0;

fn trail(facts: &Facts) -> Vec<Finding> {
    let events = match &facts.trail {
        Err(reason) => return Finding::unseen(reason),
        Ok(events) => events,
    };
    let newest = events.iter().max_by(|a, b| {
        let at = |event: &serde_json::Value| event["EventTime"].as_f64().unwrap_or_default();
        at(a).total_cmp(&at(b))
    });
    let defect = || act("look into `logs/control.log` of the state directory, and report this");
    let outcome = match newest {
        None => fail("the audit trail has no event, not even those of this command", defect()),
        Some(event) => {
            let age_s = facts.now_s - event["EventTime"].as_f64().unwrap_or_default();
            let seen = format!(
                "newest event: {} of {}, {} s ago",
                text(event, "EventName"),
                text(event, "Username"),
                age_s.max(0.0).floor()
            );
            if age_s <= TRAIL_S_MAX {
                pass(format!(
                    "{seen}; whether root has changed the trail is not assessed: it is not sealed"
                ))
            } else {
                fail(seen, defect())
            }
        }
    };
    vec![Finding::new("audit trail", outcome)]
}

fn retention(facts: &Facts) -> Vec<Finding> {
    each(&facts.log_groups, "there is no log group", |group| {
        let name = text(group, "logGroupName");
        let outcome = match group["retentionInDays"].as_u64() {
            None => pass("no retentionInDays: kept until you delete it"),
            Some(days) if days >= RETENTION_DAYS_MIN => pass(format!("retentionInDays: {days}")),
            Some(days) => fail(
                format!("retentionInDays: {days}"),
                run(
                    "keep them longer, if you must be able to look back that far",
                    format!(
                        "aws logs put-retention-policy --log-group-name {name} --retention-in-days {RETENTION_DAYS_MIN}"
                    ),
                ),
            ),
        };
        Finding::new(name, outcome)
    })
}

#[cfg(test)]
mod tests {
    use crate::sample::{edited, status_of};
    use serde_json::json;

    #[test]
    fn the_trail_goes_on() {
        assert_eq!(status_of(&edited(|_| {}), "L-01", "audit trail"), "pass");
        let stale = edited(|facts| facts.trail.as_mut().expect("seen")[0]["EventTime"] = json!(900_000.0));
        assert_eq!(status_of(&stale, "L-01", "audit trail"), "fail");
        let empty = edited(|facts| facts.trail = Ok(Vec::new()));
        assert_eq!(status_of(&empty, "L-01", "audit trail"), "fail");
        let denied = edited(|facts| facts.trail = Err("denied".to_owned()));
        assert_eq!(status_of(&denied, "L-01", "-"), "not-assessed");
    }

    #[test]
    fn how_long_logs_are_kept() {
        let days = |days: serde_json::Value| {
            edited(|facts| facts.log_groups.as_mut().expect("seen")[0]["retentionInDays"] = days)
        };
        assert_eq!(status_of(&days(json!(30)), "L-02", "/honmaru/shop"), "fail");
        assert_eq!(status_of(&days(json!(400)), "L-02", "/honmaru/shop"), "pass");
        assert_eq!(status_of(&days(json!(null)), "L-02", "/honmaru/shop"), "pass");
    }
}
