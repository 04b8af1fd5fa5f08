//! Clients and their sessions.

use super::{CLIENTS_MAX, FAREWELL_MS_MAX, Supervisor};
use crate::client::{Client, Incoming};
use crate::failure::Failure;
use crate::process::{self, Report};
use crate::session::{Purpose, SESSIONS_MAX, Session};
use crate::sys;
use honmaru_runtime_protocol::{ExecStart, PROTOCOL, Request, Response, StopCause};
use std::io;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

impl Supervisor {
    pub(super) fn accept(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            if self.clients.len() >= CLIENTS_MAX {
                continue;
            }
            self.next_id += 1;
            let id = self.next_id;
            // One that cannot be made non-blocking is closed.
            if let Ok(client) = Client::new(id, stream) {
                self.clients.insert(id, client);
            }
        }
    }

    /// Reads requests and writes answers of one client.
    pub(super) fn serve(&mut self, id: u64) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        if client.write().is_err() {
            return self.hang_up(id);
        }
        match client.read() {
            Ok(frames) => frames.into_iter().for_each(|frame| self.handle(id, frame)),
            Err(_) => return self.hang_up(id),
        }
        if self.clients.get_mut(&id).is_some_and(|client| client.write().is_err()) {
            self.hang_up(id);
        }
    }

    /// Forgets a client and kills what it ran.
    fn hang_up(&mut self, id: u64) {
        self.clients.remove(&id);
        for session in self
            .sessions
            .values_mut()
            .filter(|session| session.purpose == Purpose::Client(id))
        {
            session.cgroup.kill_session();
            session.pid.into_iter().for_each(|pid| sys::kill(pid, libc::SIGKILL));
        }
    }

    fn handle(&mut self, id: u64, incoming: Incoming) {
        let answer = match incoming {
            Incoming::Nonsense(why) => Err(why),
            Incoming::Request(request) => self.answer(id, request),
        };
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        match answer {
            Ok(Some(response)) => client.answer(&response, Vec::new()),
            Ok(None) => {}
            Err(why) => client.refuse(why),
        }
    }

    /// The answer, or nothing when it comes later.
    fn answer(&mut self, id: u64, request: Request) -> Result<Option<Response>, String> {
        match request {
            Request::Hello { protocol: _ } => Ok(Some(Response::Hello {
                protocol: PROTOCOL,
                shim_pid: std::process::id(),
            })),
            Request::Status => Ok(Some(Response::Status(self.status()))),
            Request::Subscribe => {
                self.clients
                    .get_mut(&id)
                    .into_iter()
                    .for_each(|client| client.subscribed = true);
                Ok(Some(Response::Status(self.status())))
            }
            Request::Stop => {
                self.begin_stop(StopCause::Asked);
                Ok(Some(Response::Ok))
            }
            Request::Signal { container, signal } => {
                let pid = self.running(&container).and_then(|index| {
                    self.units
                        .get(index)
                        .and_then(|unit| unit.running_pid())
                        .ok_or_else(|| not_running(&container))
                })?;
                sys::kill(pid, checked_signal(signal)?);
                Ok(Some(Response::Ok))
            }
            Request::Exec(request) => {
                if self
                    .sessions
                    .values()
                    .any(|session| session.purpose == Purpose::Client(id))
                {
                    return Err("this connection has an exec session".into());
                }
                let index = self.running(&request.container)?;
                self.open_session(index, &request, Purpose::Client(id), None)
                    .map_err(|failure| failure.message)?;
                Ok(None)
            }
            Request::ExecResize { cols, rows } => {
                let terminal = self
                    .session_of(id)?
                    .terminal
                    .as_ref()
                    .ok_or("this exec session has no terminal")?;
                sys::set_terminal_size(terminal.as_raw_fd(), cols, rows).map_err(|error| error.to_string())?;
                Ok(Some(Response::Ok))
            }
            Request::ExecSignal { signal } => {
                let (signal, session) = (checked_signal(signal)?, self.session_of(id)?);
                if signal == libc::SIGKILL {
                    session.cgroup.kill_session();
                }
                session.pid.into_iter().for_each(|pid| sys::kill(pid, signal));
                Ok(Some(Response::Ok))
            }
        }
    }

    fn running(&self, container: &str) -> Result<usize, String> {
        let Some(index) = self.units.iter().position(|unit| unit.spec.name == container) else {
            return Err(format!("no container `{container}` in this task"));
        };
        let runs = self.units.get(index).is_some_and(|unit| unit.running_pid().is_some());
        if runs { Ok(index) } else { Err(not_running(container)) }
    }

    fn session_of(&mut self, client: u64) -> Result<&mut Session, String> {
        let found = self
            .sessions
            .values_mut()
            .find(|session| session.purpose == Purpose::Client(client));
        found
            .filter(|session| session.exit_code.is_none())
            .ok_or_else(|| "this connection has no exec session".into())
    }

    /// Begins a session; its outcome comes as reports.
    pub(super) fn open_session(
        &mut self,
        index: usize,
        request: &ExecStart,
        purpose: Purpose,
        deadline: Option<Instant>,
    ) -> Result<(), Failure> {
        if self.sessions.len() >= SESSIONS_MAX {
            return Err(Failure::new(
                "exec",
                format!("{SESSIONS_MAX} commands run in this task already"),
            ));
        }
        if request.command.is_empty() {
            return Err(Failure::new("exec", "no command"));
        }
        let (Some(unit), id) = (self.units.get(index), self.next_id + 1) else {
            return Err(Failure::new("exec", "no such container"));
        };
        let Some(target) = unit.running_pid() else {
            return Err(Failure::new("exec", not_running(&unit.spec.name)));
        };
        self.next_id = id;
        let own = unit.cgroup.child(&format!("x{id}"));
        own.create_session()?;
        let place = process::Session {
            container: &unit.spec,
            target,
            cgroup: &unit.cgroup,
            session: &own,
        };
        match process::start_session(request, &place, &self.around, purpose == Purpose::Health) {
            Ok(starting) => {
                self.sessions
                    .insert(id, Session::new(index, purpose, own, starting, deadline));
                Ok(())
            }
            Err(failure) => {
                own.remove_session();
                Err(failure)
            }
        }
    }

    /// A session that is starting reported.
    pub(super) fn session_reports(&mut self, id: u64) {
        loop {
            let Some(session) = self.sessions.get_mut(&id) else {
                return;
            };
            let Some(report) = &session.report else { return };
            match process::next_report(report) {
                Ok(Report::Pid(pid)) => session.pid = Some(pid),
                Ok(Report::Terminal(master)) => session.terminal = Some(master),
                Ok(Report::Ready) => session.ready = true,
                Ok(Report::Failed(failure)) => session.failure = Some(failure),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Ok(Report::End) | Err(_) => {
                    session.report = None;
                    if !session.ready && session.failure.is_none() {
                        let text = "the process ended before it could run its command";
                        session.failure = Some(Failure::new("exec", text));
                    }
                    return self.session_started(id);
                }
            }
        }
    }

    /// The command runs, or never will: tells the client.
    fn session_started(&mut self, id: u64) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let Purpose::Client(client_id) = session.purpose else {
            return;
        };
        let Some(client) = self.clients.get_mut(&client_id) else {
            // It hung up while the command was starting.
            session.cgroup.kill_session();
            return;
        };
        if let Some(failure) = &session.failure {
            return client.refuse(failure.message.clone());
        }
        let descriptors = match &session.terminal {
            // Ours stays for resizing.
            Some(terminal) => terminal.try_clone().into_iter().collect(),
            None => std::mem::take(&mut session.pipes),
        };
        let pid = session.pid.unwrap_or_default().unsigned_abs();
        client.answer(&Response::ExecStarted { pid }, descriptors);
    }

    /// Ends sessions whose command ended (or never began) and whose helper is reaped.
    pub(super) fn close_sessions(&mut self) {
        let over: Vec<u64> = self
            .sessions
            .iter()
            .filter(|(_, session)| {
                let ended = session.exit_code.is_some() || session.pid.is_none();
                session.report.is_none() && session.helper.is_none() && ended
            })
            .map(|(id, _)| *id)
            .collect();
        for id in over {
            let Some(session) = self.sessions.remove(&id) else {
                continue;
            };
            match session.purpose {
                Purpose::Health => {
                    // What a check leaves behind would pile up, check after check.
                    session.cgroup.kill_session();
                    self.health_result(session.unit, session.running() && session.exit_code == Some(0));
                }
                Purpose::Client(client_id) => {
                    if let (true, Some(exit_code), Some(client)) =
                        (session.running(), session.exit_code, self.clients.get_mut(&client_id))
                    {
                        client.answer(&Response::ExecExited { exit_code }, Vec::new());
                    }
                }
            }
            // Children in the background may go on; their cgroup goes with the container's.
            session.cgroup.remove_session();
        }
        self.flush();
    }

    /// Writes what sockets take. Those that fail are found by the next read.
    fn flush(&mut self) {
        let failed: Vec<u64> = self
            .clients
            .values_mut()
            .filter(|client| client.wants_to_write())
            .filter_map(|client| client.write().is_err().then_some(client.id))
            .collect();
        failed.into_iter().for_each(|id| self.hang_up(id));
    }

    /// Gives the last answers a moment to be read.
    pub(super) fn say_farewell(&mut self) {
        let until = Instant::now() + Duration::from_millis(FAREWELL_MS_MAX);
        self.flush();
        while self.clients.values().any(Client::wants_to_write) && Instant::now() < until {
            let writers = self.clients.values().filter(|client| client.wants_to_write());
            let mut set: Vec<libc::pollfd> = writers
                .map(|client| libc::pollfd {
                    fd: client.descriptor(),
                    events: libc::POLLOUT,
                    revents: 0,
                })
                .collect();
            sys::poll(&mut set, 50);
            self.flush();
        }
    }
}

fn checked_signal(signal: i32) -> Result<i32, String> {
    if (1..=64).contains(&signal) {
        Ok(signal)
    } else {
        Err(format!("no signal {signal}; 1 to 64 are possible"))
    }
}

fn not_running(container: &str) -> String {
    format!("container `{container}` is not running")
}
