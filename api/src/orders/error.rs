//! Errors of commands on carts and orders.

use thiserror::Error;
use uuid::Uuid;

use super::{Order, Status};
use crate::products::Money;

/// A requested quantity that exceeds what is available to the customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortage {
    /// Field of the request that the error points at.
    pub location: LineLocation,
    /// Product id.
    pub product_id: Uuid,
    /// Product name.
    pub name: String,
    /// Requested units.
    pub requested: i64,
    /// Units that the customer can have: the unreserved ones and those that the cart reserves.
    pub available: i64,
}

/// Field of a request that asks for a quantity of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineLocation {
    /// `items[index]` of an order.
    Item(usize),
    /// `cart_id` of an order.
    Cart,
    /// `quantity` of a cart item.
    Quantity,
}

/// A difference between a cart item and the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CartDifference {
    /// The product was deleted.
    ProductDeleted {
        /// Product id.
        product_id: Uuid,
        /// Name in the cart.
        name: String,
    },
    /// The price changed.
    PriceChanged {
        /// Product id.
        product_id: Uuid,
        /// Product name.
        name: String,
        /// Price in the cart.
        cart_price: Money,
        /// Price in the catalogue.
        current_price: Money,
    },
}

/// An error of a command on carts or orders.
#[derive(Debug, Error)]
pub enum Error {
    /// The order does not exist or belongs to another customer.
    #[error("order not found")]
    NotFound,
    /// The cart does not exist, belongs to another customer, was ordered, or has expired.
    #[error("cart not found")]
    CartNotFound,
    /// The product does not exist or is deleted.
    #[error("product not found")]
    ProductNotFound,
    /// Indexes of the order items whose product does not exist.
    #[error("unknown products")]
    UnknownProducts(Vec<(usize, Uuid)>),
    /// The cart has no items.
    #[error("the cart is empty")]
    CartEmpty,
    /// The cart has the maximum number of products.
    #[error("the cart is full")]
    CartFull,
    /// The customer has the maximum number of carts.
    #[error("too many carts")]
    TooManyCarts,
    /// Products of the cart were deleted or have a new price. Never empty.
    #[error("the catalogue has changed since the cart was filled")]
    CartChanged(Vec<CartDifference>),
    /// Products with less available stock than requested. Never empty. Nothing was reserved or sold.
    #[error("insufficient stock")]
    InsufficientStock(Vec<Shortage>),
    /// A product changed during the transaction. A retry can succeed.
    #[error("a product was changed concurrently")]
    Contended,
    /// The order cannot change from its status to the requested one.
    #[error("an order that is {} cannot become {to}", .order.status)]
    InvalidTransition {
        /// Current order.
        order: Box<Order>,
        /// Requested status.
        to: Status,
    },
    /// The request violates a rule.
    #[error("invalid request")]
    Invalid(garde::Report),
    /// The database failed or is unavailable.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}
