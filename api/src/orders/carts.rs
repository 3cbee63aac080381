//! Carts: what they hold is reserved for their customer until they are ordered, given up, or expire.

mod cart;
mod create;
mod expire;
mod items;
mod rows;

pub(super) use self::rows::{empty, lock, remove};
pub use self::{
    cart::{Cart, CartItem},
    expire::keep_expiring,
};
