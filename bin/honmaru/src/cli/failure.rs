//! How a command fails: what is wrong, with the value, then what to do.

use super::terminal::Style;
use std::fmt::Write;

/// The command could not do it.
pub const EXIT_FAILED: u8 = 1;
/// The command was asked wrongly.
pub const EXIT_USAGE: u8 = 2;
/// Ctrl-C, as shells count it: 128 and the signal's number.
pub const EXIT_INTERRUPTED: u8 = 130;

/// A mistake in the arguments or in `honmaru.toml`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// The user ended the command.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("interrupted; what was begun goes on in the cloud: `honmaru ps` shows it")]
pub struct Interrupted;

/// A failure with its details and the next step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failure {
    /// What is wrong, with the value.
    pub what: String,
    /// What was seen, a line each.
    pub details: Vec<String>,
    /// What to do.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure with one sentence.
    pub fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            ..Self::default()
        }
    }

    /// The same with a next step.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same with a line of details.
    pub fn detail(mut self, line: impl Into<String>) -> Self {
        self.details.push(line.into());
        self
    }
}

impl std::error::Error for Failure {}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.what)?;
        for line in &self.details {
            write!(f, "\n  {line}")?;
        }
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

/// The lines for standard error: the chain of causes in one sentence, details below it, hints last.
pub fn render(error: &anyhow::Error, style: &Style) -> String {
    let (mut heads, mut details, mut hints) = (Vec::new(), Vec::new(), Vec::new());
    for cause in error.chain() {
        let text = cause.to_string();
        let (said, hint) = match text.split_once("\nhint: ") {
            Some((said, hint)) => (said.to_owned(), Some(hint.to_owned())),
            None => (text, None),
        };
        hints.extend(hint);
        let mut lines = said.lines();
        let head = lines.next().unwrap_or_default().to_owned();
        details.extend(lines.map(|line| line.trim_end().to_owned()));
        // A cause whose words its consequence repeats says nothing new.
        if !heads.iter().any(|known: &String| known.contains(&head)) {
            heads.push(head);
        }
    }
    let mut out = String::new();
    let _ = writeln!(out, "{} {}", style.red("error:"), heads.join(": "));
    for line in details {
        let _ = writeln!(
            out,
            "{}",
            if line.starts_with(' ') {
                line
            } else {
                format!("  {line}")
            }
        );
    }
    for hint in hints {
        let _ = writeln!(out, "{} {hint}", style.cyan("hint:"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn causes_are_one_sentence_and_hints_come_last() {
        let error = anyhow::Result::<()>::Err(anyhow::anyhow!("connection refused"))
            .context("no cloud answers on http://127.0.0.1:4566\nhint: start it with `sudo honmaru up`")
            .expect_err("an error was made");
        let text = render(&error, &Style::plain());
        assert_eq!(
            text,
            "error: no cloud answers on http://127.0.0.1:4566: connection refused\nhint: start it with `sudo honmaru up`\n"
        );
    }

    #[test]
    fn details_stand_between() {
        let failure = Failure::new("the image exits").detail("exit code 3").hint("run it");
        let text = render(&failure.into(), &Style::plain());
        assert_eq!(text, "error: the image exits\n  exit code 3\nhint: run it\n");
    }
}
