//! Images of mirrors that tasks wait for: fetched from upstream, in the background.
//!
//! Not here: which task waits for what (`honmaru_cloud`, by its reconciler), the fetching itself (the registry).
//! Invariants: what is wanted by many tasks is fetched once; every wish gets an answer, also when a fetch panics or takes
//! for ever.

use super::Control;
use super::registry::Caller;
use honmaru_cloud::WantedImage;
use honmaru_images::Digest;
use honmaru_registry::{ManifestRef, RegistryError};
use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{Id, JoinError, JoinSet};

/// Images that are fetched at a time.
const FETCHES_MAX: usize = 4;
/// How long a task waits for its image at most.
const FETCH_TIMEOUT: Duration = Duration::from_secs(20 * 60);

type Fetched = (WantedImage, Result<(), String>);

/// Fetches what is wanted, for ever.
pub async fn run(control: Arc<Control>) {
    let fetcher = Fetcher {
        control,
        running: JoinSet::new(),
        busy: HashSet::new(),
        wishes: HashMap::new(),
    };
    if let Err(error) = fetcher.run().await {
        tracing::warn!(err = %format!("{error:#}"), "fetching the images of mirrors for tasks ends");
    }
}

struct Fetcher {
    control: Arc<Control>,
    running: JoinSet<Fetched>,
    busy: HashSet<WantedImage>,
    /// What a running fetch is for, should it panic.
    wishes: HashMap<Id, WantedImage>,
}

impl Fetcher {
    async fn run(mut self) -> anyhow::Result<()> {
        let mut changes = self.control.engine.changes();
        loop {
            changes.mark_unchanged();
            self.begin().await?;
            tokio::select! {
                changed = changes.changed() => changed?,
                Some(ended) = self.running.join_next_with_id(), if !self.running.is_empty() => self.settle(ended).await?,
            }
        }
    }

    async fn begin(&mut self) -> anyhow::Result<()> {
        let wanted = self.control.engine.read(honmaru_cloud::wanted_images).await?;
        for wanted in wanted {
            if self.running.len() >= FETCHES_MAX {
                break;
            }
            if !self.busy.insert(wanted.clone()) {
                continue;
            }
            let (control, wish) = (self.control.clone(), wanted.clone());
            let spawned = self.running.spawn(async move {
                let answer = match tokio::time::timeout(FETCH_TIMEOUT, fetch(&control, &wish)).await {
                    Ok(answer) => answer.map_err(|error| error.to_string()),
                    Err(_) => Err("the upstream registry took too long".to_owned()),
                };
                (wish, answer)
            });
            self.wishes.insert(spawned.id(), wanted);
        }
        Ok(())
    }

    async fn settle(&mut self, ended: Result<(Id, Fetched), JoinError>) -> anyhow::Result<()> {
        let (wanted, answer) = match ended {
            Ok((id, fetched)) => {
                self.wishes.remove(&id);
                fetched
            }
            Err(error) => match self.wishes.remove(&error.id()) {
                Some(wanted) => (wanted, Err("the fetch failed".to_owned())),
                None => return Ok(()),
            },
        };
        self.busy.remove(&wanted);
        if let Err(why) = &answer {
            let WantedImage {
                repository, reference, ..
            } = &wanted;
            tracing::warn!(
                repository,
                reference,
                why,
                "a task's image could not be fetched from upstream"
            );
        }
        let told = self.control.engine.write(move |tx| {
            honmaru_cloud::image_answered(tx, &wanted, answer);
            Ok::<_, Infallible>(())
        });
        let Ok(()) = told.await?;
        Ok(())
    }
}

/// Has the mirror fetch an image, and of an index the manifest that the node will run.
async fn fetch(control: &Control, wanted: &WantedImage) -> Result<(), RegistryError> {
    let caller = Caller::of_task(&wanted.scope);
    let registry = control.registry.registry();
    let reference = match wanted.reference.contains(':') {
        true => ManifestRef::Digest(wanted.reference.parse::<Digest>().map_err(RegistryError::from)?),
        false => ManifestRef::Tag(wanted.reference.clone()),
    };
    // What upstream does not have either, the task is told by whoever looks for it next.
    let Some(found) = registry.pull(&caller, &wanted.repository, &reference).await? else {
        return Ok(());
    };
    let (scope, name, digest) = (&wanted.scope, &wanted.repository, found.digest.to_string());
    let entry = control
        .engine
        .read(|state| honmaru_ecr::index_entry(state, scope, name, &digest, &wanted.architecture))
        .await
        .map_err(|error| RegistryError::internal(&error))?;
    if let Some(entry) = entry {
        let entry = ManifestRef::Digest(entry.parse::<Digest>().map_err(RegistryError::from)?);
        registry.pull(&caller, name, &entry).await?;
    }
    Ok(())
}
