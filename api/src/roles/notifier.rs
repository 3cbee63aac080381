//! `catalog notifier`: sends mail about events to admins and customers.

use std::sync::Arc;

use catalog_process::config::{Checker, ConfigError, OpsArgs, OpsSettings};
use clap::Args;
use tokio::sync::Notify;

use super::worker::Worker;
use crate::{
    config::{DatabaseArgs, DatabaseSettings, EventsArgs, EventsSettings, LinksArgs, MailArgs, MailSettings},
    events::{consume, streams::NOTIFIER},
    notifications::{self, Distributor, Senders, Transport},
};

/// Maximum number of mails in flight.
const MAX_SENDERS: u32 = 4;
/// Database connections reserved for the other tasks of the process.
const OTHER_CONNECTIONS: u32 = 2;

/// Settings of `catalog notifier`.
#[derive(Args)]
pub struct NotifierArgs {
    #[command(flatten)]
    links: LinksArgs,
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    events: EventsArgs,
    #[command(flatten)]
    mail: MailArgs,
    #[command(flatten)]
    ops: OpsArgs,
}

struct Settings {
    public_url: String,
    database: DatabaseSettings,
    events: EventsSettings,
    mail: MailSettings,
    ops: OpsSettings,
}

impl NotifierArgs {
    fn check(&self) -> Result<Settings, ConfigError> {
        let mut check = Checker::default();
        let public_url = self.links.check(&mut check);
        let database = self.database.check(&mut check);
        let events = self.events.check(&mut check);
        let mail = self.mail.check(&mut check);
        let ops = self.ops.check(&mut check);
        let settings = || Some(Settings { public_url: public_url?, database: database?, events: events?, mail: mail?, ops: ops? });
        check.finish(settings())
    }
}

/// Runs the role.
///
/// # Errors
/// Invalid settings, a listener that cannot be opened, or a task that ended.
pub async fn run(args: NotifierArgs) -> anyhow::Result<()> {
    let settings = args.check()?;
    let mut worker = Worker::start(&settings.database, &settings.events, settings.ops).await?;
    let pool = worker.pool.clone();
    let new_deliveries = Arc::new(Notify::new());
    let from = settings.mail.from.clone();
    let distributor = Distributor::new(pool.clone(), &settings.public_url, &from, new_deliveries.clone())?;
    let senders = Senders::new(pool.clone(), Transport::new(&settings.mail)?, from, new_deliveries);
    worker.readiness().add_dependency("mail server", {
        let senders = senders.clone();
        move || std::future::ready(senders.check())
    });
    if !worker.wait(None).await? {
        return Ok(());
    }
    let stop = worker.stop();
    worker.spawn("distribution", consume::run(worker.nats.clone(), NOTIFIER, distributor, stop.clone()));
    for _ in 0..settings.database.max_connections.saturating_sub(OTHER_CONNECTIONS).clamp(1, MAX_SENDERS) {
        worker.spawn("sender", senders.clone().run(stop.clone()));
    }
    worker.spawn("mail gauges", notifications::measure_backlog(pool.clone(), stop.clone()));
    worker.spawn("mail purge", notifications::purge_messages(pool, stop));
    worker.run().await
}
