//! `catalog fulfiller`: confirms new orders and fulfils due ones.

use std::time::Duration;

use catalog_process::config::{Checker, ConfigError, OpsArgs, OpsSettings};
use catalog_values::Currency;
use clap::Args;

use super::worker::Worker;
use crate::{
    config::{CatalogueArgs, DatabaseArgs, DatabaseSettings, EventsArgs, EventsSettings, FulfilmentArgs, LinksArgs},
    events::{Outbox, consume, streams::FULFILLER},
    orders::fulfil::{self, Fulfiller, FulfilmentPolicy},
};

/// Settings of `catalog fulfiller`.
#[derive(Args)]
pub struct FulfillerArgs {
    #[command(flatten)]
    fulfilment: FulfilmentArgs,
    #[command(flatten)]
    catalogue: CatalogueArgs,
    #[command(flatten)]
    links: LinksArgs,
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    events: EventsArgs,
    #[command(flatten)]
    ops: OpsArgs,
}

struct Settings {
    delay: Duration,
    currency: Currency,
    public_url: String,
    database: DatabaseSettings,
    events: EventsSettings,
    ops: OpsSettings,
}

impl FulfillerArgs {
    fn check(&self) -> Result<Settings, ConfigError> {
        let mut check = Checker::default();
        let delay = self.fulfilment.check(&mut check);
        let currency = self.catalogue.check(&mut check);
        let public_url = self.links.check(&mut check);
        let database = self.database.check(&mut check);
        let events = self.events.check(&mut check);
        let ops = self.ops.check(&mut check);
        let settings = || {
            Some(Settings { delay: delay?, currency: currency?, public_url: public_url?, database: database?, events: events?, ops: ops? })
        };
        check.finish(settings())
    }
}

/// Runs the role.
///
/// # Errors
/// Invalid settings, a listener that cannot be opened, or a task that ended.
pub async fn run(args: FulfillerArgs) -> anyhow::Result<()> {
    let settings = args.check()?;
    let mut worker = Worker::start(&settings.database, &settings.events, settings.ops).await?;
    if !worker.wait(Some(settings.currency)).await? {
        return Ok(());
    }
    let (pool, stop) = (worker.pool.clone(), worker.stop());
    // The API relays the outbox.
    let policy = FulfilmentPolicy::new(pool.clone(), Outbox::new(&settings.public_url), settings.currency, settings.delay);
    let fulfiller = Fulfiller::new(pool.clone(), policy.clone());
    worker.spawn("confirmation", consume::run(worker.nats.clone(), FULFILLER, fulfiller, stop.clone()));
    worker.spawn("due orders", fulfil::poll_due_orders(pool, policy, stop));
    worker.run().await
}
