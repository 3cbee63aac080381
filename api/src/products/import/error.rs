//! Errors that end an import.

use catalog_rows::ReadError;
use thiserror::Error;

use super::report::ImportResult;

/// An error that ends an import.
#[derive(Debug, Error)]
pub enum Error {
    /// The rows cannot be read. Nothing was imported.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Some rows of an atomic import are invalid. Nothing was imported.
    #[error("{} rows are invalid; nothing was imported", .0.failed)]
    Rejected(ImportResult),
    /// The process has too many uploads. Nothing was imported; retry later.
    #[error("too many concurrent uploads")]
    Busy,
    /// The admin has the maximum number of concurrent imports. Nothing was imported.
    #[error("this admin has {max} imports in progress")]
    TooManyImportsOfAdmin {
        /// That number.
        max: usize,
    },
    /// The session ended or the account was deactivated during the upload. Nothing was imported.
    #[error("the session ended during the upload")]
    SessionEnded,
    /// Other requests keep modifying the same products. Committed chunks stay, of which an atomic import has none; retry.
    #[error("the products are being modified by other requests")]
    Contended,
    /// A restart of PostgreSQL deleted the staged rows. Committed chunks stay, of which an atomic import has none; retry.
    #[error("the database was restarted during the import")]
    RowsLost,
    /// The database failed or is unavailable. Committed chunks stay, of which an atomic import has none.
    #[error(transparent)]
    Database(sqlx::Error),
    /// A defect of the importer.
    #[error("the reader task failed")]
    Reader(#[from] tokio::task::JoinError),
    /// A staged row cannot be read back: another release wrote it, or the importer has a defect.
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
