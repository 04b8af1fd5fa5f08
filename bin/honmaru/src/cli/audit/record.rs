//! One call as the trail tells it, and how it is printed.

use crate::cli::output::OutputFormat;
use crate::cli::terminal::{Style, printable};
use serde_json::Value;

/// One call.
#[derive(Debug, Clone)]
pub struct Record {
    /// Its id in the trail.
    pub id: String,
    /// When it came: milliseconds since the epoch.
    pub at_ms: i64,
    /// `ecs`.
    pub service: String,
    /// The operation.
    pub name: String,
    /// The ARNs that permission was needed for.
    pub resources: Vec<String>,
    /// What CloudTrail writes.
    document: Value,
}

impl Record {
    /// Reads an event of LookupEvents.
    pub fn read(event: &Value) -> Option<Self> {
        let document: Value = serde_json::from_str(event["CloudTrailEvent"].as_str()?).ok()?;
        let text = |name: &str| document[name].as_str().unwrap_or_default().to_owned();
        let source = text("eventSource");
        let resources = document["resources"].as_array().into_iter().flatten();
        Some(Self {
            id: event["EventId"].as_str().unwrap_or_default().to_owned(),
            // The cast saturates.
            at_ms: (event["EventTime"].as_f64().unwrap_or_default() * 1_000.0) as i64,
            service: source.split('.').next().unwrap_or_default().to_owned(),
            name: text("eventName"),
            resources: resources
                .filter_map(|resource| resource["ARN"].as_str().map(str::to_owned))
                .collect(),
            document,
        })
    }

    fn text_of(&self, name: &str) -> Option<&str> {
        self.document[name].as_str().filter(|text| !text.is_empty())
    }

    fn identity(&self, name: &str) -> Option<&str> {
        self.document["userIdentity"][name].as_str()
    }

    /// Whether it failed.
    pub fn is_error(&self) -> bool {
        self.text_of("errorCode").is_some()
    }

    /// Whether it is a question of `honmaru audit`, or of something else in this program, to the trail itself.
    pub fn is_question_of_cli(&self) -> bool {
        self.name == "LookupEvents"
            && self
                .text_of("userAgent")
                .is_some_and(|agent| agent.starts_with("honmaru/"))
    }

    /// All names of the caller: of the user, of the role and the session, of the service, the ARN, the access key id.
    pub fn callers(&self) -> Vec<&str> {
        let arn = self.identity("arn");
        let parts = arn.into_iter().flat_map(|arn| arn.split([':', '/']).skip(6));
        let names = ["userName", "accessKeyId"]
            .into_iter()
            .filter_map(|name| self.identity(name));
        let root = self.identity("type").filter(|kind| *kind == "Root").map(|_| "root");
        let service = self.identity("invokedBy");
        arn.into_iter()
            .chain(parts)
            .chain(names)
            .chain(root)
            .chain(service)
            .collect()
    }

    /// The caller in a word: `ann`, `root`, `role/session`, `ecs-tasks.amazonaws.com`, or `-`.
    fn who(&self) -> String {
        match (self.identity("type"), self.identity("arn")) {
            (Some("Root"), _) => "root".to_owned(),
            (Some("IAMUser"), _) => self.identity("userName").unwrap_or("-").to_owned(),
            (Some("AssumedRole"), Some(arn)) => {
                let mut parts = arn.rsplit('/');
                let (session, role) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
                // A task's session is named by its id, whose beginning is what other commands show.
                let is_task = session.len() == 32 && session.bytes().all(|b| b.is_ascii_hexdigit());
                format!(
                    "{role}/{}",
                    if is_task {
                        session.get(..8).unwrap_or(session)
                    } else {
                        session
                    }
                )
            }
            (Some("AWSService"), _) => self.identity("invokedBy").unwrap_or("-").to_owned(),
            _ => self.identity("accessKeyId").unwrap_or("-").to_owned(),
        }
    }

    fn data(&self, name: &str) -> &Value {
        &self.document["additionalEventData"][name]
    }

    /// `200`, or `400 AccessDeniedException: why`.
    fn outcome(&self) -> String {
        let status = self
            .data("httpStatus")
            .as_u64()
            .map_or_else(|| "-".to_owned(), |status| status.to_string());
        match (self.text_of("errorCode"), self.text_of("errorMessage")) {
            (Some(code), Some(message)) => format!("{status} {code}: {message}"),
            (Some(code), None) => format!("{status} {code}"),
            (None, _) => status,
        }
    }

    /// A line.
    pub fn text(&self, format: OutputFormat, style: Style) -> String {
        if format == OutputFormat::Json {
            return format!("{}\n", self.document);
        }
        let time = self.text_of("eventTime").unwrap_or("-");
        let from = self.text_of("sourceIPAddress").unwrap_or("-");
        let took_us = self.data("durationMicroseconds").as_u64().unwrap_or_default();
        let what = format!("{}:{}", self.service, self.name);
        // Names and messages are strangers' words.
        let [time, who, what, from, outcome] =
            [time, &self.who(), &what, from, &self.outcome()].map(|text| printable(text).replace('\t', " "));
        let count = self.data("repeatedCalls").as_u64();
        if format == OutputFormat::Text {
            let count = count.unwrap_or(1);
            return format!("{time}\t{who}\t{what}\t{from}\t{outcome}\t{took_us}\t{count}\n");
        }
        let resource = self.resources.first().map(|arn| format!(" {}", printable(short(arn))));
        let repeated = count.map(|count| {
            let since = self.data("repeatedSince").as_str().unwrap_or("-");
            format!(" ({count} calls since {})", printable(since))
        });
        let outcome = if self.is_error() { style.red(&outcome) } else { outcome };
        format!(
            "{} {who:<16} {}{} from {from}: {outcome} in {}{}\n",
            style.dim(&time),
            style.cyan(&what),
            resource.unwrap_or_default(),
            duration(took_us),
            repeated.unwrap_or_default()
        )
    }
}

/// What follows the account in an ARN: `service/default/hello`.
fn short(arn: &str) -> &str {
    arn.splitn(6, ':').nth(5).unwrap_or(arn)
}

/// `3.2 ms`, `12.3 s`.
fn duration(us: u64) -> String {
    if us < 1_000_000 {
        format!("{:.1} ms", us as f64 / 1e3)
    } else {
        format!("{:.1} s", us as f64 / 1e6)
    }
}
