//! All controls over the facts, counted.

use crate::control::{Control, Finding, Outcome, Scope, Severity};
use crate::controls;
use crate::facts::Facts;
use crate::layers::Layer;
use std::collections::BTreeMap;

/// A control and what it found for one subject.
#[derive(Debug, Clone)]
pub struct Result {
    /// The control.
    pub control: &'static Control,
    /// What it found.
    pub finding: Finding,
}

/// How many of each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// It holds.
    pub pass: usize,
    /// It does not.
    pub fail: usize,
    /// Nobody has looked.
    pub not_assessed: usize,
    /// There is nothing that it could be about.
    pub not_applicable: usize,
}

/// Runs the controls: failures first, the worst of them first, then what was not assessed, then passes, in the table's order.
pub fn check(facts: &Facts, app: Option<&str>) -> Vec<Result> {
    let mut results: Vec<Result> = controls::all()
        .filter(|control| app.is_none() || control.scope == Scope::App)
        .flat_map(|control| {
            let findings = (control.check)(facts).into_iter();
            findings.map(move |finding| Result { control, finding })
        })
        .collect();
    results.sort_by_key(|result| {
        let severity = std::cmp::Reverse(result.control.severity);
        match result.finding.outcome {
            Outcome::Fail { .. } => (0, Some(severity)),
            Outcome::NotAssessed(_) => (1, None),
            Outcome::Pass(_) => (2, None),
            Outcome::NotApplicable(_) => (3, None),
        }
    });
    results
}

/// Counts.
pub fn count<'a>(results: impl IntoIterator<Item = &'a Result>) -> Counts {
    let mut counts = Counts::default();
    for result in results {
        match result.finding.outcome {
            Outcome::Pass(_) => counts.pass += 1,
            Outcome::Fail { .. } => counts.fail += 1,
            Outcome::NotAssessed(_) => counts.not_assessed += 1,
            Outcome::NotApplicable(_) => counts.not_applicable += 1,
        }
    }
    counts
}

/// Counts controls, not findings: one of them that fails for one subject of many has failed.
pub fn count_controls<'a>(results: impl IntoIterator<Item = &'a Result>) -> Counts {
    let mut found: BTreeMap<&str, Vec<&Result>> = BTreeMap::new();
    for result in results {
        found.entry(result.control.id).or_default().push(result);
    }
    let mut counts = Counts::default();
    for results in found.into_values() {
        let of_one = count(results);
        if of_one.fail > 0 {
            counts.fail += 1;
        } else if of_one.not_assessed > 0 {
            counts.not_assessed += 1;
        } else if of_one.pass > 0 {
            counts.pass += 1;
        } else {
            counts.not_applicable += 1;
        }
    }
    counts
}

/// The results of a layer.
pub fn of_layer(results: &[Result], layer: Layer) -> impl Iterator<Item = &Result> {
    results.iter().filter(move |result| result.control.layer == layer)
}

/// Whether something failed that is as bad as that, or worse. Nothing: no failure counts.
pub fn exit_is_failure(results: &[Result], from: Option<Severity>) -> bool {
    let Some(from) = from else { return false };
    results
        .iter()
        .any(|result| matches!(result.finding.outcome, Outcome::Fail { .. }) && result.control.severity >= from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::edited;

    #[test]
    fn the_worst_of_a_control_counts_and_failures_come_first() {
        let facts = edited(|facts| {
            facts.strangers.api = Ok(200);
            facts.log_groups.as_mut().expect("seen")[0]["retentionInDays"] = serde_json::json!(1);
        });
        let results = check(&facts, None);
        let first: Vec<&str> = results.iter().take(3).map(|result| result.control.id).collect();
        assert_eq!(first, ["H-03", "L-02", "I-02"]);
        let of_host: Vec<&Result> = results.iter().filter(|result| result.control.id == "H-03").collect();
        assert_eq!(count(of_host.iter().copied()).pass, 3);
        let controls = count_controls(of_host);
        assert_eq!((controls.fail, controls.pass), (1, 0));
        assert!(exit_is_failure(&results, Some(Severity::High)));
        assert!(!exit_is_failure(&results, None));
        let low: Vec<Result> = results
            .into_iter()
            .filter(|result| result.control.id == "L-02")
            .collect();
        assert!(exit_is_failure(&low, Some(Severity::Low)) && !exit_is_failure(&low, Some(Severity::Medium)));
    }
}
