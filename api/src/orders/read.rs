//! Reading orders: one, a page, or all in chunks.

use std::collections::HashMap;

use catalog_values::Currency;
use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    Error, HistoryEntry, Order, OrderActor, Status,
    lines::{self, LineRow},
};
use crate::products::Money;

/// Former name of [`OrderActor`], which a query below contains. `.sqlx` has the metadata of the query under a hash of its text, so the
/// text must not change.
type Party = OrderActor;

/// Conditions that an order must all meet.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Placed by this customer.
    pub customer_id: Option<Uuid>,
    /// Has this status.
    pub status: Option<Status>,
    /// Placed at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Placed before this time.
    pub to: Option<DateTime<Utc>>,
}

struct Row {
    id: Uuid,
    customer_id: Uuid,
    status: Status,
    total: Decimal,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// Reads one order, of this customer if `customer_id` is given.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn find_order(conn: &mut PgConnection, currency: Currency, id: Uuid, customer_id: Option<Uuid>) -> Result<Order, Error> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT id, customer_id, status AS "status: Status", total, created_at, updated_at FROM orders.orders
           WHERE id = $1 AND ($2::uuid IS NULL OR customer_id = $2)"#,
        id,
        customer_id,
    );
    let row = row.fetch_optional(&mut *conn).await?.ok_or(Error::NotFound)?;
    load_details(conn, currency, vec![row]).await?.pop().ok_or(Error::NotFound)
}

/// Reads one page of orders, newest first, and the position of the next page.
///
/// # Errors
/// Database errors.
pub async fn list_orders(
    conn: &mut PgConnection,
    currency: Currency,
    filter: &Filter,
    before: Option<Uuid>,
    limit: u16,
) -> Result<(Vec<Order>, Option<Uuid>), sqlx::Error> {
    let mut orders = read_chunk(conn, currency, filter, before, i64::from(limit) + 1).await?;
    let more = orders.len() > usize::from(limit);
    orders.truncate(limit.into());
    let next = orders.last().filter(|_| more).map(|last| last.id);
    Ok((orders, next))
}

/// Reads at most `limit` orders older than `before`, newest first.
///
/// # Errors
/// Database errors.
pub async fn read_chunk(
    conn: &mut PgConnection,
    currency: Currency,
    filter: &Filter,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Order>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, customer_id, status AS "status: Status", total, created_at, updated_at FROM orders.orders
           WHERE id < $1 AND id >= $7 AND ($2::uuid IS NULL OR customer_id = $2) AND ($3::text IS NULL OR status = $3)
             AND ($4::timestamptz IS NULL OR created_at >= $4) AND ($5::timestamptz IS NULL OR created_at < $5)
           ORDER BY id DESC LIMIT $6"#,
        before.unwrap_or(Uuid::max()).min(filter.to.map_or(Uuid::max(), |to| first_id(to + TimeDelta::milliseconds(1)))),
        filter.customer_id,
        filter.status as Option<Status>,
        filter.from,
        filter.to,
        limit,
        filter.from.map_or(Uuid::nil(), first_id),
    )
    .fetch_all(&mut *conn)
    .await?;
    load_details(conn, currency, rows).await
}

/// Smallest id of orders placed in this millisecond or later: ids start with the time (`UUIDv7`, RFC 9562, section 5.7).
fn first_id(at: DateTime<Utc>) -> Uuid {
    uuid::Builder::from_unix_timestamp_millis(u64::try_from(at.timestamp_millis()).unwrap_or(0), &[0; 10]).into_uuid()
}

/// Adds lines and history to order rows.
async fn load_details(conn: &mut PgConnection, currency: Currency, rows: Vec<Row>) -> Result<Vec<Order>, sqlx::Error> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let mut items: HashMap<Uuid, Vec<LineRow>> = HashMap::new();
    for line in lines::read_lines(conn, &ids).await? {
        items.entry(line.order_id).or_default().push(line);
    }
    let mut history: HashMap<Uuid, Vec<HistoryEntry>> = HashMap::new();
    let entries = sqlx::query!(
        r#"SELECT order_id, status AS "status: Status", at, actor AS "by: Party", reason FROM orders.history
           WHERE order_id = ANY($1) ORDER BY order_id, version"#,
        &ids,
    );
    for row in entries.fetch_all(conn).await? {
        let entry = HistoryEntry { status: row.status, at: row.at, by: row.by, reason: row.reason };
        history.entry(row.order_id).or_default().push(entry);
    }
    let order = |row: Row| Order {
        items: items.remove(&row.id).unwrap_or_default().into_iter().map(|line| line.into_line(currency)).collect(),
        history: history.remove(&row.id).unwrap_or_default(),
        id: row.id,
        customer_id: row.customer_id,
        status: row.status,
        total: Money::new(row.total, currency),
        created_at: row.created_at,
        updated_at: row.updated_at,
    };
    Ok(rows.into_iter().map(order).collect())
}

#[cfg(test)]
mod tests {
    use uuid::{NoContext, Timestamp};

    use super::*;

    #[test]
    fn order_ids_lie_between_the_bounds_of_their_millisecond() {
        let at: DateTime<Utc> = "2026-11-25T10:00:00.123456Z".parse().unwrap();
        let id = Uuid::new_v7(Timestamp::from_unix(NoContext, u64::try_from(at.timestamp()).unwrap(), at.timestamp_subsec_nanos()));
        assert!(first_id(at) <= id && id < first_id(at + TimeDelta::milliseconds(1)));
    }
}
