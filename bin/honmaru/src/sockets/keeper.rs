//! The role's side: gives its listening sockets to `honmaru up`, and begins with those that a former process gave.
//!
//! It keeps a descriptor of each socket itself, so that an `up` that was started anew gets them all again.

use super::KEPT_MAX;
use super::line::{self, Message};
use honmaru_edge::KeptSockets;
use parking_lot::Mutex;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::net::{
    AddressFamily, Shutdown, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, shutdown, socket_with,
    sockopt,
};
use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How long `honmaru up` may take for one packet.
const PATIENCE: Duration = Duration::from_secs(1);
/// The pause between attempts to reach an `up` that is away.
const REDIAL_PAUSE: Duration = Duration::from_millis(200);
/// Connections that wait for `accept`; the kernel's own limit (net.core.somaxconn) is 4,096 too.
const BACKLOG: i32 = 4_096;

/// A role's kept sockets. Dropping it ends the line, not the sockets.
pub struct Keeper {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    line: Option<Arc<OwnedFd>>,
    /// What this process listens with.
    held: BTreeMap<SocketAddr, OwnedFd>,
    /// What a former process listened with and this one has not asked for.
    offered: BTreeMap<SocketAddr, OwnedFd>,
    is_settled: bool,
    is_over: bool,
}

impl State {
    /// Says something. A line that fails is given up; the next one begins with everything.
    fn say(&mut self, message: Message, socket: Option<BorrowedFd<'_>>) {
        let Some(line) = self.line.clone() else { return };
        if let Err(error) = line::send(&line, message, socket) {
            tracing::warn!(%error, "`honmaru up` does not take what it is told about sockets");
            // Wakes the thread that waits for the line's end.
            let _ = shutdown(&line, Shutdown::Both);
            self.line = None;
        }
    }

    fn let_go(&mut self, address: SocketAddr, socket: &OwnedFd) {
        // Whoever else has a descriptor: nobody listens any more. One that is out already is no matter.
        let _ = shutdown(socket, Shutdown::Read);
        self.say(Message::Drop(address), None);
    }

    fn let_go_of_offered(&mut self) {
        for (address, socket) in std::mem::take(&mut self.offered) {
            tracing::info!(%address, "a kept socket is no longer wanted");
            self.let_go(address, &socket);
        }
    }
}

impl Keeper {
    /// Gets what is kept for this role from `honmaru up`, which listens at `path`, and keeps the line to it from then
    /// on, through restarts of `up`. Without an `up` nothing is kept, and everything works.
    pub fn start(path: PathBuf) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            path,
            state: Mutex::default(),
        });
        if let Err(error) = shared.dial() {
            tracing::warn!(path = %shared.path.display(), %error, "listening sockets are not kept: `honmaru up` is away");
        }
        let follower = shared.clone();
        std::thread::Builder::new()
            .name("kept-sockets".to_owned())
            .spawn(move || follower.follow())?;
        Ok(Self { shared })
    }

    /// Whether an `up` is there that gives the sockets to the next process of the role.
    pub fn is_taken_over(&self) -> bool {
        let mut state = self.shared.state.lock();
        // It shows when it is spoken to.
        state.say(Message::All, None);
        state.line.is_some()
    }

    /// Listens at an address: with the kept socket where there is one, else with a new one, which is kept. Non-blocking.
    pub fn listen(&self, address: SocketAddr) -> io::Result<TcpListener> {
        if let Some(socket) = self.take(address) {
            match line::listening_address(&socket) {
                Ok(_) => {
                    tracing::info!(%address, "goes on with a kept socket");
                    return Ok(socket.into());
                }
                Err(error) => {
                    tracing::warn!(%address, %error, "a kept socket is of no use");
                    self.release(address);
                }
            }
        }
        let family = if address.is_ipv4() {
            AddressFamily::INET
        } else {
            AddressFamily::INET6
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(family, SocketType::STREAM, flags, None)?;
        sockopt::set_socket_reuseaddr(&socket, true)?;
        bind(&socket, &address)?;
        listen(&socket, BACKLOG)?;
        self.keep(line::address_of(&socket)?, socket.as_fd());
        Ok(socket.into())
    }
}

impl KeptSockets for Keeper {
    fn take(&self, address: SocketAddr) -> Option<OwnedFd> {
        let mut state = self.shared.state.lock();
        let socket = state.offered.remove(&address)?;
        let copy = socket.try_clone();
        // Said again: the `up` of today may not be the one that offered it.
        state.say(Message::Socket, Some(socket.as_fd()));
        state.held.insert(address, socket);
        copy.inspect_err(|error| tracing::warn!(%address, %error, "failed to take a kept socket"))
            .ok()
    }

    fn keep(&self, address: SocketAddr, socket: BorrowedFd<'_>) {
        let mut state = self.shared.state.lock();
        match socket.try_clone_to_owned() {
            Ok(copy) => {
                state.say(Message::Socket, Some(socket));
                state.held.insert(address, copy);
            }
            Err(error) => tracing::warn!(%address, %error, "a socket is not kept"),
        }
    }

    fn release(&self, address: SocketAddr) {
        let mut state = self.shared.state.lock();
        let (held, offered) = (state.held.remove(&address), state.offered.remove(&address));
        for socket in held.into_iter().chain(offered) {
            state.let_go(address, &socket);
        }
    }

    fn settle(&self) {
        let mut state = self.shared.state.lock();
        state.is_settled = true;
        state.let_go_of_offered();
    }

    fn leave(&self) {
        if !self.is_taken_over() {
            let state = self.shared.state.lock();
            for socket in state.held.values().chain(state.offered.values()) {
                let _ = shutdown(socket, Shutdown::Read);
            }
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.is_over = true;
        if let Some(line) = state.line.take() {
            let _ = shutdown(&line, Shutdown::Both);
        }
    }
}

impl Shared {
    /// Waits for the end of the line and makes the next one, until the keeper is dropped.
    fn follow(&self) {
        loop {
            let line = {
                let state = self.state.lock();
                if state.is_over {
                    return;
                }
                state.line.clone()
            };
            let Some(line) = line else {
                std::thread::sleep(REDIAL_PAUSE);
                if let Err(error) = self.dial() {
                    tracing::debug!(%error, "`honmaru up` is away");
                }
                continue;
            };
            // After its `All` nothing more comes.
            while let Ok(Some(_)) = line::receive(&line) {}
            let mut state = self.state.lock();
            if state.line.as_ref().is_some_and(|current| Arc::ptr_eq(current, &line)) {
                state.line = None;
            }
        }
    }

    fn dial(&self) -> io::Result<()> {
        let line = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        for direction in [sockopt::Timeout::Recv, sockopt::Timeout::Send] {
            sockopt::set_socket_timeout(&line, direction, Some(PATIENCE))?;
        }
        connect(&line, &SocketAddrUnix::new(&self.path)?)?;
        let mut offered = BTreeMap::new();
        loop {
            match line::receive(&line)? {
                Some((Message::Socket, Some(socket))) if offered.len() < KEPT_MAX => {
                    offered.insert(line::address_of(&socket)?, socket);
                }
                Some((Message::All, None)) => break,
                Some(other) => return Err(io::Error::other(format!("unexpected: {other:?}"))),
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        sockopt::set_socket_timeout(&line, sockopt::Timeout::Recv, None)?;
        let mut state = self.state.lock();
        if state.is_over {
            return Ok(());
        }
        for socket in state.held.values() {
            line::send(&line, Message::Socket, Some(socket.as_fd()))?;
        }
        line::send(&line, Message::All, None)?;
        tracing::info!(held = state.held.len(), "`honmaru up` keeps listening sockets");
        state.line = Some(Arc::new(line));
        for (address, socket) in offered {
            if !state.held.contains_key(&address) {
                state.offered.insert(address, socket);
            }
        }
        if state.is_settled {
            state.let_go_of_offered();
        }
        Ok(())
    }
}
