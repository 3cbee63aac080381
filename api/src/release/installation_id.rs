//! The installation id of a database: random, created with its schema, and kept by backups.

use std::{fmt, path::Path};

use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{MIGRATOR, ReleaseError, default_if_undefined};

/// The installation id of a database, if it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseInstallation {
    NoSchema,
    /// The schema was created by a release without installation ids.
    WithoutId,
    Installation(Uuid),
}

impl fmt::Display for DatabaseInstallation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSchema => f.write_str("has no schema"),
            Self::WithoutId => f.write_str("has an older schema without an installation id"),
            Self::Installation(id) => write!(f, "is installation {id}"),
        }
    }
}

/// The termination message of a successful `catalog migrate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InstallationReport {
    pub installation_id: Uuid,
    /// The newest migration of this release.
    pub newest_migration: i64,
}

impl InstallationReport {
    /// Reads the id of a migrated database.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn read(conn: &mut PgConnection) -> Result<Self, ReleaseError> {
        let installation_id = sqlx::query_scalar!("SELECT id FROM release.installation").fetch_one(conn).await?;
        Ok(Self { installation_id, newest_migration: MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or_default() })
    }
}

/// Checks that the database is installation `expected`.
///
/// # Errors
/// [`ReleaseError::OtherInstallation`] if it isn't.
pub async fn check(conn: &mut PgConnection, expected: Uuid) -> Result<(), ReleaseError> {
    let found = read(conn).await?;
    if found == DatabaseInstallation::Installation(expected) { Ok(()) } else { Err(ReleaseError::OtherInstallation { expected, found }) }
}

async fn read(conn: &mut PgConnection) -> Result<DatabaseInstallation, ReleaseError> {
    // SQLSTATE 42703 is `undefined_column`.
    let read = match sqlx::query_scalar!("SELECT id FROM release.installation").fetch_optional(conn).await {
        Err(sqlx::Error::Database(error)) if error.code().is_some_and(|code| code == "42703") => {
            return Ok(DatabaseInstallation::WithoutId);
        }
        read => default_if_undefined(read)?,
    };
    Ok(read.map_or(DatabaseInstallation::NoSchema, DatabaseInstallation::Installation))
}

/// Writes the termination message of the container. A failure is only logged.
pub fn write_termination_message(file: Option<&Path>, message: &str) {
    let Some(file) = file else { return };
    if let Err(error) = std::fs::write(file, message) {
        tracing::warn!(%error, file = %file.display(), "termination message not written");
    }
}
