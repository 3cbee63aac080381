//! What becomes of one order next.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use tracing::{Instrument, field::Empty};
use uuid::Uuid;

use super::metrics;
use crate::{
    database,
    events::Origin,
    identity,
    orders::{Advanced, Error, Mover, Party, Status, Step},
};

/// Why an order fails whose customer is gone, or may not sign in any more.
const NO_CUSTOMER: &str = "the customer's account is closed";

/// What to do about an order that somebody else works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Busy {
    /// They may refuse it and leave it as it is: decide when they are done.
    Wait,
    /// It is looked for again soon.
    Skip,
}

/// Decides on orders. Cheap to clone.
#[derive(Clone)]
pub struct Decider {
    pool: PgPool,
    mover: Mover,
    origin: Origin,
    delay: Duration,
}

impl Decider {
    /// `delay` is how long a confirmed order can still be cancelled.
    #[must_use]
    pub fn new(pool: PgPool, mover: Mover, delay: Duration) -> Self {
        metrics::start();
        Self { pool, mover, origin: Origin::shop("fulfiller"), delay }
    }

    /// Confirms an order that is pending, fulfils one that is confirmed and due, lets both fail where nobody is left to
    /// send them to, and leaves every other as it is. Each in a transaction of its own: a customer who cancels waits for
    /// one order, and what is done stays done if a later one fails.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn decide(&self, id: Uuid, busy: Busy, now: DateTime<Utc>) -> Result<(), Error> {
        let mut tx = database::begin_brief(&self.pool).await?;
        if busy == Busy::Skip {
            let free = sqlx::query_scalar!("SELECT id FROM orders.orders WHERE id = $1 FOR UPDATE SKIP LOCKED", id);
            if free.fetch_optional(&mut *tx).await?.is_none() {
                return Ok(());
            }
        }
        let order = sqlx::query!(
            r#"SELECT customer_id, status AS "status: Status", COALESCE(fulfil_at <= $2, false) AS "due!"
               FROM orders.orders WHERE id = $1 FOR UPDATE"#,
            id,
            now,
        );
        let Some(order) = order.fetch_optional(&mut *tx).await? else { return Ok(()) };
        let to = match (order.status, order.due) {
            (Status::Pending, _) => Status::Confirmed,
            (Status::Confirmed, true) => Status::Fulfilled,
            _ => return Ok(()),
        };
        let is_there = identity::active_customer(&mut tx, order.customer_id).await?.is_some();
        let (to, reason) = if is_there { (to, None) } else { (Status::Failed, Some(NO_CUSTOMER)) };
        let fulfil_at = (to == Status::Confirmed).then(|| now + self.delay);
        let step = Step { to, by: Party::Shop, reason, fulfil_at };
        // The API's caches hear of stock that came back by event.
        let advance = async {
            if let Advanced::Moved(..) = self.mover.advance(&mut tx, &self.origin, None, id, step, now).await? {
                tx.commit().await?;
                metrics::advanced(to);
                tracing::info!("order advanced");
            }
            Ok(())
        };
        // `event_id` is that of the event which this writes. At this level the span passes every filter.
        advance.instrument(tracing::error_span!("order", order_id = %id, order_status = to.as_str(), reason, event_id = Empty)).await
    }
}
