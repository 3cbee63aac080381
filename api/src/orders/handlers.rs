//! HTTP handlers of carts and orders, and the problem documents of their errors.

pub mod carts;
pub mod export;
pub mod place;
pub mod read;
pub mod transition;

use axum::http::StatusCode;

use super::{CartDifference, Error, LineLocation, Shortage, Status};
use crate::http::{
    problem::{FieldError, Problem},
    validate::field_errors,
};

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound => Self::not_found("The order does not exist or belongs to another customer."),
            Error::CartNotFound => Self::not_found("You have no cart with this id. It was ordered or has expired; create a new cart."),
            Error::ProductNotFound => Self::not_found("The product does not exist. It may have been deleted."),
            Error::UnknownProducts(lines) => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "unknown-product",
                "Unknown product",
                "Some products don't exist or were deleted. Nothing was ordered. Remove them and order again.",
            )
            .with_errors(lines.into_iter().map(unknown_product).collect()),
            Error::CartEmpty => Self::conflict("cart-empty", "The cart is empty. Add a product to it first."),
            Error::CartFull => Self::conflict("cart-full", format!("A cart can hold at most {} products. Order this cart first.", super::rules::MAX_LINES)),
            Error::TooManyCarts => Self::conflict(
                "too-many-carts",
                format!("A customer can have at most {} carts. Order or delete one of them first.", super::rules::MAX_CARTS),
            ),
            Error::CartChanged(differences) => Self::conflict(
                "cart-changed",
                "The catalogue has changed since the cart was filled. Nothing was ordered. Remove unavailable items, re-add items whose price changed, then retry.",
            )
            .with_errors(differences.into_iter().map(cart_difference).collect()),
            Error::InsufficientStock(lines) => {
                Self::conflict("insufficient-stock", "Some products have too little stock. No changes were made; reduce the quantities in errors, then retry.").with_errors(shortages(lines))
            }
            Error::Contended => Self::retryable("A product is being modified by another request. Nothing was ordered; retry."),
            Error::InvalidTransition { order, to } => Self::conflict("order-status", invalid_transition(order.status, to)),
            Error::Invalid(report) => Self::invalid(field_errors(report)),
            Error::Database(error) => error.into(),
        }
    }
}

fn unknown_product((index, product_id): (usize, uuid::Uuid)) -> FieldError {
    FieldError::body(format!("/items/{index}/product_id"), "the product does not exist").about(product_id)
}

fn cart_difference(difference: CartDifference) -> FieldError {
    match difference {
        CartDifference::ProductDeleted { product_id, name } => {
            FieldError::body("/cart_id", format!("{name:?} is no longer sold")).about(product_id)
        }
        CartDifference::PriceChanged { product_id, name, cart_price, current_price } => {
            let (old, new) =
                (format!("{} {}", cart_price.amount, cart_price.currency), format!("{} {}", current_price.amount, current_price.currency));
            FieldError::body("/cart_id", format!("the price of {name:?} changed from {old} to {new}")).about(product_id)
        }
    }
}

fn invalid_transition(from: Status, to: Status) -> String {
    let next: Vec<_> = from.next().iter().map(|next| next.as_str()).collect();
    match next.split_last() {
        Some((last, others)) => format!("An order that is {from} can become {} or {last}, but not {to}.", others.join(", ")),
        None => format!("An order that is {from} cannot change any more, so it cannot become {to}."),
    }
}

fn shortages(lines: Vec<Shortage>) -> Vec<FieldError> {
    let error = |line: Shortage| {
        let detail = format!("{:?}: {} available, {} requested", line.name, line.available, line.requested);
        FieldError::body(pointer(line.location), detail).about(line.product_id).with_available(line.available)
    };
    lines.into_iter().map(error).collect()
}

fn pointer(location: LineLocation) -> String {
    match location {
        LineLocation::Item(index) => format!("/items/{index}/quantity"),
        LineLocation::Cart => "/cart_id".into(),
        LineLocation::Quantity => "/quantity".into(),
    }
}
