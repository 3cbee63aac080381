//! The HTTP side of carts and orders.

pub mod carts;
pub mod export;
pub mod place;
pub mod read;
pub mod transition;

use axum::http::StatusCode;

use super::{CartDifference, Error, Place, ShortLine, Status};
use crate::http::{
    problem::{FieldError, Problem},
    validate::field_errors,
};

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound => Self::not_found("There is no order by this id, or it is somebody else's."),
            Error::NoCart => Self::not_found("There is no cart of yours by this id. It may have been ordered, or have expired: make a new one."),
            Error::NoProduct => Self::not_found("There is no product by this id. It may have been deleted."),
            Error::UnknownProducts(lines) => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "unknown-product",
                "Unknown product",
                "Some products don't exist or were deleted. Nothing was ordered. Remove them and order again.",
            )
            .with_errors(lines.into_iter().map(unknown).collect()),
            Error::EmptyCart => Self::conflict("cart-empty", "There is nothing in the cart. Put products into it first."),
            Error::FullCart => Self::conflict("cart-full", format!("A cart holds {} products. Order this one first.", super::rules::MAX_LINES)),
            Error::TooManyCarts => Self::conflict(
                "too-many-carts",
                format!("A customer has {} carts at most. Order or give up one of yours first.", super::rules::MAX_CARTS),
            ),
            Error::CartChanged(differences) => Self::conflict(
                "cart-changed",
                "The catalogue has changed since the cart was filled. Nothing was ordered. Take out what is gone, put in anew what costs something else, and order again.",
            )
            .with_errors(differences.into_iter().map(difference).collect()),
            Error::Short(lines) => {
                Self::conflict("insufficient-stock", "There is not enough of some products. Nothing was changed.").with_errors(short(lines))
            }
            Error::Contended => Self::unavailable("A product has changed in this very moment. Nothing was ordered. Try again."),
            Error::Refused { order, to } => Self::conflict("order-status", refusal(order.status, to)),
            Error::Invalid(report) => Self::invalid(field_errors(report)),
            Error::Database(error) => error.into(),
        }
    }
}

fn unknown((index, product_id): (usize, uuid::Uuid)) -> FieldError {
    FieldError::body(format!("/items/{index}/product_id"), "there is no such product").about(product_id)
}

fn difference(difference: CartDifference) -> FieldError {
    match difference {
        CartDifference::Gone { product_id, name } => {
            FieldError::body("/cart_id", format!("{name:?} is not sold any more")).about(product_id)
        }
        CartDifference::Price { product_id, name, seen, now } => {
            let (seen, now) = (format!("{} {}", seen.amount, seen.currency), format!("{} {}", now.amount, now.currency));
            FieldError::body("/cart_id", format!("{name:?} costs {now} now, not {seen}")).about(product_id)
        }
    }
}

fn refusal(from: Status, to: Status) -> String {
    let next: Vec<_> = from.next().iter().map(|next| next.as_str()).collect();
    match next.split_last() {
        Some((last, others)) => format!("The order is {from}. From there it can become {} or {last}, but not {to}.", others.join(", ")),
        None => format!("The order is {from}, and stays so: it cannot become {to} any more."),
    }
}

fn short(lines: Vec<ShortLine>) -> Vec<FieldError> {
    let error = |line: ShortLine| {
        let detail = format!("{:?}: {} left, {} wanted", line.name, line.available, line.wanted);
        FieldError::body(pointer(line.place), detail).about(line.product_id).with_available(line.available)
    };
    lines.into_iter().map(error).collect()
}

fn pointer(place: Place) -> String {
    match place {
        Place::Line(index) => format!("/items/{index}/quantity"),
        Place::Cart => "/cart_id".into(),
        Place::Quantity => "/quantity".into(),
    }
}
