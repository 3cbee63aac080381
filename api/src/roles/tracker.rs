//! `catalog tracker`: counts published views.

use catalog_process::config::{Checker, OpsArgs};
use clap::Args;

use super::worker::Worker;
use crate::{
    config::{DatabaseArgs, EventsArgs},
    events::{consume, streams::TRACKER},
    tracking::{self, Tracker},
};

/// Settings of `catalog tracker`.
#[derive(Args)]
pub struct TrackerArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    events: EventsArgs,
    #[command(flatten)]
    ops: OpsArgs,
}

/// Runs the role.
///
/// # Errors
/// Invalid settings, a listener that cannot be opened, or a task that ended.
pub async fn run(args: TrackerArgs) -> anyhow::Result<()> {
    let mut check = Checker::default();
    let database = args.database.check(&mut check);
    let events = args.events.check(&mut check);
    let ops = args.ops.check(&mut check);
    let (database, (events, ops)) = check.finish(database.zip(events.zip(ops)))?;

    let mut worker = Worker::start(&database, &events, ops).await?;
    if !worker.wait(None).await? {
        return Ok(());
    }
    let (pool, stop) = (worker.pool.clone(), worker.stop());
    worker.spawn("counting", consume::run(worker.nats.clone(), TRACKER, Tracker::new(pool.clone()), stop.clone()));
    worker.spawn("partitions", tracking::maintain_partitions(pool.clone(), stop.clone()));
    worker.spawn("popularity", tracking::copy_view_totals(pool, stop));
    worker.run().await
}
