//! Placing an order: everything or nothing, at the shop's prices.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::{NoContext, Timestamp, Uuid};

use super::{
    CartDifference, Error, HistoryEntry, Order, OrderChange, Orders, Party, Place, ShortLine, Status, carts, change, lines::LineRow,
    request::Wish,
};
use crate::{
    events::{Draft, Origin},
    products::{
        self, Offer,
        stock::{self, Cause, MovementKind, Shift, Shifted},
    },
};

/// One product that is wanted.
struct Wanted {
    product_id: Uuid,
    quantity: i64,
    /// The part of it that the cart holds.
    reserved: i64,
    /// Name and price as the customer saw them in the cart.
    seen: Option<(String, Decimal)>,
}

/// An order that is written and has yet to take its stock.
#[must_use = "an order that takes no stock must not be committed"]
pub struct Prepared {
    /// The order.
    pub order: Order,
    wanted: Vec<Wanted>,
    offers: HashMap<Uuid, Offer>,
}

impl Orders {
    /// Writes an order of the customer who asks, and its event.
    ///
    /// # Errors
    /// [`Error::NoCart`], [`Error::EmptyCart`], [`Error::UnknownProducts`] or [`Error::CartChanged`]; then the transaction
    /// must not be committed.
    pub async fn prepare(&self, tx: &mut PgConnection, origin: &Origin, wish: &Wish, now: DateTime<Utc>) -> Result<Prepared, Error> {
        let wanted = match wish {
            Wish::Lines(lines) => lines.iter().map(|line| Wanted::of_line(line.product_id, line.quantity)).collect(),
            Wish::Cart(cart_id) => from_cart(tx, *cart_id, origin.actor.id, now).await?,
        };
        let offers = offers(tx, &wanted).await?;
        self.compare(&wanted, &offers)?;
        let order_id = Uuid::new_v7(timestamp(now));
        let order = self.write(tx, origin, order_id, rows(order_id, &wanted, &offers), now).await?;
        Ok(Prepared { order, wanted, offers })
    }

    /// Takes the stock of an order, and gives the products that went out of stock, with their versions. It comes last
    /// before the commit, because whoever holds the stock of a product that all want makes them wait.
    ///
    /// # Errors
    /// [`Error::Short`], or [`Error::Contended`] if the catalogue has changed since the order was prepared; then the
    /// transaction must not be committed.
    pub async fn take_stock(
        &self,
        tx: &mut PgConnection,
        origin: &Origin,
        prepared: &Prepared,
        now: DateTime<Utc>,
    ) -> Result<Vec<(Uuid, i64)>, Error> {
        let Prepared { order, wanted, offers: seen } = prepared;
        let cause = Cause { kind: MovementKind::Sale, order_id: Some(order.id), actor_id: Some(origin.actor.id), reason: None, at: now };
        let shift = |wanted: &Wanted| Shift { product_id: wanted.product_id, on_hand: -wanted.quantity, reserved: -wanted.reserved };
        let shifts: Vec<_> = wanted.iter().map(shift).collect();
        match stock::shift(tx, Some(&cause), &shifts).await? {
            Shifted::Short { available } => Err(Error::Short(short(wanted, seen, &available))),
            // The wait for the stock may have been one for a new price, or for the first count of it.
            Shifted::Done { .. } if offers(tx, wanted).await? != *seen => Err(Error::Contended),
            Shifted::Done { turned, .. } => Ok(stock::announce(tx, &self.catalogue.outbox, origin, &turned, now).await?),
        }
    }

    /// Whether everything wanted is still there, and still at the price that was seen.
    fn compare(&self, wanted: &[Wanted], offers: &HashMap<Uuid, Offer>) -> Result<(), Error> {
        let mut unknown = Vec::new();
        let mut changed = Vec::new();
        for (index, Wanted { product_id, seen, .. }) in wanted.iter().enumerate() {
            match (offers.get(product_id), seen) {
                (None, None) => unknown.push((index, *product_id)),
                (None, Some((name, _))) => changed.push(CartDifference::Gone { product_id: *product_id, name: name.clone() }),
                (Some(offer), Some((_, price))) if offer.price != *price => changed.push(CartDifference::Price {
                    product_id: *product_id,
                    name: offer.name.clone(),
                    seen: self.money(*price),
                    now: self.money(offer.price),
                }),
                (Some(_), _) => {}
            }
        }
        match (unknown.is_empty(), changed.is_empty()) {
            (false, _) => Err(Error::UnknownProducts(unknown)),
            (true, false) => Err(Error::CartChanged(changed)),
            (true, true) => Ok(()),
        }
    }

    /// Writes the order and its event.
    async fn write(
        &self,
        tx: &mut PgConnection,
        origin: &Origin,
        order_id: Uuid,
        rows: Vec<LineRow>,
        now: DateTime<Utc>,
    ) -> Result<Order, sqlx::Error> {
        let customer_id = origin.actor.id;
        let total: Decimal = rows.iter().map(LineRow::amount).sum();
        insert(tx, order_id, customer_id, total, &rows, now).await?;
        let order = Order {
            id: order_id,
            customer_id,
            status: Status::Pending,
            items: rows.into_iter().map(|row| row.into_line(self.currency())).collect(),
            total: self.money(total),
            created_at: now,
            updated_at: now,
            history: vec![HistoryEntry { status: Status::Pending, at: now, by: Party::Customer, reason: None }],
        };
        let data = OrderChange { order: order.clone(), previous_status: None, version: 1, actor: origin.actor.clone() };
        self.catalogue.outbox.append(tx, origin, Draft { kind: change::CREATED, aggregate_id: order_id, time: now, data }).await?;
        Ok(order)
    }
}

impl Wanted {
    fn of_line(product_id: Uuid, quantity: i64) -> Self {
        Self { product_id, quantity, reserved: 0, seen: None }
    }
}

/// What is offered of the products that are wanted.
async fn offers(tx: &mut PgConnection, wanted: &[Wanted]) -> Result<HashMap<Uuid, Offer>, sqlx::Error> {
    let ids: Vec<Uuid> = wanted.iter().map(|wanted| wanted.product_id).collect();
    products::offers(tx, &ids).await
}

/// Everything in a cart, which is gone with that.
async fn from_cart(tx: &mut PgConnection, cart_id: Uuid, customer_id: Uuid, now: DateTime<Utc>) -> Result<Vec<Wanted>, Error> {
    carts::lock(tx, cart_id, customer_id, now).await?;
    let items = carts::empty(tx, cart_id).await?;
    carts::remove(tx, &[cart_id]).await?;
    if items.is_empty() {
        return Err(Error::EmptyCart);
    }
    let wanted = items.into_iter().map(|item| Wanted {
        product_id: item.product_id,
        quantity: item.quantity,
        reserved: item.reserved,
        seen: Some((item.name, item.price)),
    });
    Ok(wanted.collect())
}

fn rows(order_id: Uuid, wanted: &[Wanted], offers: &HashMap<Uuid, Offer>) -> Vec<LineRow> {
    let row = |wanted: &Wanted| {
        let offer = offers.get(&wanted.product_id)?;
        Some(LineRow {
            order_id,
            product_id: wanted.product_id,
            sku: offer.sku.clone(),
            name: offer.name.clone(),
            price: offer.price,
            quantity: wanted.quantity,
            taken: if offer.tracked { wanted.quantity } else { 0 },
        })
    };
    wanted.iter().filter_map(row).collect()
}

fn short(wanted: &[Wanted], offers: &HashMap<Uuid, Offer>, available: &HashMap<Uuid, i64>) -> Vec<ShortLine> {
    let line = |(index, wanted): (usize, &Wanted)| {
        let available = available.get(&wanted.product_id)? + wanted.reserved;
        let place = if wanted.seen.is_some() { Place::Cart } else { Place::Line(index) };
        let name = offers.get(&wanted.product_id)?.name.clone();
        let line = ShortLine { place, product_id: wanted.product_id, name, wanted: wanted.quantity, available };
        (available < wanted.quantity).then_some(line)
    };
    wanted.iter().enumerate().filter_map(line).collect()
}

/// The order, its lines and its first status, in one statement.
async fn insert(
    tx: &mut PgConnection,
    order_id: Uuid,
    customer_id: Uuid,
    total: Decimal,
    rows: &[LineRow],
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let product_ids: Vec<Uuid> = rows.iter().map(|row| row.product_id).collect();
    let skus: Vec<&str> = rows.iter().map(|row| row.sku.as_str()).collect();
    let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    let prices: Vec<Decimal> = rows.iter().map(|row| row.price).collect();
    let quantities: Vec<i64> = rows.iter().map(|row| row.quantity).collect();
    let taken: Vec<i64> = rows.iter().map(|row| row.taken).collect();
    sqlx::query!(
        "WITH placed AS (
             INSERT INTO orders.orders (id, customer_id, status, total, created_at, updated_at) VALUES ($1, $2, 'pending', $3, $4, $4)
         ), noted AS (
             INSERT INTO orders.history (order_id, version, status, at, actor, actor_id) VALUES ($1, 1, 'pending', $4, 'customer', $2)
         )
         INSERT INTO orders.lines (order_id, position, product_id, sku, name, price, quantity, taken)
         SELECT $1, position, product_id, sku, name, price, quantity, taken
         FROM UNNEST($5::uuid[], $6::text[], $7::text[], $8::numeric[], $9::bigint[], $10::bigint[])
              WITH ORDINALITY AS line (product_id, sku, name, price, quantity, taken, position)",
        order_id,
        customer_id,
        total,
        now,
        &product_ids,
        &skus as _,
        &names as _,
        &prices,
        &quantities,
        &taken,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// So that ids sort as the times do that orders tell of.
fn timestamp(at: DateTime<Utc>) -> Timestamp {
    Timestamp::from_unix(NoContext, u64::try_from(at.timestamp()).unwrap_or(0), at.timestamp_subsec_nanos())
}
