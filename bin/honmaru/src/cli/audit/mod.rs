//! `honmaru audit`: who called what, from where, with what answer; with `--follow` as it goes on.

mod moment;
mod record;
mod wanted;

pub use moment::at_ms;

use super::client::{CLOUDTRAIL, Client};
use super::connection::Connection;
use super::failure::Usage;
use super::output::{OutputFormat, OutputOption, print};
use super::terminal::Style;
use honmaru_base::Clock;
use honmaru_engine::SystemClock;
use moment::{Moment, moment};
use record::Record;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::Duration;
use wanted::Wanted;

/// How often new calls are asked for.
const FOLLOW_EVERY: Duration = Duration::from_secs(1);
/// A call is in the trail when it is answered: that much later than a younger one, perhaps.
const LATE_MS: i64 = 60_000;
/// Pages of one look at most; a page has up to 50 calls.
const PAGES_MAX: usize = 1_000;
/// Calls that are shown before those that `--follow` waits for.
const FOLLOW_BEGINS_WITH: usize = 10;

/// The options of `honmaru audit`.
#[derive(Debug, clap::Args)]
pub struct AuditOptions {
    /// Go on with new calls until Ctrl-C; its own questions are left out
    #[arg(long, short, conflicts_with = "until")]
    follow: bool,
    /// Only calls of this user, role, session, ARN or access key id
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Only this operation: `RunTask`, `ecs:RunTask`, `ecs:*`, `Delete*`
    #[arg(long, value_name = "NAME")]
    event: Option<String>,
    /// Only calls that needed permission for this resource: an ARN, or the end of one
    #[arg(long, value_name = "NAME")]
    resource: Option<String>,
    /// Only calls that failed
    #[arg(long)]
    errors: bool,
    /// Begin there: so long ago (30s, 10m, 2h, 1d), or a time (2026-01-31T12:00:00Z)
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Moment>,
    /// End there, written likewise
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Moment>,
    /// The last so many calls
    #[arg(long, short = 'n', value_name = "NUMBER", default_value_t = 50,
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// One JSON object a line, as CloudTrail writes it
    #[arg(long, conflicts_with = "output")]
    json: bool,
    #[command(flatten)]
    output: OutputOption,
    #[command(flatten)]
    connection: Connection,
}

/// Prints the calls.
pub async fn run(options: AuditOptions) -> anyhow::Result<()> {
    let client = options.connection.open()?;
    let now = SystemClock.now();
    let (since, until) = (
        options.since.map(|moment| moment.ms(now)),
        options.until.map(|moment| moment.ms(now)),
    );
    if since.zip(until).is_some_and(|(since, until)| since > until) {
        return Err(Usage("`--since` is later than `--until`".to_owned()).into());
    }
    let wanted = Wanted::new(options.user, options.event, options.resource, options.errors);
    let format = if options.json {
        OutputFormat::Json
    } else {
        options.output.output
    };
    let style = Style::of_stdout();
    let count = match (options.follow, since) {
        (true, None) => FOLLOW_BEGINS_WITH,
        _ => usize::try_from(options.limit).unwrap_or(usize::MAX),
    };
    let look = Look { since, until, count };
    let mut records = look.records(&client, &wanted, options.follow).await?;
    if !options.follow {
        for record in &records {
            print(&record.text(format, style))?;
        }
        if records.is_empty() {
            tell!("no such call is in the trail");
        }
        if std::io::stdout().is_terminal() {
            tell!("next: `honmaru audit{} --follow`", options.connection.flags());
        }
        return Ok(());
    }
    let mut shown = Shown::new(now.as_ms());
    loop {
        for record in records.iter().filter(|record| shown.is_new(record)) {
            print(&record.text(format, style))?;
        }
        tokio::time::sleep(FOLLOW_EVERY).await;
        let look = Look {
            since: Some(shown.forget_old()),
            until: None,
            count: usize::MAX,
        };
        records = look.records(&client, &wanted, true).await?;
    }
}

/// A time and a number of calls.
struct Look {
    since: Option<i64>,
    until: Option<i64>,
    count: usize,
}

impl Look {
    /// The calls that are wanted, the oldest first.
    async fn records(&self, client: &Client, wanted: &Wanted, is_following: bool) -> anyhow::Result<Vec<Record>> {
        let mut input = json!({});
        let mut set = |name: &str, value: Value| input[name] = value;
        if let Some(since) = self.since {
            set("StartTime", json!(since as f64 / 1_000.0));
        }
        if let Some(until) = self.until {
            set("EndTime", json!(until as f64 / 1_000.0));
        }
        if let Some(attribute) = wanted.attribute() {
            set("LookupAttributes", json!([attribute]));
        }
        let mut records = Vec::new();
        for page in 0.. {
            if page == PAGES_MAX {
                tell!("older calls were not looked at; name a time with `--since` and `--until`");
                break;
            }
            let answer = client.call(CLOUDTRAIL, "LookupEvents", input.clone()).await?;
            for event in answer["Events"].as_array().into_iter().flatten() {
                let Some(record) = Record::read(event) else { continue };
                let is_own = is_following && wanted.is_of_any_event() && record.is_question_of_cli();
                if wanted.fits(&record) && !is_own {
                    records.push(record);
                }
            }
            match answer["NextToken"].as_str() {
                Some(next) if records.len() < self.count => input["NextToken"] = json!(next),
                _ => break,
            }
        }
        records.truncate(self.count);
        records.reverse();
        Ok(records)
    }
}

/// What was printed already, as far as it could come again.
struct Shown {
    ids: BTreeMap<String, i64>,
    newest_ms: i64,
}

impl Shown {
    fn new(now_ms: i64) -> Self {
        Self {
            ids: BTreeMap::new(),
            newest_ms: now_ms,
        }
    }

    fn is_new(&mut self, record: &Record) -> bool {
        self.newest_ms = self.newest_ms.max(record.at_ms);
        self.ids.insert(record.id.clone(), record.at_ms).is_none()
    }

    /// Where the next look begins.
    fn forget_old(&mut self) -> i64 {
        let begin = self.newest_ms - LATE_MS;
        // Times in the trail's answers are whole seconds.
        self.ids.retain(|_, at_ms| *at_ms >= begin - 1_000);
        begin
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: &str, at_s: i64, document: Value) -> Value {
        json!({ "EventId": id, "EventTime": at_s, "CloudTrailEvent": document.to_string() })
    }

    fn document(name: &str, identity: Value, status: u16) -> Value {
        json!({
            "eventID": name, "eventTime": "2026-01-31T12:00:00Z", "eventSource": "ecs.amazonaws.com", "eventName": name,
            "userIdentity": identity, "sourceIPAddress": "127.0.0.1", "userAgent": "honmaru/0.1.0",
            "additionalEventData": { "httpStatus": status, "durationMicroseconds": 3_214, "tls": false },
            "resources": [{ "ARN": "arn:aws:ecs:us-east-1:000000000000:service/default/hello" }],
        })
    }

    fn sample() -> Vec<Record> {
        let ann = json!({ "type": "IAMUser", "userName": "ann", "accessKeyId": "AKIA1",
                          "arn": "arn:aws:iam::000000000000:user/ann" });
        let task = json!({ "type": "AssumedRole", "accessKeyId": "ASIA1",
                           "arn": "arn:aws:sts::000000000000:assumed-role/hello-task/0123456789abcdef0123456789abcdef" });
        let mut denied = document("DeleteService", task, 400);
        denied["errorCode"] = json!("AccessDeniedException");
        denied["errorMessage"] = json!("User: x is not authorized\u{1b}[2J to perform: ecs:DeleteService");
        let mut refused = document("Ping", json!({ "type": "Unknown" }), 401);
        refused["eventSource"] = json!("ecr.amazonaws.com");
        refused["errorCode"] = json!("UNAUTHORIZED");
        refused["errorMessage"] = json!("");
        refused["sourceIPAddress"] = json!("10.0.0.7");
        refused["resources"] = json!([]);
        refused["additionalEventData"]["repeatedCalls"] = json!(4_711);
        refused["additionalEventData"]["repeatedSince"] = json!("2026-01-31T11:55:00Z");
        let mut slow = document(
            "UpdateService",
            json!({ "type": "Root", "arn": "arn:aws:iam::000000000000:root" }),
            200,
        );
        slow["additionalEventData"]["durationMicroseconds"] = json!(12_345_678);
        let documents = [document("RunTask", ann, 200), denied, refused, slow];
        documents
            .into_iter()
            .map(|document| Record::read(&event("e", 1_769_860_800, document)).expect("a record"))
            .collect()
    }

    fn text(format: OutputFormat) -> String {
        sample()
            .iter()
            .map(|record| record.text(format, Style::plain()))
            .collect()
    }

    #[test]
    fn calls_for_people_and_for_programs() {
        crate::cli::golden::check("audit.txt", &text(OutputFormat::Table));
        crate::cli::golden::check("audit_text.txt", &text(OutputFormat::Text));
        let lines = text(OutputFormat::Json);
        assert_eq!(lines.lines().count(), 4);
        for line in lines.lines() {
            let object: Value = serde_json::from_str(line).expect("an object a line");
            assert!(object["eventName"].is_string());
        }
    }

    #[test]
    fn filters_choose() {
        let chosen = |user: Option<&str>, event: Option<&str>, resource: Option<&str>, errors| {
            let own = |text: Option<&str>| text.map(str::to_owned);
            let wanted = Wanted::new(own(user), own(event), own(resource), errors);
            let records = sample();
            let fitting = records.iter().filter(|record| wanted.fits(record));
            fitting.map(|record| record.name.clone()).collect::<Vec<_>>().join(" ")
        };
        let all = "RunTask DeleteService Ping UpdateService";
        assert_eq!(chosen(None, None, None, false), all);
        assert_eq!(chosen(Some("ann"), None, None, false), "RunTask");
        assert_eq!(chosen(Some("AKIA1"), None, None, false), "RunTask");
        assert_eq!(chosen(Some("hello-task"), None, None, false), "DeleteService");
        assert_eq!(chosen(Some("root"), None, None, false), "UpdateService");
        assert_eq!(chosen(None, Some("runtask"), None, false), "RunTask");
        assert_eq!(
            chosen(None, Some("ecs:*"), None, false),
            "RunTask DeleteService UpdateService"
        );
        assert_eq!(
            chosen(None, Some("*Service"), None, false),
            "DeleteService UpdateService"
        );
        assert_eq!(chosen(None, Some("ecr:RunTask"), None, false), "");
        assert_eq!(
            chosen(None, None, Some("hello"), false),
            "RunTask DeleteService UpdateService"
        );
        assert_eq!(chosen(None, None, Some("ello"), false), "");
        assert_eq!(chosen(None, None, None, true), "DeleteService Ping");
    }

    #[test]
    fn a_call_is_shown_once_though_it_is_asked_for_again() {
        let mut shown = Shown::new(1_769_860_700_000);
        let records = sample();
        assert!(shown.is_new(&records[0]));
        assert!(!shown.is_new(&records[0]));
        assert_eq!(shown.forget_old(), 1_769_860_800_000 - LATE_MS);
        assert!(!shown.is_new(&records[0]));
    }
}
