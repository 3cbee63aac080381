//! Decides the next status of an order and applies it.

use std::time::Duration;

use catalog_values::Currency;
use chrono::{DateTime, Utc};
use sqlx::PgPool;
use tracing::{Instrument, field::Empty};
use uuid::Uuid;

use super::metrics;
use crate::{
    database,
    events::{Origin, Outbox, UnitOfWork},
    identity,
    orders::{Error, OrderActor, Status, Transition, TransitionOutcome, change_status},
};

/// Reason of a failed order whose customer was deleted or deactivated.
const NO_CUSTOMER: &str = "the customer's account is closed";

/// What to do with an order that another transaction has locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfLocked {
    /// Wait: the other transaction may end without a change.
    Wait,
    /// Skip it: the next poll finds it again.
    Skip,
}

/// Decides and applies the next status of orders. Cheap to clone.
#[derive(Clone)]
pub struct FulfilmentPolicy {
    pool: PgPool,
    outbox: Outbox,
    currency: Currency,
    origin: Origin,
    delay: Duration,
}

impl FulfilmentPolicy {
    /// `delay` is the time in which a confirmed order can still be cancelled.
    #[must_use]
    pub fn new(pool: PgPool, outbox: Outbox, currency: Currency, delay: Duration) -> Self {
        metrics::register();
        Self { pool, outbox, currency, origin: Origin::shop("fulfiller"), delay }
    }

    /// Confirms a pending order, fulfils a confirmed order that is due, and fails either if the customer's account is
    /// closed. Other orders stay as they are. Each order has a transaction of its own, so that a cancellation waits for
    /// one order only and a later failure does not revert it.
    ///
    /// # Errors
    /// Database errors.
    pub async fn apply(&self, id: Uuid, if_locked: IfLocked, now: DateTime<Utc>) -> Result<(), Error> {
        let transaction = database::begin_brief(&self.pool).await?;
        let mut work = UnitOfWork::new(transaction, &self.outbox, self.origin.clone(), now);
        if if_locked == IfLocked::Skip {
            let free = sqlx::query_scalar!("SELECT id FROM orders.orders WHERE id = $1 FOR UPDATE SKIP LOCKED", id);
            if free.fetch_optional(&mut *work).await?.is_none() {
                return Ok(());
            }
        }
        let order = sqlx::query!(
            r#"SELECT customer_id, status AS "status: Status", COALESCE(fulfil_at <= $2, false) AS "due!"
               FROM orders.orders WHERE id = $1 FOR UPDATE"#,
            id,
            now,
        );
        let Some(order) = order.fetch_optional(&mut *work).await? else { return Ok(()) };
        let to = match (order.status, order.due) {
            (Status::Pending, _) => Status::Confirmed,
            (Status::Confirmed, true) => Status::Fulfilled,
            _ => return Ok(()),
        };
        let is_active = identity::active_customer(&mut work, order.customer_id).await?.is_some();
        let (to, reason) = if is_active { (to, None) } else { (Status::Failed, Some(NO_CUSTOMER)) };
        let fulfil_at = (to == Status::Confirmed).then(|| now + self.delay);
        let transition = Transition { to, by: OrderActor::Shop, reason, fulfil_at };
        // The caches of the API processes are invalidated by the events.
        let advance = async {
            if let TransitionOutcome::Applied(_) = change_status(&mut work, self.currency, None, id, transition).await? {
                work.commit().await?;
                metrics::count_advanced(to);
                tracing::info!("order advanced");
            }
            Ok(())
        };
        // `event_id` is set when the event is written. Error level, so that no log filter drops the span.
        advance.instrument(tracing::error_span!("order", order_id = %id, order_status = to.as_str(), reason, event_id = Empty)).await
    }
}
