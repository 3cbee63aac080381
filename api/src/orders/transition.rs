//! The one way from one status to the next.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Error, HistoryEntry, Order, OrderChange, OrderLine, Party, Status, change};
use crate::{
    config::Currency,
    events::{Draft, Origin, Outbox},
    products::Money,
};

/// Moves orders.
#[derive(Clone)]
pub struct Mover {
    /// Where events go.
    pub outbox: Outbox,
    /// Of all prices.
    pub currency: Currency,
}

/// What became of a wish to move an order.
#[derive(Debug)]
pub enum Advanced {
    /// It is there now.
    Moved(Order),
    /// It was there already.
    Already(Order),
    /// It cannot go there from where it is.
    Refused(Order),
}

impl Mover {
    /// Moves an order to a status and writes the event, in the caller's transaction, which holds the
    /// order's row lock from then on.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    #[allow(clippy::too_many_arguments, reason = "who, which, where to, why and when are all said once, by the one who asks")]
    pub async fn advance(
        &self,
        tx: &mut PgConnection,
        origin: &Origin,
        party: Party,
        id: Uuid,
        to: Status,
        reason: Option<&str>,
        fulfil_at: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<Advanced, Error> {
        let locked = sqlx::query!(r#"SELECT status AS "status: Status" FROM orders.orders WHERE id = $1 FOR UPDATE"#, id);
        let previous = locked.fetch_optional(&mut *tx).await?.ok_or(Error::NotFound)?.status;
        if previous == to {
            return Ok(Advanced::Already(self.read(tx, id).await?));
        }
        if !previous.next().contains(&to) {
            return Ok(Advanced::Refused(self.read(tx, id).await?));
        }
        let version = sqlx::query_scalar!(
            "UPDATE orders.orders SET status = $2, version = version + 1, updated_at = $3, fulfil_at = $4 WHERE id = $1 RETURNING version",
            id,
            to.as_str(),
            now,
            fulfil_at,
        )
        .fetch_one(&mut *tx)
        .await?;
        sqlx::query!(
            "INSERT INTO orders.history (order_id, version, status, at, actor, actor_id, reason) VALUES ($1, $2, $3, $4, $5, $6, $7)",
            id,
            version,
            to.as_str(),
            now,
            party as Party,
            (party != Party::Shop).then_some(origin.actor.id),
            reason,
        )
        .execute(&mut *tx)
        .await?;
        let order = self.read(tx, id).await?;
        let data = OrderChange { order: order.clone(), previous_status: Some(previous), version, actor: origin.actor.clone() };
        self.outbox.append(tx, origin, Draft { kind: change::kind(to), aggregate_id: id, time: now, data }).await?;
        Ok(Advanced::Moved(order))
    }

    async fn read(&self, conn: &mut PgConnection, id: Uuid) -> Result<Order, Error> {
        let row = sqlx::query!(
            r#"SELECT customer_id, status AS "status: Status", total, created_at, updated_at FROM orders.orders WHERE id = $1"#,
            id
        )
        .fetch_optional(&mut *conn)
        .await?
        .ok_or(Error::NotFound)?;
        let lines =
            sqlx::query!("SELECT product_id, sku, name, price, quantity FROM orders.lines WHERE order_id = $1 ORDER BY position", id);
        let items = lines.fetch_all(&mut *conn).await?.into_iter().map(|line| OrderLine {
            product_id: line.product_id,
            sku: line.sku,
            name: line.name,
            price: Money::new(line.price, self.currency),
            quantity: line.quantity,
            line_total: Money::new(line.price * Decimal::from(line.quantity), self.currency),
        });
        let items = items.collect();
        let history = sqlx::query_as!(
            HistoryEntry,
            r#"SELECT status AS "status: Status", at, actor AS "by: Party", reason FROM orders.history WHERE order_id = $1 ORDER BY version"#,
            id
        )
        .fetch_all(conn)
        .await?;
        Ok(Order {
            id,
            customer_id: row.customer_id,
            status: row.status,
            items,
            total: Money::new(row.total, self.currency),
            created_at: row.created_at,
            updated_at: row.updated_at,
            history,
        })
    }
}
