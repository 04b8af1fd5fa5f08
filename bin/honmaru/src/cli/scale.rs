//! `honmaru scale`: another number of tasks, waited for.

use super::app::{App, CLUSTER};
use super::client::ECS;
use super::connection::Connection;
use super::deploy::COUNT_MAX;
use super::observed::{self, read_service};
use super::progress::{Progress, seconds};
use super::ps::no_app;
use super::rollout::{self, Goal};
use serde_json::json;
use std::time::Instant;

/// The options of `honmaru scale`.
#[derive(Debug, clap::Args)]
pub struct ScaleOptions {
    /// The app
    name: String,
    /// How many tasks
    #[arg(allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(0..=i64::from(COUNT_MAX)))]
    count: u32,
    #[command(flatten)]
    connection: Connection,
}

/// Scales an app.
pub async fn run(options: ScaleOptions) -> anyhow::Result<()> {
    let app: App = options.name.parse()?;
    let client = options.connection.open()?;
    let started = Instant::now();
    let Some(before) = observed::service(&client, &app).await? else {
        return Err(no_app(&app));
    };
    let progress = Progress::start();
    let step = progress.step("scale");
    let update = json!({ "cluster": CLUSTER, "service": app.name(), "desiredCount": options.count });
    let answer = client.call(ECS, "UpdateService", update).await?;
    let goal = Goal::of(&read_service(&answer["service"]), Some(&before));
    let rolled = rollout::reach(&client, &app, &goal, &step).await?;
    step.done(&format!("{} of {} tasks healthy", rolled.healthy, rolled.desired));
    progress.end();
    let took = seconds(u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX));
    say!(
        "scaled `{}` from {} to {} tasks in {took}: {} healthy",
        app.name(),
        before.desired,
        rolled.desired,
        rolled.healthy
    );
    say!("next: `honmaru ps {}{}`", app.name(), options.connection.flags());
    Ok(())
}
