//! One connected edge: it is told what to serve, and reports the health of targets.

use super::Control;
use super::link::{Receiver, Sender};
use super::pace::Pace;
use honmaru_contract::edge::{EdgeConfig, FromEdge, ToEdge};
use std::sync::Arc;

/// Serves one edge until its connection ends.
pub async fn run(
    control: Arc<Control>,
    mut receiver: Receiver<FromEdge>,
    sender: Sender<ToEdge>,
) -> anyhow::Result<()> {
    control.samples.attach(sender.clone());
    let pushing = tokio::spawn(push(control.clone(), sender));
    let heard = hear(&control, &mut receiver).await;
    pushing.abort();
    heard
}

async fn push(control: Arc<Control>, sender: Sender<ToEdge>) -> anyhow::Result<()> {
    let mut changes = control.engine.changes();
    let mut sent: Option<EdgeConfig> = None;
    let mut pace = Pace::default();
    loop {
        changes.mark_unchanged();
        let generation = control.engine.head();
        let mut config = pace.measure(control.engine.read(honmaru_cloud::edge_config)).await?;
        // Compared without the generation: what asks for the same is not sent again.
        config.generation = sent.as_ref().map_or(0, |sent| sent.generation);
        if sent.as_ref() != Some(&config) {
            config.generation = generation;
            if sender.send(ToEdge::Config(Box::new(config.clone()))).is_err() {
                return Ok(());
            }
            sent = Some(config);
        }
        pace.rest().await;
        changes.changed().await?;
    }
}

async fn hear(control: &Arc<Control>, receiver: &mut Receiver<FromEdge>) -> anyhow::Result<()> {
    loop {
        let batch = receiver.batch().await?;
        if batch.is_empty() {
            return Ok(());
        }
        let written = control.engine.write(move |tx| {
            for message in &batch {
                match message {
                    FromEdge::Applied(applied) => honmaru_cloud::observe_edge_applied(tx, applied),
                    FromEdge::Health(all) => honmaru_elbv2::observe_all_health(tx, all),
                    FromEdge::HealthChanged(changed) => honmaru_elbv2::observe_health(tx, changed),
                    FromEdge::Samples(_) | FromEdge::Hello(_) => {}
                }
            }
            Ok::<_, std::convert::Infallible>(batch)
        });
        let Ok(batch) = written.await?;
        for message in batch {
            if let FromEdge::Samples(samples) = message {
                control.samples.answer(samples);
            }
        }
    }
}
