//! `catalog migrate`: upgrades the database, the superuser and the streams to this release, and exits.

use std::{pin::pin, process::ExitCode, time::Duration};

use anyhow::Context;
use backon::Retryable;
use catalog_logging::Chain;
use catalog_process::config::Checker;
use chrono::{SubsecRound, Utc};
use clap::Args;
use sqlx::{ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};

use crate::{
    config::{CatalogueArgs, DatabaseArgs, EventsArgs, EventsSettings, MigrationArgs, SuperuserArgs},
    events::{Nats, streams},
    identity::superuser::{self, Ensured},
    products,
    release::{self, InstallationReport, ReleaseError, write_termination_message},
};

/// A server that is replaced while a connection is opened may never answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The exit code of a migration that found another installation than the expected one.
const OTHER_INSTALLATION: u8 = 3;

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
    #[command(flatten)]
    migration: MigrationArgs,
}

/// Runs the role.
///
/// # Errors
/// Invalid settings, an incompatible database, or a failed migration.
pub async fn run(args: MigrateArgs) -> anyhow::Result<ExitCode> {
    let mut check = Checker::default();
    let currency = args.catalogue.check(&mut check);
    let database = args.database.check(&mut check);
    let superuser = args.superuser.check(&mut check);
    let events = args.events.check(&mut check);
    let migration = args.migration.check(&mut check);
    let settings = currency.zip(database).zip(superuser.zip(events.zip(migration)));
    let ((currency, database), (superuser, (events, migration))) = check.finish(settings)?;

    superuser.as_ref().map(superuser::check).transpose()?;

    let mut conn = connect(&database.primary).await?;
    lock(&mut conn).await?;
    let now = Utc::now().trunc_subsecs(6);
    let migrated = match release::migrate(&mut conn, migration.expected, currency, now).await {
        Err(error @ ReleaseError::OtherInstallation { .. }) => {
            tracing::error!("{error}");
            write_termination_message(migration.termination_log.as_deref(), &error.to_string());
            return Ok(ExitCode::from(OTHER_INSTALLATION));
        }
        migrated => migrated?,
    };
    let report = InstallationReport::read(&mut conn).await?;
    tracing::info!(
        release = release::RELEASE,
        %currency,
        result = %migrated,
        installation_id = %report.installation_id,
        newest_migration = report.newest_migration,
        "database migrated"
    );
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
    // Releases the lock, because NATS may be unavailable for long.
    conn.close().await?;
    ensure_streams(&events).await?;
    write_termination_message(migration.termination_log.as_deref(), &serde_json::to_string(&report)?);
    Ok(ExitCode::SUCCESS)
}

/// Waits for the database without a timeout, and logs errors.
async fn connect(options: &PgConnectOptions) -> anyhow::Result<PgConnection> {
    let options = options.clone().application_name("catalog migrate");
    let attempt = async || match tokio::time::timeout(CONNECT_TIMEOUT, options.connect()).await {
        Ok(connected) => connected.map_err(anyhow::Error::from),
        Err(_) => Err(anyhow::anyhow!("no answer within {} s", CONNECT_TIMEOUT.as_secs())),
    };
    attempt
        .retry(release::endless_backoff())
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

/// Creates and upgrades streams and consumers. Waits for NATS without a timeout.
async fn ensure_streams(settings: &EventsSettings) -> anyhow::Result<()> {
    let nats = Nats::connect(settings).await?;
    (async || {
        if !nats.is_connected() {
            tracing::info!(dependency = "NATS", "waiting for dependency");
            nats.connected().await;
        }
        streams::ensure(&nats).await
    })
    .retry(release::endless_backoff())
    .notify(|error, _| tracing::warn!(error = %Chain(error), "streams not ready; retrying"))
    .await?;
    tracing::info!(prefix = nats.prefix(), "streams ready");
    Ok(())
}
