//! What is done now and then: log events that expired are removed, as are those of streams that are gone.

use super::{Control, events::stream_id};
use honmaru_base::Clock;
use honmaru_engine::SystemClock;
use std::sync::Arc;
use std::time::Duration;

/// How often the janitor goes round.
const INTERVAL: Duration = Duration::from_secs(300);

/// Goes round, for ever.
pub async fn run(control: Arc<Control>) {
    loop {
        tokio::time::sleep(INTERVAL).await;
        let Ok(streams) = control.engine.read(honmaru_logs::streams).await else {
            return;
        };
        let journal = control.journal.clone();
        let now = SystemClock.now();
        let done = tokio::task::spawn_blocking(move || {
            for (stream, retention_days) in &streams {
                if let Some(days) = retention_days {
                    journal.trim(&stream_id(stream), honmaru_logs::cutoff_ms(now, *days))?;
                }
            }
            let keep: Vec<_> = streams.iter().map(|(stream, _)| stream_id(stream)).collect();
            journal.retain(&keep)
        });
        match done.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(err = %honmaru_base::chain(&error), "the janitor could not clean up logs"),
            Err(error) => tracing::warn!(%error, "the janitor panicked"),
        }
        control.registry.make_room(&control.engine).await;
        control.registry.collect_garbage().await;
    }
}
