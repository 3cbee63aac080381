//! Placing an order: all items or none, at the catalogue's prices.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use uuid::{NoContext, Timestamp, Uuid};

use super::{
    CartDifference, Error, HistoryEntry, LineLocation, Order, OrderActor, OrderChange, Orders, Shortage, Status, carts, change,
    lines::LineRow, metrics, request::OrderSource,
};
use crate::{
    events::{Draft, UnitOfWork},
    products::{
        self, SellableProduct,
        stock::{self, Cause, DeltaOutcome, MovementKind, StockDelta},
    },
};

/// A product and quantity that the order contains.
struct RequestedItem {
    product_id: Uuid,
    quantity: i64,
    /// Units that the cart has reserved.
    reserved: i64,
    /// Name and price in the cart, if the order is placed from one.
    in_cart: Option<(String, Decimal)>,
}

/// An order that is written, but whose stock is not deducted yet.
#[must_use = "the stock of the order must be deducted before the commit"]
pub struct Prepared {
    pub order: Order,
    requested: Vec<RequestedItem>,
    sellable: HashMap<Uuid, SellableProduct>,
}

impl Orders {
    /// Writes an order of the customer and its event.
    ///
    /// # Errors
    /// [`Error::CartNotFound`], [`Error::CartEmpty`], [`Error::UnknownProducts`] or [`Error::CartChanged`]. The transaction must
    /// then be rolled back.
    pub async fn prepare_order(&self, work: &mut UnitOfWork, source: &OrderSource) -> Result<Prepared, Error> {
        let requested = match source {
            OrderSource::Items(lines) => lines.iter().map(|line| RequestedItem::from_line(line.product_id, line.quantity)).collect(),
            OrderSource::Cart(cart_id) => take_cart_items(work, *cart_id).await?,
        };
        let sellable = read_sellable(work, &requested).await?;
        self.check_items(&requested, &sellable)?;
        let order_id = Uuid::new_v7(uuid_timestamp(work.now()));
        let order = self.write_order(work, order_id, line_rows(order_id, &requested, &sellable)).await?;
        Ok(Prepared { order, requested, sellable })
    }

    /// Checks that every requested product exists and still has the price of the cart.
    fn check_items(&self, requested: &[RequestedItem], sellable: &HashMap<Uuid, SellableProduct>) -> Result<(), Error> {
        let mut unknown = Vec::new();
        let mut changed = Vec::new();
        for (index, RequestedItem { product_id, in_cart, .. }) in requested.iter().enumerate() {
            match (sellable.get(product_id), in_cart) {
                (None, None) => unknown.push((index, *product_id)),
                (None, Some((name, _))) => changed.push(CartDifference::ProductDeleted { product_id: *product_id, name: name.clone() }),
                (Some(product), Some((_, price))) if product.price != *price => changed.push(CartDifference::PriceChanged {
                    product_id: *product_id,
                    name: product.name.clone(),
                    cart_price: self.money(*price),
                    current_price: self.money(product.price),
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

    /// Inserts the order and appends its event to the outbox.
    async fn write_order(&self, work: &mut UnitOfWork, order_id: Uuid, rows: Vec<LineRow>) -> Result<Order, sqlx::Error> {
        let (actor, now) = (work.origin().actor.clone(), work.now());
        let total: Decimal = rows.iter().map(LineRow::amount).sum();
        insert_order(work, order_id, total, &rows).await?;
        let order = Order {
            id: order_id,
            customer_id: actor.id,
            status: Status::Pending,
            items: rows.into_iter().map(|row| row.into_line(self.currency())).collect(),
            total: self.money(total),
            created_at: now,
            updated_at: now,
            history: vec![HistoryEntry { status: Status::Pending, at: now, by: OrderActor::Customer, reason: None }],
        };
        let data = OrderChange { order: order.clone(), previous_status: None, version: 1, actor };
        work.append(Draft { kind: change::CREATED, aggregate_id: order_id, data }).await?;
        work.after_commit(|| metrics::ORDERS_PLACED.inc());
        Ok(order)
    }
}

impl Prepared {
    /// Deducts the stock of the order. Call it last before the commit: other orders of the same products wait until the transaction
    /// ends.
    ///
    /// # Errors
    /// [`Error::InsufficientStock`], or [`Error::Contended`] if the catalogue has changed since the order was prepared. The
    /// transaction must then be rolled back.
    pub async fn deduct_stock(self, work: &mut UnitOfWork) -> Result<(), Error> {
        let Self { order, requested, sellable: seen } = &self;
        let cause = Cause { order_id: Some(order.id), ..Cause::of(work, MovementKind::Sale) };
        let delta = |requested: &RequestedItem| StockDelta {
            product_id: requested.product_id,
            on_hand: -requested.quantity,
            reserved: -requested.reserved,
        };
        let deltas: Vec<_> = requested.iter().map(delta).collect();
        match stock::apply_deltas(work, Some(&cause), &deltas).await? {
            DeltaOutcome::Insufficient { available } => Err(Error::InsufficientStock(shortages(requested, seen, &available))),
            // While this transaction waited for the stock, another may have changed a price or started to track stock.
            DeltaOutcome::Applied { .. } if read_sellable(work, requested).await? != *seen => Err(Error::Contended),
            DeltaOutcome::Applied { changes, .. } => Ok(stock::append_availability_events(work, &changes).await?),
        }
    }
}

impl RequestedItem {
    fn from_line(product_id: Uuid, quantity: i64) -> Self {
        Self { product_id, quantity, reserved: 0, in_cart: None }
    }
}

async fn read_sellable(work: &mut UnitOfWork, requested: &[RequestedItem]) -> Result<HashMap<Uuid, SellableProduct>, sqlx::Error> {
    let ids: Vec<Uuid> = requested.iter().map(|requested| requested.product_id).collect();
    products::read_sellable(work, &ids).await
}

/// Takes all items out of a cart and deletes it.
async fn take_cart_items(work: &mut UnitOfWork, cart_id: Uuid) -> Result<Vec<RequestedItem>, Error> {
    carts::lock_cart(work, cart_id).await?;
    let items = carts::take_items(work, cart_id).await?;
    carts::delete_carts(work, &[cart_id]).await?;
    if items.is_empty() {
        return Err(Error::CartEmpty);
    }
    let requested = items.into_iter().map(|item| RequestedItem {
        product_id: item.product_id,
        quantity: item.quantity,
        reserved: item.reserved,
        in_cart: Some((item.name, item.price)),
    });
    Ok(requested.collect())
}

fn line_rows(order_id: Uuid, requested: &[RequestedItem], sellable: &HashMap<Uuid, SellableProduct>) -> Vec<LineRow> {
    let row = |requested: &RequestedItem| {
        let product = sellable.get(&requested.product_id)?;
        Some(LineRow {
            order_id,
            product_id: requested.product_id,
            sku: product.sku.clone(),
            name: product.name.clone(),
            price: product.price,
            quantity: requested.quantity,
            deducted: if product.tracked { requested.quantity } else { 0 },
        })
    };
    requested.iter().filter_map(row).collect()
}

fn shortages(requested: &[RequestedItem], sellable: &HashMap<Uuid, SellableProduct>, available: &HashMap<Uuid, i64>) -> Vec<Shortage> {
    let line = |(index, requested): (usize, &RequestedItem)| {
        let available = available.get(&requested.product_id)? + requested.reserved;
        let location = if requested.in_cart.is_some() { LineLocation::Cart } else { LineLocation::Item(index) };
        let name = sellable.get(&requested.product_id)?.name.clone();
        let line = Shortage { location, product_id: requested.product_id, name, requested: requested.quantity, available };
        (available < requested.quantity).then_some(line)
    };
    requested.iter().enumerate().filter_map(line).collect()
}

/// Inserts the order, its lines and its first status in one statement.
async fn insert_order(work: &mut UnitOfWork, order_id: Uuid, total: Decimal, rows: &[LineRow]) -> Result<(), sqlx::Error> {
    let product_ids: Vec<Uuid> = rows.iter().map(|row| row.product_id).collect();
    let skus: Vec<&str> = rows.iter().map(|row| row.sku.as_str()).collect();
    let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    let prices: Vec<Decimal> = rows.iter().map(|row| row.price).collect();
    let quantities: Vec<i64> = rows.iter().map(|row| row.quantity).collect();
    let deducted: Vec<i64> = rows.iter().map(|row| row.deducted).collect();
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
        work.origin().actor.id,
        total,
        work.now(),
        &product_ids,
        &skus as _,
        &names as _,
        &prices,
        &quantities,
        &deducted,
    )
    .execute(&mut **work)
    .await?;
    Ok(())
}

/// Time of a `UUIDv7`: order ids sort by `created_at`.
fn uuid_timestamp(at: DateTime<Utc>) -> Timestamp {
    Timestamp::from_unix(NoContext, u64::try_from(at.timestamp()).unwrap_or(0), at.timestamp_subsec_nanos())
}
