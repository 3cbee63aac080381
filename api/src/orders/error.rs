//! Why a command or a read of orders failed.

use thiserror::Error;

/// See the variants for what the caller can do.
#[derive(Debug, Error)]
pub enum Error {
    /// There is no such order.
    #[error("there is no such order")]
    NotFound,
    /// The database failed or is away.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}
