//! Pages of views by product and bucket, ordered by time. The cost of a page is proportional to its rows: only within a single
//! day or product, rows beyond the page are read.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    Bucket, BucketViews, Range, Selection,
    range::{HOUR, next_hour},
};

/// Position of the last row of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Start of the bucket.
    pub start: DateTime<Utc>,
    /// Product id.
    pub product_id: Uuid,
}

impl From<&BucketViews> for Position {
    fn from(row: &BucketViews) -> Self {
        Self { start: row.start, product_id: row.product_id }
    }
}

/// Reads at most `limit` rows after `after`, ordered by bucket and product. Fewer rows mean that there are no more.
///
/// # Errors
/// Database errors.
pub async fn read_views(
    conn: &mut PgConnection,
    selection: &Selection,
    after: Option<Position>,
    limit: i64,
) -> Result<Vec<BucketViews>, sqlx::Error> {
    let Selection { range, bucket, zone, product_id } = selection;
    let before_all = Position { start: range.from - TimeDelta::seconds(1), product_id: Uuid::max() };
    // The time in a forged cursor can exceed the range of PostgreSQL.
    let after = after.map_or(before_all, |after| Position { start: after.start.clamp(before_all.start, range.to), ..after });
    match (bucket, product_id) {
        (Bucket::Hour, None) => hours(conn, *range, after, limit).await,
        (Bucket::Day, None) => days(conn, *range, zone, after, limit).await,
        (Bucket::Hour, Some(product_id)) => hours_of(conn, *range, *product_id, after, limit).await,
        (Bucket::Day, Some(product_id)) => days_of(conn, *range, zone, *product_id, after, limit).await,
    }
}

async fn hours(conn: &mut PgConnection, range: Range, after: Position, limit: i64) -> Result<Vec<BucketViews>, sqlx::Error> {
    sqlx::query_as!(
        BucketViews,
        "SELECT product_id, hour AS start, views FROM tracking.hourly_views
         WHERE (hour, product_id) > ($1, $2) AND hour >= $3 AND hour < $4 ORDER BY hour, product_id LIMIT $5",
        after.start,
        after.product_id,
        range.from,
        range.to,
        limit,
    )
    .fetch_all(conn)
    .await
}

async fn hours_of(conn: &mut PgConnection, range: Range, id: Uuid, after: Position, limit: i64) -> Result<Vec<BucketViews>, sqlx::Error> {
    sqlx::query_as!(
        BucketViews,
        "SELECT product_id, hour AS start, views FROM tracking.hourly_views
         WHERE product_id = $1 AND hour > $2 AND hour >= $3 AND hour < $4 ORDER BY hour LIMIT $5",
        id,
        after.start,
        range.from,
        range.to,
        limit,
    )
    .fetch_all(conn)
    .await
}

async fn days_of(
    conn: &mut PgConnection,
    range: Range,
    zone: &str,
    id: Uuid,
    after: Position,
    limit: i64,
) -> Result<Vec<BucketViews>, sqlx::Error> {
    sqlx::query_as!(
        BucketViews,
        r#"SELECT product_id, start AS "start!", sum(views)::bigint AS "views!"
           FROM (SELECT product_id, views, date_trunc('day', hour, $4) AS start FROM tracking.hourly_views
                 WHERE product_id = $1 AND hour >= $2 AND hour < $3) AS hours
           WHERE start > $5 GROUP BY product_id, start ORDER BY start LIMIT $6"#,
        id,
        range.from,
        range.to,
        zone,
        after.start,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Reads day by day and skips days without views.
async fn days(conn: &mut PgConnection, range: Range, zone: &str, after: Position, limit: i64) -> Result<Vec<BucketViews>, sqlx::Error> {
    let mut rows = Vec::new();
    let mut from = after.start.max(range.from);
    while let Some(day) = next_day(&mut *conn, Range { from, to: range.to }, zone).await? {
        let product_id = if day.from == after.start { after.product_id } else { Uuid::nil() };
        let remaining = limit - i64::try_from(rows.len()).unwrap_or(limit);
        rows.extend(day_after(&mut *conn, day, product_id, remaining).await?);
        if i64::try_from(rows.len()).is_ok_and(|found| found >= limit) {
            break;
        }
        from = day.to;
    }
    Ok(rows)
}

/// Finds the first day with views.
async fn next_day(conn: &mut PgConnection, range: Range, zone: &str) -> Result<Option<Range>, sqlx::Error> {
    sqlx::query_as!(
        Range,
        r#"SELECT date_trunc('day', hour, $3) AS "from!",
                  (date_trunc('day', hour AT TIME ZONE $3) + interval '1 day') AT TIME ZONE $3 AS "to!"
           FROM tracking.hourly_views WHERE hour >= $1 AND hour < $2 ORDER BY hour LIMIT 1"#,
        range.from,
        range.to,
        zone,
    )
    .fetch_optional(conn)
    .await
}

/// Reads the next products of a day. A product among the first `limit` of the day is among the first `limit` of each of its
/// hours, so the query reads no more of each hour.
async fn day_after(conn: &mut PgConnection, day: Range, after: Uuid, limit: i64) -> Result<Vec<BucketViews>, sqlx::Error> {
    let hours: Vec<_> =
        std::iter::successors(Some(next_hour(day.from)), |hour| Some(*hour + HOUR)).take_while(|hour| *hour < day.to).collect();
    sqlx::query_as!(
        BucketViews,
        r#"SELECT counted.product_id, $1::timestamptz AS "start!", sum(counted.views)::bigint AS "views!"
           FROM UNNEST($2::timestamptz[]) AS hours (hour),
                LATERAL (SELECT product_id, views FROM tracking.hourly_views
                         WHERE hourly_views.hour = hours.hour AND product_id > $3 ORDER BY product_id LIMIT $4) AS counted
           GROUP BY counted.product_id ORDER BY counted.product_id LIMIT $4"#,
        day.from,
        &hours,
        after,
        limit,
    )
    .fetch_all(conn)
    .await
}
