//! Work that goes on when nobody waits for it any more.
//!
//! Not here: what the work is. A task for each call would do the same, at the price of two wake-ups and three moves of the
//! call's whole future; most callers wait to the end.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

/// What a panic carried.
pub type Panic = Box<dyn Any + Send>;

/// A future that is finished once it has begun: dropped in the middle, it goes on as a task of its own. One that was
/// never polled is dropped like any other. A panic ends it, and is its output.
pub struct Kept<F>
where
    F: Future<Output: Send> + Send + 'static,
{
    /// Nothing once it has ended.
    work: Option<Pin<Box<F>>>,
    has_begun: bool,
}

impl<F> Kept<F>
where
    F: Future<Output: Send> + Send + 'static,
{
    /// Keeps `work` going.
    pub fn new(work: F) -> Self {
        Self {
            work: Some(Box::pin(work)),
            has_begun: false,
        }
    }
}

impl<F> Future for Kept<F>
where
    F: Future<Output: Send> + Send + 'static,
{
    type Output = Result<F::Output, Panic>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.has_begun = true;
        let Some(work) = self.work.as_mut() else {
            return Poll::Ready(Err(Box::new("polled after its end")));
        };
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context)));
        let output = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(output)) => Ok(output),
            Err(panic) => Err(panic),
        };
        self.work = None;
        Poll::Ready(output)
    }
}

impl<F> Drop for Kept<F>
where
    F: Future<Output: Send> + Send + 'static,
{
    fn drop(&mut self) {
        let work = self.work.take().filter(|_| self.has_begun);
        // Without a runtime the process ends, and the work with it.
        if let (Some(work), Ok(runtime)) = (work, tokio::runtime::Handle::try_current()) {
            runtime.spawn(work);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn work_that_has_begun_is_finished_though_nobody_waits() {
        let (go, gone) = oneshot::channel::<()>();
        let (done, is_done) = oneshot::channel();
        let mut kept = Box::pin(Kept::new(async move {
            let _ = gone.await;
            let _ = done.send(());
        }));
        assert!(futures_util::poll!(&mut kept).is_pending());
        drop(kept);
        let _ = go.send(());
        assert!(is_done.await.is_ok());
    }

    #[tokio::test]
    async fn work_that_never_began_is_dropped() {
        let (done, is_done) = oneshot::channel();
        drop(Kept::new(async move {
            let _ = done.send(());
        }));
        assert!(is_done.await.is_err());
    }

    #[tokio::test]
    async fn a_panic_is_an_output() {
        let panicked = Kept::new(async { assert!(std::hint::black_box(false), "it fails") }).await;
        assert!(panicked.is_err());
        assert_eq!(Kept::new(async { 7 }).await.ok(), Some(7));
    }
}
