//! `catalog tracker`: counts published views.

use std::time::Duration;

use chrono::Utc;
use clap::Args;

use super::supervisor::Supervisor;
use crate::{
    config::{Checker, DatabaseArgs, EventsArgs, OpsArgs},
    database::Database,
    events::{
        Nats, consume,
        streams::{self, TRACKER},
    },
    http::ops::Readiness,
    tracking::{self, Tracker},
};

/// Pause between two attempts to reach the database at the start.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

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
/// Wrong settings, a listener that cannot be opened, or a task that ended.
pub async fn run(args: TrackerArgs) -> anyhow::Result<()> {
    let mut check = Checker::default();
    let database = args.database.check(&mut check);
    let events = args.events.check(&mut check);
    let ops = args.ops.check(&mut check);
    let (database, (events, ops)) = check.finish(database.zip(events.zip(ops)))?;

    let mut supervisor = Supervisor::start(ops).await?;
    let pool = Database::new(&database).primary;
    let nats = Nats::connect(&events).await?;
    let readiness = supervisor.readiness().clone();
    let waiting = readiness.clone();
    let started = supervisor.starting(async {
        let tracker = wait_for_database(&waiting, &pool).await;
        if !nats.is_connected() {
            waiting.waiting_for("NATS");
            nats.connected().await;
        }
        Ok(tracker)
    });
    let Some(tracker) = started.await? else { return Ok(()) };

    let stop = supervisor.stop();
    supervisor.spawn("streams", streams::keep(nats.clone(), stop.clone()));
    supervisor.spawn("counting", consume::run(nats, TRACKER, tracker, stop.clone()));
    supervisor.spawn("partitions", tracking::keep_partitions(pool.clone(), stop.clone()));
    supervisor.spawn("popularity", tracking::project(pool, stop));
    readiness.ready();
    supervisor.run().await
}

async fn wait_for_database(readiness: &Readiness, pool: &sqlx::PgPool) -> Tracker {
    readiness.waiting_for("the database and its migrations");
    loop {
        match Tracker::start(pool.clone(), Utc::now()).await {
            Ok(tracker) => return tracker,
            Err(error) => {
                tracing::warn!(%error, "the database is not ready, trying on");
                tokio::time::sleep(RETRY_INTERVAL).await;
            }
        }
    }
}
