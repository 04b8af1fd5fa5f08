//! The plugin's side of a data channel: the token, the handshake, input, output and the exit code.
//! Ref: aws/session-manager-plugin, `src/datachannel`.

use crate::cli::client::{Duplex, connect};
use crate::data_channel::{
    ACKNOWLEDGE, CHANNEL_CLOSED, INPUT_STREAM_DATA, Message, OUTPUT_STREAM_DATA, PayloadType, TERMINAL,
};
use anyhow::{Context, bail};
use futures_util::{SinkExt, StreamExt};
use honmaru_base::{Clock, Rng, SeededRng, uuid};
use honmaru_engine::{SystemClock, system_rng};
use serde_json::json;
use std::io::Write;
use std::path::Path;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// How long the connection and the handshake may take.
const OPEN_TIMEOUT: Duration = Duration::from_secs(20);
/// A message at most.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// Input that goes in one message. Ref: plugin, `StreamDataPayloadSize`.
pub const INPUT_BYTES_MAX: usize = 1024;
/// What this side says that it is: it knows exit codes and separate standard error.
const CLIENT_VERSION: &str = "1.2.650.0";

/// What comes from the other side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Bytes for standard output.
    Output(Vec<u8>),
    /// Bytes for standard error.
    StdErr(Vec<u8>),
    /// The command's exit code.
    ExitCode(i32),
    /// The session is over, with a sentence where there is one.
    Closed(Option<String>),
}

/// How a session ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ended {
    /// The command's exit code.
    pub exit_code: Option<i32>,
    /// What the other side said.
    pub sentence: Option<String>,
}

/// An open channel.
pub struct Channel {
    socket: WebSocketStream<Box<dyn Duplex>>,
    rng: SeededRng,
    sequence: i64,
    /// The next message of the other side; what came before is a repetition.
    expected: i64,
    /// Output that came together with the end of the handshake.
    waiting: Option<Event>,
    /// Whether the command has a terminal: an endpoint that knows no pipes gives one all the same.
    has_terminal: bool,
}

impl Channel {
    /// Connects, shows the token, and answers the handshake. `ca` may vouch for the endpoint of a `wss://` address.
    /// Without `terminal` the command gets pipes.
    pub async fn open(url: &str, token: &str, ca: Option<&Path>, terminal: bool) -> anyhow::Result<Self> {
        tokio::time::timeout(OPEN_TIMEOUT, Self::connect(url, token, ca, terminal))
            .await
            .context("the session did not begin in time")?
    }

    async fn connect(url: &str, token: &str, ca: Option<&Path>, terminal: bool) -> anyhow::Result<Self> {
        let (rest, tls) = match (url.strip_prefix("ws://"), url.strip_prefix("wss://")) {
            (Some(rest), _) => (rest, false),
            (None, Some(rest)) => (rest, true),
            (None, None) => {
                bail!("`{url}` is no address that this command can reach: `ws://` or `wss://` is expected")
            }
        };
        let stream = connect(rest.split('/').next().unwrap_or_default(), tls, ca).await?;
        let config = WebSocketConfig::default().max_message_size(Some(MESSAGE_BYTES_MAX));
        let (socket, _) = client_async_with_config(url, stream, Some(config))
            .await
            .context("the endpoint does not open a session")?;
        let mut channel = Self {
            socket,
            rng: system_rng(),
            sequence: 0,
            expected: 0,
            waiting: None,
            has_terminal: true,
        };
        let greeting = json!({
            "MessageSchemaVersion": "1.0",
            "RequestId": uuid(&mut channel.rng),
            "TokenValue": token,
            "ClientId": uuid(&mut channel.rng),
            "ClientVersion": CLIENT_VERSION,
        });
        channel
            .socket
            .send(tungstenite::Message::Text(greeting.to_string().into()))
            .await?;
        channel.handshake(terminal).await?;
        Ok(channel)
    }

    async fn handshake(&mut self, terminal: bool) -> anyhow::Result<()> {
        loop {
            let Some(frame) = self.frame().await? else {
                bail!("the session was closed before it began")
            };
            if frame.is_close() {
                bail!("the session was closed before it began");
            }
            let Some(message) = self.message(frame).await? else {
                continue;
            };
            if message.payload_type == PayloadType::HandshakeRequest as u32 {
                let request: serde_json::Value = serde_json::from_slice(&message.payload)?;
                let actions = request["RequestedClientActions"]
                    .as_array()
                    .cloned()
                    .unwrap_or_default();
                let processed: Vec<serde_json::Value> = actions
                    .iter()
                    .map(
                        |action| json!({ "ActionType": action["ActionType"], "ActionStatus": 1, "ActionResult": null }),
                    )
                    .collect();
                // The size goes first: the command starts with it when the handshake is over.
                if let Some((cols, rows)) = crate::cli::terminal::size_of(std::io::stdout()) {
                    self.resize(cols, rows).await?;
                }
                let mut response =
                    json!({ "ClientVersion": CLIENT_VERSION, "ProcessedClientActions": processed, "Errors": [] });
                if let (false, Some(members)) = (terminal, response.as_object_mut()) {
                    members.insert(TERMINAL.to_owned(), false.into());
                }
                self.send(PayloadType::HandshakeResponse, response.to_string().into_bytes())
                    .await?;
            } else if message.payload_type == PayloadType::HandshakeComplete as u32 {
                let complete: serde_json::Value = serde_json::from_slice(&message.payload).unwrap_or_default();
                self.has_terminal = complete.get(TERMINAL) != Some(&serde_json::Value::Bool(false));
                return Ok(());
            } else if let Some(event) = event(&message) {
                // An agent without a handshake begins at once; one that refuses closes.
                self.waiting = Some(event);
                return Ok(());
            }
        }
    }

    fn id(&mut self) -> [u8; 16] {
        let mut id = [0; 16];
        self.rng.fill(&mut id);
        id
    }

    async fn write(&mut self, message: &Message) -> anyhow::Result<()> {
        let bytes = message.encode(SystemClock.now().as_ms());
        Ok(self.socket.send(tungstenite::Message::Binary(bytes.into())).await?)
    }

    async fn send(&mut self, payload_type: PayloadType, payload: Vec<u8>) -> anyhow::Result<()> {
        let id = self.id();
        let message = Message::new(INPUT_STREAM_DATA, self.sequence, id, payload_type as u32, payload);
        self.sequence += 1;
        self.write(&message).await
    }

    /// A piece of a pipe for the command.
    pub async fn piece(&mut self, bytes: Vec<u8>) -> anyhow::Result<()> {
        self.send(PayloadType::Output, bytes).await
    }

    /// The end of its input: an empty piece for a pipe, control-D for a terminal.
    pub async fn end_of_input(&mut self) -> anyhow::Result<()> {
        let end = if self.has_terminal { vec![4] } else { Vec::new() };
        self.send(PayloadType::Output, end).await
    }

    /// Bytes for the command.
    pub async fn input(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        for piece in bytes.chunks(INPUT_BYTES_MAX) {
            self.send(PayloadType::Output, piece.to_vec()).await?;
        }
        Ok(())
    }

    /// The terminal's size.
    pub async fn resize(&mut self, cols: u16, rows: u16) -> anyhow::Result<()> {
        self.send(
            PayloadType::Size,
            json!({ "cols": cols, "rows": rows }).to_string().into_bytes(),
        )
        .await
    }

    /// What comes next from the socket; nothing when the other side has gone. May be dropped while it waits: nothing is
    /// lost, because a frame is taken as a whole.
    pub async fn frame(&mut self) -> anyhow::Result<Option<tungstenite::Message>> {
        match self.socket.next().await {
            None | Some(Err(tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed)) => Ok(None),
            Some(Ok(frame)) => Ok(Some(frame)),
            Some(Err(error)) => Err(error).context("the session broke off"),
        }
    }

    /// The message in a frame, acknowledged; nothing for what is no message of the stream or of the channel, and for
    /// repetitions.
    async fn message(&mut self, frame: tungstenite::Message) -> anyhow::Result<Option<Message>> {
        let tungstenite::Message::Binary(bytes) = frame else {
            return Ok(None);
        };
        let message = Message::decode(&bytes)?;
        if message.message_type == ACKNOWLEDGE {
            return Ok(None);
        }
        if message.message_type == OUTPUT_STREAM_DATA {
            let id = self.id();
            // The other side may have closed already: what it sent before counts all the same.
            let _ = self.write(&Message::acknowledge(&message, id)).await;
            if message.sequence < self.expected {
                return Ok(None);
            }
            self.expected = message.sequence + 1;
        }
        Ok(Some(message))
    }

    /// What a frame means for the user.
    pub async fn event(&mut self, frame: Option<tungstenite::Message>) -> anyhow::Result<Option<Event>> {
        match frame {
            None | Some(tungstenite::Message::Close(_)) => Ok(Some(Event::Closed(None))),
            Some(frame) => Ok(self.message(frame).await?.as_ref().and_then(event)),
        }
    }

    /// What came together with the end of the handshake.
    pub fn first(&mut self) -> Option<Event> {
        self.waiting.take()
    }

    /// Hands the pieces of `input` to the command and prints what it says until it ends. Where the endpoint gave the
    /// command a terminal all the same, line ends are made those of a pipe.
    pub async fn relay(mut self, mut input: mpsc::Receiver<Vec<u8>>) -> anyhow::Result<Ended> {
        let mut ended = Ended::default();
        let (mut held, mut is_open) = (false, true);
        let mut event = self.first();
        loop {
            match event.take() {
                Some(Event::Output(bytes)) if self.has_terminal => {
                    print(&mut std::io::stdout(), &line_ends(&bytes, &mut held))?;
                }
                Some(Event::Output(bytes)) => print(&mut std::io::stdout(), &bytes)?,
                Some(Event::StdErr(bytes)) => print(&mut std::io::stderr(), &bytes)?,
                Some(Event::ExitCode(code)) => ended.exit_code = Some(code),
                Some(Event::Closed(sentence)) => {
                    if held {
                        print(&mut std::io::stdout(), b"\r")?;
                    }
                    ended.sentence = sentence;
                    return Ok(ended);
                }
                None => {}
            }
            tokio::select! {
                frame = self.frame() => event = self.event(frame?).await?,
                piece = input.recv(), if is_open => {
                    is_open = piece.is_some();
                    let sent = match piece {
                        Some(bytes) => self.piece(bytes).await,
                        None => self.end_of_input().await,
                    };
                    // A command that has ended reads nothing more; how it ended is still on its way.
                    is_open &= sent.is_ok();
                }
            }
        }
    }
}

/// Writes all of it, now.
pub fn print(out: &mut impl Write, bytes: &[u8]) -> anyhow::Result<()> {
    Ok(out.write_all(bytes).and_then(|()| out.flush())?)
}

/// `\r\n` as `\n`, also when it comes in two pieces: `held` says that a `\r` waits for what follows it.
fn line_ends(bytes: &[u8], held: &mut bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 1);
    for byte in bytes {
        if *held && *byte != b'\n' {
            out.push(b'\r');
        }
        *held = *byte == b'\r';
        if !*held {
            out.push(*byte);
        }
    }
    out
}

/// What a message means for the user.
fn event(message: &Message) -> Option<Event> {
    if message.message_type == CHANNEL_CLOSED {
        let closed: serde_json::Value = serde_json::from_slice(&message.payload).unwrap_or_default();
        let sentence = closed["Output"].as_str().map(crate::cli::terminal::printable);
        return Some(Event::Closed(sentence.filter(|text| !text.is_empty())));
    }
    let is = |payload_type: PayloadType| message.payload_type == payload_type as u32;
    if is(PayloadType::Output) {
        return Some(Event::Output(message.payload.clone()));
    }
    if is(PayloadType::StdErr) {
        return Some(Event::StdErr(message.payload.clone()));
    }
    if is(PayloadType::ExitCode) {
        return std::str::from_utf8(&message.payload)
            .ok()?
            .trim()
            .parse()
            .ok()
            .map(Event::ExitCode);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_of_a_terminal_become_those_of_a_pipe() {
        let (mut held, mut out) = (false, Vec::new());
        for piece in [&b"a\r"[..], b"\nb\rc", b"\r\r\n", b"d"] {
            out.extend(line_ends(piece, &mut held));
        }
        assert_eq!(out, b"a\nb\rc\r\nd");
        assert!(!held);
    }

    #[test]
    fn messages_become_events() {
        let message =
            |kind: &str, payload_type, payload: &[u8]| Message::new(kind, 0, [0; 16], payload_type, payload.to_vec());
        assert_eq!(event(&message(OUTPUT_STREAM_DATA, 12, b"3")), Some(Event::ExitCode(3)));
        assert_eq!(
            event(&message(OUTPUT_STREAM_DATA, 1, b"x")),
            Some(Event::Output(b"x".to_vec()))
        );
        assert_eq!(event(&message(OUTPUT_STREAM_DATA, 12, b"x")), None);
        let closed = message(CHANNEL_CLOSED, 0, b"{\"Output\":\"idle\"}");
        assert_eq!(event(&closed), Some(Event::Closed(Some("idle".to_owned()))));
    }
}
