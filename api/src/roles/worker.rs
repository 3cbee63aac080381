//! What the roles behind the API have in common: they need the database and NATS, and nobody waits for
//! them while they wait for those.

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::supervisor::Supervisor;
use crate::{
    config::{Currency, DatabaseSettings, EventsSettings, OpsSettings},
    database,
    events::{Nats, streams},
    http::ops::Readiness,
    release,
};

/// A role that works on events.
pub struct Worker {
    /// The database, for reads and writes.
    pub pool: PgPool,
    /// Where events are.
    pub nats: Nats,
    supervisor: Supervisor,
}

impl Worker {
    /// Starts with the role's probes and metrics. Nothing is connected yet.
    ///
    /// # Errors
    /// If `OPS_ADDRESS` cannot be listened on, or a file of NATS settings cannot be read.
    pub async fn start(database: &DatabaseSettings, events: &EventsSettings, ops: OpsSettings) -> anyhow::Result<Self> {
        let supervisor = Supervisor::start(ops)?;
        let pool = database::primary(database);
        let nats = Nats::connect(events).await?;
        let readiness = supervisor.readiness();
        readiness.dependency("postgresql", {
            let pool = pool.clone();
            move || {
                let pool = pool.clone();
                async move { database::ping(&pool).await }
            }
        });
        readiness.dependency("nats", {
            let nats = nats.clone();
            move || std::future::ready(if nats.is_connected() { Ok(()) } else { Err("not connected".to_owned()) })
        });
        Ok(Self { pool, nats, supervisor })
    }

    /// For dependencies of its own.
    pub fn readiness(&self) -> &Readiness {
        self.supervisor.readiness()
    }

    /// Waits until the database is migrated, if need be with prices in `currency`, and NATS is there. False
    /// means that the role was stopped meanwhile.
    ///
    /// # Errors
    /// What no waiting would mend.
    pub async fn wait(&mut self, currency: Option<Currency>) -> anyhow::Result<bool> {
        let readiness = self.supervisor.readiness().clone();
        let (pool, nats) = (self.pool.clone(), self.nats.clone());
        let started = self.supervisor.starting(async move {
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

    /// Cancelled when it is time to stop. Every task watches it.
    pub fn stop(&self) -> CancellationToken {
        self.supervisor.stop()
    }

    /// Runs a task under supervision.
    pub fn spawn(&mut self, name: &'static str, task: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        self.supervisor.spawn(name, task);
    }

    /// Works until it is told to stop, then drains. Keeps the streams meanwhile.
    ///
    /// # Errors
    /// If a task ended unasked or failed while draining, or the drain took too long.
    pub async fn run(mut self) -> anyhow::Result<()> {
        self.spawn("streams", streams::keep(self.nats.clone(), self.stop()));
        let watch = release::watch_schema(self.readiness().clone(), self.pool.clone(), self.stop());
        self.spawn("schema watch", watch);
        self.readiness().ready();
        self.supervisor.run().await
    }
}
