//! Adding items to carts and removing them, with their reservations.

use std::collections::HashMap;

use garde::Validate;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    Cart,
    rows::{self, ItemRow},
};
use crate::{
    events::UnitOfWork,
    orders::{CartItemInput, Error, LineLocation, Orders, Shortage, rules},
    products::{
        self, SellableProduct,
        stock::{self, DeltaOutcome, StockDelta},
    },
};

impl Orders {
    /// Sets the quantity of a product in a cart, at its current price.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::CartNotFound`], [`Error::ProductNotFound`], [`Error::CartFull`] or [`Error::InsufficientStock`].
    pub async fn put_item(&self, work: &mut UnitOfWork, (id, product_id): (Uuid, Uuid), input: &CartItemInput) -> Result<Cart, Error> {
        input.validate().map_err(Error::Invalid)?;
        let quantity = input.quantity;
        rows::lock_cart(work, id).await?;
        let items = rows::read_items(work, id).await?;
        let item = items.iter().find(|item| item.product_id == product_id);
        if item.is_none() && items.len() >= rules::MAX_LINES {
            return Err(Error::CartFull);
        }
        let already_reserved = item.map_or(0, |item| item.reserved);
        // Before the stock is locked, because other transactions wait for that lock.
        let sellable = read_sellable(work, &items, Some(product_id)).await?;
        let product = sellable.get(&product_id).ok_or(Error::ProductNotFound)?;
        let delta = StockDelta { product_id, on_hand: 0, reserved: quantity - already_reserved };
        let (reserved, changes) = match stock::apply_deltas(work, None, &[delta]).await? {
            DeltaOutcome::Applied { available, changes } => (if available.contains_key(&product_id) { quantity } else { 0 }, changes),
            DeltaOutcome::Insufficient { available } => {
                let available = available.get(&product_id).copied().unwrap_or_default() + already_reserved;
                return Err(Error::InsufficientStock(vec![Shortage {
                    location: LineLocation::Quantity,
                    product_id,
                    name: product.name.clone(),
                    requested: quantity,
                    available,
                }]));
            }
        };
        write(work, id, product, quantity, reserved).await?;
        let expires_at = rows::extend_expiry(work, id, self.cart_ttl).await?;
        let cart = self.cart(id, rows::read_items(work, id).await?, &sellable, expires_at);
        stock::append_availability_events(work, &changes).await?;
        Ok(cart)
    }

    /// Removes a product from a cart, if present.
    ///
    /// # Errors
    /// [`Error::CartNotFound`].
    pub async fn remove_item(&self, work: &mut UnitOfWork, (id, product_id): (Uuid, Uuid)) -> Result<(), Error> {
        rows::lock_cart(work, id).await?;
        let deleted =
            sqlx::query_scalar!("DELETE FROM orders.cart_items WHERE cart_id = $1 AND product_id = $2 RETURNING reserved", id, product_id,);
        let Some(reserved) = deleted.fetch_optional(&mut **work).await? else { return Ok(()) };
        rows::extend_expiry(work, id, self.cart_ttl).await?;
        Ok(release_reservations(work, &[(product_id, reserved)]).await?)
    }
}

/// Releases reserved units of products, each listed once.
pub(super) async fn release_reservations(work: &mut UnitOfWork, reserved: &[(Uuid, i64)]) -> Result<(), sqlx::Error> {
    let reserved = reserved.iter().filter(|(_, units)| *units > 0);
    let deltas: Vec<_> = reserved.map(|(product_id, units)| StockDelta { product_id: *product_id, on_hand: 0, reserved: -units }).collect();
    let changes = stock::apply_deltas(work, None, &deltas).await?.require_applied()?;
    stock::append_availability_events(work, &changes).await
}

async fn write(work: &mut UnitOfWork, cart_id: Uuid, product: &SellableProduct, quantity: i64, reserved: i64) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO orders.cart_items (cart_id, product_id, sku, name, price, quantity, reserved, added_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (cart_id, product_id) DO UPDATE SET sku = excluded.sku, name = excluded.name, price = excluded.price,
             quantity = excluded.quantity, reserved = excluded.reserved",
        cart_id,
        product.product_id,
        product.sku,
        product.name,
        product.price,
        quantity,
        reserved,
        work.now(),
    )
    .execute(&mut **work)
    .await?;
    Ok(())
}

/// Reads the products of a cart, and `new` if given.
pub(super) async fn read_sellable(
    conn: &mut PgConnection,
    items: &[ItemRow],
    new: Option<Uuid>,
) -> Result<HashMap<Uuid, SellableProduct>, sqlx::Error> {
    let ids: Vec<Uuid> = items.iter().map(|item| item.product_id).chain(new).collect();
    products::read_sellable(conn, &ids).await
}
