//! Daily partitions of message ids: made before they are needed, dropped when no copy can come any more.

use std::{collections::BTreeSet, sync::Mutex, sync::PoisonError};

use chrono::{DateTime, Days, NaiveDate, Utc};
use sqlx::{AssertSqlSafe, PgConnection, PgPool};

use super::message;

/// Trackers take turns. The number is ours among the advisory locks of the database.
const LOCK: i64 = 0x7472_6163_6b69_6e67;
/// Added to the age at which messages are refused, for clocks that disagree.
const MARGIN: Days = Days::new(1);
const NAME: &str = "counted_messages_";
const NAME_DATE: &str = "%Y%m%d";

/// The days whose partitions are known to be there.
#[derive(Default)]
pub struct Partitions {
    known: Mutex<BTreeSet<NaiveDate>>,
}

impl Partitions {
    /// Makes what is missing of `days`.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn ensure(&self, pool: &PgPool, days: impl IntoIterator<Item = NaiveDate>) -> Result<(), sqlx::Error> {
        let days: BTreeSet<_> = days.into_iter().collect();
        let missing: Vec<_> = days.difference(&self.known()).copied().collect();
        if !missing.is_empty() {
            make(pool, &missing).await?;
            self.known.lock().unwrap_or_else(PoisonError::into_inner).extend(missing);
        }
        Ok(())
    }

    /// Makes today's and tomorrow's and drops those whose messages would be refused for their age.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn keep(&self, pool: &PgPool, now: DateTime<Utc>) -> Result<(), sqlx::Error> {
        let today = now.date_naive();
        self.ensure(pool, [today, today + Days::new(1)]).await?;
        let oldest = (now - message::MAX_AGE).date_naive() - MARGIN;
        self.known.lock().unwrap_or_else(PoisonError::into_inner).retain(|day| *day >= oldest);
        drop_before(pool, oldest).await
    }

    /// Looks again before the next use.
    pub fn forget(&self) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn known(&self) -> BTreeSet<NaiveDate> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn make(pool: &PgPool, days: &[NaiveDate]) -> Result<(), sqlx::Error> {
    let there = list(&mut *pool.acquire().await?).await?;
    if days.iter().all(|day| there.contains(day)) {
        return Ok(());
    }
    let mut tx = pool.begin().await?;
    take_turn(&mut tx).await?;
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

async fn drop_before(pool: &PgPool, oldest: NaiveDate) -> Result<(), sqlx::Error> {
    let is_old = |days: Vec<NaiveDate>| days.into_iter().filter(|day| *day < oldest).collect::<Vec<_>>();
    if is_old(list(&mut *pool.acquire().await?).await?).is_empty() {
        return Ok(());
    }
    let mut tx = pool.begin().await?;
    take_turn(&mut tx).await?;
    let days = is_old(list(&mut tx).await?);
    for day in &days {
        sqlx::query(AssertSqlSafe(format!("DROP TABLE tracking.{}", name(*day)))).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    tracing::info!(?days, "partitions dropped");
    Ok(())
}

/// Both statements need the whole table for a moment: rather later than behind a long counting.
async fn take_turn(tx: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!("SET LOCAL lock_timeout = '5s'").execute(&mut *tx).await?;
    sqlx::query!("SELECT pg_advisory_xact_lock($1)", LOCK).execute(tx).await?;
    Ok(())
}

async fn list(connection: &mut PgConnection) -> Result<Vec<NaiveDate>, sqlx::Error> {
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
    fn a_partition_is_recognised_by_the_name_it_was_given() {
        let date = NaiveDate::from_ymd_opt(2026, 2, 28).unwrap();
        assert_eq!(name(date), "counted_messages_20260228");
        assert_eq!(day(&name(date)), Some(date));
        assert_eq!(day("counted_messages_default"), None);
    }
}
