//! Changes of an order's status. All of them go through [`change_status`], which returns stock once and writes the event.

use catalog_values::Currency;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Error, Order, OrderActor, OrderChange, Status, change, lines, lines::LineRow, read};
use crate::{
    events::{Draft, Origin, UnitOfWork},
    products::stock::{self, Cause, MovementKind, StockDelta},
};

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
    /// The status was changed.
    Applied(Order),
    /// The order already had the status.
    Unchanged(Order),
    /// The order cannot change to the status.
    Rejected(Order),
}

/// Changes the status of an order if it allows that; of this customer's order if `customer_id` is given. Returns the stock of
/// orders that are cancelled or fail. `currency` is that of all prices.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn change_status(
    work: &mut UnitOfWork,
    currency: Currency,
    customer_id: Option<Uuid>,
    id: Uuid,
    transition: Transition<'_>,
) -> Result<TransitionOutcome, Error> {
    let locked = sqlx::query!(
        r#"SELECT status AS "status: Status", version FROM orders.orders
               WHERE id = $1 AND ($2::uuid IS NULL OR customer_id = $2) FOR UPDATE"#,
        id,
        customer_id,
    );
    let locked = locked.fetch_optional(&mut **work).await?.ok_or(Error::NotFound)?;
    let (from, version) = (locked.status, locked.version + 1);
    if from == transition.to || !from.next().contains(&transition.to) {
        let order = read::find_order(work, currency, id, None).await?;
        return Ok(if from == transition.to { TransitionOutcome::Unchanged(order) } else { TransitionOutcome::Rejected(order) });
    }
    write_transition(work, id, version, transition).await?;
    let order = read::find_order(work, currency, id, None).await?;
    let actor = work.origin().actor.clone();
    let data = OrderChange { order: order.clone(), previous_status: Some(from), version, actor };
    work.append(Draft { kind: change::event_kind(transition.to), aggregate_id: id, data }).await?;
    if transition.to.returns_stock() {
        return_stock(work, id, transition).await?;
    }
    Ok(TransitionOutcome::Applied(order))
}

async fn return_stock(work: &mut UnitOfWork, id: Uuid, transition: Transition<'_>) -> Result<(), sqlx::Error> {
    let lines = lines::read_lines(work, &[id]).await?;
    let delta = |line: &LineRow| StockDelta { product_id: line.product_id, on_hand: line.deducted, reserved: 0 };
    let deltas: Vec<_> = lines.iter().filter(|line| line.deducted > 0).map(delta).collect();
    let actor_id = actor_id(work.origin(), transition.by);
    let cause = Cause { order_id: Some(id), actor_id, reason: transition.reason, ..Cause::of(work, MovementKind::Return) };
    let changes = stock::apply_deltas(work, Some(&cause), &deltas).await?.require_applied()?;
    stock::append_availability_events(work, &changes).await
}

async fn write_transition(work: &mut UnitOfWork, id: Uuid, version: i64, transition: Transition<'_>) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "WITH moved AS (
             UPDATE orders.orders SET status = $3, version = $2, updated_at = $4, fulfil_at = $8 WHERE id = $1
         )
         INSERT INTO orders.history (order_id, version, status, at, actor, actor_id, reason) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        id,
        version,
        transition.to as Status,
        work.now(),
        transition.by as OrderActor,
        actor_id(work.origin(), transition.by),
        transition.reason,
        transition.fulfil_at,
    )
    .execute(&mut **work)
    .await?;
    Ok(())
}

fn actor_id(origin: &Origin, by: OrderActor) -> Option<Uuid> {
    (by != OrderActor::Shop).then_some(origin.actor.id)
}
