//! Exec sessions: a websocket of the Session Manager's protocol on one side, a process in a container on the other.

use super::Control;
use super::audit::{Head, What};
use super::http::{AnswerBody, full, text};
use super::link::Sender;
use super::listener::Peer;
use super::session_log::SessionLog;
use crate::data_channel::{CHANNEL_CLOSED, INPUT_STREAM_DATA, Message, OUTPUT_STREAM_DATA, PayloadType, TERMINAL};
use ::http::{Request, Response, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt, StreamExt};
use honmaru_base::{Clock, Rng, Scope};
use honmaru_cloudtrail::Who;
use honmaru_contract::node::{ExecOpen, ToNode};
use honmaru_engine::{SystemClock, system_rng};
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use subtle::ConstantTimeEq;
use tokio::sync::{Semaphore, mpsc};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self};

/// Pieces of output that may wait for a slow client. A full queue ends the session: the node's link, which carries
/// everything else too, waits for nobody.
const OUTPUT_QUEUED_MAX: usize = 4_096;
/// Sessions at once. Whoever opens one shows its token only then, and keeps no place among the endpoint's connections.
const SESSIONS_MAX: usize = 512;
/// How long a client has for its token and its handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a client has to read what is left and to close its side.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);
/// A session without a word from either side ends. Ref: ECS Exec: "idle timeout of 20 minutes".
const IDLE_TIMEOUT: Duration = Duration::from_secs(20 * 60);
/// Older plugins know every feature that an agent of this version has; newer versions would be offered multiplexing.
const AGENT_VERSION: &str = "3.0.100.0";

/// What the node says of a session.
enum ExecEvent {
    Output {
        stderr: bool,
        data: Vec<u8>,
    },
    Exited {
        exit_code: Option<i32>,
        error: Option<String>,
    },
}

/// The places of sessions.
static PLACES: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(SESSIONS_MAX)));

/// The open sessions and the node that they run on.
#[derive(Default)]
pub struct Execs {
    node: Mutex<Option<Sender<ToNode>>>,
    open: Mutex<HashMap<String, mpsc::Sender<ExecEvent>>>,
}

impl Execs {
    /// Remembers the node that connected last.
    pub fn attach(&self, node: Sender<ToNode>) {
        *self.node.lock() = Some(node);
    }

    fn send(&self, message: ToNode) -> bool {
        self.node.lock().as_ref().is_some_and(|node| node.send(message).is_ok())
    }

    /// Output of a session.
    pub fn output(&self, session: &str, stderr: bool, data: String) {
        if let Ok(data) = STANDARD.decode(data) {
            self.tell(session, ExecEvent::Output { stderr, data });
        }
    }

    /// The end of a session.
    pub fn exited(&self, session: &str, exit_code: Option<i32>, error: Option<String>) {
        self.tell(session, ExecEvent::Exited { exit_code, error });
    }

    fn tell(&self, session: &str, event: ExecEvent) {
        let mut open = self.open.lock();
        if let Some(channel) = open.get(session)
            && channel.try_send(event).is_err()
        {
            // Too slow, or gone. The session's own task learns it from its closed channel and tells the node.
            open.remove(session);
        }
    }
}

/// The data channel of one session.
pub async fn data_channel(control: &Arc<Control>, request: Request<Incoming>, peer: Peer) -> Response<AnswerBody> {
    let session = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
    let wants_websocket = request
        .headers()
        .get(header::UPGRADE)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
    let Some(key) = request
        .headers()
        .get(header::SEC_WEBSOCKET_KEY)
        .filter(|_| wants_websocket)
    else {
        return text(StatusCode::UPGRADE_REQUIRED, "this is a websocket\n");
    };
    let Ok(place) = PLACES.clone().try_acquire_owned() else {
        return text(StatusCode::SERVICE_UNAVAILABLE, "there are too many sessions\n");
    };
    let accept = derive_accept_key(key.as_bytes());
    // The session's id is in the path; it opens nothing without its token.
    let head = Head::of(request.method(), request.uri().path(), request.headers(), peer);
    let control = control.clone();
    tokio::spawn(async move {
        let Ok(upgraded) = hyper::upgrade::on(request).await else {
            return;
        };
        let config = WebSocketConfig::default().max_message_size(Some(1024 * 1024));
        let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
        if let Err(error) = Channel::new(control, socket, session, head).run().await {
            tracing::info!(error = %format!("{error:#}"), "an exec session ended");
        }
        drop(place);
    });
    let mut response = Response::new(full(""));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, header::HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, header::HeaderValue::from_static("websocket"));
    if let Ok(accept) = accept.parse() {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}

struct Channel {
    control: Arc<Control>,
    socket: WebSocketStream<TokioIo<Upgraded>>,
    session: String,
    head: Head,
    rng: honmaru_base::SeededRng,
    sequence: i64,
}

impl Channel {
    fn new(control: Arc<Control>, socket: WebSocketStream<TokioIo<Upgraded>>, session: String, head: Head) -> Self {
        Self {
            control,
            socket,
            session,
            head,
            rng: system_rng(),
            sequence: 0,
        }
    }

    fn id(&mut self) -> [u8; 16] {
        let mut id = [0; 16];
        self.rng.fill(&mut id);
        id
    }

    async fn send(&mut self, message: &Message) -> anyhow::Result<()> {
        let bytes = message.encode(SystemClock.now().as_ms());
        Ok(self.socket.send(tungstenite::Message::Binary(bytes.into())).await?)
    }

    async fn send_payload(&mut self, payload_type: PayloadType, payload: Vec<u8>) -> anyhow::Result<()> {
        let id = self.id();
        let message = Message::new(OUTPUT_STREAM_DATA, self.sequence, id, payload_type as u32, payload);
        self.sequence += 1;
        self.send(&message).await
    }

    /// The message in a frame, acknowledged; nothing for frames that carry no input. Not to be dropped half-way: the
    /// client would think that the message was taken.
    async fn message(&mut self, frame: tungstenite::Message) -> anyhow::Result<Option<Message>> {
        let tungstenite::Message::Binary(bytes) = frame else {
            return Ok(None);
        };
        let message = Message::decode(&bytes)?;
        if message.message_type != INPUT_STREAM_DATA {
            return Ok(None);
        }
        let id = self.id();
        self.send(&Message::acknowledge(&message, id)).await?;
        Ok(Some(message))
    }

    /// The next message of the client, acknowledged.
    async fn receive(&mut self) -> anyhow::Result<Option<Message>> {
        while let Some(frame) = self.socket.next().await {
            let frame = frame?;
            if frame.is_close() {
                return Ok(None);
            }
            if let Some(message) = self.message(frame).await? {
                return Ok(Some(message));
            }
        }
        Ok(None)
    }

    async fn run(mut self) -> anyhow::Result<()> {
        let Some((open, mut log)) = tokio::time::timeout(HANDSHAKE_TIMEOUT, self.handshake()).await?? else {
            return Ok(());
        };
        let (events, mut heard) = mpsc::channel(OUTPUT_QUEUED_MAX);
        self.control.execs.open.lock().insert(self.session.clone(), events);
        let ran = if self.control.execs.send(ToNode::ExecOpen(open)) {
            self.relay(&mut heard, &mut log).await
        } else {
            self.close("the node that runs the task is not connected").await
        };
        self.control.execs.open.lock().remove(&self.session);
        self.control.execs.send(ToNode::ExecClose {
            session: self.session.clone(),
        });
        // The client is gone or done; what came before that is recorded all the same.
        while let Ok(event) = heard.try_recv() {
            if let ExecEvent::Output { data, .. } = event {
                log.add(&self.control, &data).await;
            }
        }
        log.finish(&self.control).await;
        ran
    }

    /// A session that was opened well is in the trail as ExecuteCommand; this is somebody without its token.
    fn record_refused(&self) {
        let home = &self.control.home;
        let scope = Scope {
            account: home.account.clone(),
            region: home.region.clone(),
        };
        let what = What {
            service: "ssmmessages",
            source: "ssmmessages.amazonaws.com".to_owned(),
            name: "OpenDataChannel",
            input: serde_json::Value::Null,
            resources: Vec::new(),
        };
        let error = Some((
            "AccessDeniedException",
            "There is no such session, or the token is not its own.",
        ));
        let (id, now) = (super::api::request_id(), SystemClock.now());
        let head = self.head.clone();
        let record = head.record(scope, Who::unknown(None), what, &id, 403, error, now, Duration::ZERO);
        self.control.audit.record(record);
    }

    /// The token, then the three messages of the handshake. Nothing when the token is wrong.
    async fn handshake(&mut self) -> anyhow::Result<Option<(ExecOpen, SessionLog)>> {
        let token = loop {
            match self.socket.next().await {
                Some(Ok(tungstenite::Message::Text(text))) => {
                    let greeting: serde_json::Value = serde_json::from_str(text.as_str())?;
                    break greeting
                        .get("TokenValue")
                        .and_then(|t| t.as_str())
                        .unwrap_or_default()
                        .to_owned();
                }
                Some(Ok(tungstenite::Message::Ping(_) | tungstenite::Message::Pong(_))) => {}
                _ => return Ok(None),
            }
        };
        let id = self.session.clone();
        let found = self
            .control
            .engine
            .read(move |state| {
                honmaru_ecs::find_session(state, &id).map(|(scope, session)| (scope.clone(), session.clone()))
            })
            .await?;
        let found = found.filter(|(_, session)| bool::from(session.token.as_bytes().ct_eq(token.as_bytes())));
        let Some((scope, session)) = found else {
            self.record_refused();
            self.socket.close(None).await?;
            return Ok(None);
        };
        let request = serde_json::json!({
            "AgentVersion": AGENT_VERSION,
            "RequestedClientActions": [{
                "ActionType": "SessionType",
                "ActionParameters": {
                    "SessionType": "InteractiveCommands",
                    "Properties": { "commands": session.command },
                },
            }],
        });
        self.send_payload(PayloadType::HandshakeRequest, request.to_string().into_bytes())
            .await?;
        let (mut cols, mut rows) = (80, 24);
        let tty = loop {
            let Some(message) = self.receive().await? else {
                return Ok(None);
            };
            if message.payload_type == PayloadType::HandshakeResponse as u32 {
                // `honmaru exec` says that it has no terminal; the plugin says nothing and gets one, as from AWS's agent.
                let response: serde_json::Value = serde_json::from_slice(&message.payload).unwrap_or_default();
                break session.interactive && response.get(TERMINAL) != Some(&serde_json::Value::Bool(false));
            }
            if message.payload_type == PayloadType::Size as u32 {
                (cols, rows) = size(&message.payload).unwrap_or((cols, rows));
            }
        };
        let mut complete = serde_json::json!({ "HandshakeTimeToComplete": 0, "CustomerMessage": "" });
        if let (false, Some(members)) = (tty, complete.as_object_mut()) {
            members.insert(TERMINAL.to_owned(), false.into());
        }
        self.send_payload(PayloadType::HandshakeComplete, complete.to_string().into_bytes())
            .await?;
        let log = SessionLog::new(&scope, &self.session, session.log);
        let open = ExecOpen {
            session: self.session.clone(),
            task_id: session.task_id,
            container: session.container,
            // As the agent does: the command is a line for the shell's rules of words.
            command: crate::words::split(&session.command),
            tty,
            cols,
            rows,
        };
        Ok(Some((open, log)))
    }

    async fn relay(&mut self, heard: &mut mpsc::Receiver<ExecEvent>, log: &mut SessionLog) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                event = heard.recv() => match event {
                    Some(ExecEvent::Output { stderr, data }) => {
                        log.add(&self.control, &data).await;
                        let kind = if stderr { PayloadType::StdErr } else { PayloadType::Output };
                        for piece in data.chunks(1024) {
                            self.send_payload(kind, piece.to_vec()).await?;
                        }
                    }
                    Some(ExecEvent::Exited { exit_code, error }) => {
                        log.finish(&self.control).await;
                        if let Some(code) = exit_code {
                            self.send_payload(PayloadType::ExitCode, code.to_string().into_bytes()).await?;
                        }
                        return self.close(error.as_deref().unwrap_or_default()).await;
                    }
                    None => return self.close("the session ended: its output was read too slowly").await,
                },
                // Only the wait for a frame is given up when the other branch is taken; what follows is not.
                frame = self.socket.next() => {
                    let Some(frame) = frame.transpose()?.filter(|frame| !frame.is_close()) else { return Ok(()) };
                    if let Some(message) = self.message(frame).await?
                        && !self.input(message)
                    {
                        return self.close("").await;
                    }
                }
                () = log.wait() => log.write(&self.control).await,
                () = tokio::time::sleep(IDLE_TIMEOUT) => return self.close("the session was idle for too long").await,
            }
        }
    }

    /// Hands input on. Returns whether the session goes on.
    fn input(&self, message: Message) -> bool {
        let session = self.session.clone();
        let execs = &self.control.execs;
        match message.payload_type {
            t if t == PayloadType::Output as u32 => execs.send(ToNode::ExecInput {
                session,
                data: STANDARD.encode(&message.payload),
            }),
            t if t == PayloadType::Size as u32 => match size(&message.payload) {
                Some((cols, rows)) => execs.send(ToNode::ExecResize { session, cols, rows }),
                None => true,
            },
            t if t == PayloadType::Flag as u32 => {
                let flag = message
                    .payload
                    .get(..4)
                    .and_then(|b| b.try_into().ok())
                    .map(u32::from_be_bytes);
                // 2: the user ends the session. Ref: plugin, `TerminateSession`.
                flag != Some(2)
            }
            _ => true,
        }
    }

    /// Says that the session is over, with a sentence for the user where there is one.
    async fn close(&mut self, sentence: &str) -> anyhow::Result<()> {
        let payload = serde_json::json!({
            "MessageType": CHANNEL_CLOSED,
            "SessionId": self.session,
            "DestinationId": "",
            "SchemaVersion": 1,
            "Output": sentence,
        });
        let id = self.id();
        let message = Message::new(CHANNEL_CLOSED, self.sequence, id, 0, payload.to_string().into_bytes());
        self.send(&message).await?;
        self.socket.close(None).await?;
        // Acknowledgements are still on their way here. A socket that is closed before they are read is reset by the
        // kernel, and the client loses output that it has not read yet.
        let drained = async { while let Some(Ok(_)) = self.socket.next().await {} };
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, drained).await;
        Ok(())
    }
}

/// `{"cols": n, "rows": n}`.
fn size(payload: &[u8]) -> Option<(u16, u16)> {
    let size: serde_json::Value = serde_json::from_slice(payload).ok()?;
    let number = |name: &str| size.get(name)?.as_u64().and_then(|n| u16::try_from(n).ok());
    Some((number("cols")?, number("rows")?))
}
