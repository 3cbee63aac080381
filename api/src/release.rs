//! Which releases may share a database, and in which currency its prices are.
//!
//! Migrations expand first and contract one release later, so the database may be newer than this
//! release: it records the oldest one that may still use it.

mod identity;
mod schema_watch;

use std::{fmt, sync::LazyLock, time::Duration};

use backon::{ExponentialBuilder, Retryable};
use catalog_logging::Chain;
use chrono::{DateTime, Utc};
use semver::Version;
use sqlx::{
    PgConnection, PgPool,
    migrate::{Migrate, MigrateError, Migrator},
};
use thiserror::Error;
use uuid::Uuid;

use crate::{config::Currency, http::ops::Readiness, products};

pub use self::{
    identity::{Identity, InstallationReport, write_termination_message},
    schema_watch::watch_schema,
};

/// This release.
pub const RELEASE: &str = env!("CARGO_PKG_VERSION");
/// The oldest release that may use the schema of this one.
const MIN_COMPATIBLE: &str = "0.1.0";
const MIGRATIONS_TABLE: &str = "_sqlx_migrations";

static MIGRATOR: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrator = sqlx::migrate!();
    // A newer release's are fine while it admits this one; the lock is held for more than the migrations.
    migrator.set_ignore_missing(true).set_locking(false);
    migrator
});

/// Why this process cannot work on this database, now or ever.
#[derive(Debug, Error)]
pub enum ReleaseError {
    /// The database belongs to a newer release that doesn't admit this one: upgrade.
    #[error(
        "this is release {RELEASE}, but the database was migrated by release {migrated_by}, \
         which admits {min_compatible} and newer: use one of those"
    )]
    TooOld {
        /// The oldest release the database admits.
        min_compatible: String,
        /// The newest release that migrated it.
        migrated_by: String,
    },
    /// The prices are in another currency.
    #[error("CURRENCY={given}, but the prices in this database are in {stored}: give CURRENCY={stored}, or use another database")]
    OtherCurrency {
        /// As recorded.
        stored: String,
        /// As configured.
        given: Currency,
    },
    /// The database has no schema, or an older one than this release needs: wait.
    #[error("{}: run catalog migrate", describe_schema(*.newest))]
    NotMigrated {
        /// Newest migration of this release that was applied, if any was.
        newest: Option<i64>,
    },
    /// The database isn't the one that is expected.
    #[error(
        "this database {found}, but installation {expected} is expected; nothing was changed: connect to the database of \
         installation {expected} or restore it, or leave out EXPECT_INSTALLATION to use this one"
    )]
    OtherInstallation {
        /// The id that it should have.
        expected: Uuid,
        /// What it is.
        found: Identity,
    },
    /// A migration failed, or one that was applied has been edited since.
    #[error("a migration failed")]
    Migration(#[from] MigrateError),
    /// The database failed or is away: wait.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// What is wrong with a schema that isn't that of this release.
fn describe_schema(newest: Option<i64>) -> String {
    let needed = MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or_default();
    match newest {
        None => "the database has no schema".into(),
        Some(newest) => format!("the database is at migration {newest}, and release {RELEASE} needs {needed}"),
    }
}

/// What the whole installation agrees on.
struct Installation {
    currency: String,
    min_compatible: String,
    migrated_by: String,
}

impl Installation {
    async fn read(conn: &mut PgConnection) -> Result<Option<Self>, sqlx::Error> {
        let read = sqlx::query_as!(Self, "SELECT currency, min_compatible, migrated_by FROM release.installation");
        absent_if_undefined(read.fetch_optional(conn).await)
    }

    fn admits_this_release(&self) -> bool {
        admits(&self.min_compatible, RELEASE)
    }

    fn too_old(self) -> ReleaseError {
        ReleaseError::TooOld { min_compatible: self.min_compatible, migrated_by: self.migrated_by }
    }
}

/// Whether a database that asks for `min_compatible` may be used by `release`. One that is recorded
/// in a form this release doesn't know may not.
fn admits(min_compatible: &str, release: &str) -> bool {
    matches!((Version::parse(min_compatible), Version::parse(release)), (Ok(min), Ok(release)) if min <= release)
}

/// A table that doesn't exist yet holds nothing. SQLSTATE 42P01 is `undefined_table`, 3F000 `invalid_schema_name`.
fn absent_if_undefined<T: Default>(result: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
    match result {
        Err(sqlx::Error::Database(error)) if error.code().is_some_and(|code| code == "42P01" || code == "3F000") => Ok(T::default()),
        other => other,
    }
}

/// What [`migrate`] found and did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migrated {
    /// Migrations applied now.
    pub applied: usize,
    /// Migrations of newer releases that were there.
    pub newer: usize,
}

impl fmt::Display for Migrated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} applied now", self.applied)?;
        if self.newer > 0 { write!(f, ", {} there from a newer release that admits {RELEASE}", self.newer) } else { Ok(()) }
    }
}

/// Takes the lock that lets one `catalog migrate` work at a time. It goes with the connection, which
/// must be a direct one: a transaction pooler would hand the lock to others.
///
/// # Errors
/// If the database refuses.
pub async fn lock(conn: &mut PgConnection) -> Result<(), ReleaseError> {
    Ok(conn.lock().await?)
}

/// Brings the database to this release, unless it is at a newer one that admits this, or another installation than
/// `expected`. The caller holds [`lock`].
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
        identity::expect(conn, expected).await?;
    }
    let before = Installation::read(conn).await?;
    if let Some(installation) = before
        && !installation.admits_this_release()
    {
        return Err(installation.too_old());
    }
    conn.ensure_migrations_table(MIGRATIONS_TABLE).await?;
    let known_before = applied(conn).await?;
    MIGRATOR.run(&mut *conn).await?;
    record(conn, currency, now).await?;
    Ok(Migrated {
        applied: MIGRATOR.iter().filter(|migration| !known_before.contains(&migration.version)).count(),
        newer: known_before.iter().filter(|version| !MIGRATOR.version_exists(**version)).count(),
    })
}

/// Writes the installation down. A newer release's record stays, and so does the currency of existing prices.
async fn record(conn: &mut PgConnection, currency: Currency, now: DateTime<Utc>) -> Result<(), ReleaseError> {
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
            return Err(ReleaseError::OtherCurrency { stored: installation.currency, given: currency });
        }
        sqlx::query!("UPDATE release.installation SET currency = $1", currency.code()).execute(&mut *conn).await?;
    }
    if installation.migrated_by != RELEASE && admits(&installation.migrated_by, RELEASE) {
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

async fn applied(conn: &mut PgConnection) -> Result<Vec<i64>, MigrateError> {
    Ok(conn.list_applied_migrations(MIGRATIONS_TABLE).await?.into_iter().map(|migration| migration.version).collect())
}

/// Whether this process may work on the database.
///
/// # Errors
/// See [`ReleaseError`].
pub async fn check(pool: &PgPool, currency: Currency) -> Result<(), ReleaseError> {
    let installation = admitted(pool).await?;
    if installation.currency == currency.code() {
        Ok(())
    } else {
        Err(ReleaseError::OtherCurrency { stored: installation.currency, given: currency })
    }
}

/// Whether this release may work on the database, whatever its currency.
///
/// # Errors
/// See [`ReleaseError`].
pub async fn check_schema(pool: &PgPool) -> Result<(), ReleaseError> {
    admitted(pool).await.map(|_| ())
}

async fn admitted(pool: &PgPool) -> Result<Installation, ReleaseError> {
    let mut conn = pool.acquire().await?;
    let installation = Installation::read(&mut conn).await?.ok_or(ReleaseError::NotMigrated { newest: None })?;
    if !installation.admits_this_release() {
        return Err(installation.too_old());
    }
    let applied = applied(&mut conn).await?;
    let (present, missing): (Vec<_>, Vec<_>) =
        MIGRATOR.iter().map(|migration| migration.version).partition(|version| applied.contains(version));
    if missing.is_empty() { Ok(installation) } else { Err(ReleaseError::NotMigrated { newest: present.into_iter().max() }) }
}

/// Waits until the database is there and migrated, and says what it waits for.
///
/// # Errors
/// What no waiting would mend: [`ReleaseError::TooOld`] and [`ReleaseError::OtherCurrency`].
pub async fn wait_until_usable(readiness: &Readiness, pool: &PgPool, currency: Currency) -> Result<(), ReleaseError> {
    wait(readiness, || check(pool, currency)).await
}

/// As [`wait_until_usable`], for roles that know nothing of prices.
///
/// # Errors
/// What no waiting would mend: [`ReleaseError::TooOld`].
pub async fn wait_until_migrated(readiness: &Readiness, pool: &PgPool) -> Result<(), ReleaseError> {
    wait(readiness, || check_schema(pool)).await
}

async fn wait<F: Future<Output = Result<(), ReleaseError>>>(readiness: &Readiness, check: impl FnMut() -> F) -> Result<(), ReleaseError> {
    let mut said = None;
    check
        .retry(patience())
        .when(|error| !matches!(error, ReleaseError::TooOld { .. } | ReleaseError::OtherCurrency { .. }))
        .notify(|error, _| {
            let what = match error {
                ReleaseError::NotMigrated { newest } => format!("catalog migrate: {}", describe_schema(*newest)),
                other => format!("the database: {}", Chain(other)),
            };
            // Each reason once, not every few seconds.
            if said.as_ref() != Some(&what) {
                readiness.waiting_for(&what);
                said = Some(what);
            }
        })
        .await
}

/// Backoff without an end, for what a process cannot do without: from 100 ms to 5 s.
pub fn patience() -> ExponentialBuilder {
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
    fn a_database_admits_its_oldest_compatible_release_and_newer_ones() {
        assert!(admits("0.1.0", "0.1.0"));
        assert!(admits("0.1.0", "0.10.0"));
        assert!(!admits("0.10.0", "0.9.9"));
        assert!(!admits("1.0.0", "1.0.0-rc.1"));
        assert!(!admits("next", "1.0.0"));
    }

    #[test]
    fn this_release_admits_itself() {
        assert!(admits(MIN_COMPATIBLE, RELEASE));
    }

    #[test]
    fn a_release_that_is_too_old_is_told_both_versions() {
        let installation = Installation { currency: "EUR".into(), min_compatible: "9.0.0".into(), migrated_by: "9.1.0".into() };
        assert!(!installation.admits_this_release());
        let text = installation.too_old().to_string();
        assert!([RELEASE, "9.0.0", "9.1.0"].iter().all(|version| text.contains(version)), "{text}");
    }
}
