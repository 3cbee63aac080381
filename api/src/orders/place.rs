//! Placing an order: everything or nothing, at the shop's prices.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::{NoContext, Timestamp, Uuid};

use super::{
    CartDifference, Error, HistoryEntry, Order, OrderChange, Orders, Party, Place, ShortLine, Status, carts, change, lines::LineRow,
    metrics, request::Wish,
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

/// A new order, and what caches must forget after its commit.
pub struct Placed {
    /// The order.
    pub order: Order,
    /// Products that went out of stock, with their versions.
    pub forget: Vec<(Uuid, i64)>,
}

impl Orders {
    /// Places an order of the customer who asks.
    ///
    /// # Errors
    /// [`Error::NoCart`], [`Error::EmptyCart`], [`Error::UnknownProducts`], [`Error::CartChanged`],
    /// [`Error::Short`] or [`Error::Contended`]; then the transaction must not be committed.
    pub async fn place(&self, tx: &mut PgConnection, origin: &Origin, wish: Wish, now: DateTime<Utc>) -> Result<Placed, Error> {
        let wanted = match wish {
            Wish::Lines(lines) => lines.into_iter().map(|line| Wanted::of_line(line.product_id, line.quantity)).collect(),
            Wish::Cart(cart_id) => from_cart(tx, cart_id, origin.actor.id, now).await?,
        };
        let ids: Vec<Uuid> = wanted.iter().map(|wanted| wanted.product_id).collect();
        let offers = products::offers(tx, &ids).await?.into_iter().map(|offer| (offer.product_id, offer)).collect();
        self.compare(&wanted, &offers)?;
        let order_id = Uuid::new_v7(timestamp(now));
        let rows = rows(order_id, &wanted, &offers);
        let order = self.write(tx, origin, order_id, rows.clone(), now).await?;
        // Last, because whoever holds the stock of a product that all want makes them wait until the commit.
        let forget = self.take_stock(tx, origin, order_id, &wanted, &rows, now).await?;
        metrics::PLACED.inc();
        Ok(Placed { order, forget })
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

    async fn take_stock(
        &self,
        tx: &mut PgConnection,
        origin: &Origin,
        order_id: Uuid,
        wanted: &[Wanted],
        rows: &[LineRow],
        now: DateTime<Utc>,
    ) -> Result<Vec<(Uuid, i64)>, Error> {
        let cause = Cause { kind: MovementKind::Sale, order_id: Some(order_id), actor_id: Some(origin.actor.id), reason: None, at: now };
        let shifts: Vec<_> = wanted
            .iter()
            .map(|wanted| Shift { product_id: wanted.product_id, on_hand: -wanted.quantity, reserved: -wanted.reserved })
            .collect();
        let shifted = stock::shift(tx, &cause, &shifts).await?;
        if rows.iter().any(|row| shifted.tracks(row.product_id) != (row.taken > 0)) {
            return Err(Error::Contended);
        }
        match shifted {
            Shifted::Done { turned, .. } => Ok(stock::announce(tx, &self.catalogue.outbox, origin, &turned, now).await?),
            Shifted::Short { available } => Err(Error::Short(short(wanted, rows, &available))),
        }
    }
}

impl Wanted {
    fn of_line(product_id: Uuid, quantity: i64) -> Self {
        Self { product_id, quantity, reserved: 0, seen: None }
    }
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

fn short(wanted: &[Wanted], rows: &[LineRow], available: &HashMap<Uuid, i64>) -> Vec<ShortLine> {
    let line = |(index, (wanted, row)): (usize, (&Wanted, &LineRow))| {
        let available = available.get(&wanted.product_id)? + wanted.reserved;
        let place = if wanted.seen.is_some() { Place::Cart } else { Place::Line(index) };
        let line = ShortLine { place, product_id: row.product_id, name: row.name.clone(), wanted: wanted.quantity, available };
        (available < wanted.quantity).then_some(line)
    };
    wanted.iter().zip(rows).enumerate().filter_map(line).collect()
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
