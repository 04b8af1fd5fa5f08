//! The side of `honmaru up`: holds a second descriptor of every socket that a role listens with.
//!
//! It takes sockets from the processes that it started or adopted, known by their ids, and from nobody else; and only
//! TCP sockets that listen, so that an unprivileged role cannot make the supervisor hold anything of another kind.

use super::line::{self, Message};
use anyhow::{Context, bail};
use parking_lot::Mutex;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, chmod};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Lines of one role at once: a new one may begin while what its predecessor said is still read.
const LINES_MAX: usize = 4;
/// How long a role may take for one packet.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long what a dead process said last may take to be read.
const FORMER_PATIENCE: Duration = Duration::from_secs(1);
/// The pause after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The sockets kept for all roles.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    kept_max: usize,
    listener: UnixListener,
    roles: Mutex<BTreeMap<&'static str, Role>>,
    handed_over: Notify,
}

struct Role {
    pid: Option<i32>,
    sockets: BTreeMap<SocketAddr, OwnedFd>,
    line: Option<JoinHandle<()>>,
    places: Arc<Semaphore>,
    is_handed_over: bool,
}

impl Default for Role {
    fn default() -> Self {
        Self {
            pid: None,
            sockets: BTreeMap::new(),
            line: None,
            places: Arc::new(Semaphore::new(LINES_MAX)),
            is_handed_over: false,
        }
    }
}

impl Store {
    /// An empty store that roles reach at `path`, in a directory of root's; a socket that a killed `up` left there is
    /// replaced. Keeps at most `kept_max` sockets for each role. Must be called within a tokio runtime.
    pub fn open(path: &Path, kept_max: usize) -> anyhow::Result<Self> {
        let open = || -> anyhow::Result<UnixListener> {
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let listener = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
            bind(&listener, &SocketAddrUnix::new(path)?)?;
            // Anybody may knock: who is let in is decided by process id.
            chmod(path, Mode::from_raw_mode(0o666))?;
            listen(&listener, 64)?;
            // Packets instead of a stream are all the same to what is used of this type: `accept`, readiness, the peer.
            Ok(UnixListener::from_std(listener.into())?)
        };
        let listener = open().with_context(|| format!("failed to listen on {}", path.display()))?;
        let shared = Shared {
            path: path.to_owned(),
            kept_max,
            listener,
            roles: Mutex::default(),
            handed_over: Notify::new(),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// From now on this process is the role, and it alone gets the role's sockets.
    pub fn expect(&self, role: &'static str, pid: i32) {
        let mut roles = self.shared.roles.lock();
        let role = roles.entry(role).or_default();
        role.pid = Some(pid);
        role.is_handed_over = false;
    }

    /// The role's process has ended. Its sockets stay.
    pub fn ended(&self, role: &'static str) {
        self.shared.roles.lock().entry(role).or_default().pid = None;
    }

    /// Closes a role's sockets: it does not come back, and nobody shall wait for it.
    pub fn forget(&self, role: &'static str) {
        self.shared.roles.lock().entry(role).or_default().sockets.clear();
    }

    /// Waits until the role's process has given all its sockets.
    pub async fn handed_over(&self, role: &'static str) {
        loop {
            let changed = self.shared.handed_over.notified();
            if self
                .shared
                .roles
                .lock()
                .get(role)
                .is_some_and(|role| role.is_handed_over)
            {
                return;
            }
            changed.await;
        }
    }

    /// Takes and gives sockets, for ever.
    pub async fn serve(&self) {
        loop {
            match self.shared.listener.accept().await {
                Ok((line, _)) => self.welcome(line),
                Err(error) => {
                    tracing::warn!(%error, "failed to accept a role's line");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Closes every socket and every line: no role is started again.
    pub async fn close(&self) {
        let _ = std::fs::remove_file(&self.shared.path);
        let lines: Vec<JoinHandle<()>> = {
            let mut roles = self.shared.roles.lock();
            let lines = roles.values_mut().filter_map(|role| role.line.take()).collect();
            roles.clear();
            lines
        };
        for line in lines {
            line.abort();
            // Until its descriptors are closed; the result is that it was aborted.
            let _ = line.await;
        }
    }

    fn welcome(&self, line: UnixStream) {
        let peer = line.peer_cred().ok().and_then(|peer| peer.pid());
        let mut roles = self.shared.roles.lock();
        let found = roles
            .iter_mut()
            .find(|(_, role)| role.pid.is_some() && role.pid == peer);
        let Some((&name, role)) = found else {
            // Also a role that was started, or adopted, a moment too early: it comes again.
            tracing::info!(peer, "a process that is no role of ours asked for sockets");
            return;
        };
        let Ok(place) = role.places.clone().try_acquire_owned() else {
            tracing::warn!(role = name, "a role has too many lines");
            return;
        };
        let former = role.line.take();
        role.is_handed_over = false;
        let store = self.clone();
        role.line = Some(tokio::spawn(async move {
            let _place = place;
            if let Some(mut former) = former {
                // What a killed process said last counts: it is all read before the next one gets anything.
                if timeout(FORMER_PATIENCE, &mut former).await.is_err() {
                    former.abort();
                }
            }
            if let Err(error) = store.follow(name, &line).await {
                tracing::warn!(role = name, err = format!("{error:#}"), "a role's line ended");
            }
        }));
    }

    async fn follow(&self, role: &'static str, line: &UnixStream) -> anyhow::Result<()> {
        let copies = {
            let roles = self.shared.roles.lock();
            let sockets = roles.get(role).map(|role| role.sockets.values());
            let copies = sockets.into_iter().flatten().map(OwnedFd::try_clone);
            copies.collect::<std::io::Result<Vec<_>>>()?
        };
        for copy in &copies {
            say(line, Message::Socket, Some(copy)).await?;
        }
        drop(copies);
        say(line, Message::All, None).await?;
        loop {
            let heard = line.async_io(Interest::READABLE, || line::receive(line)).await?;
            match heard {
                Some((Message::Socket, Some(socket))) => self.keep(role, socket)?,
                Some((Message::Drop(address), _)) => {
                    let dropped = self.of(role, |role| role.sockets.remove(&address));
                    tracing::debug!(role, %address, was_kept = dropped.flatten().is_some(), "dropped");
                }
                Some((Message::All, _)) => {
                    self.of(role, |role| role.is_handed_over = true);
                    self.shared.handed_over.notify_waiters();
                }
                Some((Message::Socket, None)) => bail!("a socket without a descriptor"),
                None => return Ok(()),
            }
        }
    }

    fn keep(&self, role: &'static str, socket: OwnedFd) -> anyhow::Result<()> {
        let address = line::listening_address(&socket).context("refused a descriptor")?;
        let kept_max = self.shared.kept_max;
        self.of(role, |found| {
            if found.sockets.len() >= kept_max && !found.sockets.contains_key(&address) {
                tracing::warn!(role, %address, kept_max, "too many sockets; this one is not kept");
            } else {
                found.sockets.insert(address, socket);
            }
        });
        Ok(())
    }

    /// Does something with a role; not after [`Store::close`].
    fn of<T>(&self, role: &'static str, work: impl FnOnce(&mut Role) -> T) -> Option<T> {
        self.shared.roles.lock().get_mut(role).map(work)
    }
}

async fn say(line: &UnixStream, message: Message, socket: Option<&OwnedFd>) -> anyhow::Result<()> {
    let send = line.async_io(Interest::WRITABLE, || {
        line::send(line, message, socket.map(OwnedFd::as_fd))
    });
    timeout(PATIENCE, send).await.context("the role does not listen")??;
    Ok(())
}

#[cfg(test)]
mod tests;
