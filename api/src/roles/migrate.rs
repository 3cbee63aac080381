//! `catalog migrate`: brings the database, the superuser and the streams to this release, and exits.

use std::{pin::pin, time::Duration};

use anyhow::Context;
use backon::Retryable;
use catalog_logging::Chain;
use chrono::{SubsecRound, Utc};
use clap::Args;
use sqlx::{ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};

use crate::{
    config::{CatalogueArgs, Checker, DatabaseArgs, EventsArgs, EventsSettings, SuperuserArgs},
    events::{Nats, streams},
    identity::superuser::{self, Ensured},
    products,
    release::{self, ReleaseError},
};

/// Who doesn't answer by then may be a server that was taken away in the middle, and never will.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// Settings of `catalog migrate`.
#[derive(Args)]
pub struct MigrateArgs {
    #[command(flatten)]
    catalogue: CatalogueArgs,
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    superuser: SuperuserArgs,
    #[command(flatten)]
    events: EventsArgs,
}

/// Runs the role.
///
/// # Errors
/// Wrong settings, an incompatible database, or a failed migration.
pub async fn run(args: MigrateArgs) -> anyhow::Result<()> {
    let mut check = Checker::default();
    let currency = args.catalogue.check(&mut check);
    let database = args.database.check(&mut check);
    let superuser = args.superuser.check(&mut check);
    let events = args.events.check(&mut check);
    let settings = currency.zip(database).zip(superuser.zip(events));
    let ((currency, database), (superuser, events)) = check.finish(settings)?;

    superuser.as_ref().map(superuser::check).transpose()?;

    let mut conn = connect(&database.primary).await?;
    lock(&mut conn).await?;
    let now = Utc::now().trunc_subsecs(6);
    let migrated = release::migrate(&mut conn, currency, now).await?;
    tracing::info!(release = release::RELEASE, %currency, result = %migrated, "database migrated");
    let folded = products::search::refold_all(&mut conn).await?;
    if folded > 0 {
        tracing::info!(products = folded, "search names updated");
    }
    if let Some(superuser) = superuser {
        match superuser::ensure(&mut conn, &superuser, now).await? {
            Ensured::Created => tracing::info!(username = superuser.username, "superuser created"),
            Ensured::Changed => tracing::info!(username = superuser.username, "superuser updated"),
            Ensured::Unchanged => {}
        }
    }
    // NATS may take long to come, and the lock goes with the connection.
    conn.close().await?;
    ensure_streams(&events).await
}

/// Waits for the database, however long it takes, saying why.
async fn connect(options: &PgConnectOptions) -> anyhow::Result<PgConnection> {
    let options = options.clone().application_name("catalog migrate");
    let attempt = async || match tokio::time::timeout(CONNECT_PATIENCE, options.connect()).await {
        Ok(connected) => connected.map_err(anyhow::Error::from),
        Err(_) => Err(anyhow::anyhow!("no answer within {} s", CONNECT_PATIENCE.as_secs())),
    };
    attempt
        .retry(release::patience())
        .notify(|error, _| tracing::info!(error = format!("{error:#}"), "database unavailable; retrying"))
        .await
        .context("cannot connect to the database")
}

/// Waits for another `catalog migrate` to finish.
async fn lock(conn: &mut PgConnection) -> Result<(), ReleaseError> {
    let mut locked = pin!(release::lock(conn));
    if let Ok(locked) = tokio::time::timeout(Duration::from_secs(1), &mut locked).await {
        return locked;
    }
    tracing::info!(dependency = "another catalog migrate", "waiting for dependency");
    locked.await
}

/// Creates and upgrades streams and consumers, however long NATS takes to come.
async fn ensure_streams(settings: &EventsSettings) -> anyhow::Result<()> {
    let nats = Nats::connect(settings).await?;
    (async || {
        if !nats.is_connected() {
            tracing::info!(dependency = "NATS", "waiting for dependency");
            nats.connected().await;
        }
        streams::ensure(&nats).await
    })
    .retry(release::patience())
    .notify(|error, _| tracing::warn!(error = %Chain(error), "streams not ready; retrying"))
    .await?;
    tracing::info!(prefix = nats.prefix(), "streams ready");
    Ok(())
}
