//! Why a command on carts or orders failed.

use thiserror::Error;
use uuid::Uuid;

use super::{Order, Status};
use crate::products::Money;

/// A line there is not enough for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShortLine {
    /// Where the request asks for it.
    pub place: Place,
    /// Product.
    pub product_id: Uuid,
    /// What it is called.
    pub name: String,
    /// What was asked for.
    pub wanted: i64,
    /// What the customer could have: the rest, and what the cart holds already.
    pub available: i64,
}

/// Where a request asks for a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the line of this index.
    Line(usize),
    /// In the cart it names.
    Cart,
    /// It asks for nothing else.
    Quantity,
}

/// How the catalogue is not as the cart says any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CartDifference {
    /// The product is gone.
    Gone {
        /// Product.
        product_id: Uuid,
        /// What it was called.
        name: String,
    },
    /// It has another price.
    Price {
        /// Product.
        product_id: Uuid,
        /// What it is called.
        name: String,
        /// As the customer saw it.
        seen: Money,
        /// As it is.
        now: Money,
    },
}

/// See the variants for what the caller can do.
#[derive(Debug, Error)]
pub enum Error {
    /// There is no such order, or it is somebody else's.
    #[error("there is no such order")]
    NotFound,
    /// There is no such cart: it is somebody else's, was ordered, or has expired. Make a new one.
    #[error("there is no such cart")]
    NoCart,
    /// There is no such product, or it is deleted.
    #[error("there is no such product")]
    NoProduct,
    /// Lines of the request, by their index, that name no product.
    #[error("some products do not exist")]
    UnknownProducts(Vec<(usize, Uuid)>),
    /// There is nothing in the cart.
    #[error("the cart is empty")]
    EmptyCart,
    /// The cart has as many products as a cart can have.
    #[error("the cart is full")]
    FullCart,
    /// The customer has as many carts as one can have.
    #[error("too many carts")]
    TooManyCarts,
    /// The catalogue has changed since the cart was filled: look, and put the products in anew. Never empty.
    #[error("the catalogue has changed since")]
    CartChanged(Vec<CartDifference>),
    /// Nothing was taken or reserved, because there is too little of these. Never empty.
    #[error("not enough stock")]
    Short(Vec<ShortLine>),
    /// A product changed in the middle of it: try again.
    #[error("a product has just changed")]
    Contended,
    /// The order cannot go there from where it is.
    #[error("the order is {}, it cannot become {to}", .order.status)]
    Refused {
        /// As it is.
        order: Box<Order>,
        /// Where it was to go.
        to: Status,
    },
    /// A rule is broken.
    #[error("not valid")]
    Invalid(garde::Report),
    /// The database failed or is away.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}
