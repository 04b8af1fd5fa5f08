//! The edge itself: the plan that serves, the targets, and how both follow a new configuration.

use crate::activity::Connections;
use crate::compile::{self, Before};
use crate::cookie::Jar;
use crate::counters::{Counters, GroupCounters};
use crate::entry::EntryAddresses;
use crate::error::EdgeError;
use crate::group::{Health, Target, TargetKey};
use crate::health;
use crate::kept::KeptSockets;
use crate::limits::{BIND_RETRY_PAUSE, NEWS_QUEUED_MAX, SHUTDOWN_GRACE, SHUTDOWN_SETTLE, SWEEP_INTERVAL};
use crate::listeners::Listeners;
use crate::plan::Plan;
use crate::resume::Store;
use arc_swap::ArcSwap;
use honmaru_base::chain;
use honmaru_contract::edge::{Applied, EdgeConfig, Samples, SamplesWanted, TargetHealth};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;

/// What `control` shall hear.
#[derive(Debug)]
pub(crate) enum News {
    Health(TargetHealth),
    Applied(Applied),
}

/// A configuration that was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("generation {offered} is older than {serving}, which serves")]
pub struct Stale {
    offered: u64,
    serving: u64,
}

/// How many upgraded connections are open.
#[derive(Debug, Default)]
pub(crate) struct Tunnels(AtomicUsize);

impl Tunnels {
    pub(crate) fn enter(&self) -> OpenTunnel<'_> {
        self.0.fetch_add(1, Ordering::Relaxed);
        OpenTunnel(&self.0)
    }
}

/// One open tunnel.
pub(crate) struct OpenTunnel<'a>(&'a AtomicUsize);

impl Drop for OpenTunnel<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What only one configuration change at a time may touch.
#[derive(Default)]
struct Desired {
    config: Option<EdgeConfig>,
    targets: HashMap<TargetKey, Arc<Target>>,
    checks: HashMap<TargetKey, JoinHandle<()>>,
    listeners: Listeners,
    remembered: HashMap<TargetKey, Health>,
    failed: Vec<(String, String)>,
}

/// A running edge.
pub struct Edge {
    pub(crate) plan: ArcSwap<Plan>,
    pub(crate) jar: Jar,
    pub(crate) connections: Arc<Connections>,
    pub(crate) tunnels: Tunnels,
    pub(crate) kept: Arc<dyn KeptSockets>,
    desired: Mutex<Desired>,
    news: mpsc::Sender<News>,
    is_news_lost: AtomicBool,
    is_health_changed: AtomicBool,
    store: Option<Store>,
    /// Where the shared entry listens.
    pub(crate) entry: EntryAddresses,
}

impl Edge {
    /// An edge with nothing to serve yet, and the news for `control`. Without a store nothing is remembered.
    pub(crate) fn new(
        store: Option<Store>,
        kept: Arc<dyn KeptSockets>,
        entry: EntryAddresses,
    ) -> Result<(Arc<Self>, mpsc::Receiver<News>), EdgeError> {
        let (news, receiver) = mpsc::channel(NEWS_QUEUED_MAX);
        let jar = match &store {
            Some(store) => Jar::open(&store.cookie_key())?,
            None => Jar::ephemeral()?,
        };
        let remembered = store.as_ref().map(Store::load_health).unwrap_or_default();
        let edge = Arc::new(Self {
            plan: ArcSwap::default(),
            jar,
            connections: Arc::default(),
            tunnels: Tunnels::default(),
            kept,
            desired: Mutex::new(Desired {
                remembered,
                ..Desired::default()
            }),
            news,
            is_news_lost: AtomicBool::new(false),
            is_health_changed: AtomicBool::new(false),
            store,
            entry,
        });
        tokio::spawn(edge.connections.clone().keep_house());
        tokio::spawn(keep_house(Arc::downgrade(&edge)));
        Ok((edge, receiver))
    }

    /// Serves a configuration. Requests in flight keep the one that they began with.
    pub(crate) async fn apply(self: &Arc<Self>, config: EdgeConfig) -> Result<Applied, Stale> {
        let mut desired = self.desired.lock().await;
        if let Some(serving) = &desired.config {
            if config.generation < serving.generation {
                return Err(Stale {
                    offered: config.generation,
                    serving: serving.generation,
                });
            }
            if config == *serving {
                return Ok(Applied {
                    generation: config.generation,
                    failed: desired.failed.clone(),
                });
            }
        }
        let desired = &mut *desired;
        let earlier = self.plan.load_full();
        let mut before = Before {
            plan: &earlier,
            targets: &mut desired.targets,
            remembered: &desired.remembered,
        };
        let plan = Arc::new(compile::compile(&config, &mut before));
        self.plan.store(plan.clone());
        desired.remembered.clear();
        self.follow_targets(desired, &plan);
        desired.failed = desired.listeners.follow(self, &plan);
        self.kept.settle();
        let applied = Applied {
            generation: config.generation,
            failed: desired.failed.clone(),
        };
        if let Some(store) = &self.store
            && let Err(error) = store.save_config(&config)
        {
            tracing::error!(err = %chain(&error), "failed to remember the configuration");
        }
        tracing::info!(
            generation = config.generation,
            listeners = plan.listeners.len(),
            targets = desired.targets.len(),
            failed = applied.failed.len(),
            "configuration serves"
        );
        desired.config = Some(config);
        Ok(applied)
    }

    /// Serves a configuration, as [`crate::run`] does with those that come from `control`. The error tells that the
    /// configuration is older than the one that serves.
    pub async fn apply_config(self: &Arc<Self>, config: EdgeConfig) -> Result<Applied, Stale> {
        self.apply(config).await
    }

    /// Starts checks of new targets, wakes those of known ones, lets go of those that are gone.
    fn follow_targets(self: &Arc<Self>, desired: &mut Desired, plan: &Plan) {
        let wanted: HashSet<&TargetKey> = plan
            .groups
            .values()
            .flat_map(|group| group.targets.iter().chain(&group.draining))
            .map(|t| &t.key)
            .collect();
        desired.targets.retain(|key, target| {
            let stays = wanted.contains(key);
            if !stays {
                target.pool.clear();
            }
            stays
        });
        desired.checks.retain(|key, check| {
            let stays = wanted.contains(key);
            if !stays {
                check.abort();
            }
            stays
        });
        for (key, target) in &desired.targets {
            match desired.checks.get(key) {
                Some(_) => target.recheck.notify_one(),
                None => {
                    let check = tokio::spawn(health::watch(self.clone(), target.clone()));
                    desired.checks.insert(key.clone(), check);
                }
            }
        }
    }

    /// Tries again to open what could not be opened; tells `control` when something changed.
    async fn retry_listeners(self: &Arc<Self>) {
        let mut desired = self.desired.lock().await;
        let plan = self.plan.load_full();
        if desired.failed.len() == plan.refused.len() {
            return;
        }
        let failed = desired.listeners.follow(self, &plan);
        if failed != desired.failed {
            desired.failed = failed.clone();
            self.tell(News::Applied(Applied {
                generation: plan.generation,
                failed,
            }));
        }
    }

    pub(crate) fn tell_health(&self, health: TargetHealth) {
        self.is_health_changed.store(true, Ordering::Relaxed);
        self.tell(News::Health(health));
    }

    fn tell(&self, news: News) {
        if self.news.try_send(news).is_err() {
            self.is_news_lost.store(true, Ordering::Relaxed);
        }
    }

    /// Whether news were lost since the last question: then everything must be told again.
    pub(crate) fn take_news_lost(&self) -> bool {
        self.is_news_lost.swap(false, Ordering::Relaxed)
    }

    /// The health of all targets.
    pub fn health(&self) -> Vec<TargetHealth> {
        let plan = self.plan.load();
        let targets = plan
            .groups
            .values()
            .flat_map(|group| group.targets.iter().chain(&group.draining));
        targets.map(|target| target.report()).collect()
    }

    /// The generation of the configuration that serves; 0 before the first.
    pub fn generation(&self) -> u64 {
        self.plan.load().generation
    }

    /// What was served since the edge started.
    pub fn counters(&self) -> Counters {
        let plan = self.plan.load();
        let count = |group: &crate::group::Group, health: Health| {
            group.targets.iter().filter(|target| target.health() == health).count() as u64
        };
        Counters {
            load_balancers: plan
                .balancers
                .iter()
                .map(|lb| (lb.arn.clone(), lb.numbers.read()))
                .collect(),
            target_groups: plan
                .groups
                .values()
                .map(|group| {
                    let numbers = GroupCounters {
                        healthy: count(group, Health::Healthy),
                        unhealthy: count(group, Health::Unhealthy),
                        ..group.numbers.read()
                    };
                    (group.arn.to_string(), numbers)
                })
                .collect(),
        }
    }

    /// How many client connections are open, upgraded ones included.
    pub fn connections(&self) -> usize {
        self.connections.count() + self.tunnels.0.load(Ordering::Relaxed)
    }

    /// The samples of a web ACL's rule; none when the web ACL does not serve.
    pub(crate) fn samples(&self, wanted: &SamplesWanted) -> Samples {
        match self.plan.load().walls.get(&wanted.web_acl) {
            Some(wall) => wall.samples(wanted),
            None => Samples {
                request: wanted.request,
                sampled: Vec::new(),
                population: 0,
            },
        }
    }

    /// Stops accepting and waits for requests in flight.
    pub(crate) async fn stop(&self) {
        let mut desired = self.desired.lock().await;
        desired.listeners.close_all().await;
        self.kept.leave();
        for (_, check) in desired.checks.drain() {
            check.abort();
        }
        self.save_health();
        // What was accepted a moment ago takes its place among the connections first, so that it is waited for.
        tokio::time::sleep(SHUTDOWN_SETTLE).await;
        self.connections.close(None);
        let began = Instant::now();
        while self.connections.count() > 0 && began.elapsed() < SHUTDOWN_GRACE {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn save_health(&self) {
        if let Some(store) = &self.store
            && let Err(error) = store.save_health(&self.health())
        {
            tracing::warn!(err = %chain(&error), "failed to remember the health of targets");
        }
    }
}

/// Regular work: listeners that could not be opened, idle connections to targets, health to remember.
async fn keep_house(edge: Weak<Edge>) {
    let mut swept = Instant::now();
    loop {
        tokio::time::sleep(BIND_RETRY_PAUSE).await;
        let Some(edge) = edge.upgrade() else { return };
        edge.retry_listeners().await;
        if edge.is_health_changed.swap(false, Ordering::Relaxed) {
            edge.save_health();
        }
        if swept.elapsed() >= SWEEP_INTERVAL {
            swept = Instant::now();
            let plan = edge.plan.load_full();
            for target in plan
                .groups
                .values()
                .flat_map(|group| group.targets.iter().chain(&group.draining))
            {
                target.pool.sweep();
            }
        }
    }
}
