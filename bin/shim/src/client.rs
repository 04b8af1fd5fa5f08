//! A connection of the runtime's: frames in, frames (and descriptors) out, never waiting for the other side.

use crate::sys;
use honmaru_runtime_protocol::{FRAME_BYTES_MAX, Request, Response};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

/// Bytes that may wait for a client that does not read; more end its connection.
const WAITING_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most frames handled before others have their turn.
const FRAMES_A_TURN_MAX: usize = 32;

/// A connection.
pub struct Client {
    pub id: u64,
    stream: UnixStream,
    input: Vec<u8>,
    output: VecDeque<(Vec<u8>, Vec<OwnedFd>)>,
    output_bytes: usize,
    /// Whether it gets the status at every change.
    pub subscribed: bool,
    /// Whether nothing more is read and the rest of the output ends it.
    closing: bool,
}

/// One frame of a client's.
pub enum Incoming {
    Request(Request),
    /// A frame that is no request: the connection goes on.
    Nonsense(String),
}

impl Client {
    pub fn new(id: u64, stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        let output = VecDeque::new();
        Ok(Self {
            id,
            stream,
            input: Vec::new(),
            output,
            output_bytes: 0,
            subscribed: false,
            closing: false,
        })
    }

    pub fn descriptor(&self) -> RawFd {
        self.stream.as_raw_fd()
    }

    pub fn wants_to_write(&self) -> bool {
        !self.output.is_empty()
    }

    pub fn wants_to_read(&self) -> bool {
        !self.closing
    }

    /// Reads what there is. `Err` when the connection is over.
    pub fn read(&mut self) -> io::Result<Vec<Incoming>> {
        let mut buffer = [0; 16 * 1024];
        let mut frames = Vec::new();
        while frames.len() < FRAMES_A_TURN_MAX && !self.closing {
            match sys::read(self.descriptor(), &mut buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => self.input.extend(buffer.iter().take(read)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            self.take_frames(&mut frames);
        }
        Ok(frames)
    }

    fn take_frames(&mut self, frames: &mut Vec<Incoming>) {
        while let Some((head, rest)) = self.input.split_first_chunk::<4>() {
            let length = u32::from_be_bytes(*head) as usize;
            if length > FRAME_BYTES_MAX {
                frames.push(Incoming::Nonsense(format!(
                    "a frame of {length} bytes; {FRAME_BYTES_MAX} are possible"
                )));
                // There is no telling where the next frame begins.
                self.closing = true;
                self.input.clear();
                return;
            }
            let Some(body) = rest.get(..length) else { return };
            frames.push(match serde_json::from_slice(body) {
                Ok(request) => Incoming::Request(request),
                Err(error) => Incoming::Nonsense(format!("not a request: {error}")),
            });
            self.input.drain(..4 + length);
        }
    }

    /// Puts an answer into the output.
    pub fn answer(&mut self, response: &Response, descriptors: Vec<OwnedFd>) {
        let body = serde_json::to_vec(response).unwrap_or_default();
        let mut frame = (body.len() as u32).to_be_bytes().to_vec();
        frame.extend(body);
        self.output_bytes += frame.len();
        self.output.push_back((frame, descriptors));
    }

    /// Puts an error into the output.
    pub fn refuse(&mut self, message: impl Into<String>) {
        self.answer(
            &Response::Error {
                message: message.into(),
            },
            Vec::new(),
        );
    }

    /// Writes what the socket takes. `Err` when the connection is over or the client has not read for too long.
    pub fn write(&mut self) -> io::Result<()> {
        while let Some((frame, descriptors)) = self.output.front_mut() {
            let raw: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
            match sys::send(self.stream.as_raw_fd(), frame, &raw) {
                Ok(sent) => {
                    // The descriptors went with the first byte.
                    descriptors.clear();
                    frame.drain(..sent);
                    self.output_bytes -= sent;
                    if frame.is_empty() {
                        self.output.pop_front();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let done = self.closing && self.output.is_empty();
        if done || self.output_bytes > WAITING_BYTES_MAX {
            Err(io::ErrorKind::BrokenPipe.into())
        } else {
            Ok(())
        }
    }
}
