//! `honmaru logs`: what a service's containers said, from its log group; with `--follow` as they go on.

use super::app::App;
use super::client::{Client, LOGS, code_of};
use super::connection::Connection;
use super::failure::{Failure, Usage};
use super::observed::{last_part, short_id};
use super::output::{OutputFormat, OutputOption, print};
use super::terminal::Style;
use honmaru_base::{Clock, Time};
use honmaru_engine::SystemClock;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal;
use std::time::Duration;

/// How often new lines are asked for.
const FOLLOW_EVERY: Duration = Duration::from_millis(300);
/// Without `--since`, `--follow` begins that long ago.
const FOLLOW_SINCE_MS: i64 = 10 * 60 * 1_000;
/// A line may arrive that much later than a younger one of another task.
const LATE_MS: i64 = 5_000;
/// Calls for one look at most: a page has up to 10,000 lines.
const PAGES_MAX: usize = 10_000;

/// The options of `honmaru logs`.
#[derive(Debug, clap::Args)]
pub struct LogsOptions {
    /// The app
    name: String,
    /// Go on with new lines until Ctrl-C
    #[arg(long, short)]
    follow: bool,
    /// Begin that long ago: a number with s, m, h or d
    #[arg(long, value_name = "TIME", value_parser = since_ms)]
    since: Option<i64>,
    /// Only lines of the task whose id begins so
    #[arg(long, value_name = "ID")]
    task: Option<String>,
    #[command(flatten)]
    output: OutputOption,
    #[command(flatten)]
    connection: Connection,
}

/// `10m` in milliseconds.
pub fn since_ms(text: &str) -> Result<i64, String> {
    let mistake = || format!("`{text}` is no time: write for example `30s`, `10m`, `2h` or `1d`");
    let unit = text.chars().next_back().ok_or_else(mistake)?;
    let factor_ms = match unit {
        's' => 1_000,
        'm' => 60_000,
        'h' => 3_600_000,
        'd' => 86_400_000,
        _ => return Err(mistake()),
    };
    let number: i64 = text
        .strip_suffix(unit)
        .unwrap_or_default()
        .parse()
        .map_err(|_| mistake())?;
    number.checked_mul(factor_ms).filter(|ms| *ms >= 0).ok_or_else(mistake)
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    id: String,
    at_ms: i64,
    task: String,
    message: String,
}

/// Prints the lines.
pub async fn run(options: LogsOptions) -> anyhow::Result<()> {
    let app: App = options.name.parse()?;
    let client = options.connection.open()?;
    if options.task.as_deref().is_some_and(str::is_empty) {
        return Err(Usage("`--task` needs the beginning of a task's id".to_owned()).into());
    }
    let now = SystemClock.now().as_ms();
    let since = match (options.since, options.follow) {
        (Some(ms), _) => Some(now - ms),
        (None, true) => Some(now - FOLLOW_SINCE_MS),
        (None, false) => None,
    };
    let mut printer = Printer::new(options.output.output);
    let mut seen = Seen::default();
    let mut start = since;
    loop {
        let count = page_through(&client, &app, start, options.task.as_deref(), &mut |line| {
            if seen.is_new(&line) {
                printer.print(&line)
            } else {
                Ok(())
            }
        })
        .await?;
        if !options.follow {
            if count == 0 {
                tell!(
                    "nothing was said{}",
                    if since.is_some() { " since then" } else { " yet" }
                );
            }
            if std::io::stdout().is_terminal() {
                let flags = options.connection.flags();
                tell!("next: `honmaru logs {}{flags} --follow`", app.name());
            }
            return Ok(());
        }
        start = seen.forget_old().or(start);
        tokio::time::sleep(FOLLOW_EVERY).await;
    }
}

/// What was printed already, as far as it could come again.
#[derive(Debug, Default)]
struct Seen {
    ids: BTreeMap<String, i64>,
    newest_ms: Option<i64>,
}

impl Seen {
    fn is_new(&mut self, line: &Line) -> bool {
        self.newest_ms = self.newest_ms.max(Some(line.at_ms));
        self.ids.insert(line.id.clone(), line.at_ms).is_none()
    }

    /// Where the next look begins.
    fn forget_old(&mut self) -> Option<i64> {
        let start = self.newest_ms? - LATE_MS;
        self.ids.retain(|_, at_ms| *at_ms >= start);
        Some(start)
    }
}

/// Hands every line to `each`; returns how many there were.
async fn page_through(
    client: &Client,
    app: &App,
    start_ms: Option<i64>,
    task: Option<&str>,
    each: &mut (dyn FnMut(Line) -> anyhow::Result<()> + Send),
) -> anyhow::Result<usize> {
    let mut input = json!({ "logGroupName": app.log_group() });
    let set = |input: &mut Value, name: &str, value: Value| {
        if let Some(members) = input.as_object_mut() {
            members.insert(name.to_owned(), value);
        }
    };
    if let Some(start) = start_ms {
        set(&mut input, "startTime", json!(start.max(0)));
    }
    if let Some(task) = task {
        set(
            &mut input,
            "logStreamNamePrefix",
            json!(app.log_stream(last_part(task))),
        );
    }
    let mut count = 0;
    for _ in 0..PAGES_MAX {
        let answer = match client.call(LOGS, "FilterLogEvents", input.clone()).await {
            Err(error) if code_of(&error) == Some("ResourceNotFoundException") => {
                return Err(Failure::new(format!("there is no app `{}` with logs", app.name()))
                    .hint("`honmaru ps` shows the apps")
                    .into());
            }
            answer => answer?,
        };
        for event in answer["events"].as_array().into_iter().flatten() {
            count += 1;
            each(read(event))?;
        }
        match answer["nextToken"].as_str() {
            Some(next) => set(&mut input, "nextToken", json!(next)),
            None => break,
        }
    }
    Ok(count)
}

fn read(event: &Value) -> Line {
    let text = |name: &str| event[name].as_str().unwrap_or_default();
    Line {
        id: text("eventId").to_owned(),
        at_ms: event["timestamp"].as_i64().unwrap_or_default(),
        task: last_part(text("logStreamName")).to_owned(),
        message: text("message").trim_end_matches(['\r', '\n']).to_owned(),
    }
}

/// UTC with milliseconds, always as long.
fn time_text(at_ms: i64) -> String {
    let whole = Time::from_ms(at_ms.div_euclid(1_000) * 1_000).rfc3339();
    format!("{}.{:03}Z", whole.trim_end_matches('Z'), at_ms.rem_euclid(1_000))
}

struct Printer {
    format: OutputFormat,
    style: Style,
    tasks: BTreeSet<String>,
    order: Vec<String>,
    is_terminal: bool,
}

impl Printer {
    fn new(format: OutputFormat) -> Self {
        let is_terminal = std::io::stdout().is_terminal();
        Self {
            format,
            style: Style::of_stdout(),
            tasks: BTreeSet::new(),
            order: Vec::new(),
            is_terminal,
        }
    }

    fn print(&mut self, line: &Line) -> anyhow::Result<()> {
        if self.tasks.insert(line.task.clone()) {
            self.order.push(line.task.clone());
        }
        let number = self
            .order
            .iter()
            .position(|task| *task == line.task)
            .unwrap_or_default();
        print(&self.text(line, number))
    }

    fn text(&self, line: &Line, number: usize) -> String {
        let Line {
            at_ms, task, message, ..
        } = line;
        match self.format {
            OutputFormat::Json => {
                format!(
                    "{}\n",
                    json!({ "time": time_text(*at_ms), "task": task, "message": message })
                )
            }
            OutputFormat::Text => format!("{}\t{task}\t{message}\n", time_text(*at_ms)),
            OutputFormat::Table => {
                // A container's own colours are welcome on a terminal; cursor movements of strangers are not.
                let message = if self.is_terminal {
                    without_controls(message)
                } else {
                    message.clone()
                };
                let (time, task) = (time_text(*at_ms), short_id(task));
                format!(
                    "{} {} {message}\n",
                    self.style.dim(&time),
                    self.style.numbered(number, task)
                )
            }
        }
    }
}

/// Without control characters, except tabs and the sequences that only colour (`ESC [ ... m`).
fn without_controls(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let colour = rest.strip_prefix("\x1b[").and_then(|tail| {
            let end = tail.find(|c: char| !c.is_ascii_digit() && c != ';')?;
            tail.get(end..)?.starts_with('m').then_some(end + 3)
        });
        if let Some((sequence, tail)) = colour.and_then(|length| rest.split_at_checked(length)) {
            out.push_str(sequence);
            rest = tail;
            continue;
        }
        out.push(if c.is_control() && c != '\t' { '\u{fffd}' } else { c });
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_written() {
        for (text, ms) in [("30s", 30_000), ("10m", 600_000), ("2h", 7_200_000), ("1d", 86_400_000)] {
            assert_eq!(since_ms(text), Ok(ms), "{text}");
        }
        for text in ["", "10", "m", "-1m", "1w", "99999999999999999d", "1mm"] {
            assert!(since_ms(text).is_err(), "{text}");
        }
        assert_eq!(time_text(1_700_000_000_000), "2023-11-14T22:13:20.000Z");
        assert_eq!(time_text(1_700_000_000_007), "2023-11-14T22:13:20.007Z");
    }

    #[test]
    fn a_line_is_printed_once_though_it_is_asked_for_again() {
        let line = |id: &str, at_ms| Line {
            id: id.to_owned(),
            at_ms,
            task: String::new(),
            message: String::new(),
        };
        let mut seen = Seen::default();
        assert!(seen.is_new(&line("a", 10_000)) && seen.is_new(&line("b", 20_000)));
        assert_eq!(seen.forget_old(), Some(20_000 - LATE_MS));
        assert!(!seen.is_new(&line("b", 20_000)));
        assert!(seen.is_new(&line("late", 18_000)));
    }

    #[test]
    fn lines_in_three_forms() {
        let event = json!({ "eventId": "1", "timestamp": 1_700_000_000_007_i64, "message": "GET /health 200\n",
                            "logStreamName": "ecs/hello/0123456789abcdef" });
        let line = read(&event);
        let text = |format| {
            let printer = Printer {
                format,
                style: Style::plain(),
                tasks: BTreeSet::new(),
                order: vec![],
                is_terminal: true,
            };
            printer.text(&line, 0)
        };
        assert_eq!(
            text(OutputFormat::Table),
            "2023-11-14T22:13:20.007Z 01234567 GET /health 200\n"
        );
        assert_eq!(
            text(OutputFormat::Text),
            "2023-11-14T22:13:20.007Z\t0123456789abcdef\tGET /health 200\n"
        );
        assert!(text(OutputFormat::Json).contains("\"message\":\"GET /health 200\""));
    }

    #[test]
    fn colours_stay_and_controls_go() {
        assert_eq!(
            without_controls("\x1b[31mred\x1b[0m\t\x1b[2J\x07x"),
            "\x1b[31mred\x1b[0m\t\u{fffd}[2J\u{fffd}x"
        );
    }
}
