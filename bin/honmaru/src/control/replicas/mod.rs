//! Replication to other clouds: takes what the state says is waiting, and sends it in the background.
//!
//! Invariants: a push never waits for another cloud; what waits is in the state, so that it outlives this process; images
//! of one repository go to one destination one after the other, so that the last tag wins; a cloud that is away holds up
//! nobody but itself.

mod file;
mod push;
mod wire;

pub use file::rewrite;

use super::Control;
use super::pace::Pace;
use anyhow::Context as _;
use file::Other;
use honmaru_base::{Clock, Scope};
use honmaru_ecr::{Parcel, Undelivered};
use honmaru_engine::{Engine, SystemClock};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use wire::Trouble;

/// Images on their way at the same time.
const PUSHES_MAX: usize = 4;
/// Pauses of a destination that is away: they double up to the longest.
const HOLD_FIRST: Duration = Duration::from_secs(1);
const HOLD_MAX: Duration = Duration::from_secs(60);
/// How long nobody looks at the queue when nothing says that there is something.
const IDLE: Duration = Duration::from_secs(300);

/// The other clouds that the operator named.
pub struct Replicas(BTreeMap<Scope, Other>);

impl Replicas {
    /// Reads the operator's file, and tells the state which destinations are other clouds.
    pub async fn open(file: Option<&Path>, engine: &Engine) -> anyhow::Result<Self> {
        let others = file.map_or_else(|| Ok(BTreeMap::new()), file::read)?;
        let clouds: Vec<(Scope, String)> = others
            .iter()
            .map(|(scope, other)| (scope.clone(), other.endpoint.clone()))
            .collect();
        let told = engine.write(move |tx| {
            honmaru_ecr::set_other_clouds(tx, &clouds);
            Ok::<_, Infallible>(())
        });
        let Ok(()) = told.await.context("failed to note the other clouds")?;
        Ok(Self(others))
    }
}

/// An image of a repository on its way to a destination.
type Way = (Scope, String, Scope);

/// A push that ended.
struct Ended {
    way: Way,
    key: String,
    version: String,
    result: Result<(), Undone>,
}

enum Undone {
    /// No operator has named a cloud for the destination.
    NotMapped,
    Trouble(Trouble),
}

/// A destination that is away: until when it is left alone, and how long the last pause was.
struct Held {
    until: Instant,
    pause: Duration,
}

/// Sends what waits, for ever.
pub async fn run(control: Arc<Control>) {
    let ended = Runner {
        control,
        running: JoinSet::new(),
        busy: HashSet::new(),
        ways: HashMap::new(),
        held: HashMap::new(),
    };
    if let Err(error) = ended.run().await {
        tracing::warn!(err = %format!("{error:#}"), "replication to other clouds ends");
    }
}

struct Runner {
    control: Arc<Control>,
    running: JoinSet<Ended>,
    busy: HashSet<Way>,
    /// The ways of running pushes, for one that panics.
    ways: HashMap<Id, Way>,
    held: HashMap<Scope, Held>,
}

impl Runner {
    async fn run(mut self) -> anyhow::Result<()> {
        let mut changes = self.control.engine.changes();
        let mut pace = Pace::default();
        loop {
            changes.mark_unchanged();
            let wake = pace.measure(self.begin()).await?;
            pace.rest().await;
            tokio::select! {
                changed = changes.changed() => changed?,
                Some(ended) = self.running.join_next(), if !self.running.is_empty() => {
                    match ended {
                        Ok(ended) => self.settle(ended).await?,
                        Err(error) => self.give_up(&error),
                    }
                }
                () = tokio::time::sleep_until(wake) => {}
            }
        }
    }

    /// Begins what is due and can be done now, and returns when to look again.
    async fn begin(&mut self) -> anyhow::Result<Instant> {
        let now = SystemClock.now();
        let moment = Instant::now();
        let free = PUSHES_MAX.saturating_sub(self.running.len());
        let (busy, held) = (&self.busy, &self.held);
        let is_free = |scope: &Scope, name: &str, to: &Scope| {
            let is_held = held.get(to).is_some_and(|held| held.until > moment);
            !is_held && !busy.contains(&(scope.clone(), name.to_owned(), to.clone()))
        };
        let look = self.control.engine.read(|state| {
            let (jobs, next) = honmaru_ecr::due_parcels(state, now, free, is_free);
            let parcels: Vec<(Scope, String, Option<Parcel>)> = jobs
                .into_iter()
                .map(|(scope, key)| {
                    let parcel = honmaru_ecr::parcel(state, &scope, &key);
                    (scope, key, parcel)
                })
                .collect();
            (parcels, next)
        });
        let (parcels, next) = look.await?;
        for (scope, key, parcel) in parcels {
            match parcel {
                Some(parcel) => self.start(scope, key, parcel),
                None => {
                    let dropped = self.control.engine.write(move |tx| {
                        honmaru_ecr::drop_parcel(tx, &scope, &key);
                        Ok::<_, Infallible>(())
                    });
                    let Ok(()) = dropped.await?;
                }
            }
        }
        let next = next.map(|at| moment + Duration::from_millis(u64::try_from(at.as_ms() - now.as_ms()).unwrap_or(0)));
        let released = self
            .held
            .values()
            .map(|held| held.until)
            .filter(|until| *until > moment);
        Ok(released
            .chain(next)
            .chain([moment + IDLE])
            .min()
            .unwrap_or(moment + IDLE))
    }

    fn start(&mut self, scope: Scope, key: String, parcel: Parcel) {
        let way: Way = (scope, parcel.repository.clone(), parcel.to.clone());
        self.busy.insert(way.clone());
        let control = self.control.clone();
        let push_way = way.clone();
        let spawned = self.running.spawn(async move {
            let result = match control.replicas.0.get(&parcel.to) {
                None => Err(Undone::NotMapped),
                Some(other) => {
                    let pushed = push::push(other, control.registry.store(), &parcel).await;
                    pushed.map_err(Undone::Trouble)
                }
            };
            Ended {
                way,
                key,
                version: parcel.version,
                result,
            }
        });
        self.ways.insert(spawned.id(), push_way);
    }

    /// Notes what became of a push.
    async fn settle(&mut self, ended: Ended) -> anyhow::Result<()> {
        let Ended {
            way,
            key,
            version,
            result,
        } = ended;
        self.busy.remove(&way);
        self.ways.retain(|_, running| *running != way);
        let (scope, repository, to) = way;
        match &result {
            Ok(()) => {
                if self.held.remove(&to).is_some() {
                    tracing::info!(%to, "the other cloud is back; replication goes on");
                }
            }
            Err(Undone::NotMapped) => {
                tracing::warn!(%to, repository, key, "an image is not replicated: `honmaru up --replicas FILE` names no \
                     cloud for its destination");
            }
            Err(Undone::Trouble(Trouble::Away(why))) => self.hold(&to, why),
            Err(Undone::Trouble(trouble)) => {
                // It answered: it is not away.
                self.held.remove(&to);
                tracing::warn!(%to, repository, key, why = trouble.text(), "an image was not replicated");
            }
        }
        let written = self.control.engine.write(move |tx| {
            let why = match &result {
                Ok(()) => {
                    honmaru_ecr::parcel_arrived(tx, &scope, &key, &version);
                    return Ok::<_, Infallible>(());
                }
                Err(Undone::NotMapped) => Undelivered::NotMapped,
                Err(Undone::Trouble(Trouble::Refused { code, .. })) => Undelivered::Refused(code),
                Err(Undone::Trouble(Trouble::Away(_))) => Undelivered::Away,
                Err(Undone::Trouble(Trouble::Later(_))) => Undelivered::Later,
            };
            honmaru_ecr::parcel_undelivered(tx, &scope, &key, &version, why);
            Ok(())
        });
        let Ok(()) = written.await?;
        Ok(())
    }

    /// A push panicked: its image waits on, and its destination is left alone for a while.
    fn give_up(&mut self, error: &JoinError) {
        if let Some(way) = self.ways.remove(&error.id()) {
            self.busy.remove(&way);
            self.hold(&way.2, "a push panicked");
        }
    }

    /// Leaves a destination alone for a while.
    fn hold(&mut self, to: &Scope, why: &str) {
        let now = Instant::now();
        let pause = match self.held.get(to) {
            // Pushes that were under way together end together: that is one failure.
            Some(held) if held.until > now => return,
            Some(held) => (held.pause * 2).min(HOLD_MAX),
            None => {
                tracing::warn!(%to, why, "another cloud is away; what is to be replicated there waits");
                HOLD_FIRST
            }
        };
        let until = now + pause;
        self.held.insert(to.clone(), Held { until, pause });
    }
}
