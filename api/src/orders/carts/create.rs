//! Making, showing and giving up carts.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    Cart, CartItem,
    items::give_back,
    rows::{self, ItemRow},
};
use crate::{
    events::Origin,
    orders::{Error, Orders, rules},
    products::{self, Offer},
};

impl Orders {
    /// Makes an empty cart.
    ///
    /// # Errors
    /// [`Error::TooManyCarts`].
    pub async fn create_cart(&self, tx: &mut PgConnection, customer_id: Uuid, now: DateTime<Utc>) -> Result<Cart, Error> {
        let (id, expires_at) = (Uuid::now_v7(), now + self.cart_ttl);
        // Those of one customer follow each other, or each would count without the others.
        sqlx::query!("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", format!("carts/{customer_id}")).execute(&mut *tx).await?;
        let made = sqlx::query!(
            "INSERT INTO orders.carts (id, customer_id, created_at, expires_at)
             SELECT $1, $2, $3, $4 WHERE (SELECT count(*) FROM orders.carts WHERE customer_id = $2 AND expires_at > $3) < $5",
            id,
            customer_id,
            now,
            expires_at,
            rules::MAX_CARTS,
        )
        .execute(&mut *tx)
        .await?;
        if made.rows_affected() == 0 { Err(Error::TooManyCarts) } else { Ok(self.cart(id, Vec::new(), &HashMap::new(), expires_at)) }
    }

    /// A customer's cart.
    ///
    /// # Errors
    /// [`Error::NoCart`].
    pub async fn read_cart(&self, conn: &mut PgConnection, id: Uuid, customer_id: Uuid, now: DateTime<Utc>) -> Result<Cart, Error> {
        // In this order: a cart that is ordered in between is gone, and not empty.
        let items = rows::items(conn, id).await?;
        let expires_at = rows::expiry(conn, id, customer_id, now).await?;
        let offers = offers(conn, &items, None).await?;
        Ok(self.cart(id, items, &offers, expires_at))
    }

    /// Gives a cart up, and back what it holds. Gives the products that came into stock, with their versions.
    ///
    /// # Errors
    /// [`Error::NoCart`].
    pub async fn give_up_cart(
        &self,
        tx: &mut PgConnection,
        origin: &Origin,
        id: Uuid,
        now: DateTime<Utc>,
    ) -> Result<Vec<(Uuid, i64)>, Error> {
        rows::lock(tx, id, origin.actor.id, now).await?;
        let items = rows::empty(tx, id).await?;
        rows::remove(tx, &[id]).await?;
        let held: Vec<_> = items.iter().map(|item| (item.product_id, item.reserved)).collect();
        Ok(give_back(tx, &self.catalogue.outbox, origin, &held, now).await?)
    }

    /// A cart as it is shown, with what has changed in the catalogue since it was filled.
    pub(super) fn cart(&self, id: Uuid, items: Vec<ItemRow>, offers: &HashMap<Uuid, Offer>, expires_at: DateTime<Utc>) -> Cart {
        let total: Decimal = items.iter().map(|item| item.price * Decimal::from(item.quantity)).sum();
        let item = |item: ItemRow| {
            let offer = offers.get(&item.product_id);
            CartItem {
                product_id: item.product_id,
                sku: item.sku,
                name: item.name,
                price: self.money(item.price),
                quantity: item.quantity,
                current_price: offer.filter(|offer| offer.price != item.price).map(|offer| self.money(offer.price)),
                gone: offer.is_none(),
            }
        };
        Cart { id, items: items.into_iter().map(item).collect(), total: self.money(total), expires_at }
    }
}

/// What is offered now of what is in a cart, and of a product that is to come into it.
pub(super) async fn offers(conn: &mut PgConnection, items: &[ItemRow], new: Option<Uuid>) -> Result<HashMap<Uuid, Offer>, sqlx::Error> {
    let ids: Vec<Uuid> = items.iter().map(|item| item.product_id).chain(new).collect();
    products::offers(conn, &ids).await
}
