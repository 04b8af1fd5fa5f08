//! Target groups and targets as they run: what the configuration says of them, and what requests and checks found.
//! A target outlives the configurations that name it; a group is made anew with each and takes its numbers over.

use crate::clock::now_ms;
use crate::counters::GroupNumbers;
use crate::limits::SUSPECT_MS;
use crate::pool::Pool;
use arc_swap::ArcSwap;
use honmaru_contract::edge::{HealthCheck, TargetHealth};
use parking_lot::Mutex;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use tokio::sync::Notify;

/// Which target of which group.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TargetKey {
    pub(crate) group: Arc<str>,
    pub(crate) address: SocketAddrV4,
}

/// A target's state. Ref: ELBv2 `TargetHealthStateEnum`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Health {
    Initial = 0,
    Healthy = 1,
    Unhealthy = 2,
    Draining = 3,
    Unused = 4,
    Unavailable = 5,
}

impl Health {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Health::Initial => "initial",
            Health::Healthy => "healthy",
            Health::Unhealthy => "unhealthy",
            Health::Draining => "draining",
            Health::Unused => "unused",
            Health::Unavailable => "unavailable",
        }
    }

    fn from_u8(value: u8) -> Self {
        match value {
            1 => Health::Healthy,
            2 => Health::Unhealthy,
            3 => Health::Draining,
            4 => Health::Unused,
            5 => Health::Unavailable,
            _ => Health::Initial,
        }
    }

    /// Whether requests may go to such a target without failing open.
    pub(crate) fn serves(self) -> bool {
        match self {
            Health::Healthy | Health::Unavailable => true,
            Health::Initial | Health::Unhealthy | Health::Draining | Health::Unused => false,
        }
    }
}

/// Why a target is in its state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reason {
    pub(crate) code: Option<&'static str>,
    pub(crate) description: Option<String>,
}

/// A target.
pub(crate) struct Target {
    pub(crate) key: TargetKey,
    health: AtomicU8,
    reason: Mutex<Reason>,
    /// Since when it ramps up, or 0.
    pub(crate) slow_since_ms: AtomicU64,
    /// Requests in flight.
    pub(crate) outstanding: AtomicUsize,
    suspect_until_ms: AtomicU64,
    pub(crate) pool: Pool,
    /// Wakes the checker.
    pub(crate) recheck: Notify,
}

impl Target {
    pub(crate) fn new(key: TargetKey, health: Health, reason: Reason) -> Self {
        Self {
            key,
            health: AtomicU8::new(health as u8),
            reason: Mutex::new(reason),
            slow_since_ms: AtomicU64::new(0),
            outstanding: AtomicUsize::new(0),
            suspect_until_ms: AtomicU64::new(0),
            pool: Pool::default(),
            recheck: Notify::new(),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::V4(self.key.address)
    }

    pub(crate) fn health(&self) -> Health {
        Health::from_u8(self.health.load(Ordering::Acquire))
    }

    /// Sets state and reason; returns whether either changed.
    pub(crate) fn set_health(&self, health: Health, reason: Reason) -> bool {
        let mut now = self.reason.lock();
        let before = self.health.swap(health as u8, Ordering::AcqRel);
        let is_changed = before != health as u8 || *now != reason;
        *now = reason;
        is_changed
    }

    /// What `control` is told.
    pub(crate) fn report(&self) -> TargetHealth {
        let reason = self.reason.lock().clone();
        TargetHealth {
            target_group: self.key.group.to_string(),
            address: *self.key.address.ip(),
            port: self.key.address.port(),
            state: self.health().name().to_owned(),
            reason: reason.code.map(str::to_owned),
            description: reason.description,
        }
    }

    /// A connection to it failed: others are preferred for a while, and it is checked at once.
    pub(crate) fn suspect(&self) {
        self.suspect_until_ms.store(now_ms() + SUSPECT_MS, Ordering::Relaxed);
        self.recheck.notify_one();
    }

    /// It answered.
    pub(crate) fn trust(&self) {
        if self.suspect_until_ms.load(Ordering::Relaxed) != 0 {
            self.suspect_until_ms.store(0, Ordering::Relaxed);
        }
    }

    pub(crate) fn is_suspect(&self) -> bool {
        let until = self.suspect_until_ms.load(Ordering::Relaxed);
        until != 0 && now_ms() < until
    }
}

/// A request in flight to a target.
pub(crate) struct InFlight(Arc<Target>);

impl InFlight {
    pub(crate) fn new(target: Arc<Target>) -> Self {
        target.outstanding.fetch_add(1, Ordering::Relaxed);
        Self(target)
    }

    pub(crate) fn target(&self) -> &Arc<Target> {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.outstanding.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How a target is chosen. Ref: target group attribute `load_balancing.algorithm.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    RoundRobin,
    LeastOutstanding,
    WeightedRandom,
}

/// The protocol that targets speak. Ref: target group `ProtocolVersion`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    Http1,
    Http2,
    Grpc,
}

/// How clients are kept on a target. Ref: target group attributes `stickiness.*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stickiness {
    Off,
    /// `AWSALB`, with its duration in seconds.
    Balancer {
        duration_s: u64,
    },
    /// `AWSALBAPP`, bound to the application's cookie.
    Application {
        cookie: String,
        duration_s: u64,
    },
}

/// A target group.
pub(crate) struct Group {
    pub(crate) arn: Arc<str>,
    pub(crate) version: Version,
    pub(crate) uses_tls: bool,
    pub(crate) algorithm: Algorithm,
    pub(crate) stickiness: Stickiness,
    pub(crate) slow_start_ms: u64,
    /// Below this many healthy targets all targets get traffic.
    pub(crate) healthy_count_min: usize,
    /// Below this percentage of healthy targets all targets get traffic; 0: off.
    pub(crate) healthy_percent_min: usize,
    pub(crate) check: HealthCheck,
    /// Whether a listener's rule leads here; groups without are not checked.
    pub(crate) is_used: bool,
    /// Registered targets.
    pub(crate) targets: Vec<Arc<Target>>,
    /// Deregistered ones that finish their requests.
    pub(crate) draining: Vec<Arc<Target>>,
    pub(crate) numbers: Arc<GroupNumbers>,
    /// The addresses of the load balancers that lead here: checks come from the first one.
    pub(crate) source: Option<Ipv4Addr>,
    /// The targets that get traffic now. See [`Group::refresh`].
    live: ArcSwap<Vec<Arc<Target>>>,
    pub(crate) next: AtomicUsize,
}

/// What [`Group::new`] needs beyond the configuration's own words.
pub(crate) struct GroupParts {
    pub(crate) arn: Arc<str>,
    pub(crate) version: Version,
    pub(crate) uses_tls: bool,
    pub(crate) algorithm: Algorithm,
    pub(crate) stickiness: Stickiness,
    pub(crate) slow_start_ms: u64,
    pub(crate) healthy_count_min: usize,
    pub(crate) healthy_percent_min: usize,
    pub(crate) check: HealthCheck,
    pub(crate) is_used: bool,
    pub(crate) targets: Vec<Arc<Target>>,
    pub(crate) draining: Vec<Arc<Target>>,
    pub(crate) numbers: Arc<GroupNumbers>,
    pub(crate) source: Option<Ipv4Addr>,
}

impl Group {
    pub(crate) fn new(parts: GroupParts) -> Self {
        let group = Self {
            arn: parts.arn,
            version: parts.version,
            uses_tls: parts.uses_tls,
            algorithm: parts.algorithm,
            stickiness: parts.stickiness,
            slow_start_ms: parts.slow_start_ms,
            healthy_count_min: parts.healthy_count_min,
            healthy_percent_min: parts.healthy_percent_min,
            check: parts.check,
            is_used: parts.is_used,
            targets: parts.targets,
            draining: parts.draining,
            numbers: parts.numbers,
            source: parts.source,
            live: ArcSwap::default(),
            next: AtomicUsize::new(crate::clock::random() as usize),
        };
        group.refresh();
        group
    }

    /// Chooses anew which targets get traffic; called whenever a target's health changes.
    /// Ref: attributes `target_group_health.unhealthy_state_routing.minimum_healthy_targets.*`: below either
    /// threshold the group fails open, to all registered targets.
    pub(crate) fn refresh(&self) {
        let healthy: Vec<_> = self
            .targets
            .iter()
            .filter(|target| target.health().serves())
            .cloned()
            .collect();
        let is_open = healthy.len() < self.healthy_count_min.max(1)
            || healthy.len() * 100 < self.healthy_percent_min * self.targets.len();
        self.live
            .store(Arc::new(if is_open { self.targets.clone() } else { healthy }));
    }

    /// The targets that get traffic now.
    pub(crate) fn live(&self) -> arc_swap::Guard<Arc<Vec<Arc<Target>>>> {
        self.live.load()
    }

    /// A target became healthy: it ramps up if slow start is on and another target carries the load meanwhile.
    pub(crate) fn begin_slow_start(&self, target: &Target) {
        let others_carry = self.targets.iter().any(|other| {
            other.key != target.key && other.health().serves() && other.slow_since_ms.load(Ordering::Relaxed) == 0
        });
        let since = if self.slow_start_ms > 0 && others_carry {
            now_ms()
        } else {
            0
        };
        target.slow_since_ms.store(since, Ordering::Relaxed);
    }

    /// A target's share of its usual traffic, 0.0 to 1.0.
    pub(crate) fn share(&self, target: &Target) -> f64 {
        let since = target.slow_since_ms.load(Ordering::Relaxed);
        if since == 0 || self.slow_start_ms == 0 {
            return 1.0;
        }
        let elapsed = now_ms().saturating_sub(since);
        if elapsed >= self.slow_start_ms {
            target.slow_since_ms.store(0, Ordering::Relaxed);
            return 1.0;
        }
        // A target at the ramp's foot gets a little: with nothing it would never be seen to work.
        (elapsed as f64 / self.slow_start_ms as f64).max(0.01)
    }
}
