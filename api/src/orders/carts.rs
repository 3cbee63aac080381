//! Carts. Their items stay reserved until the cart is ordered, deleted or expires.

mod cart;
mod create;
mod expire;
mod items;
mod rows;

pub(super) use self::rows::{delete_carts, lock_cart, take_items};
pub use self::{
    cart::{Cart, CartItem},
    expire::run_cart_expiry,
};
