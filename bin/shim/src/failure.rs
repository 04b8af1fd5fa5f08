//! What failed while a process was being made ready, in words that end up before a person.

use std::io;

/// A step that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// One word: `cgroup`, `mount`, `user`, `exec`, ...
    pub step: String,
    /// What, to what, and why.
    pub message: String,
}

/// The result of a step.
pub type Step<T> = Result<T, Failure>;

impl Failure {
    /// A failure in words of its own.
    pub fn new(step: &str, message: impl Into<String>) -> Self {
        Self {
            step: step.to_string(),
            message: message.into(),
        }
    }

    /// As one message between processes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.step.clone().into_bytes();
        bytes.push(0);
        bytes.extend(self.message.bytes());
        bytes
    }

    /// What [`Failure::encode`] made.
    pub fn decode(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (step, message) = text.split_once('\0').unwrap_or(("start", &text));
        Self::new(step, message)
    }
}

/// Adds the step and its object to an I/O error.
pub trait During<T> {
    /// `<step>: <what>: <cause>`.
    fn during(self, step: &str, what: impl AsRef<str>) -> Step<T>;
}

impl<T> During<T> for io::Result<T> {
    fn during(self, step: &str, what: impl AsRef<str>) -> Step<T> {
        self.map_err(|error| Failure::new(step, format!("{}: {}", what.as_ref(), cause(&error))))
    }
}

/// The kernel's words without Rust's "(os error 2)", in lower case, as Go's and Docker's messages have them.
pub fn cause(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters
        .next()
        .map(|first| first.to_lowercase().chain(letters).collect())
        .unwrap_or_default()
}
