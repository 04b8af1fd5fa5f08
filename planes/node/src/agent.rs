//! The agent's loop: control's messages in, tasks' actors out. It decides who lives; each actor does the rest.

use crate::exec::Sessions;
use crate::ids::free_uid_base;
use crate::link::{Event, dial};
use crate::logs;
use crate::ports::Heard;
use crate::shared::{Link, Shared};
use crate::store::{Store, TaskRecord};
use crate::task::{Found, Goal, Wish, live};
use crate::usage;
use crate::{NodeConfig, NodeError, machine, metadata};
use honmaru_base::chain;
use honmaru_contract::node::{FromNode, NodeDelta, NodeDesired, TaskGoal, TaskSpec, ToNode, UsageWanted};
use honmaru_contract::{Hello, PROTOCOL};
use honmaru_images::{BlobKey, BlobStore, LayerStore, RemoteLimits, Remotes, UnpackLimits};
use honmaru_network::{InstanceId, Network, NetworkConfig, NetworkDesired};
use honmaru_runtime::{Adopted, Runtime, RuntimeConfig};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info, warn};

/// Pause until a failed change of the network is tried again.
const RETRY: Duration = Duration::from_secs(3);

/// How often layers that no task needs are removed.
const SWEEP_PERIOD: Duration = Duration::from_secs(600);
/// How long a layer stays after its last use: the next task of the same image starts without unpacking it.
const LAYERS_KEEP: Duration = Duration::from_secs(24 * 3_600);
/// The same when the registry no longer has its image.
const ORPHANS_KEEP: Duration = Duration::from_secs(600);

/// Runs the agent until `shutdown` is done. Containers go on running; the next agent adopts them.
pub async fn run(config: NodeConfig, shutdown: impl Future<Output = ()>) -> Result<(), NodeError> {
    std::fs::create_dir_all(&config.state_dir).map_err(|e| NodeError::file("create", &config.state_dir, e))?;
    let store = Store::open(&config.state_dir)?;
    let _lock = store.lock()?;
    let (log_commands, log_receiver) = mpsc::channel(logs::COMMANDS_MAX);
    let network = Network::new(NetworkConfig {
        state_dir: config.state_dir.clone(),
    })?;
    let runtime = Runtime::new(runtime_config(&config.state_dir))?;
    let layers = open_layers(&config)?;
    let generation = store.generation()?;
    let shared = Arc::new(Shared::new(config, store, runtime, network, layers, log_commands));
    let mut background = Background::default();
    background.spawn(logs::deliver(Arc::clone(&shared), log_receiver));
    let mut agent = Agent {
        shared: Arc::clone(&shared),
        generation,
        desired: None,
        tasks: BTreeMap::new(),
        uids: BTreeSet::new(),
        network: None,
        network_retry: false,
        link: None,
        sessions: Sessions::default(),
        actors: JoinSet::new(),
        usage: watch::Sender::new(UsageWanted::default()),
    };
    background.spawn(usage::report(Arc::clone(&shared), agent.usage.subscribe()));
    agent.adopt().await?;
    background.spawn(guard_network(Arc::clone(&shared)));
    match shared.network.take_metadata_listener() {
        Some(listener) => background.spawn(metadata::serve(Arc::clone(&shared), listener)),
        None => error!("the network gave no listener for task metadata"),
    }
    background.spawn(sweep_layers(Arc::clone(&shared)));
    agent.serve(shutdown).await;
    agent.actors.shutdown().await;
    shared.network.close().await;
    Ok(())
}

pub(crate) fn runtime_config(state_dir: &Path) -> RuntimeConfig {
    let id = InstanceId::of(state_dir);
    RuntimeConfig {
        state_dir: state_dir.to_path_buf(),
        cgroup_name: format!("honmaru-{id}"),
    }
}

fn open_layers(config: &NodeConfig) -> Result<LayerStore, NodeError> {
    let state_dir = &config.state_dir;
    let remotes = Remotes::new(RemoteLimits {
        loopback: config.local_registries.clone(),
        ..RemoteLimits::default()
    });
    let key = BlobKey::at(&config.blob_key);
    let registry = BlobStore::open_encrypted_read_only(&state_dir.join("images"), key);
    Ok(LayerStore::open(
        &state_dir.join("node"),
        registry,
        UnpackLimits::default(),
        remotes,
    )?)
}

async fn guard_network(shared: Arc<Shared>) {
    shared.network.guard().await;
}

/// Parts of the agent that end with it.
#[derive(Default)]
struct Background(Vec<JoinHandle<()>>);

impl Background {
    fn spawn(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        self.0.push(tokio::spawn(work));
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// Removes layers that no task needs: at the start, when what runs is adopted already, and every few minutes.
async fn sweep_layers(shared: Arc<Shared>) {
    let mut ticks = interval(SWEEP_PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // The sweep's future holds an async closure, which the compiler does not see to be `Send`; and it reads disks.
        let (layers, runtime) = (shared.layers.clone(), Handle::current());
        let swept = spawn_blocking(move || {
            // On a disk that is nearly full room counts more than the next start's time.
            let keep = if layers.is_short_of_room()? {
                Duration::ZERO
            } else {
                LAYERS_KEEP
            };
            runtime.block_on(layers.sweep(keep, ORPHANS_KEEP))
        });
        let Ok(swept) = swept.await else { continue };
        match swept {
            Ok(swept) if swept.layers > 0 || swept.blobs > 0 => info!(?swept, "removed layers that no task needs"),
            Ok(_) => {}
            Err(error) => warn!(err = %chain(&error), "failed to remove unused layers"),
        }
    }
}

struct Agent {
    shared: Arc<Shared>,
    /// The newest generation seen.
    generation: u64,
    /// The desired state of this connection; nothing until a whole one came.
    desired: Option<NodeDesired>,
    tasks: BTreeMap<String, watch::Sender<Goal>>,
    uids: BTreeSet<u32>,
    /// What the network was last told.
    network: Option<NetworkDesired>,
    network_retry: bool,
    link: Option<Link>,
    sessions: Sessions,
    actors: JoinSet<String>,
    /// Whose use of the machine is reported.
    usage: watch::Sender<UsageWanted>,
}

impl Agent {
    /// Takes over what a former agent left, and removes what belongs to no record.
    async fn adopt(&mut self) -> Result<(), NodeError> {
        let attached = self.shared.network.adopt().await?;
        let records = self.shared.store.tasks()?;
        let mut found: BTreeMap<String, Found> = BTreeMap::new();
        for adopted in self.shared.runtime.adopt().await? {
            let (task_id, state) = match adopted {
                Adopted::Running(task) => {
                    let status = task.status().await.ok().map(Box::new);
                    (task.id().to_owned(), Found::Running(task, status))
                }
                Adopted::Ended(status) => (status.task_id.clone(), Found::Ended(status)),
                Adopted::Lost { task_id, reason, last } => (task_id, Found::Lost { reason, last }),
            };
            if records.contains_key(&task_id) {
                found.insert(task_id, state);
            } else {
                warn!(task_id, "removing a task that has no record");
                self.shared.runtime.remove(&task_id).await?;
            }
        }
        for task_id in attached.iter().filter(|id| !records.contains_key(*id)) {
            self.shared.network.detach(task_id).await?;
        }
        for holder in self.shared.layers.holders().await? {
            if !records.contains_key(&holder) {
                self.shared.layers.release(&holder).await?;
            }
        }
        let boot_id = machine::boot_id();
        let count = records.len();
        for (task_id, record) in records {
            let state = match found.remove(&task_id) {
                // The runtime's directory may lie on a disk that a reboot cleared.
                None if record.boot_id != boot_id => Found::Lost {
                    reason: "the machine was started anew".to_owned(),
                    last: None,
                },
                None if record.started => Found::Lost {
                    reason: "its directory is gone".to_owned(),
                    last: None,
                },
                None => Found::Nothing,
                Some(state) => state,
            };
            self.uids.insert(record.uid_base);
            self.add(record, state);
        }
        if count > 0 {
            info!(count, "adopted tasks");
        }
        Ok(())
    }

    fn add(&mut self, record: TaskRecord, found: Found) {
        let wish = wish(&record.spec.goal);
        let task_id = record.spec.task_id.clone();
        let (goal, receiver) = watch::channel(Goal {
            wish,
            spec: Arc::new(record.spec.clone()),
        });
        // Known to control from the first moment on, whatever the actor does first.
        if self.shared.view(&task_id).is_none() {
            let observed = record.ended.clone().unwrap_or_else(|| first_sight(&record, &found));
            self.shared.publish(&record, observed);
        }
        self.tasks.insert(task_id, goal);
        self.actors
            .spawn(live(Arc::clone(&self.shared), record, found, receiver));
    }

    async fn serve(&mut self, shutdown: impl Future<Output = ()>) {
        let mut events = dial(self.shared.config.clone());
        let mut retry = interval(RETRY);
        retry.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tokio::pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => return,
                event = events.recv() => match event {
                    Some(event) => self.event(event).await,
                    None => return,
                },
                Some(ended) = self.actors.join_next() => match ended {
                    Ok(task_id) => self.remove(&task_id),
                    // A bug of ours: the task stays as it is, and the next node takes it up.
                    Err(error) => error!(err = %error, "a task's actor ended before its task"),
                },
                _ = retry.tick(), if self.network_retry => self.apply_network().await,
            }
        }
    }

    fn remove(&mut self, task_id: &str) {
        self.tasks.remove(task_id);
        // The ids of tasks that are there are what is taken; the record of this one is gone.
        match self.shared.store.tasks() {
            Ok(records) => self.uids = records.values().map(|record| record.uid_base).collect(),
            Err(error) => warn!(err = %chain(&error), "failed to read the records"),
        }
        // Control may want it again: it was forgotten and named anew before its end.
        if let Some(spec) = self
            .desired
            .as_ref()
            .and_then(|desired| desired.tasks.get(task_id))
            .cloned()
        {
            self.want(spec);
        }
    }

    async fn event(&mut self, event: Event) {
        match event {
            Event::Up(link) => {
                let config = &self.shared.config;
                let hello = FromNode::Hello(Hello {
                    protocol: PROTOCOL,
                    role: "node".to_owned(),
                    name: config.name.clone(),
                    version: config.version.clone(),
                });
                self.desired = None;
                self.sessions = Sessions::default();
                self.link = Some(link.clone());
                self.shared.link_up(link, hello, self.generation);
            }
            Event::Down(number) => {
                self.shared.link_down(number);
                self.link = None;
                self.sessions = Sessions::default();
            }
            Event::Message(message) => self.message(*message).await,
        }
    }

    async fn message(&mut self, message: ToNode) {
        match message {
            ToNode::Desired(desired) => self.desired(*desired).await,
            ToNode::Delta(delta) => self.delta(*delta).await,
            ToNode::Credentials(credentials) => self.shared.credentials.arrived(credentials),
            ToNode::LogsStored { sequence } => {
                // The delivery ends only with us.
                let _ = self.shared.logs.send(logs::Command::Stored(sequence)).await;
            }
            ToNode::ExecOpen(open) => {
                if let Some(link) = &self.link {
                    self.sessions.open(&self.shared, link, open);
                }
            }
            ToNode::ExecInput { session, data } => self.sessions.input(&session, &data),
            ToNode::ExecResize { session, cols, rows } => self.sessions.resize(&session, cols, rows),
            ToNode::ExecClose { session } => self.sessions.close(&session),
        }
    }

    /// Whether a generation may be followed; then it is on disk before anything of it is done.
    fn accept(&mut self, generation: u64) -> bool {
        if generation < self.generation {
            warn!(generation, seen = self.generation, "refused an older desired state");
            self.shared.tell(FromNode::Stale {
                generation_seen: self.generation,
            });
            return false;
        }
        if generation > self.generation {
            if let Err(error) = self.shared.store.put_generation(generation) {
                // Following it undurably could, after a crash, let an older one win.
                error!(err = %chain(&error), "failed to write the generation; the desired state is not followed");
                return false;
            }
            self.generation = generation;
        }
        true
    }

    async fn desired(&mut self, desired: NodeDesired) {
        if !self.accept(desired.generation) {
            return;
        }
        let absent: Vec<String> = self
            .tasks
            .keys()
            .filter(|id| !desired.tasks.contains_key(*id))
            .cloned()
            .collect();
        let specs: Vec<TaskSpec> = desired.tasks.values().cloned().collect();
        self.want_usage(desired.usage.clone());
        self.desired = Some(desired);
        self.apply_network().await;
        for task_id in absent {
            self.forget(&task_id);
        }
        for spec in specs {
            self.want(spec);
        }
    }

    async fn delta(&mut self, delta: NodeDelta) {
        if self.desired.is_none() {
            warn!("ignored a change that came before the whole desired state");
            return;
        }
        if !self.accept(delta.generation) {
            return;
        }
        let Some(desired) = &mut self.desired else { return };
        desired.generation = delta.generation;
        for task_id in &delta.forget {
            desired.tasks.remove(task_id);
        }
        desired.tasks.extend(delta.tasks.clone());
        if let Some(security_groups) = delta.security_groups {
            desired.security_groups = security_groups;
        }
        if let Some(vpcs) = delta.vpcs {
            desired.vpcs = vpcs;
        }
        if let Some(host_addresses) = delta.host_addresses {
            desired.host_addresses = host_addresses;
        }
        if let Some(dns) = delta.dns {
            desired.dns = dns;
        }
        if let Some(usage) = delta.usage {
            desired.usage = usage.clone();
            self.want_usage(usage);
        }
        self.apply_network().await;
        for task_id in &delta.forget {
            self.forget(task_id);
        }
        for spec in delta.tasks.into_values() {
            self.want(spec);
        }
    }

    fn want_usage(&self, wanted: UsageWanted) {
        self.usage.send_if_modified(|present| {
            let is_new = *present != wanted;
            *present = wanted;
            is_new
        });
    }

    /// Groups, addresses and names first: a task that starts finds its rules.
    async fn apply_network(&mut self) {
        let Some(desired) = &self.desired else { return };
        let wanted = NetworkDesired {
            security_groups: desired.security_groups.clone(),
            vpcs: desired.vpcs.clone(),
            host_addresses: desired.host_addresses.clone(),
            dns: desired.dns.clone(),
        };
        if self.network.as_ref() == Some(&wanted) && !self.network_retry {
            return;
        }
        self.network_retry = false;
        if let Err(error) = self.shared.network.apply(&wanted).await {
            warn!(err = %chain(&error), "failed to apply the network in full; trying again");
            self.network_retry = true;
        }
        self.network = Some(wanted);
    }

    fn forget(&self, task_id: &str) {
        if let Some(goal) = self.tasks.get(task_id) {
            goal.send_modify(|goal| goal.wish = Wish::Forget);
        }
    }

    fn want(&mut self, spec: TaskSpec) {
        if let Some(goal) = self.tasks.get(&spec.task_id) {
            goal.send_if_modified(|goal| {
                let wish = goal.wish.max(wish(&spec.goal));
                let changed = goal.wish != wish || *goal.spec != spec;
                *goal = Goal {
                    wish,
                    spec: Arc::new(spec),
                };
                changed
            });
            return;
        }
        let Some(uid_base) = free_uid_base(self.shared.network.id().as_str(), &self.uids) else {
            error!(task_id = %spec.task_id, "no range of user ids is free; the task is not started");
            return;
        };
        let record = TaskRecord::new(spec, uid_base, machine::boot_id());
        if let Err(error) = self.shared.store.put_task(&record) {
            error!(task_id = %record.spec.task_id, err = %chain(&error), "failed to write a task's record; it is not started");
            return;
        }
        self.uids.insert(uid_base);
        self.add(record, Found::Nothing);
    }
}

fn wish(goal: &TaskGoal) -> Wish {
    match goal {
        TaskGoal::Run => Wish::Run,
        TaskGoal::Stop => Wish::Stop,
    }
}

/// What is said of a task before its actor has looked: never that it stopped, for its network may still be there.
fn first_sight(record: &TaskRecord, found: &Found) -> honmaru_contract::node::TaskObserved {
    use honmaru_contract::node::{ContainerPhase, TaskPhase};
    match found {
        Found::Running(_, Some(status)) => crate::observe::running(record, status, &Heard::default()),
        Found::Nothing | Found::Running(_, None) => {
            crate::observe::without_status(record, TaskPhase::Preparing, |_| ContainerPhase::Pending)
        }
        Found::Ended(status) => crate::observe::running(record, status, &Heard::default()),
        Found::Lost { last: Some(status), .. } => {
            let mut observed = crate::observe::running(record, status, &Heard::default());
            observed.phase = TaskPhase::Stopping;
            observed
        }
        Found::Lost { last: None, .. } => {
            crate::observe::without_status(record, TaskPhase::Stopping, |_| ContainerPhase::Pending)
        }
    }
}
