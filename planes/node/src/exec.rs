//! Exec sessions: control's messages to a command in a container, and its output back.

use crate::shared::{Link, Shared};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use honmaru_base::chain;
use honmaru_contract::node::{ExecOpen, FromNode};
use honmaru_runtime::{ExecEvent, ExecSession, ExecStart};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc;
use tracing::info;

/// Sessions at one time on this node.
const SESSIONS_MAX: usize = 256;

/// Pieces of input that wait for a command that does not read; with more the session is ended.
const INPUTS_QUEUED_MAX: usize = 1_024;

enum Input {
    Data(Vec<u8>),
    Resize(u16, u16),
}

/// The open sessions of one connection. Dropping it ends them all and kills their commands.
#[derive(Default)]
pub(crate) struct Sessions(BTreeMap<String, mpsc::Sender<Input>>);

impl Sessions {
    pub fn open(&mut self, shared: &Arc<Shared>, link: &Link, open: ExecOpen) {
        self.0.retain(|_, inputs| !inputs.is_closed());
        let refusal = if self.0.len() >= SESSIONS_MAX {
            Some("too many exec sessions are open on this node")
        } else if self.0.contains_key(&open.session) {
            Some("a session of that name is open")
        } else {
            None
        };
        if let Some(refusal) = refusal {
            shared.tell(exited(&open.session, None, Some(refusal.to_owned())));
            return;
        }
        let (sender, inputs) = mpsc::channel(INPUTS_QUEUED_MAX);
        self.0.insert(open.session.clone(), sender);
        let (shared, link) = (Arc::clone(shared), link.clone());
        tokio::spawn(async move {
            let session = open.session.clone();
            let last = match start(&shared, open).await {
                Ok(running) => serve(&session, running, inputs, &link).await,
                Err(error) => exited(&session, None, Some(error)),
            };
            // Control may be gone, and with it whoever waited for this.
            let _ = link.bulk.send(last).await;
        });
    }

    pub fn input(&mut self, session: &str, data: &str) {
        // What is no base64 comes from a broken control; the session cannot go on without what was meant.
        let delivered = match (STANDARD.decode(data), self.0.get(session)) {
            (Ok(data), Some(inputs)) => inputs.try_send(Input::Data(data)).is_ok(),
            _ => false,
        };
        if !delivered {
            self.close(session);
        }
    }

    pub fn resize(&mut self, session: &str, cols: u16, rows: u16) {
        if let Some(inputs) = self.0.get(session) {
            // A lost resize is repaired by the next one.
            let _ = inputs.try_send(Input::Resize(cols, rows));
        }
    }

    pub fn close(&mut self, session: &str) {
        self.0.remove(session);
    }
}

async fn start(shared: &Shared, open: ExecOpen) -> Result<ExecSession, String> {
    let task = shared.runtime.task(&open.task_id).map_err(|e| chain(&e))?;
    info!(task_id = %open.task_id, container = %open.container, "exec session opened");
    task.exec(ExecStart {
        container: open.container,
        command: open.command,
        tty: open.tty,
        cols: open.cols,
        rows: open.rows,
        ..ExecStart::default()
    })
    .await
    .map_err(|e| chain(&e))
}

/// Passes bytes on until the command ends; a closed session or connection kills it. Gives the last message.
async fn serve(session: &str, mut running: ExecSession, mut inputs: mpsc::Receiver<Input>, link: &Link) -> FromNode {
    loop {
        tokio::select! {
            event = running.events.recv() => match event {
                Some(ExecEvent::Output { stderr, data }) => {
                    let message =
                        FromNode::ExecOutput { session: session.to_owned(), stderr, data: STANDARD.encode(data) };
                    if link.bulk.send(message).await.is_err() {
                        return exited(session, None, Some("control is gone".to_owned()));
                    }
                }
                Some(ExecEvent::Exited { exit_code }) => return exited(session, Some(exit_code), None),
                Some(ExecEvent::Lost) | None => {
                    return exited(session, None, Some("the task ended under the session".to_owned()));
                }
            },
            input = inputs.recv() => match input {
                Some(Input::Data(data)) if data.is_empty() => running.input.close().await,
                Some(Input::Data(data)) => {
                    // A command that does not read must not keep its output from being read.
                    let write = running.input.write(&data);
                    tokio::pin!(write);
                    loop {
                        tokio::select! {
                            // The command closed its input: what it writes still counts.
                            _ = &mut write => break,
                            event = running.events.recv() => match event {
                                Some(ExecEvent::Output { stderr, data }) => {
                                    let message = FromNode::ExecOutput {
                                        session: session.to_owned(),
                                        stderr,
                                        data: STANDARD.encode(data),
                                    };
                                    if link.bulk.send(message).await.is_err() {
                                        return exited(session, None, Some("control is gone".to_owned()));
                                    }
                                }
                                Some(ExecEvent::Exited { exit_code }) => return exited(session, Some(exit_code), None),
                                Some(ExecEvent::Lost) | None => {
                                    return exited(session, None, Some("the task ended under the session".to_owned()));
                                }
                            },
                        }
                    }
                }
                Some(Input::Resize(cols, rows)) => {
                    // The command may just have ended; its end follows.
                    let _ = running.control.resize(cols, rows).await;
                }
                // Dropping the session kills the command and its children.
                None => return exited(session, None, Some("the session was closed".to_owned())),
            },
        }
    }
}

fn exited(session: &str, exit_code: Option<i32>, error: Option<String>) -> FromNode {
    FromNode::ExecExited {
        session: session.to_owned(),
        exit_code,
        error,
    }
}
