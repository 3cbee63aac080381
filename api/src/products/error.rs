//! Why a command or a read of the catalogue failed.

use std::sync::Arc;

use thiserror::Error;

use crate::database::Busy;

/// See the variants for what the caller can do.
#[derive(Debug, Error)]
pub enum Error {
    /// There is no such product, or it is deleted.
    #[error("there is no such product")]
    NotFound,
    /// Another product that isn't deleted has the sku: choose another, or change that product.
    #[error("the sku {0:?} is taken")]
    SkuTaken(String),
    /// The product isn't in the state the command was meant for: read it again.
    #[error("the product has changed")]
    Changed,
    /// A rule is broken.
    #[error("not a valid product")]
    Invalid(garde::Report),
    /// A merge patch gives a field a shape it cannot have. The first is a JSON pointer.
    #[error("{1}")]
    Shape(String, String),
    /// Nobody has said how much there is of this product: give a quantity first.
    #[error("the stock of this product isn't tracked")]
    StockNotTracked,
    /// More would go than can be sold now.
    #[error("only {available} can be sold now")]
    NotEnoughStock {
        /// What can be sold now.
        available: i64,
    },
    /// There would be more than a product can have.
    #[error("that is more than a product can have in stock")]
    TooMuchStock,
    /// Too many reads at once: retry later.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The database failed or is away.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// The database failed a read that several requests shared.
    #[error(transparent)]
    SharedRead(#[from] Arc<sqlx::Error>),
}
