//! Why an import ended early.

use thiserror::Error;

use super::{report::ImportResult, rows::ReadError};

/// See the variants for what the caller can do.
#[derive(Debug, Error)]
pub enum Error {
    /// The rows could not be read. Nothing was imported.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// All or nothing was asked for, and some rows are invalid. Nothing was imported.
    #[error("{} rows are invalid, so none was imported", .0.failed)]
    Rejected(ImportResult),
    /// Too many uploads in this process: send it again later. Nothing was imported.
    #[error("too many uploads at the same time")]
    Busy,
    /// The admin has as many imports as one admin may have at the same time. Nothing was imported.
    #[error("this admin has {max} imports in progress")]
    TooManyOfAdmin {
        /// How many that is.
        max: usize,
    },
    /// The session ended or the account was deactivated while the rows were received. Nothing was imported.
    #[error("the session ended during the upload")]
    SessionEnded,
    /// Others keep changing the same products: send it again. What was committed stays.
    #[error("others are changing the same products at the same time")]
    Contended,
    /// The database lost the staged rows in a restart: send it again. What was committed stays.
    #[error("the database was restarted during the import")]
    RowsLost,
    /// The database failed or is away. What was committed stays.
    #[error(transparent)]
    Database(sqlx::Error),
    /// A fault of the importer itself.
    #[error("the reader of an import failed")]
    Reader(#[from] tokio::task::JoinError),
    /// A staged row cannot be read back: written by another release, or a fault of the importer.
    #[error("a staged row cannot be read back")]
    Staged(#[from] serde_json::Error),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        // Deadlock and serialization failure: PostgreSQL manual, appendix A.
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        if code.is_some_and(|code| code == "40P01" || code == "40001") { Self::Contended } else { Self::Database(error) }
    }
}
