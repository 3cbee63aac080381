//! Putting products into carts and taking them out: what is in a cart is reserved.

use chrono::{DateTime, Utc};
use garde::Validate;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Cart, create::offers, rows};
use crate::{
    events::{Origin, Outbox},
    orders::{Error, Orders, Place, ShortLine, Units, rules},
    products::{
        Offer,
        stock::{self, Shift, Shifted},
    },
};

impl Orders {
    /// Puts a quantity of a product into a cart, in place of what is there of it, at the price of this moment.
    /// Gives the cart, and the products that came into stock or went out of it, with their versions.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::NoCart`], [`Error::NoProduct`], [`Error::FullCart`] or [`Error::Short`].
    pub async fn put_item(
        &self,
        tx: &mut PgConnection,
        origin: &Origin,
        (id, product_id): (Uuid, Uuid),
        units: &Units,
        now: DateTime<Utc>,
    ) -> Result<(Cart, Vec<(Uuid, i64)>), Error> {
        units.validate().map_err(Error::Invalid)?;
        let quantity = units.quantity;
        rows::lock(tx, id, origin.actor.id, now).await?;
        let items = rows::items(tx, id).await?;
        let held = items.iter().find(|item| item.product_id == product_id);
        if held.is_none() && items.len() >= rules::MAX_LINES {
            return Err(Error::FullCart);
        }
        let held = held.map_or(0, |item| item.reserved);
        // Before the stock, for which others may wait.
        let offers = offers(tx, &items, Some(product_id)).await?;
        let offer = offers.get(&product_id).ok_or(Error::NoProduct)?;
        let shift = Shift { product_id, on_hand: 0, reserved: quantity - held };
        let (reserved, turned) = match stock::shift(tx, None, &[shift]).await? {
            Shifted::Done { available, turned } => (if available.contains_key(&product_id) { quantity } else { 0 }, turned),
            Shifted::Short { available } => {
                let available = available.get(&product_id).copied().unwrap_or_default() + held;
                return Err(Error::Short(vec![ShortLine {
                    place: Place::Quantity,
                    product_id,
                    name: offer.name.clone(),
                    wanted: quantity,
                    available,
                }]));
            }
        };
        write(tx, id, offer, quantity, reserved, now).await?;
        let expires_at = rows::touch(tx, id, self.cart_ttl, now).await?;
        let cart = self.cart(id, rows::items(tx, id).await?, &offers, expires_at);
        let forget = stock::announce(tx, &self.catalogue.outbox, origin, &turned, now).await?;
        Ok((cart, forget))
    }

    /// Takes a product out of a cart, if it is there. Gives the products that came into stock, with their versions.
    ///
    /// # Errors
    /// [`Error::NoCart`].
    pub async fn remove_item(
        &self,
        tx: &mut PgConnection,
        origin: &Origin,
        (id, product_id): (Uuid, Uuid),
        now: DateTime<Utc>,
    ) -> Result<Vec<(Uuid, i64)>, Error> {
        rows::lock(tx, id, origin.actor.id, now).await?;
        let held =
            sqlx::query_scalar!("DELETE FROM orders.cart_items WHERE cart_id = $1 AND product_id = $2 RETURNING reserved", id, product_id,);
        let Some(reserved) = held.fetch_optional(&mut *tx).await? else { return Ok(Vec::new()) };
        rows::touch(tx, id, self.cart_ttl, now).await?;
        Ok(give_back(tx, &self.catalogue.outbox, origin, &[(product_id, reserved)], now).await?)
    }
}

/// Lets go what carts held: products, each once, with their units. Gives those that came into stock, with their versions.
pub(super) async fn give_back(
    tx: &mut PgConnection,
    outbox: &Outbox,
    origin: &Origin,
    held: &[(Uuid, i64)],
    now: DateTime<Utc>,
) -> Result<Vec<(Uuid, i64)>, sqlx::Error> {
    let held = held.iter().filter(|(_, units)| *units > 0);
    let shifts: Vec<_> = held.map(|(product_id, units)| Shift { product_id: *product_id, on_hand: 0, reserved: -units }).collect();
    let turned = stock::shift(tx, None, &shifts).await?.came_back()?;
    stock::announce(tx, outbox, origin, &turned, now).await
}

async fn write(
    tx: &mut PgConnection,
    cart_id: Uuid,
    offer: &Offer,
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
        offer.product_id,
        offer.sku,
        offer.name,
        offer.price,
        quantity,
        reserved,
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}
