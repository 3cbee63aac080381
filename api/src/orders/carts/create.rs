//! Creating, reading and deleting carts.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    Cart, CartItem,
    items::{read_sellable, release_reservations},
    rows::{self, ItemRow},
};
use crate::{
    events::UnitOfWork,
    orders::{Error, Orders, rules},
    products::SellableProduct,
};

impl Orders {
    /// Creates an empty cart.
    ///
    /// # Errors
    /// [`Error::TooManyCarts`].
    pub async fn create_cart(&self, work: &mut UnitOfWork) -> Result<Cart, Error> {
        let (customer_id, now) = (work.origin().actor.id, work.now());
        let (id, expires_at) = (Uuid::now_v7(), now + self.cart_ttl);
        // Serialises the transactions of one customer; otherwise each would count without the carts of the others.
        sqlx::query!("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", format!("carts/{customer_id}")).execute(&mut **work).await?;
        let made = sqlx::query!(
            "INSERT INTO orders.carts (id, customer_id, created_at, expires_at)
             SELECT $1, $2, $3, $4 WHERE (SELECT count(*) FROM orders.carts WHERE customer_id = $2 AND expires_at > $3) < $5",
            id,
            customer_id,
            now,
            expires_at,
            rules::MAX_CARTS,
        )
        .execute(&mut **work)
        .await?;
        if made.rows_affected() == 0 { Err(Error::TooManyCarts) } else { Ok(self.cart(id, Vec::new(), &HashMap::new(), expires_at)) }
    }

    /// Reads a customer's cart.
    ///
    /// # Errors
    /// [`Error::CartNotFound`].
    pub async fn read_cart(&self, conn: &mut PgConnection, id: Uuid, customer_id: Uuid, now: DateTime<Utc>) -> Result<Cart, Error> {
        // Items first: a cart that is ordered between the two reads is reported as not found, not as empty.
        let items = rows::read_items(conn, id).await?;
        let expires_at = rows::read_expiry(conn, id, customer_id, now).await?;
        let sellable = read_sellable(conn, &items, None).await?;
        Ok(self.cart(id, items, &sellable, expires_at))
    }

    /// Deletes a cart and releases its reservations.
    ///
    /// # Errors
    /// [`Error::CartNotFound`].
    pub async fn delete_cart(&self, work: &mut UnitOfWork, id: Uuid) -> Result<(), Error> {
        rows::lock_cart(work, id).await?;
        let items = rows::take_items(work, id).await?;
        rows::delete_carts(work, &[id]).await?;
        let reserved: Vec<_> = items.iter().map(|item| (item.product_id, item.reserved)).collect();
        Ok(release_reservations(work, &reserved).await?)
    }

    /// Builds a cart from its items and the products that they refer to.
    pub(super) fn cart(&self, id: Uuid, items: Vec<ItemRow>, sellable: &HashMap<Uuid, SellableProduct>, expires_at: DateTime<Utc>) -> Cart {
        let total: Decimal = items.iter().map(|item| item.price * Decimal::from(item.quantity)).sum();
        let item = |item: ItemRow| {
            let product = sellable.get(&item.product_id);
            CartItem {
                product_id: item.product_id,
                sku: item.sku,
                name: item.name,
                price: self.money(item.price),
                quantity: item.quantity,
                current_price: product.filter(|product| product.price != item.price).map(|product| self.money(product.price)),
                product_deleted: product.is_none(),
            }
        };
        Cart { id, items: items.into_iter().map(item).collect(), total: self.money(total), expires_at }
    }
}
