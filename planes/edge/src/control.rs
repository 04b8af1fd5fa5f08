//! The line to `control`: dialled again and again, one JSON object a line.

use crate::edge::{Edge, News};
use crate::limits::{DIAL_PAUSE_MAX, DIAL_PAUSE_MIN};
use honmaru_contract::edge::{Applied, FromEdge, ToEdge};
use honmaru_contract::{Hello, LINE_BYTES_MAX, PROTOCOL};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

/// How long one line to `control` may take.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Lines from `control` that wait to be handled.
const LINES_QUEUED_MAX: usize = 16;

/// Why the line ended.
#[derive(Debug, thiserror::Error)]
enum LineError {
    #[error("failed to reach control at {path}")]
    Dial {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("failed to speak with control")]
    Speak(#[source] std::io::Error),
    #[error("control does not take what it is told")]
    Stuck,
    #[error("control ended the line")]
    Ended,
}

/// Keeps the line to `control` for ever.
pub(crate) async fn keep(edge: Arc<Edge>, socket: PathBuf, name: String, mut news: mpsc::Receiver<News>) {
    let mut pause = DIAL_PAUSE_MIN;
    loop {
        match UnixStream::connect(&socket).await {
            Ok(stream) => {
                pause = DIAL_PAUSE_MIN;
                tracing::info!("reached control");
                let error = speak(&edge, stream, &name, &mut news).await;
                tracing::info!(err = %honmaru_base::chain(&error), "lost control");
            }
            Err(source) => {
                let error = LineError::Dial {
                    path: socket.clone(),
                    source,
                };
                tracing::debug!(err = %honmaru_base::chain(&error), "control is away");
            }
        }
        // News of this time are not kept: everything is told when the line is up again.
        while news.try_recv().is_ok() {}
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(DIAL_PAUSE_MAX);
    }
}

async fn speak(edge: &Arc<Edge>, stream: UnixStream, name: &str, news: &mut mpsc::Receiver<News>) -> LineError {
    let (reader, mut writer) = stream.into_split();
    // Reading has a task of its own: a line is never half read when something else is to be said.
    let (lines, mut incoming) = mpsc::channel(LINES_QUEUED_MAX);
    let reading = tokio::spawn(read(reader, lines));
    let error = match converse(edge, &mut writer, &mut incoming, name, news).await {
        Ok(()) => LineError::Ended,
        Err(error) => error,
    };
    reading.abort();
    error
}

async fn converse(
    edge: &Arc<Edge>,
    writer: &mut OwnedWriteHalf,
    incoming: &mut mpsc::Receiver<std::io::Result<ToEdge>>,
    name: &str,
    news: &mut mpsc::Receiver<News>,
) -> Result<(), LineError> {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let hello = Hello {
        protocol: PROTOCOL,
        role: "edge".to_owned(),
        name: name.to_owned(),
        version,
    };
    say(writer, &FromEdge::Hello(hello)).await?;
    say(writer, &FromEdge::Health(edge.health())).await?;
    loop {
        tokio::select! {
            line = incoming.recv() => match line {
                Some(Ok(message)) => hear(edge, writer, message).await?,
                Some(Err(error)) => return Err(LineError::Speak(error)),
                None => return Ok(()),
            },
            Some(first) = news.recv() => {
                let mut health = Vec::new();
                let mut next = Some(first);
                while let Some(item) = next {
                    match item {
                        News::Health(change) => health.push(change),
                        News::Applied(applied) => say(writer, &FromEdge::Applied(applied)).await?,
                    }
                    next = news.try_recv().ok();
                }
                if edge.take_news_lost() {
                    say(writer, &FromEdge::Health(edge.health())).await?;
                } else if !health.is_empty() {
                    say(writer, &FromEdge::HealthChanged(health)).await?;
                }
            }
        }
    }
}

async fn hear(edge: &Arc<Edge>, writer: &mut OwnedWriteHalf, message: ToEdge) -> Result<(), LineError> {
    match message {
        ToEdge::Config(config) => match edge.apply(*config).await {
            Ok(applied) => say(writer, &FromEdge::Applied(applied)).await,
            Err(stale) => {
                tracing::warn!(%stale, "refused a configuration");
                // The generation that serves tells control that it was left behind.
                say(
                    writer,
                    &FromEdge::Applied(Applied {
                        generation: edge.generation(),
                        failed: Vec::new(),
                    }),
                )
                .await
            }
        },
        ToEdge::Samples(wanted) => say(writer, &FromEdge::Samples(edge.samples(&wanted))).await,
    }
}

async fn say(writer: &mut OwnedWriteHalf, message: &FromEdge) -> Result<(), LineError> {
    let mut line = serde_json::to_vec(message).map_err(|error| LineError::Speak(error.into()))?;
    line.push(b'\n');
    match tokio::time::timeout(WRITE_TIMEOUT, writer.write_all(&line)).await {
        Ok(result) => result.map_err(LineError::Speak),
        Err(_) => Err(LineError::Stuck),
    }
}

async fn read(reader: OwnedReadHalf, lines: mpsc::Sender<std::io::Result<ToEdge>>) {
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut limited = (&mut reader).take(LINE_BYTES_MAX as u64 + 1);
        let message = match limited.read_until(b'\n', &mut line).await {
            Ok(0) => return,
            Ok(_) if line.len() > LINE_BYTES_MAX => Err(std::io::Error::other("the line is too long")),
            Ok(_) => serde_json::from_slice(&line).map_err(std::io::Error::other),
            Err(error) => Err(error),
        };
        let is_error = message.is_err();
        if lines.send(message).await.is_err() || is_error {
            return;
        }
    }
}

/// Where `control` listens below a state directory.
pub(crate) fn default_socket(state_dir: &Path) -> PathBuf {
    state_dir.join("run/planes.sock")
}
