//! Daily partitions of message ids. They are created in advance and dropped when their messages are too old to be redelivered.

use std::{collections::BTreeSet, sync::Mutex, sync::PoisonError};

use chrono::{DateTime, Days, NaiveDate, Utc};
use sqlx::{AssertSqlSafe, PgConnection, PgPool};

use crate::views::message;

/// Advisory lock of partition maintenance: "tracking" in ASCII.
const LOCK: i64 = 0x7472_6163_6b69_6e67;
/// Margin for clock skew, in addition to the maximum age of messages.
const MARGIN: Days = Days::new(1);
const NAME: &str = "counted_messages_";
const NAME_DATE: &str = "%Y%m%d";

/// Creates and drops partitions, and caches the days whose partitions exist.
#[derive(Default)]
pub struct Partitions {
    known: Mutex<BTreeSet<NaiveDate>>,
}

impl Partitions {
    /// Creates the missing partitions of `days`.
    ///
    /// # Errors
    /// Database errors.
    pub async fn ensure(&self, pool: &PgPool, days: impl IntoIterator<Item = NaiveDate>) -> Result<(), sqlx::Error> {
        let days: BTreeSet<_> = days.into_iter().collect();
        let missing: Vec<_> = days.difference(&self.known()).copied().collect();
        if !missing.is_empty() {
            create_partitions(pool, &missing).await?;
            self.known.lock().unwrap_or_else(PoisonError::into_inner).extend(missing);
        }
        Ok(())
    }

    /// Creates the partitions of today and tomorrow and drops those of messages above the maximum age.
    ///
    /// # Errors
    /// Database errors.
    pub async fn maintain(&self, pool: &PgPool, now: DateTime<Utc>) -> Result<(), sqlx::Error> {
        let today = now.date_naive();
        self.ensure(pool, [today, today + Days::new(1)]).await?;
        let oldest = (now - message::MAX_AGE).date_naive() - MARGIN;
        self.known.lock().unwrap_or_else(PoisonError::into_inner).retain(|day| *day >= oldest);
        drop_partitions_before(pool, oldest).await
    }

    /// Clears the cache, so that the next call reads the existing partitions.
    pub fn clear_cache(&self) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn known(&self) -> BTreeSet<NaiveDate> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn create_partitions(pool: &PgPool, days: &[NaiveDate]) -> Result<(), sqlx::Error> {
    let existing = list_days(&mut *pool.acquire().await?).await?;
    if days.iter().all(|day| existing.contains(day)) {
        return Ok(());
    }
    let mut tx = pool.begin().await?;
    acquire_lock(&mut tx).await?;
    for day in days {
        let (name, next) = (name(*day), *day + Days::new(1));
        let statement = format!(
            "CREATE TABLE IF NOT EXISTS tracking.{name} PARTITION OF tracking.counted_messages FOR VALUES FROM ('{day}') TO ('{next}')"
        );
        sqlx::query(AssertSqlSafe(statement)).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    tracing::info!(?days, "partitions created");
    Ok(())
}

async fn drop_partitions_before(pool: &PgPool, oldest: NaiveDate) -> Result<(), sqlx::Error> {
    let is_old = |days: Vec<NaiveDate>| days.into_iter().filter(|day| *day < oldest).collect::<Vec<_>>();
    if is_old(list_days(&mut *pool.acquire().await?).await?).is_empty() {
        return Ok(());
    }
    let mut tx = pool.begin().await?;
    acquire_lock(&mut tx).await?;
    let days = is_old(list_days(&mut tx).await?);
    for day in &days {
        sqlx::query(AssertSqlSafe(format!("DROP TABLE tracking.{}", name(*day)))).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    tracing::info!(?days, "partitions dropped");
    Ok(())
}

/// Acquires the advisory lock with a short lock timeout. Both statements lock the whole table briefly, and must not queue
/// behind a long transaction, because all others would queue behind them.
async fn acquire_lock(tx: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!("SET LOCAL lock_timeout = '5s'").execute(&mut *tx).await?;
    sqlx::query!("SELECT pg_advisory_xact_lock($1)", LOCK).execute(tx).await?;
    Ok(())
}

async fn list_days(connection: &mut PgConnection) -> Result<Vec<NaiveDate>, sqlx::Error> {
    let names = sqlx::query_scalar!(
        "SELECT relname::text AS \"name!\" FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
         WHERE inhparent = 'tracking.counted_messages'::regclass"
    )
    .fetch_all(connection)
    .await?;
    Ok(names.iter().filter_map(|name| day(name)).collect())
}

fn name(day: NaiveDate) -> String {
    format!("{NAME}{}", day.format(NAME_DATE))
}

fn day(name: &str) -> Option<NaiveDate> {
    NaiveDate::parse_from_str(name.strip_prefix(NAME)?, NAME_DATE).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_of_a_partition_is_parsed_from_its_name() {
        let date = NaiveDate::from_ymd_opt(2026, 2, 28).unwrap();
        assert_eq!(name(date), "counted_messages_20260228");
        assert_eq!(day(&name(date)), Some(date));
        assert_eq!(day("counted_messages_default"), None);
    }
}
