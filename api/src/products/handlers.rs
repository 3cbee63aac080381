//! HTTP handlers of products, and the problem documents of their errors.

pub mod bulk;
pub mod create;
pub mod delete;
pub mod list;
pub mod patch;
pub mod read;
pub mod restore;
pub mod stock;

use axum::{
    http::HeaderValue,
    response::{IntoResponse, Response},
};

use super::{Error, Product, rules};
use crate::http::{
    problem::{FieldError, Problem},
    validate::field_errors,
};

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound => Self::not_found("The product does not exist. It may have been deleted."),
            Error::SkuTaken(sku) => {
                Self::conflict("sku-taken", format!("Another product has the sku {sku:?}. Choose another sku, or change that product."))
                    .with_errors(vec![FieldError::body("/sku", "is taken by another product")])
            }
            Error::Changed => Self::precondition_failed(
                "The product does not have the entity tag that If-Match or If-None-Match requires. Read it again, then retry with the new one.",
            ),
            Error::Invalid(report) => Self::invalid(field_errors(report)),
            Error::Shape(pointer, detail) => Self::invalid(vec![FieldError::body(pointer, detail)]),
            Error::StockNotTracked => Self::conflict(
                "stock-not-tracked",
                "The stock of this product is not tracked, so it cannot change by a delta. Give quantity, the units that can be sold now.",
            ),
            Error::NotEnoughStock { available } => Self::conflict(
                "insufficient-stock",
                format!("The delta must remove at most {available}, the units that carts have not reserved. No changes were made."),
            ),
            Error::TooMuchStock => Self::invalid(vec![FieldError::body(
                "/delta",
                format!("the stock of a product must not exceed {} units", rules::MAX_QUANTITY),
            )]),
            Error::Busy(busy) => busy.into(),
            Error::Database(error) => error.into(),
            Error::SharedRead(error) if crate::database::is_outage(&error) => Self::database_unavailable(&error),
            Error::SharedRead(error) => Self::internal(&*error),
        }
    }
}

fn etag_of(product: &Product) -> HeaderValue {
    HeaderValue::from_str(&product.etag()).unwrap_or(HeaderValue::from_static("\"\""))
}

/// Responds with a product and its entity tag.
fn with_etag(product: &Product) -> Response {
    let mut response = axum::Json(product).into_response();
    response.headers_mut().insert(axum::http::header::ETAG, etag_of(product));
    response
}
