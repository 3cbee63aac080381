//! Checks that the release and the currency of a process fit its database, and migrates it.
//!
//! Migrations expand first and contract one release later, so the database may be newer than this release. It records the
//! oldest release that may use it.

mod installation_id;
mod schema_watch;

use std::{fmt, sync::LazyLock, time::Duration};

use backon::{ExponentialBuilder, Retryable};
use catalog_logging::Chain;
use catalog_process::ops::Readiness;
use catalog_values::Currency;
use chrono::{DateTime, Utc};
use semver::Version;
use sqlx::{
    PgConnection, PgPool,
    migrate::{Migrate, MigrateError, Migrator},
};
use thiserror::Error;
use uuid::Uuid;

use crate::products;

pub use self::{
    installation_id::{DatabaseInstallation, InstallationReport, write_termination_message},
    schema_watch::watch_schema,
};

pub const RELEASE: &str = env!("CARGO_PKG_VERSION");
/// The oldest release that may use the schema of this release.
const MIN_COMPATIBLE: &str = "0.1.0";
const MIGRATIONS_TABLE: &str = "_sqlx_migrations";

static MIGRATOR: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrator = sqlx::migrate!();
    // A newer release may have applied migrations that this one doesn't have. `lock` is held for longer than the migrations.
    migrator.set_ignore_missing(true).set_locking(false);
    migrator
});

/// Why a process cannot use a database.
#[derive(Debug, Error)]
pub enum ReleaseError {
    /// A newer release has migrated the database, and this one may not use it any more.
    #[error(
        "release {RELEASE} is too old for this database: release {migrated_by} migrated it and supports {min_compatible} and \
         newer; upgrade to one of those"
    )]
    TooOld {
        /// The oldest release that may use the database.
        min_compatible: String,
        /// The newest release that migrated it.
        migrated_by: String,
    },
    #[error(
        "the currency is {configured}, but the prices in this database are in {stored}: set the currency to {stored}, or use another database"
    )]
    OtherCurrency { stored: String, configured: Currency },
    /// The database has no schema, or an older one than this release needs.
    #[error("{}: run catalog migrate", describe_schema(*.newest))]
    NotMigrated {
        /// Newest applied migration of this release.
        newest: Option<i64>,
    },
    #[error(
        "this database {found}, but installation {expected} is expected; nothing was changed: connect to the database of \
         installation {expected}, or restore it"
    )]
    OtherInstallation { expected: Uuid, found: DatabaseInstallation },
    /// A migration failed, or an applied migration was edited later.
    #[error("a migration failed")]
    Migration(#[from] MigrateError),
    /// The database failed or is unavailable.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Describes a schema that is missing or older than this release needs.
fn describe_schema(newest: Option<i64>) -> String {
    let needed = MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or_default();
    match newest {
        None => "the database has no schema".into(),
        Some(newest) => format!("the database is at migration {newest}, and release {RELEASE} needs {needed}"),
    }
}

/// The record of the installation in its database.
struct Installation {
    currency: String,
    min_compatible: String,
    migrated_by: String,
}

impl Installation {
    async fn read(conn: &mut PgConnection) -> Result<Option<Self>, sqlx::Error> {
        let read = sqlx::query_as!(Self, "SELECT currency, min_compatible, migrated_by FROM release.installation");
        default_if_undefined(read.fetch_optional(conn).await)
    }

    fn supports_this_release(&self) -> bool {
        supports(&self.min_compatible, RELEASE)
    }

    fn too_old(self) -> ReleaseError {
        ReleaseError::TooOld { min_compatible: self.min_compatible, migrated_by: self.migrated_by }
    }
}

/// Whether `release` may use a database that needs `min_compatible`. False if either is not a valid version.
fn supports(min_compatible: &str, release: &str) -> bool {
    matches!((Version::parse(min_compatible), Version::parse(release)), (Ok(min), Ok(release)) if min <= release)
}

/// Returns the default if the table doesn't exist. SQLSTATE 42P01 is `undefined_table`, 3F000 `invalid_schema_name`.
fn default_if_undefined<T: Default>(result: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
    match result {
        Err(sqlx::Error::Database(error)) if error.code().is_some_and(|code| code == "42P01" || code == "3F000") => Ok(T::default()),
        other => other,
    }
}

/// The result of [`migrate`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migrated {
    /// Migrations that this run applied.
    pub applied: usize,
    /// Applied migrations of newer releases.
    pub newer: usize,
}

impl fmt::Display for Migrated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} migrations applied", self.applied)?;
        if self.newer > 0 { write!(f, "; {} of a newer release, which supports {RELEASE}, exist", self.newer) } else { Ok(()) }
    }
}

/// Takes the lock that `catalog migrate` holds. It is released with the connection, which must not go through a transaction
/// pooler: that would share the lock with other clients.
///
/// # Errors
/// If the database fails.
pub async fn lock(conn: &mut PgConnection) -> Result<(), ReleaseError> {
    Ok(conn.lock().await?)
}

/// Migrates the database to this release. A database that a newer release has migrated is not changed; it is an error if that release
/// doesn't support this one. Another installation than `expected` is an error, too. Call it with the [`lock`] held.
///
/// # Errors
/// See [`ReleaseError`].
pub async fn migrate(
    conn: &mut PgConnection,
    expected: Option<Uuid>,
    currency: Currency,
    now: DateTime<Utc>,
) -> Result<Migrated, ReleaseError> {
    if let Some(expected) = expected {
        installation_id::check(conn, expected).await?;
    }
    let before = Installation::read(conn).await?;
    if let Some(installation) = before
        && !installation.supports_this_release()
    {
        return Err(installation.too_old());
    }
    conn.ensure_migrations_table(MIGRATIONS_TABLE).await?;
    let applied_before = applied_versions(conn).await?;
    MIGRATOR.run(&mut *conn).await?;
    record_installation(conn, currency, now).await?;
    Ok(Migrated {
        applied: MIGRATOR.iter().filter(|migration| !applied_before.contains(&migration.version)).count(),
        newer: applied_before.iter().filter(|version| !MIGRATOR.version_exists(**version)).count(),
    })
}

/// Creates or updates the record of the installation. A newer release and the currency of existing products don't change.
async fn record_installation(conn: &mut PgConnection, currency: Currency, now: DateTime<Utc>) -> Result<(), ReleaseError> {
    let Some(installation) = Installation::read(conn).await? else {
        sqlx::query!(
            "INSERT INTO release.installation (currency, min_compatible, migrated_by, migrated_at) VALUES ($1, $2, $3, $4)",
            currency.code(),
            MIN_COMPATIBLE,
            RELEASE,
            now,
        )
        .execute(conn)
        .await?;
        return Ok(());
    };
    if installation.currency != currency.code() {
        if products::any_exist(conn).await? {
            return Err(ReleaseError::OtherCurrency { stored: installation.currency, configured: currency });
        }
        sqlx::query!("UPDATE release.installation SET currency = $1", currency.code()).execute(&mut *conn).await?;
    }
    if installation.migrated_by != RELEASE && supports(&installation.migrated_by, RELEASE) {
        sqlx::query!(
            "UPDATE release.installation SET min_compatible = $1, migrated_by = $2, migrated_at = $3",
            MIN_COMPATIBLE,
            RELEASE,
            now,
        )
        .execute(conn)
        .await?;
    }
    Ok(())
}

async fn applied_versions(conn: &mut PgConnection) -> Result<Vec<i64>, MigrateError> {
    Ok(conn.list_applied_migrations(MIGRATIONS_TABLE).await?.into_iter().map(|migration| migration.version).collect())
}

/// Checks that a process with this currency can use the database.
///
/// # Errors
/// See [`ReleaseError`].
pub async fn check(pool: &PgPool, currency: Currency) -> Result<(), ReleaseError> {
    let installation = read_compatible(pool).await?;
    if installation.currency == currency.code() {
        Ok(())
    } else {
        Err(ReleaseError::OtherCurrency { stored: installation.currency, configured: currency })
    }
}

/// Checks that this release can use the database, without its currency.
///
/// # Errors
/// See [`ReleaseError`].
pub async fn check_schema(pool: &PgPool) -> Result<(), ReleaseError> {
    read_compatible(pool).await.map(|_| ())
}

async fn read_compatible(pool: &PgPool) -> Result<Installation, ReleaseError> {
    let mut conn = pool.acquire().await?;
    let installation = Installation::read(&mut conn).await?.ok_or(ReleaseError::NotMigrated { newest: None })?;
    if !installation.supports_this_release() {
        return Err(installation.too_old());
    }
    let applied = applied_versions(&mut conn).await?;
    let (present, missing): (Vec<_>, Vec<_>) =
        MIGRATOR.iter().map(|migration| migration.version).partition(|version| applied.contains(version));
    if missing.is_empty() { Ok(installation) } else { Err(ReleaseError::NotMigrated { newest: present.into_iter().max() }) }
}

/// Waits until the database is available and migrated, and reports what it waits for.
///
/// # Errors
/// Permanent errors: [`ReleaseError::TooOld`] and [`ReleaseError::OtherCurrency`].
pub async fn wait_until_usable(readiness: &Readiness, pool: &PgPool, currency: Currency) -> Result<(), ReleaseError> {
    wait(readiness, || check(pool, currency)).await
}

/// Like [`wait_until_usable`], for roles that don't use prices.
///
/// # Errors
/// Permanent errors: [`ReleaseError::TooOld`].
pub async fn wait_until_migrated(readiness: &Readiness, pool: &PgPool) -> Result<(), ReleaseError> {
    wait(readiness, || check_schema(pool)).await
}

async fn wait<F: Future<Output = Result<(), ReleaseError>>>(readiness: &Readiness, check: impl FnMut() -> F) -> Result<(), ReleaseError> {
    let mut reported = None;
    check
        .retry(endless_backoff())
        .when(|error| !matches!(error, ReleaseError::TooOld { .. } | ReleaseError::OtherCurrency { .. }))
        .notify(|error, _| {
            let dependency = match error {
                ReleaseError::NotMigrated { newest } => format!("catalog migrate: {}", describe_schema(*newest)),
                other => format!("the database: {}", Chain(other)),
            };
            // Only changes are reported, not every attempt.
            if reported.as_ref() != Some(&dependency) {
                readiness.waiting_for(&dependency);
                reported = Some(dependency);
            }
        })
        .await
}

/// Exponential backoff from 100 ms to 5 s without a limit of attempts, for required dependencies.
pub fn endless_backoff() -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(5))
        .with_jitter()
        .without_max_times()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_supports_its_oldest_compatible_release_and_newer_ones() {
        assert!(supports("0.1.0", "0.1.0"));
        assert!(supports("0.1.0", "0.10.0"));
        assert!(!supports("0.10.0", "0.9.9"));
        assert!(!supports("1.0.0", "1.0.0-rc.1"));
        assert!(!supports("next", "1.0.0"));
    }

    #[test]
    fn this_release_supports_itself() {
        assert!(supports(MIN_COMPATIBLE, RELEASE));
    }

    #[test]
    fn the_error_of_an_old_release_names_all_versions() {
        let installation = Installation { currency: "EUR".into(), min_compatible: "9.0.0".into(), migrated_by: "9.1.0".into() };
        assert!(!installation.supports_this_release());
        let text = installation.too_old().to_string();
        assert!([RELEASE, "9.0.0", "9.1.0"].iter().all(|version| text.contains(version)), "{text}");
    }
}
