//! Controllers: pure functions that look at everything and move the state on.

use crate::Tx;
use honmaru_base::Time;

/// A controller. It takes no hint of what changed: the path after a crash is the path of every day.
pub trait Reconciler: Send {
    /// Its name, for logs and `honmaru explain`.
    fn name(&self) -> &'static str;

    /// The kinds of rows whose change wakes it. A wake-up says only "look again".
    fn watches(&self) -> &'static [&'static str];

    /// Looks at the whole state and changes what must change. Returns when to look again even if nothing changes.
    /// With nothing to do it must change nothing, or it would wake itself for ever.
    fn reconcile(&mut self, tx: &mut Tx<'_>) -> Option<Time>;
}
