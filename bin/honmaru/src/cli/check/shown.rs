//! The findings for people and for programs. Pure: the same findings give the same text.

use crate::cli::terminal::{Style, printable};
use honmaru_base::Time;
use honmaru_responsibility::{Counts, Facts, Outcome, Result, count};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write;

/// The heading of a failure or a pass: status, id, severity, whose, what it is about, what should hold.
fn head(out: &mut String, status: &str, result: &Result) {
    let control = result.control;
    let _ = writeln!(
        out,
        "{status}  {}  {:<8}  {:<8}  {}  {}",
        control.id,
        control.severity.word(),
        control.owner.word(),
        printable(&result.finding.subject),
        control.title
    );
}

/// Failures with what to do, then what was not looked at by its reason, then a summary.
pub fn blocks(results: &[Result], all: bool, style: Style) -> String {
    let mut out = String::new();
    for result in results {
        let evidence = printable(result.finding.outcome.evidence());
        match &result.finding.outcome {
            Outcome::Fail { fix, .. } => {
                head(&mut out, &style.red("FAIL"), result);
                let _ = writeln!(out, "      seen: {evidence}");
                let _ = writeln!(out, "      do:   {}", printable(&fix.what));
                if let Some(command) = &fix.command {
                    let _ = writeln!(out, "      run:  {}", printable(command));
                }
            }
            Outcome::Pass(_) if all => {
                head(&mut out, &style.green("pass"), result);
                let _ = writeln!(out, "      seen: {evidence}");
            }
            Outcome::Pass(_) | Outcome::NotAssessed(_) | Outcome::NotApplicable(_) => {}
        }
    }
    let reasons = |wanted: &str, heading: &str, out: &mut String| {
        let mut told = BTreeSet::new();
        for result in results.iter().filter(|result| result.finding.outcome.word() == wanted) {
            let reason = result.finding.outcome.evidence();
            if !told.insert(reason) {
                continue;
            }
            let same = results
                .iter()
                .filter(|other| other.finding.outcome.word() == wanted && other.finding.outcome.evidence() == reason);
            let ids: Vec<&str> = same.map(|other| other.control.id).collect();
            let ids: Vec<&str> = ids
                .iter()
                .enumerate()
                .filter(|(n, id)| !ids[..*n].contains(id))
                .map(|(_, id)| *id)
                .collect();
            let _ = writeln!(
                out,
                "{}  {}: {}",
                style.yellow(heading),
                ids.join(" "),
                printable(reason)
            );
        }
    };
    reasons("not-assessed", "not assessed", &mut out);
    if all {
        reasons("not-applicable", "not applicable", &mut out);
    }
    let counts = count(results);
    let _ = writeln!(out, "{}", summary(&counts, all));
    out
}

fn summary(counts: &Counts, all: bool) -> String {
    let Counts {
        pass,
        fail,
        not_assessed,
        not_applicable,
    } = counts;
    let hint = if all || *pass == 0 { "" } else { " (`--all` shows them)" };
    format!("{fail} failed, {pass} passed{hint}, {not_assessed} not assessed, {not_applicable} not applicable")
}

/// A line for each finding: status, id, severity, owner, subject, title, evidence, what to do, command.
pub fn lines(results: &[Result], all: bool) -> String {
    let mut out = String::new();
    for result in results {
        let outcome = &result.finding.outcome;
        if !all && matches!(outcome, Outcome::Pass(_) | Outcome::NotApplicable(_)) {
            continue;
        }
        let control = result.control;
        let fix = outcome.fix();
        let fields = [
            outcome.word(),
            control.id,
            control.severity.word(),
            control.owner.word(),
            &result.finding.subject,
            control.title,
            outcome.evidence(),
            fix.map_or("", |fix| fix.what.as_str()),
            fix.and_then(|fix| fix.command.as_deref()).unwrap_or_default(),
        ];
        let fields: Vec<String> = fields
            .iter()
            .map(|field| printable(&field.replace('\t', " ")))
            .collect();
        let _ = writeln!(out, "{}", fields.join("\t"));
    }
    out
}

/// Everything, passes too.
pub fn tree(results: &[Result], facts: &Facts) -> Value {
    let row = |result: &Result| {
        let (control, outcome) = (result.control, &result.finding.outcome);
        json!({
            "id": control.id,
            "title": control.title,
            "owner": control.owner.word(),
            "severity": control.severity.word(),
            "references": control.refs,
            "subject": result.finding.subject,
            "status": outcome.word(),
            "evidence": outcome.evidence(),
            "fix": outcome.fix().map(|fix| json!({ "what": fix.what, "command": fix.command })),
        })
    };
    let counts = count(results);
    json!({
        "checkedAt": Time::from_ms((facts.now_s * 1_000.0) as i64).rfc3339(),
        "summary": {
            "failed": counts.fail, "passed": counts.pass,
            "notAssessed": counts.not_assessed, "notApplicable": counts.not_applicable,
        },
        "controls": results.iter().map(row).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use honmaru_responsibility::{Control, Finding, Fix, controls};

    fn result(id: &str, subject: &str, outcome: Outcome) -> Result {
        let control: &'static Control = controls().find(|control| control.id == id).expect("a control");
        Result {
            control,
            finding: Finding {
                subject: subject.to_owned(),
                outcome,
            },
        }
    }

    fn results() -> Vec<Result> {
        let sudo = || Outcome::NotAssessed("run this with `sudo`".to_owned());
        let fail = Outcome::Fail {
            seen: "tcp 22 from 0.0.0.0/0 \u{1b}[2J".to_owned(),
            fix: Fix {
                what: "close it".to_owned(),
                command: Some("aws ec2 revoke".to_owned()),
            },
        };
        vec![
            result("N-02", "shop-task", fail),
            result("T-03", "-", sudo()),
            result("T-04", "-", sudo()),
            result(
                "I-17",
                "registry",
                Outcome::Pass("GET /v2/ without keys: 401".to_owned()),
            ),
            result(
                "A-05",
                "-",
                Outcome::NotApplicable("no role is for tokens of others".to_owned()),
            ),
        ]
    }

    #[test]
    fn findings_for_people() {
        let mut text = blocks(&results(), false, Style::plain());
        text.push_str("--all\n");
        text.push_str(&blocks(&results(), true, Style::plain()));
        text.push_str("--output text\n");
        text.push_str(&lines(&results(), false));
        crate::cli::golden::check("check.txt", &text);
    }
}
