//! Moving an order on. It is the one place that does, so that stock goes back once and every step is told.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Error, Order, OrderChange, Orders, Party, Status, change, lines, lines::LineRow, read};
use crate::{
    config::Currency,
    database,
    events::{Draft, Origin, Outbox},
    products::stock::{self, Cause, MovementKind, Shift},
};

/// Moves orders on. Cheap to clone.
#[derive(Clone)]
pub struct Mover {
    /// Where events go.
    pub outbox: Outbox,
    /// Of all prices.
    pub currency: Currency,
}

/// A step of an order.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// Where to.
    pub to: Status,
    /// Who moves it.
    pub by: Party,
    /// Why, in somebody's words.
    pub reason: Option<&'a str>,
    /// When a confirmed order is to be fulfilled; `None` if an admin will say so.
    pub fulfil_at: Option<DateTime<Utc>>,
}

/// What became of a step.
#[derive(Debug)]
pub enum Advanced {
    /// The order is there now. Caches must forget the products that came into stock, with their versions.
    Moved(Order, Vec<(Uuid, i64)>),
    /// It was there already.
    Already(Order),
    /// It cannot go there from where it is.
    Refused(Order),
}

impl Orders {
    /// Moves an order on; only this customer's, where one is given. One that is there already stays as it is.
    ///
    /// # Errors
    /// [`Error::NotFound`] or [`Error::Refused`].
    pub async fn advance(
        &self,
        origin: &Origin,
        customer_id: Option<Uuid>,
        id: Uuid,
        step: Step<'_>,
        now: DateTime<Utc>,
    ) -> Result<Order, Error> {
        let mut tx = database::begin_brief(&self.catalogue.database.primary).await?;
        match self.mover.advance(&mut tx, origin, customer_id, id, step, now).await? {
            Advanced::Moved(order, forget) => {
                tx.commit().await?;
                self.catalogue.stock_turned(&forget);
                Ok(order)
            }
            Advanced::Already(order) => Ok(order),
            Advanced::Refused(order) => Err(Error::Refused { order: Box::new(order), to: step.to }),
        }
    }
}

impl Mover {
    /// Moves an order, only this customer's where one is given, if it can go there from where it is. Its stock goes back
    /// when it is called off.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn advance(
        &self,
        tx: &mut PgConnection,
        origin: &Origin,
        customer_id: Option<Uuid>,
        id: Uuid,
        step: Step<'_>,
        now: DateTime<Utc>,
    ) -> Result<Advanced, Error> {
        let locked = sqlx::query!(
            r#"SELECT status AS "status: Status", version FROM orders.orders
               WHERE id = $1 AND ($2::uuid IS NULL OR customer_id = $2) FOR UPDATE"#,
            id,
            customer_id,
        );
        let locked = locked.fetch_optional(&mut *tx).await?.ok_or(Error::NotFound)?;
        let (from, version) = (locked.status, locked.version + 1);
        if from == step.to || !from.next().contains(&step.to) {
            let order = read::find(tx, self.currency, id, None).await?;
            return Ok(if from == step.to { Advanced::Already(order) } else { Advanced::Refused(order) });
        }
        write(tx, origin, id, version, step, now).await?;
        let order = read::find(tx, self.currency, id, None).await?;
        let data = OrderChange { order: order.clone(), previous_status: Some(from), version, actor: origin.actor.clone() };
        self.outbox.append(tx, origin, Draft { kind: change::kind(step.to), aggregate_id: id, time: now, data }).await?;
        let forget = if step.to.returns_stock() { self.return_stock(tx, origin, id, step, now).await? } else { Vec::new() };
        Ok(Advanced::Moved(order, forget))
    }

    async fn return_stock(
        &self,
        tx: &mut PgConnection,
        origin: &Origin,
        id: Uuid,
        step: Step<'_>,
        now: DateTime<Utc>,
    ) -> Result<Vec<(Uuid, i64)>, sqlx::Error> {
        let taken = lines::of(tx, &[id]).await?;
        let back = |line: &LineRow| Shift { product_id: line.product_id, on_hand: line.taken, reserved: 0 };
        let shifts: Vec<_> = taken.iter().filter(|line| line.taken > 0).map(back).collect();
        let actor_id = actor_id(origin, step.by);
        let cause = Cause { kind: MovementKind::Return, order_id: Some(id), actor_id, reason: step.reason, at: now };
        let turned = stock::shift(tx, Some(&cause), &shifts).await?.came_back()?;
        stock::announce(tx, &self.outbox, origin, &turned, now).await
    }
}

async fn write(
    tx: &mut PgConnection,
    origin: &Origin,
    id: Uuid,
    version: i64,
    step: Step<'_>,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "WITH moved AS (
             UPDATE orders.orders SET status = $3, version = $2, updated_at = $4, fulfil_at = $8 WHERE id = $1
         )
         INSERT INTO orders.history (order_id, version, status, at, actor, actor_id, reason) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        id,
        version,
        step.to as Status,
        now,
        step.by as Party,
        actor_id(origin, step.by),
        step.reason,
        step.fulfil_at,
    )
    .execute(tx)
    .await?;
    Ok(())
}

fn actor_id(origin: &Origin, by: Party) -> Option<Uuid> {
    (by != Party::Shop).then_some(origin.actor.id)
}
