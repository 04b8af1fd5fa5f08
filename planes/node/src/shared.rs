//! What the agent's parts share: the planes, the records, and the one way to control.

use crate::metadata::{Credentials, Statistics};
use crate::store::{Store, TaskRecord};
use crate::{NodeConfig, machine};
use honmaru_base::Time;
use honmaru_contract::node::{ContainerPhase, FromNode, NodeObserved, TaskObserved};
use honmaru_images::LayerStore;
use honmaru_network::Network;
use honmaru_runtime::Runtime;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::{Semaphore, mpsc, watch};

/// Messages to control that wait for the socket. A control that lets them pile up is cut off and told anew.
pub(crate) const OUTGOING_MAX: usize = 1_024;

/// Pieces of bulk that wait for the socket.
pub(crate) const BULK_MAX: usize = 32;

/// Tasks that are started at one time: each costs a few forks and mounts.
const STARTS_MAX: usize = 8;

/// A connection to control: where its messages go.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    /// Counts connections, so that parts can tell a new one.
    pub number: u64,
    /// What is small and must not wait.
    pub out: mpsc::Sender<FromNode>,
    /// Logs and the output of exec sessions: whoever produces them waits.
    pub bulk: mpsc::Sender<FromNode>,
}

/// A task with containers that run.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    pub task_id: String,
    pub has_network: bool,
    /// Name, process id on the host, and since when it runs.
    pub containers: Vec<(String, u32, Time)>,
}

/// What is known of a task at this moment.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub record: TaskRecord,
    pub observed: TaskObserved,
}

#[derive(Default)]
struct Board {
    views: BTreeMap<String, View>,
    link: Option<Link>,
}

/// Everything that the agent's parts share.
pub(crate) struct Shared {
    pub config: NodeConfig,
    pub store: Store,
    pub runtime: Runtime,
    pub network: Network,
    pub layers: LayerStore,
    pub starts: Semaphore,
    pub credentials: Credentials,
    pub statistics: Statistics,
    pub logs: mpsc::Sender<crate::logs::Command>,
    pub links: watch::Sender<Option<Link>>,
    board: Mutex<Board>,
}

impl Shared {
    pub fn new(
        config: NodeConfig,
        store: Store,
        runtime: Runtime,
        network: Network,
        layers: LayerStore,
        logs: mpsc::Sender<crate::logs::Command>,
    ) -> Self {
        Self {
            config,
            store,
            runtime,
            network,
            layers,
            starts: Semaphore::new(STARTS_MAX),
            credentials: Credentials::default(),
            statistics: Statistics::default(),
            logs,
            links: watch::Sender::new(None),
            board: Mutex::default(),
        }
    }

    /// Nothing that holds this lock can fail half-way; after a panic elsewhere it is still whole.
    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows a task's state to everybody, and to control if it changed.
    pub fn publish(&self, record: &TaskRecord, observed: TaskObserved) {
        let mut board = self.board();
        let view = View {
            record: record.clone(),
            observed: observed.clone(),
        };
        let before = board.views.insert(record.spec.task_id.clone(), view);
        if before.is_some_and(|before| before.observed == observed) {
            return;
        }
        send(&mut board, &self.links, FromNode::Task(Box::new(observed)));
    }

    pub fn forget(&self, task_id: &str) {
        self.board().views.remove(task_id);
        self.statistics.forget(task_id);
    }

    /// The tasks of some clusters (ARNs) that have containers that run.
    pub fn running(&self, clusters: &BTreeSet<String>) -> Vec<Running> {
        let board = self.board();
        let views = board
            .views
            .values()
            .filter(|view| clusters.contains(&view.record.spec.cluster));
        let running = views.map(|view| Running {
            task_id: view.record.spec.task_id.clone(),
            has_network: view.record.spec.network.is_some(),
            containers: view
                .observed
                .containers
                .iter()
                .filter_map(|container| match container.phase {
                    ContainerPhase::Running { started_at, pid } => Some((container.name.clone(), pid, started_at)),
                    ContainerPhase::Pending | ContainerPhase::Stopped { .. } => None,
                })
                .collect(),
        });
        running.filter(|task| !task.containers.is_empty()).collect()
    }

    pub fn view(&self, task_id: &str) -> Option<View> {
        self.board().views.get(task_id).cloned()
    }

    /// Opens the way to control: everything that is known goes first, changes after it.
    pub fn link_up(&self, link: Link, hello: FromNode, generation: u64) {
        let machine = machine::Machine::read();
        let mut board = self.board();
        let observed = NodeObserved {
            cpu_units: machine.cpu_units,
            memory_mib: machine.memory_mib,
            boot_id: machine::boot_id(),
            tasks: board.views.values().map(|view| view.observed.clone()).collect(),
            generation,
        };
        board.link = Some(link.clone());
        send(&mut board, &self.links, hello);
        send(&mut board, &self.links, FromNode::Observed(Box::new(observed)));
        self.links.send_replace(board.link.clone());
    }

    pub fn link_down(&self, number: u64) {
        let mut board = self.board();
        if board.link.as_ref().is_some_and(|link| link.number == number) {
            board.link = None;
            self.links.send_replace(None);
        }
    }

    /// Sends without waiting; a connection that takes no more is given up, and the next one begins with everything.
    pub fn tell(&self, message: FromNode) {
        send(&mut self.board(), &self.links, message);
    }

    /// The connection of this moment.
    pub fn link(&self) -> Option<Link> {
        self.links.borrow().clone()
    }

    /// Where a task's own volumes lie.
    pub fn volumes_dir(&self, task_id: &str) -> PathBuf {
        self.config.state_dir.join("node/volumes").join(task_id)
    }
}

fn send(board: &mut Board, links: &watch::Sender<Option<Link>>, message: FromNode) {
    let Some(link) = &board.link else { return };
    if link.out.try_send(message).is_err() {
        // Dropping the last sender ends the connection's writer, and with it the connection.
        board.link = None;
        links.send_replace(None);
    }
}
