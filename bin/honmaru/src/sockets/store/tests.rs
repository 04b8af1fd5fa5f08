//! Goal: a listening socket outlives the process that made it, goes to nobody else, and is gone when it shall be.
//! Method: this process plays the roles, by raw lines where it "dies", by a [`Keeper`] where it is to go on.

use super::*;
use crate::sockets::Keeper;
use honmaru_edge::KeptSockets;
use rustix::net::connect;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};

/// Until something that shall happen is called broken.
const SOON: Duration = Duration::from_secs(60);

struct Lab {
    store: Store,
    path: PathBuf,
    _dir: tempfile::TempDir,
}

impl Lab {
    /// A store that takes this process for edge.
    fn new(kept_max: usize) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("up.sock");
        let store = open(&path, kept_max);
        Self { store, path, _dir: dir }
    }

    /// A line as a role's process would make it; everything that is kept comes first.
    async fn line(&self) -> (UnixStream, Vec<OwnedFd>) {
        let line = self.dial();
        let mut sockets = Vec::new();
        while let (Message::Socket, Some(socket)) = hear(&line).await.expect("a packet") {
            sockets.push(socket);
        }
        (line, sockets)
    }

    fn dial(&self) -> UnixStream {
        let flags = SocketFlags::CLOEXEC;
        let line = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).expect("a socket");
        connect(&line, &SocketAddrUnix::new(&self.path).expect("a short path")).expect("the store listens");
        rustix::io::ioctl_fionbio(&line, true).expect("non-blocking");
        UnixStream::from_std(line.into()).expect("a line")
    }

    async fn keeper(&self) -> Keeper {
        let path = self.path.clone();
        let started = tokio::task::spawn_blocking(move || Keeper::start(path));
        started.await.expect("it runs").expect("a thread")
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        let roles = self.store.shared.roles.lock();
        roles["edge"].sockets.keys().copied().collect()
    }
}

fn open(path: &Path, kept_max: usize) -> Store {
    let store = Store::open(path, kept_max).expect("a store");
    store.expect("edge", me());
    let serving = store.clone();
    tokio::spawn(async move { serving.serve().await });
    store
}

fn me() -> i32 {
    std::process::id().cast_signed()
}

async fn hear(line: &UnixStream) -> Option<(Message, Option<OwnedFd>)> {
    let heard = line.async_io(Interest::READABLE, || line::receive(line));
    timeout(SOON, heard)
        .await
        .expect("in time")
        .expect("a packet or the end")
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    (listener, address)
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, wait)
        .await
        .unwrap_or_else(|_| panic!("not in time: {what}"));
}

fn is_refused(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_waits_for_the_next_process() {
    let lab = Lab::new(8);
    let (listener, address) = listener();
    let (line, sockets) = lab.line().await;
    assert!(sockets.is_empty(), "nothing is kept yet");
    line::send(&line, Message::Socket, Some(listener.as_fd())).expect("send");
    // It dies with its last word unread.
    drop((line, listener));
    let mut client = TcpStream::connect(address).expect("nobody is refused");
    client.write_all(b"hello").expect("write");
    let keeper = lab.keeper().await;
    let again = keeper.listen(address).expect("the kept socket");
    again.set_nonblocking(false).expect("blocking");
    let (mut accepted, peer) = again.accept().expect("the one that waited");
    assert_eq!(peer, client.local_addr().expect("an address"));
    let mut said = [0; 5];
    accepted.read_exact(&mut said).expect("what it said meanwhile");
    assert_eq!(&said, b"hello");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_get_nothing_and_leave_nothing() {
    let lab = Lab::new(8);
    let (listener, address) = listener();
    let (line, _) = lab.line().await;
    line::send(&line, Message::Socket, Some(listener.as_fd())).expect("send");
    until("it is kept", || lab.addresses() == [address]).await;
    // From here on this process is no role.
    lab.store.expect("edge", 1);
    let stranger = lab.dial();
    assert!(hear(&stranger).await.is_none(), "the line is closed without a word");
    lab.store.ended("edge");
    assert!(hear(&lab.dial()).await.is_none(), "while no process is expected, too");
    // Another role does not get what edge gave.
    lab.store.expect("control", me());
    let (_, sockets) = lab.line().await;
    assert!(sockets.is_empty(), "control got edge's sockets");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_is_a_limit_and_only_listeners_count() {
    let lab = Lab::new(2);
    let (line, _) = lab.line().await;
    let listeners: Vec<_> = (0..3).map(|_| listener()).collect();
    for (listener, _) in &listeners {
        line::send(&line, Message::Socket, Some(listener.as_fd())).expect("send");
        // The same again takes no second place.
        line::send(&line, Message::Socket, Some(listener.as_fd())).expect("send");
    }
    line::send(&line, Message::Drop(listeners[0].1), None).expect("send");
    line::send(&line, Message::Socket, Some(listeners[2].0.as_fd())).expect("send");
    line::send(&line, Message::All, None).expect("send");
    timeout(SOON, lab.store.handed_over("edge")).await.expect("all is said");
    let mut wanted = [listeners[1].1, listeners[2].1];
    wanted.sort_unstable();
    assert_eq!(
        lab.addresses(),
        wanted,
        "the third had no place until the first was dropped"
    );

    drop(line);
    // What is no listener is refused, and its line is closed.
    let (other, _) = lab.line().await;
    let file = tempfile::tempfile().expect("a file");
    line::send(&other, Message::Socket, Some(file.as_fd())).expect("send");
    assert!(hear(&other).await.is_none());
    let (other, _) = lab.line().await;
    let connected = TcpStream::connect(listeners[1].1).expect("connect");
    line::send(&other, Message::Socket, Some(connected.as_fd())).expect("send");
    assert!(hear(&other).await.is_none());
    assert_eq!(lab.addresses(), wanted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_wanted_any_more_refuses() {
    let lab = Lab::new(8);
    let (one, first) = listener();
    let (two, second) = listener();
    let (line, _) = lab.line().await;
    for listener in [&one, &two] {
        line::send(&line, Message::Socket, Some(listener.as_fd())).expect("send");
    }
    drop((line, one, two));
    let keeper = lab.keeper().await;
    let listener = keeper.listen(first).expect("the kept socket");
    assert!(!is_refused(second), "as long as nobody decided, connections wait");
    keeper.settle();
    assert!(
        is_refused(second),
        "at once, and not only when the store has heard of it"
    );
    until("the store dropped it", || lab.addresses() == [first]).await;
    keeper.release(first);
    assert!(is_refused(first), "though there is a descriptor still");
    until("the store dropped it", || lab.addresses().is_empty()).await;
    drop(listener);
    TcpListener::bind(first).expect("the port is free again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_supervisor_gets_everything_again() {
    let lab = Lab::new(8);
    let keeper = lab.keeper().await;
    let listener = keeper
        .listen("127.0.0.1:0".parse().expect("an address"))
        .expect("listen");
    let address = listener.local_addr().expect("an address");
    until("it is kept", || lab.addresses() == [address]).await;
    lab.store.close().await;
    // A keeper that leaves has nobody who would go on.
    let next = open(&lab.path, 8);
    timeout(SOON, next.handed_over("edge"))
        .await
        .expect("the keeper came back");
    let lab = Lab { store: next, ..lab };
    assert_eq!(lab.addresses(), [address]);
    // The role ends in peace: its successor goes on with the socket.
    keeper.leave();
    drop((keeper, listener));
    let mut client = TcpStream::connect(address).expect("nobody is refused");
    let keeper = lab.keeper().await;
    let listener = keeper.listen(address).expect("the kept socket");
    listener.set_nonblocking(false).expect("blocking");
    listener
        .accept()
        .expect("the one that waited")
        .0
        .write_all(b"x")
        .expect("write");
    client.read_exact(&mut [0]).expect("an answer");
    // The supervisor ends first: then nobody waits.
    lab.store.close().await;
    keeper.leave();
    assert!(is_refused(address));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forgotten_role_refuses() {
    let lab = Lab::new(8);
    let (listener, address) = listener();
    let (line, _) = lab.line().await;
    line::send(&line, Message::Socket, Some(listener.as_fd())).expect("send");
    until("it is kept", || lab.addresses() == [address]).await;
    drop((line, listener));
    assert!(!is_refused(address));
    lab.store.ended("edge");
    lab.store.forget("edge");
    assert!(is_refused(address));
}
