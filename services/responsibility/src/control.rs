//! What a control is, and what it finds.

use crate::facts::Facts;
use crate::layers::Layer;

/// Who must act when it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// Honmaru: a failure is a defect of it, or of how it was started.
    Platform,
    /// Whoever owns the machine and the apps.
    You,
    /// Both have a part.
    Shared,
}

/// What a failure means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// A habit that pays off later.
    Low,
    /// One wall of several is missing.
    Medium,
    /// Somebody may get in, get out, or learn a secret.
    High,
}

/// What it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Each app by itself.
    App,
    /// The whole cloud, or the machine.
    Cloud,
}

/// One thing that is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Control {
    /// For example `T-03`.
    pub id: &'static str,
    /// What holds when it passes.
    pub title: &'static str,
    /// Whose it is.
    pub owner: Owner,
    /// What a failure means.
    pub severity: Severity,
    /// Which layer of the matrix it belongs to.
    pub layer: Layer,
    /// What it is about.
    pub scope: Scope,
    /// What it answers to: AWS Security Hub, CIS Docker Benchmark.
    pub refs: &'static [&'static str],
    /// Looks. One finding for each subject; none at all is not possible.
    pub check: fn(&Facts) -> Vec<Finding>,
}

/// What came of it, for one subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// For example the service's name.
    pub subject: String,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It holds: this was seen.
    Pass(String),
    /// It does not hold.
    Fail {
        /// What was seen.
        seen: String,
        /// What to do.
        fix: Fix,
    },
    /// Nobody has looked: the reason.
    NotAssessed(String),
    /// There is nothing that it could be about: the reason.
    NotApplicable(String),
}

/// What to do about a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fix {
    /// In words.
    pub what: String,
    /// The command that does it, where there is one.
    pub command: Option<String>,
}

impl Owner {
    /// A word for people and programs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::You => "you",
            Self::Shared => "shared",
        }
    }
}

impl Severity {
    /// A word for people and programs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

impl Outcome {
    /// A word for programs.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Pass(_) => "pass",
            Self::Fail { .. } => "fail",
            Self::NotAssessed(_) => "not-assessed",
            Self::NotApplicable(_) => "not-applicable",
        }
    }

    /// What was seen, or why nothing was.
    pub fn evidence(&self) -> &str {
        match self {
            Self::Pass(seen) | Self::Fail { seen, .. } => seen,
            Self::NotAssessed(reason) | Self::NotApplicable(reason) => reason,
        }
    }

    /// What to do, when it failed.
    pub fn fix(&self) -> Option<&Fix> {
        match self {
            Self::Fail { fix, .. } => Some(fix),
            Self::Pass(_) | Self::NotAssessed(_) | Self::NotApplicable(_) => None,
        }
    }
}

/// A fix by a command.
pub fn run(what: impl Into<String>, command: impl Into<String>) -> Fix {
    Fix {
        what: what.into(),
        command: Some(command.into()),
    }
}

/// A fix that no single command is.
pub fn act(what: impl Into<String>) -> Fix {
    Fix {
        what: what.into(),
        command: None,
    }
}

/// A failure.
pub fn fail(seen: impl Into<String>, fix: Fix) -> Outcome {
    Outcome::Fail { seen: seen.into(), fix }
}

/// A pass.
pub fn pass(seen: impl Into<String>) -> Outcome {
    Outcome::Pass(seen.into())
}

impl Finding {
    /// One finding.
    pub fn new(subject: impl Into<String>, outcome: Outcome) -> Self {
        Self {
            subject: subject.into(),
            outcome,
        }
    }

    /// The finding of a control whose part of the facts is missing.
    pub fn unseen(reason: &str) -> Vec<Self> {
        vec![Self::new("-", Outcome::NotAssessed(reason.to_owned()))]
    }
}

/// One finding for each of the subjects, or why there is none.
pub fn each<T>(subjects: &Result<Vec<T>, String>, none: &str, finding: impl FnMut(&T) -> Finding) -> Vec<Finding> {
    match subjects {
        Err(reason) => Finding::unseen(reason),
        Ok(subjects) if subjects.is_empty() => {
            vec![Finding::new("-", Outcome::NotApplicable(none.to_owned()))]
        }
        Ok(subjects) => subjects.iter().map(finding).collect(),
    }
}
