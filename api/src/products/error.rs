//! Errors of commands and reads of products.

use std::sync::Arc;

use thiserror::Error;

use crate::database::Busy;

/// An error of a command or read of products.
#[derive(Debug, Error)]
pub enum Error {
    /// The product does not exist or is deleted.
    #[error("product not found")]
    NotFound,
    /// Another product that is not deleted has the sku.
    #[error("the sku {0:?} is taken")]
    SkuTaken(String),
    /// The product does not have the expected entity tag.
    #[error("the product has changed")]
    Changed,
    /// The product violates a rule.
    #[error("invalid product")]
    Invalid(garde::Report),
    /// A field of a merge patch has an invalid shape. The first value is its JSON pointer.
    #[error("{1}")]
    Shape(String, String),
    /// The stock of the product isn't tracked, so it cannot change by a delta.
    #[error("the stock of this product isn't tracked")]
    StockNotTracked,
    /// The delta exceeds the units that can be sold.
    #[error("only {available} can be sold now")]
    NotEnoughStock {
        /// Units that can be sold now.
        available: i64,
    },
    /// The product would have more than the maximum stock.
    #[error("more than the maximum stock of a product")]
    TooMuchStock,
    /// Too many concurrent reads. Retry later.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The database failed or is unavailable.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// The database failed a query that several requests shared.
    #[error(transparent)]
    SharedRead(#[from] Arc<sqlx::Error>),
}
