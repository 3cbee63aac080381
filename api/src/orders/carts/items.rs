//! Adding items to carts and removing them, with their reservations.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use garde::Validate;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    Cart,
    rows::{self, ItemRow},
};
use crate::{
    events::{Origin, Outbox},
    orders::{CartItemInput, Error, LineLocation, Orders, Shortage, rules},
    products::{
        self, SellableProduct,
        stock::{self, DeltaOutcome, StockDelta},
    },
};

impl Orders {
    /// Sets the quantity of a product in a cart, at its current price. Returns the cart and the products that came into or
    /// went out of stock, with their versions.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::CartNotFound`], [`Error::ProductNotFound`], [`Error::CartFull`] or [`Error::InsufficientStock`].
    pub async fn put_item(
        &self,
        tx: &mut PgConnection,
        origin: &Origin,
        (id, product_id): (Uuid, Uuid),
        input: &CartItemInput,
        now: DateTime<Utc>,
    ) -> Result<(Cart, Vec<(Uuid, i64)>), Error> {
        input.validate().map_err(Error::Invalid)?;
        let quantity = input.quantity;
        rows::lock_cart(tx, id, origin.actor.id, now).await?;
        let items = rows::read_items(tx, id).await?;
        let item = items.iter().find(|item| item.product_id == product_id);
        if item.is_none() && items.len() >= rules::MAX_LINES {
            return Err(Error::CartFull);
        }
        let already_reserved = item.map_or(0, |item| item.reserved);
        // Before the stock is locked, because other transactions wait for that lock.
        let sellable = read_sellable(tx, &items, Some(product_id)).await?;
        let product = sellable.get(&product_id).ok_or(Error::ProductNotFound)?;
        let delta = StockDelta { product_id, on_hand: 0, reserved: quantity - already_reserved };
        let (reserved, changes) = match stock::apply_deltas(tx, None, &[delta]).await? {
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
        write(tx, id, product, quantity, reserved, now).await?;
        let expires_at = rows::extend_expiry(tx, id, self.cart_ttl, now).await?;
        let cart = self.cart(id, rows::read_items(tx, id).await?, &sellable, expires_at);
        let stale = stock::append_availability_events(tx, &self.catalogue.outbox, origin, &changes, now).await?;
        Ok((cart, stale))
    }

    /// Removes a product from a cart, if present. Returns the products that came into stock, with their versions.
    ///
    /// # Errors
    /// [`Error::CartNotFound`].
    pub async fn remove_item(
        &self,
        tx: &mut PgConnection,
        origin: &Origin,
        (id, product_id): (Uuid, Uuid),
        now: DateTime<Utc>,
    ) -> Result<Vec<(Uuid, i64)>, Error> {
        rows::lock_cart(tx, id, origin.actor.id, now).await?;
        let deleted =
            sqlx::query_scalar!("DELETE FROM orders.cart_items WHERE cart_id = $1 AND product_id = $2 RETURNING reserved", id, product_id,);
        let Some(reserved) = deleted.fetch_optional(&mut *tx).await? else { return Ok(Vec::new()) };
        rows::extend_expiry(tx, id, self.cart_ttl, now).await?;
        Ok(release_reservations(tx, &self.catalogue.outbox, origin, &[(product_id, reserved)], now).await?)
    }
}

/// Releases reserved units of products, each listed once. Returns the products that came into stock, with their versions.
pub(super) async fn release_reservations(
    tx: &mut PgConnection,
    outbox: &Outbox,
    origin: &Origin,
    reserved: &[(Uuid, i64)],
    now: DateTime<Utc>,
) -> Result<Vec<(Uuid, i64)>, sqlx::Error> {
    let reserved = reserved.iter().filter(|(_, units)| *units > 0);
    let deltas: Vec<_> = reserved.map(|(product_id, units)| StockDelta { product_id: *product_id, on_hand: 0, reserved: -units }).collect();
    let changes = stock::apply_deltas(tx, None, &deltas).await?.require_applied()?;
    stock::append_availability_events(tx, outbox, origin, &changes, now).await
}

async fn write(
    tx: &mut PgConnection,
    cart_id: Uuid,
    product: &SellableProduct,
    quantity: i64,
    reserved: i64,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
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
        now,
    )
    .execute(tx)
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
