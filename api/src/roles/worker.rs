//! The common part of workers: roles that consume events and need the database and NATS.

use catalog_process::{config::OpsSettings, ops::Readiness, supervisor::Supervisor};
use catalog_values::Currency;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::{
    config::{DatabaseSettings, EventsSettings},
    database,
    events::{Nats, streams},
    http::rejection,
    release,
};

pub struct Worker {
    pub pool: PgPool,
    pub nats: Nats,
    supervisor: Supervisor,
}

impl Worker {
    /// Starts the listener for probes and metrics. Doesn't wait for connections.
    ///
    /// # Errors
    /// If `OPS_ADDRESS` cannot be listened on, or a file of NATS settings cannot be read.
    pub async fn start(database: &DatabaseSettings, events: &EventsSettings, ops: OpsSettings) -> anyhow::Result<Self> {
        let supervisor = Supervisor::start(ops, rejection::respond)?;
        let pool = database::primary(database);
        let nats = Nats::connect(events).await?;
        let readiness = supervisor.readiness();
        readiness.add_dependency("postgresql", {
            let pool = pool.clone();
            move || {
                let pool = pool.clone();
                async move { database::ping(&pool).await }
            }
        });
        readiness.add_dependency("nats", {
            let nats = nats.clone();
            move || std::future::ready(if nats.is_connected() { Ok(()) } else { Err("not connected".to_owned()) })
        });
        Ok(Self { pool, nats, supervisor })
    }

    pub fn readiness(&self) -> &Readiness {
        self.supervisor.readiness()
    }

    /// Waits until the database is migrated, with prices in `currency` if given, and NATS is connected. Returns false if the role
    /// is stopped meanwhile.
    ///
    /// # Errors
    /// Permanent errors of [`release::wait_until_usable`].
    pub async fn wait(&mut self, currency: Option<Currency>) -> anyhow::Result<bool> {
        let readiness = self.supervisor.readiness().clone();
        let (pool, nats) = (self.pool.clone(), self.nats.clone());
        let started = self.supervisor.run_start(async move {
            match currency {
                Some(currency) => release::wait_until_usable(&readiness, &pool, currency).await?,
                None => release::wait_until_migrated(&readiness, &pool).await?,
            }
            if !nats.is_connected() {
                readiness.waiting_for("NATS");
                nats.connected().await;
            }
            Ok(())
        });
        Ok(started.await?.is_some())
    }

    /// Returns the token that is cancelled when tasks must stop.
    pub fn stop(&self) -> CancellationToken {
        self.supervisor.stop()
    }

    /// See [`Supervisor::spawn`].
    pub fn spawn(&mut self, name: &'static str, task: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        self.supervisor.spawn(name, task);
    }

    /// Reports the role as ready and runs it until it is stopped, see [`Supervisor::run`]. Recreates streams meanwhile.
    ///
    /// # Errors
    /// See [`Supervisor::run`].
    pub async fn run(mut self) -> anyhow::Result<()> {
        self.spawn("streams", streams::recreate_missing_until_stopped(self.nats.clone(), self.stop()));
        let watch = release::watch_schema(self.readiness().clone(), self.pool.clone(), self.stop());
        self.spawn("schema watch", watch);
        self.readiness().ready();
        self.supervisor.run().await
    }
}
