//! The life of one task on this node: prepare, start, watch, stop, clean up, forget.

use super::{images, volumes};
use crate::bundle::bundle;
use crate::clock::now;
use crate::logs::Command;
use crate::observe;
use crate::ports::{self, Heard};
use crate::shared::Shared;
use crate::store::TaskRecord;
use honmaru_base::{Time, chain};
use honmaru_contract::node::{ContainerPhase, StopReason, TaskNetwork, TaskObserved, TaskPhase, TaskSpec};
use honmaru_runtime::{StartError, Task, TaskEvent, TaskStatus};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{info, warn};

/// How long a task's last log lines may take to be stored once control has forgotten the task.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(60);

/// Attempts to remove a task's traces, and the pause between two.
const REMOVALS_MAX: u32 = 20;
const REMOVAL_PAUSE: Duration = Duration::from_millis(500);

/// When ports are looked at: soon after the start, rarely once all are heard. Reading the tables costs milliseconds on
/// a large host.
const PORTS_FIRST: Duration = Duration::from_secs(1);
const PORTS_SILENT_MAX: Duration = Duration::from_secs(8);
const PORTS_HEARD: Duration = Duration::from_secs(60);

/// What control wants of a task; it only ever grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wish {
    Run,
    Stop,
    /// Stop, clean up, and know nothing of it any more.
    Forget,
}

/// The wish and the newest specification.
#[derive(Debug, Clone)]
pub(crate) struct Goal {
    pub wish: Wish,
    pub spec: Arc<TaskSpec>,
}

/// What a restarted node found of a task.
#[derive(Debug)]
pub(crate) enum Found {
    /// Nothing: it was never started.
    Nothing,
    /// Its shim lives; its state, if it said one.
    Running(Task, Option<Box<TaskStatus>>),
    /// It ended meanwhile.
    Ended(TaskStatus),
    /// Its shim or the machine died.
    Lost { reason: String, last: Option<TaskStatus> },
}

/// Runs the actor to its end; gives the task's id when nothing of it is left. Dropping the future leaves the task as it
/// is: the next node finds it, as after kill -9.
pub(crate) async fn live(shared: Arc<Shared>, record: TaskRecord, found: Found, goal: watch::Receiver<Goal>) -> String {
    let task_id = record.spec.task_id.clone();
    Actor { shared, record, goal }.live(found).await;
    task_id
}

struct Actor {
    shared: Arc<Shared>,
    record: TaskRecord,
    goal: watch::Receiver<Goal>,
}

impl Actor {
    fn id(&self) -> &str {
        &self.record.spec.task_id
    }

    fn wish(&self) -> Wish {
        self.goal.borrow().wish
    }

    /// Waits until at least `wish` is wanted. When the agent ends, for ever: a task outlives its node.
    async fn wanted(goal: &mut watch::Receiver<Goal>, wish: Wish) {
        if goal.wait_for(|goal| goal.wish >= wish).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    fn publish(&self, observed: TaskObserved) {
        self.shared.publish(&self.record, observed);
    }

    fn save(&self) {
        if let Err(error) = self.shared.store.put_task(&self.record) {
            warn!(task_id = self.id(), err = %chain(&error), "failed to write a task's record");
        }
    }

    async fn live(&mut self, found: Found) {
        let ended = match (self.record.ended.clone(), found) {
            (Some(ended), _) => ended,
            (None, Found::Running(task, _)) => {
                self.follow_logs().await;
                self.supervise(task).await
            }
            (None, Found::Ended(status)) => observe::ended(&self.record, &status, now()),
            (None, Found::Lost { reason, last }) => observe::lost(&self.record, last.as_ref(), &reason, now()),
            (None, Found::Nothing) => self.begin().await,
        };
        self.follow_logs().await;
        self.finish(ended).await;
        Self::wanted(&mut self.goal, Wish::Forget).await;
        self.clean_up().await;
    }

    async fn follow_logs(&self) {
        // The delivery ends only with the agent.
        let _ = self
            .shared
            .logs
            .send(Command::Follow(Box::new(self.record.spec.clone())))
            .await;
    }

    /// From nothing to a task that ended.
    async fn begin(&mut self) -> TaskObserved {
        if self.wish() >= Wish::Stop {
            return observe::never_ran(&self.record, StopReason::Asked, None, now());
        }
        self.record.pull_started_at = Some(now());
        self.publish(observe::without_status(&self.record, TaskPhase::Preparing, |_| {
            ContainerPhase::Pending
        }));
        let (shared, mut goal) = (Arc::clone(&self.shared), self.goal.clone());
        let spec = self.record.spec.clone();
        let prepared = async {
            let pulled = async {
                let images = images::prepare(&shared, &spec).await;
                (images, now())
            };
            let attached = async {
                match &spec.network {
                    Some(network) => shared.network.attach(&spec.task_id, network).await.map(Some),
                    None => Ok(None),
                }
            };
            tokio::join!(pulled, attached)
        };
        let ((images, pulled_at), attached) = tokio::select! {
            prepared = prepared => prepared,
            () = Self::wanted(&mut goal, Wish::Stop) => {
                return observe::never_ran(&self.record, StopReason::Asked, None, now());
            }
        };
        self.record.pull_stopped_at = Some(pulled_at);
        let images = match images {
            Ok(images) => images,
            Err(failure) => {
                warn!(task_id = self.id(), container = %failure.container, err = %failure.text, "failed to pull an image");
                let failed = Some((failure.container.as_str(), failure.text.as_str()));
                return observe::never_ran(
                    &self.record,
                    StopReason::CannotPull(failure.text.clone()),
                    failed,
                    now(),
                );
            }
        };
        self.record.image_digests = images.digests.clone();
        let namespace = match attached {
            Ok(namespace) => namespace,
            Err(error) => {
                let text = chain(&error);
                warn!(task_id = self.id(), err = %text, "failed to make a task's network");
                let reason = StopReason::Network(format!("ResourceInitializationError: {text}"));
                return observe::never_ran(&self.record, reason, None, now());
            }
        };
        let volumes = match volumes::create(&self.shared, &self.record) {
            Ok(volumes) => volumes,
            Err(error) => return self.cannot_start(None, &format!("CannotStartContainerError: {}", chain(&error))),
        };
        // On disk before anything runs: a restarted node must know that it must not begin again.
        self.record.started = true;
        if let Err(error) = self.shared.store.put_task(&self.record) {
            return self.cannot_start(None, &format!("CannotStartContainerError: {}", chain(&error)));
        }
        let bundle = bundle(&self.record, &images.by_container, namespace.as_deref(), &volumes);
        let started = {
            // The semaphore is never closed; an error would only mean no limit.
            let _slot = self.shared.starts.acquire().await;
            if self.wish() >= Wish::Stop {
                return observe::never_ran(&self.record, StopReason::Asked, None, now());
            }
            self.shared.runtime.start(bundle).await
        };
        drop(images);
        match started {
            Ok(task) => {
                info!(task_id = self.id(), "started a task");
                self.follow_logs().await;
                self.supervise(task).await
            }
            Err(error) => self.failed_start(&error).await,
        }
    }

    async fn failed_start(&self, error: &StartError) -> TaskObserved {
        warn!(task_id = self.id(), err = %chain(error), "failed to start a task");
        // Containers that started before the failing one have a state on disk.
        if let (StartError::Container(failure), Ok(task)) = (error, self.shared.runtime.task(self.id()))
            && let Ok(status) = task.status().await
            && status.ended()
        {
            let mut observed = observe::ended(&self.record, &status, now());
            observed.phase = TaskPhase::Stopped {
                reason: StopReason::CannotStart(failure.message.clone()),
            };
            return observed;
        }
        self.cannot_start(error.container(), &error.ecs_text())
    }

    fn cannot_start(&self, container: Option<&str>, text: &str) -> TaskObserved {
        let failed = container.map(|name| (name, text));
        observe::never_ran(&self.record, StopReason::CannotStart(text.to_owned()), failed, now())
    }

    /// Watches a running task to its end.
    async fn supervise(&mut self, task: Task) -> TaskObserved {
        let mut events = task.events();
        let mut goal = self.goal.clone();
        let mut status: Option<TaskStatus> = None;
        let mut watch = PortWatch::new(&self.record);
        let mut stopping = false;
        loop {
            if !stopping && self.wish() >= Wish::Stop {
                match task.stop().await {
                    Ok(()) => stopping = true,
                    Err(error) => {
                        warn!(task_id = self.id(), err = %chain(&error), "failed to ask a task to stop; trying again");
                        sleep(REMOVAL_PAUSE).await;
                    }
                }
            }
            tokio::select! {
                event = events.recv() => match event {
                    Some(TaskEvent::Changed(changed)) => {
                        status = Some(changed);
                        watch.task_changed(status.as_ref());
                    }
                    Some(TaskEvent::Ended(last)) => return observe::ended(&self.record, &last, now()),
                    Some(TaskEvent::Lost { reason }) => {
                        return observe::lost(&self.record, status.as_ref(), &reason, now());
                    }
                    // The forwarder always ends with one of the two above; without it, ask again.
                    None => {
                        sleep(REMOVAL_PAUSE).await;
                        events = task.events();
                    }
                },
                changed = goal.changed() => match changed {
                    Ok(()) => {
                        let network = goal.borrow_and_update().spec.network.clone();
                        self.update_network(network).await;
                    }
                    // The agent ends; the task goes on without it.
                    Err(_) => std::future::pending().await,
                },
                () = watch.due() => watch.look(status.as_ref()),
                () = sleep(REMOVAL_PAUSE), if !stopping && self.wish() >= Wish::Stop => {}
            }
            if let Some(status) = &status {
                self.publish(observe::running(&self.record, status, &watch.heard));
            }
        }
    }

    /// Security groups may change while a task runs.
    async fn update_network(&mut self, network: Option<TaskNetwork>) {
        let (Some(wanted), Some(present)) = (network, &self.record.spec.network) else {
            return;
        };
        if wanted == *present {
            return;
        }
        // All else of an interface is fixed once it exists.
        let next = TaskNetwork {
            security_groups: wanted.security_groups,
            ..present.clone()
        };
        match self.shared.network.attach(self.id(), &next).await {
            Ok(_) => {
                self.record.spec.network = Some(next);
                self.save();
            }
            Err(error) => warn!(task_id = self.id(), err = %chain(&error), "failed to change a task's groups"),
        }
    }

    /// Nothing runs any more: the network goes, then control hears of it.
    async fn finish(&mut self, ended: TaskObserved) {
        for attempt in 1..=REMOVALS_MAX {
            match self.shared.network.detach(self.id()).await {
                Ok(()) => break,
                Err(error) => warn!(task_id = self.id(), attempt, err = %chain(&error), "failed to remove a network"),
            }
            sleep(REMOVAL_PAUSE).await;
        }
        if let Err(error) = self.shared.layers.release(self.id()).await {
            warn!(task_id = self.id(), err = %chain(&error), "failed to release a task's images");
        }
        info!(task_id = self.id(), phase = ?ended.phase, "a task ended");
        self.record.ended = Some(ended.clone());
        self.save();
        self.publish(ended);
    }

    /// The last lines are delivered, then everything goes; the record last.
    async fn clean_up(&mut self) {
        let (answer, mut drained) = oneshot::channel();
        if self
            .shared
            .logs
            .send(Command::Drained(self.id().to_owned(), answer))
            .await
            .is_ok()
        {
            // While control is away nothing can be stored, and nothing is lost by waiting.
            while timeout(DRAIN_TIMEOUT, &mut drained).await.is_err() {
                if self.shared.link().is_some() {
                    warn!(
                        task_id = self.id(),
                        "control did not store a task's last lines in time; they are dropped"
                    );
                    break;
                }
            }
        }
        for attempt in 1..=REMOVALS_MAX {
            match self.shared.runtime.remove(self.id()).await {
                Ok(()) => break,
                Err(error) => warn!(task_id = self.id(), attempt, err = %chain(&error), "failed to remove a task"),
            }
            sleep(REMOVAL_PAUSE).await;
        }
        if let Err(error) = volumes::remove(&self.shared, self.id()) {
            warn!(task_id = self.id(), err = %chain(&error), "failed to remove a task's volumes");
        }
        let _ = self.shared.logs.send(Command::Forget(self.id().to_owned())).await;
        self.shared.credentials.forget(&self.record.spec.task_arn);
        self.shared.forget(self.id());
        if let Err(error) = self.shared.store.remove_task(self.id()) {
            warn!(task_id = self.id(), err = %chain(&error), "failed to remove a task's record");
        }
    }
}

/// Looks for declared ports that nobody outside can reach, and for what is listened on instead; more rarely with time.
struct PortWatch {
    declared: Vec<(String, BTreeSet<u16>)>,
    next: Option<Instant>,
    pause: Duration,
    /// Since when the youngest container runs: a restart begins anew.
    since: Option<Time>,
    heard: Heard,
}

impl PortWatch {
    fn new(record: &TaskRecord) -> Self {
        let declared = record
            .spec
            .containers
            .iter()
            .filter(|container| !container.ports.is_empty())
            .map(|container| (container.name.clone(), container.ports.iter().copied().collect()))
            .collect();
        Self {
            declared,
            next: None,
            pause: PORTS_FIRST,
            since: None,
            heard: Heard::default(),
        }
    }

    /// A process id in the task's namespace, the ports of all containers that run, since when the youngest does.
    fn running(&self, status: Option<&TaskStatus>) -> Option<(u32, BTreeSet<u16>, i64)> {
        let mut found: Option<(u32, BTreeSet<u16>, i64)> = None;
        for (name, ports) in &self.declared {
            let Some(container) = status?.container(name) else {
                continue;
            };
            if let honmaru_runtime::ContainerPhase::Running { pid, started_at_ms } = container.phase {
                let entry = found.get_or_insert((pid, BTreeSet::new(), started_at_ms));
                entry.1.extend(ports);
                entry.2 = entry.2.max(started_at_ms);
            }
        }
        found
    }

    fn task_changed(&mut self, status: Option<&TaskStatus>) {
        let since = self.running(status).map(|(_, _, since)| Time::from_ms(since));
        if since == self.since {
            return;
        }
        self.since = since;
        self.heard = Heard::default();
        self.pause = PORTS_FIRST;
        self.next = since.map(|_| Instant::now() + PORTS_FIRST);
    }

    async fn due(&self) {
        match self.next {
            Some(next) => sleep_until(next).await,
            None => std::future::pending().await,
        }
    }

    fn look(&mut self, status: Option<&TaskStatus>) {
        let Some((pid, declared, _)) = self.running(status) else {
            self.next = None;
            return;
        };
        // A process that is just ending has no tables; its end follows as an event.
        self.heard = ports::look(pid, &declared).unwrap_or_default();
        let pause = if self.heard.silent.is_empty() {
            PORTS_HEARD
        } else {
            self.pause
        };
        self.pause = (self.pause * 2).min(PORTS_SILENT_MAX);
        self.next = Some(Instant::now() + pause);
    }
}
