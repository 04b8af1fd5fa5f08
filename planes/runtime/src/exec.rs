//! A command in a running container.

use crate::connection::{ANSWER_S_MAX, Connection};
use crate::descriptor::Descriptor;
use crate::error::{ExecError, RuntimeError};
use honmaru_runtime_protocol::{ExecStart, Request, Response};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Pieces of output that wait for their reader; when they are too many the command waits.
const EVENTS_QUEUED_MAX: usize = 64;
/// Resizes and signals that wait.
const CONTROLS_QUEUED_MAX: usize = 16;
/// Bytes of one piece of output.
const OUTPUT_BYTES_MAX: usize = 32 * 1024;
/// After the command's end its children may keep its output open: how long we go on reading. In several turns, so that a
/// machine that stands still for all of one does not lose what lies in the pipe.
const DRAIN_TURN: Duration = Duration::from_millis(100);
const DRAIN_TURNS: usize = 5;

/// A running command. When the session is dropped (its `events`), the command and its children are killed.
pub struct ExecSession {
    /// The command's process id on the host.
    pub pid: u32,
    /// Its standard input.
    pub input: ExecInput,
    /// Its output, and last its end.
    pub events: mpsc::Receiver<ExecEvent>,
    /// Resizing and killing.
    pub control: ExecControl,
}

/// What comes from a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecEvent {
    /// Bytes that it wrote. With a terminal all of it is standard output.
    Output {
        /// Whether it was standard error.
        stderr: bool,
        /// The bytes.
        data: Vec<u8>,
    },
    /// It ended; the last event.
    Exited {
        /// Exit code, 128 + signal for a killed one.
        exit_code: i32,
    },
    /// The shim went away; the last event.
    Lost,
}

/// A command's standard input.
pub struct ExecInput {
    descriptor: Option<Arc<Descriptor>>,
    tty: bool,
}

impl ExecInput {
    /// Writes all of it; waits while the command does not read.
    pub async fn write(&self, data: &[u8]) -> Result<(), ExecError> {
        let Some(descriptor) = &self.descriptor else {
            return Err(ExecError::Closed);
        };
        descriptor.write_all(data).await.map_err(|_| ExecError::Closed)
    }

    /// Ends it: the command reads an end of file. With a terminal that is control-D.
    pub async fn close(&mut self) {
        if let Some(descriptor) = self.descriptor.take()
            && self.tty
        {
            // The terminal stays open for output. An error means that the command has ended: nothing to tell it.
            let _ended = descriptor.write_all(&[4]).await;
        }
    }
}

enum Control {
    Ask(Request, oneshot::Sender<Result<(), ExecError>>),
}

/// Resizes and kills a command.
#[derive(Clone)]
pub struct ExecControl {
    sender: mpsc::Sender<Control>,
}

impl ExecControl {
    /// Sets the terminal's size.
    pub async fn resize(&self, cols: u16, rows: u16) -> Result<(), ExecError> {
        self.ask(Request::ExecResize { cols, rows }).await
    }

    /// Sends a signal to the command.
    pub async fn signal(&self, signal: i32) -> Result<(), ExecError> {
        self.ask(Request::ExecSignal { signal }).await
    }

    /// Kills the command and all its children.
    pub async fn kill(&self) -> Result<(), ExecError> {
        self.signal(9).await
    }

    async fn ask(&self, request: Request) -> Result<(), ExecError> {
        let (sender, receiver) = oneshot::channel();
        self.sender
            .send(Control::Ask(request, sender))
            .await
            .map_err(|_| ExecError::Closed)?;
        receiver.await.map_err(|_| ExecError::Closed)?
    }
}

/// Starts the command and returns once it has exec'd.
pub(crate) async fn start(task_id: &str, socket: &Path, request: ExecStart) -> Result<ExecSession, ExecError> {
    let tty = request.tty;
    let connection_failed = |source| RuntimeError::Connection {
        task_id: task_id.to_string(),
        source,
    };
    let mut connection = Connection::open(task_id, socket).await.map_err(connection_failed)?;
    let pid = match connection.ask(&Request::Exec(request)).await {
        Ok(Response::ExecStarted { pid }) => pid,
        Ok(other) => return Err(connection_failed(io::Error::other(format!("unexpected answer {other:?}"))).into()),
        Err(RuntimeError::Refused { message, .. }) => return Err(ExecError::NotStarted { message }),
        Err(other) => return Err(other.into()),
    };
    let mut descriptors = Vec::new();
    for descriptor in connection.take_descriptors() {
        descriptors.push(Arc::new(Descriptor::new(descriptor).map_err(connection_failed)?));
    }
    let mut descriptors = descriptors.into_iter();
    let (input, outputs) = match (tty, descriptors.next(), descriptors.next(), descriptors.next()) {
        (true, Some(master), None, None) => (master.clone(), vec![(master, false)]),
        (false, Some(stdin), Some(stdout), Some(stderr)) => (stdin, vec![(stdout, false), (stderr, true)]),
        _ => return Err(connection_failed(io::Error::other("wrong number of descriptors")).into()),
    };
    let (events_sender, events) = mpsc::channel(EVENTS_QUEUED_MAX);
    let (control_sender, controls) = mpsc::channel(CONTROLS_QUEUED_MAX);
    tokio::spawn(serve(connection, controls, outputs, events_sender));
    Ok(ExecSession {
        pid,
        input: ExecInput {
            descriptor: Some(input),
            tty,
        },
        events,
        control: ExecControl { sender: control_sender },
    })
}

/// Owns the connection until the command ended and its output is read, or nobody listens any more.
async fn serve(
    mut connection: Connection,
    mut controls: mpsc::Receiver<Control>,
    outputs: Vec<(Arc<Descriptor>, bool)>,
    events: mpsc::Sender<ExecEvent>,
) {
    let mut readers = JoinSet::new();
    for (descriptor, stderr) in outputs {
        readers.spawn(pump(descriptor, stderr, events.clone()));
    }
    let mut waiting: std::collections::VecDeque<oneshot::Sender<Result<(), ExecError>>> = Default::default();
    let mut controls_open = true;
    let last = loop {
        tokio::select! {
            () = events.closed() => return,
            control = controls.recv(), if controls_open => match control {
                Some(Control::Ask(request, sender)) => match connection.send(&request).await {
                    Ok(()) => waiting.push_back(sender),
                    Err(error) => drop(sender.send(Err(error.into()))),
                },
                None => controls_open = false,
            },
            frame = connection.receive() => match frame {
                Ok(Some(Response::ExecExited { exit_code })) => break ExecEvent::Exited { exit_code },
                Ok(Some(Response::Error { message })) => answer(&mut waiting, Err(ExecError::NotStarted { message })),
                Ok(Some(Response::Ok)) => answer(&mut waiting, Ok(())),
                Ok(Some(Response::Hello { .. } | Response::Status(_) | Response::ExecStarted { .. })) => {}
                Ok(None) | Err(_) => break ExecEvent::Lost,
            },
        }
    };
    // Children in the background may hold the output open for ever; a slow reader of `events` may not lose any of it.
    let mut is_drained = false;
    for _ in 0..DRAIN_TURNS {
        let drained = async { while readers.join_next().await.is_some() {} };
        is_drained = is_drained || timeout(DRAIN_TURN, drained).await.is_ok();
    }
    if !is_drained && events.capacity() == 0 {
        let rest = async { while readers.join_next().await.is_some() {} };
        let _background_children = timeout(Duration::from_secs(ANSWER_S_MAX), rest).await;
    }
    readers.abort_all();
    let _nobody_listens = events.send(last).await;
}

/// Answers the oldest open question. Its asker may have gone: that is no one's loss.
fn answer(
    waiting: &mut std::collections::VecDeque<oneshot::Sender<Result<(), ExecError>>>,
    result: Result<(), ExecError>,
) {
    if let Some(sender) = waiting.pop_front() {
        drop(sender.send(result));
    }
}

async fn pump(descriptor: Arc<Descriptor>, stderr: bool, events: mpsc::Sender<ExecEvent>) {
    let mut buffer = vec![0; OUTPUT_BYTES_MAX];
    loop {
        let Ok(read @ 1..) = descriptor.read(&mut buffer).await else {
            return;
        };
        let data = buffer.get(..read).unwrap_or_default().to_vec();
        if events.send(ExecEvent::Output { stderr, data }).await.is_err() {
            return;
        }
    }
}
