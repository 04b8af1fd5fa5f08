//! The connection to control: dials for ever, checks who is there, passes lines both ways.

use crate::config::NodeConfig;
use crate::shared::{BULK_MAX, Link, OUTGOING_MAX};
use honmaru_base::chain;
use honmaru_contract::LINE_BYTES_MAX;
use honmaru_contract::node::{FromNode, ToNode};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, BufWriter};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

/// Messages of control that wait for the agent; more wait in the socket.
const INCOMING_MAX: usize = 256;

/// Pauses between two attempts to connect: from the first, doubling, to the last.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// How long control may take no byte while we have some.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// What happens on the connection.
#[derive(Debug)]
pub(crate) enum Event {
    Up(Link),
    Message(Box<ToNode>),
    Down(u64),
}

/// Dials for ever; ends when the receiver is dropped.
pub(crate) fn dial(config: NodeConfig) -> mpsc::Receiver<Event> {
    let (events, receiver) = mpsc::channel(INCOMING_MAX);
    tokio::spawn(async move {
        let mut pause = PAUSE_MIN;
        let mut number = 0;
        let mut last = String::new();
        while !events.is_closed() {
            match connect(&config).await {
                Ok(stream) => {
                    number += 1;
                    pause = PAUSE_MIN;
                    info!(number, "connected to control");
                    let error = serve(stream, number, &events).await;
                    last = chain(&error);
                    warn!(number, err = %last, "lost control; tasks go on");
                    if events.send(Event::Down(number)).await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    let text = chain(&error);
                    if text != last {
                        warn!(err = %text, socket = %config.socket.display(), "cannot reach control; trying on");
                        last = text;
                    }
                }
            }
            tokio::select! {
                () = sleep(pause) => {}
                () = events.closed() => return,
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    });
    receiver
}

async fn connect(config: &NodeConfig) -> io::Result<UnixStream> {
    let stream = UnixStream::connect(&config.socket).await?;
    let uid = stream.peer_cred()?.uid();
    if uid != config.control_uid {
        let text = format!(
            "user {uid} is behind the socket, not control's user {}",
            config.control_uid
        );
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    Ok(stream)
}

/// Serves one connection and says why it ended.
async fn serve(stream: UnixStream, number: u64, events: &mpsc::Sender<Event>) -> io::Error {
    let (reader, writer) = stream.into_split();
    let (out, outgoing) = mpsc::channel(OUTGOING_MAX);
    let (bulk, outgoing_bulk) = mpsc::channel(BULK_MAX);
    if events.send(Event::Up(Link { number, out, bulk })).await.is_err() {
        return io::Error::other("the agent ends");
    }
    let ended = tokio::select! {
        ended = write(writer, outgoing, outgoing_bulk) => ended,
        ended = read(reader, events) => ended,
        () = events.closed() => Ok(()),
    };
    ended
        .err()
        .unwrap_or_else(|| io::Error::other("the connection was closed"))
}

async fn write(
    writer: OwnedWriteHalf,
    mut outgoing: mpsc::Receiver<FromNode>,
    mut bulk: mpsc::Receiver<FromNode>,
) -> io::Result<()> {
    let mut writer = BufWriter::with_capacity(64 * 1024, writer);
    loop {
        // Bulk may go on in parts of us that keep its sender; without the other one the connection is given up.
        let message = tokio::select! {
            biased;
            message = outgoing.recv() => message.ok_or_else(|| io::Error::other("control read too slowly"))?,
            Some(message) = bulk.recv() => message,
        };
        let mut line = serde_json::to_vec(&message)?;
        line.push(b'\n');
        timeout(WRITE_TIMEOUT, writer.write_all(&line)).await??;
        if outgoing.is_empty() && bulk.is_empty() {
            timeout(WRITE_TIMEOUT, writer.flush()).await??;
        }
    }
}

async fn read(reader: OwnedReadHalf, events: &mpsc::Sender<Event>) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(64 * 1024, reader);
    let mut line = Vec::new();
    loop {
        line.clear();
        let limit = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX);
        (&mut reader).take(limit).read_until(b'\n', &mut line).await?;
        if line.last() != Some(&b'\n') {
            let text = if line.len() >= LINE_BYTES_MAX {
                "a line is too long"
            } else {
                "end of file"
            };
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
        }
        let message: ToNode = serde_json::from_slice(&line)?;
        if events.send(Event::Message(Box::new(message))).await.is_err() {
            return Ok(());
        }
    }
}
