//! `catalog notifier`: turns events into mail to the admins.

use std::sync::Arc;

use clap::Args;
use tokio::sync::Notify;

use super::supervisor::Supervisor;
use crate::{
    config::{
        Checker, ConfigError, DatabaseArgs, DatabaseSettings, EventsArgs, EventsSettings, LinksArgs, MailArgs, MailSettings, OpsArgs,
        OpsSettings,
    },
    database::Database,
    events::{
        Nats, consume,
        streams::{self, NOTIFIER},
    },
    notifications::{self, Distributor, Senders, Transport},
    release,
};

/// Mails on their way at once, at most.
const MAX_SENDERS: u32 = 4;
/// Connections that senders leave to the rest of the process.
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
/// Wrong settings, a listener that cannot be opened, or a task that ended.
pub async fn run(args: NotifierArgs) -> anyhow::Result<()> {
    let settings = args.check()?;
    let mut supervisor = Supervisor::start(settings.ops).await?;
    let database = Database::new(&settings.database);
    let pool = database.primary.clone();
    let nats = Nats::connect(&settings.events).await?;
    let written = Arc::new(Notify::new());
    let from = settings.mail.from.clone();
    let distributor = Distributor::new(pool.clone(), &settings.public_url, &from, written.clone())?;
    let senders = Senders::new(pool.clone(), Transport::new(&settings.mail)?, from, written);

    let readiness = supervisor.readiness().clone();
    readiness.dependency("postgresql", move || {
        let database = database.clone();
        async move { database.ping().await }
    });
    readiness.dependency("nats", {
        let nats = nats.clone();
        move || std::future::ready(if nats.is_connected() { Ok(()) } else { Err("not connected".to_owned()) })
    });
    readiness.dependency("mail server", {
        let senders = senders.clone();
        move || std::future::ready(senders.check())
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
    supervisor.spawn("distribution", consume::run(nats, NOTIFIER, distributor, stop.clone()));
    for _ in 0..settings.database.max_connections.saturating_sub(OTHER_CONNECTIONS).clamp(1, MAX_SENDERS) {
        supervisor.spawn("sender", senders.clone().run(stop.clone()));
    }
    supervisor.spawn("mail gauges", notifications::measure(pool.clone(), stop.clone()));
    supervisor.spawn("mail purge", notifications::purge(pool, stop));
    readiness.ready();
    supervisor.run().await
}
