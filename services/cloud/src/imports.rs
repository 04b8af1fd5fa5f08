//! Images of mirrors that tasks wait for: provisioning asks for them here, and whoever has the registry fetches them.
//!
//! Not here: the fetching. Not durable: after a restart a task that still waits asks again.
//! Invariant: an answer is for the tasks that wait when it comes; a later task asks anew.

use honmaru_base::Scope;
use honmaru_machine::{Resource, State, Tx};
use serde::{Deserialize, Serialize};

/// An image that is to be fetched through a mirror; its key is the repository, `@` and the tag or digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ImageImport {
    repository: String,
    reference: String,
    architecture: String,
    answer: Option<Result<(), String>>,
}

impl Resource for ImageImport {
    const KIND: &'static str = "cloud.image_import";
    const DURABLE: bool = false;
}

/// An image that tasks wait for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WantedImage {
    /// Account and region of the mirror.
    pub scope: Scope,
    /// The mirror.
    pub repository: String,
    /// A tag, or a digest (`sha256:...`).
    pub reference: String,
    /// Of an index, the manifest for `linux` and this architecture (in OCI's words) is wanted.
    pub architecture: String,
}

/// The images that tasks wait for and that nobody has answered yet.
pub fn wanted_images(state: &State) -> Vec<WantedImage> {
    state
        .all::<ImageImport>()
        .filter(|(_, _, row)| row.answer.is_none())
        .map(|(scope, _, row)| WantedImage {
            scope: scope.clone(),
            repository: row.repository.clone(),
            reference: row.reference.clone(),
            architecture: row.architecture.clone(),
        })
        .collect()
}

/// Says what became of an image that was wanted: the mirror has it now, or why not. The tasks go on.
pub fn image_answered(tx: &mut Tx<'_>, wanted: &WantedImage, answer: Result<(), String>) {
    let key = key(&wanted.repository, &wanted.reference);
    tx.update::<ImageImport>(&wanted.scope, &key, |row| row.answer = Some(answer));
}

/// The answer to a wish; a first wish is noted. Nothing while it is under way.
pub(crate) fn answer_to(tx: &mut Tx<'_>, wanted: WantedImage) -> Option<Result<(), String>> {
    let key = key(&wanted.repository, &wanted.reference);
    if let Some(row) = tx.get::<ImageImport>(&wanted.scope, &key) {
        return row.answer.clone();
    }
    let WantedImage {
        scope,
        repository,
        reference,
        architecture,
    } = wanted;
    tx.put(
        &scope,
        &key,
        ImageImport {
            repository,
            reference,
            architecture,
            answer: None,
        },
    );
    None
}

/// Forgets what was answered: every task that waited has seen it.
pub(crate) fn forget_answered(tx: &mut Tx<'_>) {
    let answered: Vec<(Scope, String)> = tx
        .all::<ImageImport>()
        .filter(|(_, _, row)| row.answer.is_some())
        .map(|(scope, key, _)| (scope.clone(), key.to_owned()))
        .collect();
    for (scope, key) in answered {
        tx.delete::<ImageImport>(&scope, &key);
    }
}

fn key(repository: &str, reference: &str) -> String {
    format!("{repository}@{reference}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use honmaru_base::{SeededRng, Time};

    #[test]
    fn a_wish_is_noted_once_and_its_answer_is_for_those_who_wait() {
        let mut state = State::new();
        state.register::<ImageImport>();
        let mut rng = SeededRng::from_u64(1);
        let mut tx = Tx::new(&mut state, Time::from_ms(1), &mut rng);
        let wanted = || WantedImage {
            scope: Scope::new("000000000000", "us-east-1").unwrap(),
            repository: "hub/app".to_owned(),
            reference: "v1".to_owned(),
            architecture: "amd64".to_owned(),
        };
        assert_eq!(answer_to(&mut tx, wanted()), None);
        assert_eq!(answer_to(&mut tx, wanted()), None);
        assert_eq!(wanted_images(&tx), [wanted()]);
        forget_answered(&mut tx);
        assert_eq!(wanted_images(&tx), [wanted()], "it is under way");
        image_answered(&mut tx, &wanted(), Err("upstream is away".to_owned()));
        assert_eq!(wanted_images(&tx), []);
        assert_eq!(answer_to(&mut tx, wanted()), Some(Err("upstream is away".to_owned())));
        forget_answered(&mut tx);
        assert_eq!(answer_to(&mut tx, wanted()), None, "the next task asks anew");
        assert_eq!(wanted_images(&tx), [wanted()]);
    }
}
