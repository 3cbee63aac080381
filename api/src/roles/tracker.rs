//! `catalog tracker`: counts published views.

use clap::Args;

use super::supervisor::Supervisor;
use crate::{
    config::{Checker, DatabaseArgs, EventsArgs, OpsArgs},
    database::Database,
    events::{
        Nats, consume,
        streams::{self, TRACKER},
    },
    release,
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
/// Wrong settings, a listener that cannot be opened, or a task that ended.
pub async fn run(args: TrackerArgs) -> anyhow::Result<()> {
    let mut check = Checker::default();
    let database = args.database.check(&mut check);
    let events = args.events.check(&mut check);
    let ops = args.ops.check(&mut check);
    let (database, (events, ops)) = check.finish(database.zip(events.zip(ops)))?;

    let mut supervisor = Supervisor::start(ops).await?;
    let database = Database::new(&database);
    let pool = database.primary.clone();
    let nats = Nats::connect(&events).await?;

    let readiness = supervisor.readiness().clone();
    readiness.dependency("postgresql", move || {
        let database = database.clone();
        async move { database.ping().await }
    });
    readiness.dependency("nats", {
        let nats = nats.clone();
        move || std::future::ready(if nats.is_connected() { Ok(()) } else { Err("not connected".to_owned()) })
    });
    let started = supervisor.starting(async {
        release::wait_until_migrated(&readiness, &pool).await?;
        if !nats.is_connected() {
            readiness.waiting_for("NATS");
            nats.connected().await;
        }
        Ok(())
    });
    if started.await?.is_none() {
        return Ok(());
    }

    let stop = supervisor.stop();
    supervisor.spawn("streams", streams::keep(nats.clone(), stop.clone()));
    supervisor.spawn("counting", consume::run(nats, TRACKER, Tracker::new(pool.clone()), stop.clone()));
    supervisor.spawn("partitions", tracking::keep_partitions(pool.clone(), stop.clone()));
    supervisor.spawn("popularity", tracking::project(pool, stop));
    readiness.ready();
    supervisor.run().await
}
