//! One connection to a shim: frames out, frames (and descriptors) in.

use crate::error::RuntimeError;
use honmaru_runtime_protocol::{FRAME_BYTES_MAX, Request, Response};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::UnixStream;
use tokio::time::timeout;

/// How long a shim may take to answer. It does nothing that blocks, so this is long.
pub(crate) const ANSWER_S_MAX: u64 = 10;
/// Most descriptors beside one frame: standard input, output, error.
const DESCRIPTORS_MAX: usize = 3;
/// Bytes asked for in one read.
const READ_BYTES: usize = 64 * 1024;

/// A connection.
pub(crate) struct Connection {
    task_id: String,
    stream: UnixStream,
    buffer: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

impl Connection {
    /// Connects; `NotFound` or `ConnectionRefused` when the shim is gone.
    pub(crate) async fn open(task_id: &str, socket: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(socket).await?;
        Ok(Self {
            task_id: task_id.to_string(),
            stream,
            buffer: Vec::new(),
            descriptors: Vec::new(),
        })
    }

    /// Sends one request.
    pub(crate) async fn send(&mut self, request: &Request) -> Result<(), RuntimeError> {
        let frame = encode(request).map_err(|source| self.failed(source))?;
        let sent = timeout(Duration::from_secs(ANSWER_S_MAX), self.stream.write_all(&frame)).await;
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(source)) => Err(self.failed(source)),
            Err(_) => Err(self.silent()),
        }
    }

    /// The next frame, however long it takes; nothing at the connection's end. Safe to cancel.
    pub(crate) async fn receive(&mut self) -> Result<Option<Response>, RuntimeError> {
        loop {
            if let Some(response) = self.take_frame().map_err(|source| self.failed(source))? {
                return Ok(Some(response));
            }
            let read = self.read_more().await.map_err(|source| self.failed(source))?;
            if read == 0 {
                return Ok(None);
            }
        }
    }

    /// Sends one request and waits for its answer; `Refused` for an error.
    pub(crate) async fn ask(&mut self, request: &Request) -> Result<Response, RuntimeError> {
        self.send(request).await?;
        let answer = timeout(Duration::from_secs(ANSWER_S_MAX), self.receive()).await;
        match answer {
            Ok(Ok(Some(Response::Error { message }))) => Err(RuntimeError::Refused {
                task_id: self.task_id.clone(),
                message,
            }),
            Ok(Ok(Some(response))) => Ok(response),
            Ok(Ok(None)) => Err(self.failed(io::ErrorKind::UnexpectedEof.into())),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(self.silent()),
        }
    }

    /// The descriptors that came so far.
    pub(crate) fn take_descriptors(&mut self) -> Vec<OwnedFd> {
        std::mem::take(&mut self.descriptors)
    }

    fn take_frame(&mut self) -> io::Result<Option<Response>> {
        let Some((head, rest)) = self.buffer.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*head) as usize;
        if length > FRAME_BYTES_MAX {
            return Err(io::Error::other(format!("frame of {length} bytes")));
        }
        let Some(body) = rest.get(..length) else {
            return Ok(None);
        };
        let response = serde_json::from_slice(body)?;
        self.buffer.drain(..4 + length);
        Ok(Some(response))
    }

    async fn read_more(&mut self) -> io::Result<usize> {
        let mut bytes = vec![0; READ_BYTES];
        let mut found = Vec::new();
        let read = self
            .stream
            .async_io(Interest::READABLE, || {
                let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
                let mut ancillary = RecvAncillaryBuffer::new(&mut space);
                let message = recvmsg(
                    &self.stream,
                    &mut [IoSliceMut::new(&mut bytes)],
                    &mut ancillary,
                    RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT,
                )?;
                for part in ancillary.drain() {
                    if let RecvAncillaryMessage::ScmRights(descriptors) = part {
                        found.extend(descriptors);
                    }
                }
                Ok(message.bytes)
            })
            .await?;
        self.buffer.extend(bytes.iter().take(read));
        self.descriptors.append(&mut found);
        Ok(read)
    }

    fn failed(&self, source: io::Error) -> RuntimeError {
        RuntimeError::Connection {
            task_id: self.task_id.clone(),
            source,
        }
    }

    fn silent(&self) -> RuntimeError {
        RuntimeError::Silent {
            task_id: self.task_id.clone(),
            limit_s: ANSWER_S_MAX,
        }
    }
}

fn encode(request: &Request) -> io::Result<Vec<u8>> {
    let body = serde_json::to_vec(request)?;
    if body.len() > FRAME_BYTES_MAX {
        return Err(io::Error::other(format!("request of {} bytes", body.len())));
    }
    let mut frame = (body.len() as u32).to_be_bytes().to_vec();
    frame.extend(body);
    Ok(frame)
}
