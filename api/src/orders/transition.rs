//! Changes of an order's status. All of them go through [`TransitionService`], which returns stock once and writes the event.

use catalog_values::Currency;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Error, Order, OrderActor, OrderChange, Status, change, lines, lines::LineRow, read};
use crate::{
    events::{Draft, Origin, Outbox},
    products::stock::{self, Cause, MovementKind, StockDelta},
};

/// Changes the status of orders. Cheap to clone.
#[derive(Clone)]
pub struct TransitionService {
    /// Receives the events.
    pub outbox: Outbox,
    /// Currency of all prices.
    pub currency: Currency,
}

/// A requested change of an order's status.
#[derive(Debug, Clone, Copy)]
pub struct Transition<'a> {
    /// New status.
    pub to: Status,
    /// Who requests it.
    pub by: OrderActor,
    /// Reason, for the history.
    pub reason: Option<&'a str>,
    /// Time at which a confirmed order becomes due; `None` if an admin fulfils it.
    pub fulfil_at: Option<DateTime<Utc>>,
}

/// Result of a [`Transition`].
#[derive(Debug)]
pub enum TransitionOutcome {
    /// The status was changed. The products that came back into stock, with their current versions, to be invalidated in caches.
    Applied(Order, Vec<(Uuid, i64)>),
    /// The order already had the status.
    Unchanged(Order),
    /// The order cannot change to the status.
    Rejected(Order),
}

impl TransitionService {
    /// Changes the status of an order if it allows that; of this customer's order if `customer_id` is given. Returns the
    /// stock of orders that are cancelled or fail.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn change_status(
        &self,
        tx: &mut PgConnection,
        origin: &Origin,
        customer_id: Option<Uuid>,
        id: Uuid,
        transition: Transition<'_>,
        now: DateTime<Utc>,
    ) -> Result<TransitionOutcome, Error> {
        let locked = sqlx::query!(
            r#"SELECT status AS "status: Status", version FROM orders.orders
               WHERE id = $1 AND ($2::uuid IS NULL OR customer_id = $2) FOR UPDATE"#,
            id,
            customer_id,
        );
        let locked = locked.fetch_optional(&mut *tx).await?.ok_or(Error::NotFound)?;
        let (from, version) = (locked.status, locked.version + 1);
        if from == transition.to || !from.next().contains(&transition.to) {
            let order = read::find_order(tx, self.currency, id, None).await?;
            return Ok(if from == transition.to { TransitionOutcome::Unchanged(order) } else { TransitionOutcome::Rejected(order) });
        }
        write_transition(tx, origin, id, version, transition, now).await?;
        let order = read::find_order(tx, self.currency, id, None).await?;
        let data = OrderChange { order: order.clone(), previous_status: Some(from), version, actor: origin.actor.clone() };
        self.outbox.append(tx, origin, Draft { kind: change::event_kind(transition.to), aggregate_id: id, time: now, data }).await?;
        let stale = if transition.to.returns_stock() { self.return_stock(tx, origin, id, transition, now).await? } else { Vec::new() };
        Ok(TransitionOutcome::Applied(order, stale))
    }

    async fn return_stock(
        &self,
        tx: &mut PgConnection,
        origin: &Origin,
        id: Uuid,
        transition: Transition<'_>,
        now: DateTime<Utc>,
    ) -> Result<Vec<(Uuid, i64)>, sqlx::Error> {
        let lines = lines::read_lines(tx, &[id]).await?;
        let delta = |line: &LineRow| StockDelta { product_id: line.product_id, on_hand: line.deducted, reserved: 0 };
        let deltas: Vec<_> = lines.iter().filter(|line| line.deducted > 0).map(delta).collect();
        let actor_id = actor_id(origin, transition.by);
        let cause = Cause { kind: MovementKind::Return, order_id: Some(id), actor_id, reason: transition.reason, at: now };
        let changes = stock::apply_deltas(tx, Some(&cause), &deltas).await?.require_applied()?;
        stock::append_availability_events(tx, &self.outbox, origin, &changes, now).await
    }
}

async fn write_transition(
    tx: &mut PgConnection,
    origin: &Origin,
    id: Uuid,
    version: i64,
    transition: Transition<'_>,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "WITH moved AS (
             UPDATE orders.orders SET status = $3, version = $2, updated_at = $4, fulfil_at = $8 WHERE id = $1
         )
         INSERT INTO orders.history (order_id, version, status, at, actor, actor_id, reason) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        id,
        version,
        transition.to as Status,
        now,
        transition.by as OrderActor,
        actor_id(origin, transition.by),
        transition.reason,
        transition.fulfil_at,
    )
    .execute(tx)
    .await?;
    Ok(())
}

fn actor_id(origin: &Origin, by: OrderActor) -> Option<Uuid> {
    (by != OrderActor::Shop).then_some(origin.actor.id)
}
