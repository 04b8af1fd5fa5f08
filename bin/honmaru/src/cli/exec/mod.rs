//! `honmaru exec`: a command in a running container, over the channel that the Session Manager's plugin speaks.

mod channel;
mod tty;

use super::app::{App, CLUSTER};
use super::client::{Client, ECS, code_of};
use super::connection::Connection;
use super::failure::{EXIT_FAILED, Failure, Usage, render};
use super::observed::{self, Task};
use super::ps::no_app;
use super::terminal::Style;
use anyhow::Context;
use channel::Channel;
use serde_json::json;
use std::io::IsTerminal;
use std::process::ExitCode;
use tokio::sync::mpsc;

/// A program that is not there, as shells count it.
const EXIT_NOT_FOUND: u8 = 127;
/// Bytes of a pipe that go in one message: as many of them may wait for a slow command as of small ones.
const PIECE_BYTES: usize = 32 * 1024;

/// The options of `honmaru exec`.
#[derive(Debug, clap::Args)]
pub struct ExecOptions {
    /// The app
    name: String,
    /// In the task whose id begins so; the newest one that runs by default
    #[arg(long, value_name = "ID")]
    task: Option<String>,
    /// Use this terminal: its keys, its size, its signals
    #[arg(long, short)]
    tty: bool,
    /// The command
    #[arg(trailing_var_arg = true, required = true, value_name = "CMD")]
    command: Vec<String>,
    #[command(flatten)]
    connection: Connection,
}

/// Runs the command. Its exit code becomes ours.
pub async fn run(options: ExecOptions) -> anyhow::Result<ExitCode> {
    let app: App = options.name.parse()?;
    if options.tty && !(std::io::stdin().is_terminal() && std::io::stdout().is_terminal()) {
        return Err(Usage("`--tty` needs a terminal, and there is none\nhint: leave it away".to_owned()).into());
    }
    let client = options.connection.open()?;
    let task = choose(&client, &app, options.task.as_deref()).await?;
    let channel = begin(&client, &app, &task.id, &options.command, options.tty).await?;
    let ended = if options.tty {
        tty::attend(channel).await?
    } else if std::io::stdin().is_terminal() {
        // Whoever types here has not asked for it with `--tty`: the command reads an empty input.
        channel.relay(mpsc::channel(1).1).await?
    } else {
        channel.relay(tty::input(PIECE_BYTES)).await?
    };
    match (ended.exit_code, ended.sentence) {
        (Some(code), sentence) => {
            if let Some(sentence) = sentence {
                tell!("{sentence}");
            }
            // A status has one byte; what does not fit is a failure all the same.
            Ok(ExitCode::from(u8::try_from(code).unwrap_or(EXIT_FAILED)))
        }
        (None, Some(sentence)) => {
            // As shells say it. What a runtime says of a program that is not there differs only in its beginning.
            let not_found = sentence.contains("not found") || sentence.contains("no such file");
            let failure = Failure::new(format!("the command did not run: {sentence}"));
            tell!("{}", render(&failure.into(), &Style::of_stderr()).trim_end());
            Ok(ExitCode::from(if not_found { EXIT_NOT_FOUND } else { EXIT_FAILED }))
        }
        (None, None) => Err(Failure::new("the session ended before the command did").into()),
    }
}

/// Begins a session for a command.
async fn begin(client: &Client, app: &App, task: &str, command: &[String], terminal: bool) -> anyhow::Result<Channel> {
    let input = json!({
        "cluster": CLUSTER, "task": task, "container": app.name(),
        "command": command_line(command), "interactive": true,
    });
    let answer = client
        .call(ECS, "ExecuteCommand", input)
        .await
        .map_err(|error| explained(error, app))?;
    let session = &answer["session"];
    let text = |name: &str| {
        session[name]
            .as_str()
            .with_context(|| format!("ECS does not say `{name}`"))
    };
    Channel::open(text("streamUrl")?, text("tokenValue")?, client.ca.as_deref(), terminal).await
}

fn explained(error: anyhow::Error, app: &App) -> anyhow::Error {
    match code_of(&error) {
        Some("TargetNotConnectedException") => Failure::new("the container is not ready for a command yet")
            .hint("try again in a moment")
            .into(),
        Some("InvalidParameterException") if error.to_string().contains("not enabled") => {
            Failure::new("the task was started without ECS Exec")
                .hint(format!(
                    "`honmaru deploy --name {} --force DIR` starts new ones with it",
                    app.name()
                ))
                .into()
        }
        _ => error,
    }
}

/// The newest task that runs, or the one that was named.
async fn choose(client: &Client, app: &App, wanted: Option<&str>) -> anyhow::Result<Task> {
    if observed::service(client, app).await?.is_none() {
        return Err(no_app(app));
    }
    let tasks = observed::tasks(client, app.name()).await?;
    let runs = |task: &&Task| task.is_wanted() && task.last_status == "RUNNING";
    let mut found = tasks
        .iter()
        .filter(runs)
        .filter(|task| wanted.is_none_or(|id| task.id.starts_with(id)));
    let newest = found.next_back().cloned();
    let hint = format!("`honmaru ps {}` shows the tasks", app.name());
    match (newest, wanted, found.next().is_some()) {
        (Some(_), Some(id), true) => Err(Usage(format!("several tasks begin with `{id}`\nhint: {hint}")).into()),
        (Some(task), _, _) => Ok(task),
        (None, Some(id), _) => Err(Failure::new(format!("no running task begins with `{id}`"))
            .hint(hint)
            .into()),
        (None, None, _) => Err(Failure::new(format!("no task of `{}` runs", app.name()))
            .hint(hint)
            .into()),
    }
}

/// One line from which the other side reads the same words.
fn command_line(words: &[String]) -> String {
    let is_plain = |word: &str| {
        !word.is_empty()
            && word
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_./:=+,@%".contains(&b))
    };
    let quote = |word: &String| {
        if is_plain(word) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', "'\\''"))
        }
    };
    words.iter().map(quote).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_the_way_there() {
        for words in [
            vec!["ls", "-l", "/app"],
            vec!["sh", "-c", "echo \"it's $HOME\"; exit 3"],
            vec!["printf", "%s\\n", "", "a b", "ü'"],
        ] {
            let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
            assert_eq!(crate::words::split(&command_line(&words)), words);
        }
    }
}
