//! One connection between control and a plane: JSON lines both ways, each with a limit.

use honmaru_contract::LINE_BYTES_MAX;
use serde::{Serialize, de::DeserializeOwned};
use std::io;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

/// Messages that may wait for a slow plane; then the connection is ended, and the plane starts afresh.
const QUEUED_MAX: usize = 1_024;
/// Messages handed over at once.
const BATCH_MAX: usize = 256;

/// The receiving side.
pub struct Receiver<T> {
    reader: BufReader<OwnedReadHalf>,
    line: Vec<u8>,
    kind: std::marker::PhantomData<T>,
}

/// The sending side; cheap to clone.
pub struct Sender<T>(mpsc::Sender<T>);

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Splits a connection. The writer runs as a task of its own and ends with the last sender.
pub fn split<In: DeserializeOwned, Out: Serialize + Send + 'static>(stream: UnixStream) -> (Receiver<In>, Sender<Out>) {
    let (reader, writer) = stream.into_split();
    let (sender, queue) = mpsc::channel(QUEUED_MAX);
    tokio::spawn(write_all(writer, queue));
    let receiver = Receiver {
        reader: BufReader::new(reader),
        line: Vec::new(),
        kind: std::marker::PhantomData,
    };
    (receiver, Sender(sender))
}

async fn write_all<T: Serialize>(mut writer: OwnedWriteHalf, mut queue: mpsc::Receiver<T>) {
    while let Some(message) = queue.recv().await {
        let mut bytes = Vec::new();
        let mut next = Some(message);
        while let Some(message) = next {
            // Messages are plain data with text keys; they always serialise.
            if let Err(error) = serde_json::to_writer(&mut bytes, &message) {
                tracing::error!(%error, "failed to write a message to a plane");
                return;
            }
            bytes.push(b'\n');
            next = if bytes.len() < LINE_BYTES_MAX {
                queue.try_recv().ok()
            } else {
                None
            };
        }
        if writer.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

impl<T> Sender<T> {
    /// Queues a message. `Err` when the plane is gone, or so slow that it must start afresh.
    pub fn send(&self, message: T) -> Result<(), ()> {
        self.0.try_send(message).map_err(|_| ())
    }
}

impl<T: DeserializeOwned> Receiver<T> {
    /// The next message; nothing at the end of the connection.
    pub async fn next(&mut self) -> io::Result<Option<T>> {
        self.line.clear();
        loop {
            let (done, used) = {
                let available = self.reader.fill_buf().await?;
                if available.is_empty() {
                    return Ok(None);
                }
                match available.iter().position(|b| *b == b'\n') {
                    Some(at) => {
                        self.line.extend(available.iter().take(at));
                        (true, at + 1)
                    }
                    None => {
                        self.line.extend_from_slice(available);
                        (false, available.len())
                    }
                }
            };
            self.reader.consume(used);
            if self.line.len() > LINE_BYTES_MAX {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "a line is longer than the contract allows",
                ));
            }
            if done {
                return serde_json::from_slice(&self.line).map(Some).map_err(io::Error::from);
            }
        }
    }

    /// The next message and all that have arrived with it.
    pub async fn batch(&mut self) -> io::Result<Vec<T>> {
        let mut batch = Vec::new();
        if let Some(first) = self.next().await? {
            batch.push(first);
            while batch.len() < BATCH_MAX && self.reader.buffer().contains(&b'\n') {
                match self.next().await? {
                    Some(message) => batch.push(message),
                    None => break,
                }
            }
        }
        Ok(batch)
    }
}
