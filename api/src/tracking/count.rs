//! Counting: ids and counts in one transaction, so that a message that comes again adds nothing.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::message::Message;

/// What a counting did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    /// Views added.
    pub views: u64,
    /// Messages that had been counted before, or came twice in the same batch.
    pub duplicates: u64,
}

/// Counts the messages that weren't counted before. Their days must have partitions.
///
/// Every counting locks ids, then totals, then hours, each in the order of its key, so that
/// trackers working side by side wait for each other and never in a circle.
///
/// # Errors
/// If the database refuses; then nothing was counted.
pub async fn count(pool: &PgPool, messages: &[Message], now: DateTime<Utc>) -> Result<Counted, sqlx::Error> {
    let mut tx = pool.begin().await?;
    let fresh = remember(&mut tx, messages).await?;
    let sums = Sums::of(messages, fresh);
    if !sums.is_empty() {
        sums.add_totals(&mut tx, now).await?;
        sums.add_hours(&mut tx).await?;
    }
    tx.commit().await?;
    Ok(sums.counted)
}

/// Writes the ids of messages and gives those that are new.
async fn remember(tx: &mut PgConnection, messages: &[Message]) -> Result<HashSet<Uuid>, sqlx::Error> {
    let days: Vec<_> = messages.iter().map(|message| message.frozen_at.date_naive()).collect();
    let ids: Vec<_> = messages.iter().map(|message| message.id).collect();
    let fresh = sqlx::query_scalar!(
        "INSERT INTO tracking.counted_messages (day, id)
         SELECT * FROM UNNEST($1::date[], $2::uuid[]) ORDER BY 1, 2
         ON CONFLICT DO NOTHING RETURNING id",
        &days,
        &ids,
    )
    .fetch_all(tx)
    .await?;
    Ok(fresh.into_iter().collect())
}

/// What new messages add up to, in the order of the keys.
struct Sums {
    totals: BTreeMap<Uuid, i64>,
    hours: BTreeMap<(Uuid, DateTime<Utc>), i64>,
    counted: Counted,
}

impl Sums {
    /// Adds up each message of `fresh` once.
    fn of(messages: &[Message], mut fresh: HashSet<Uuid>) -> Self {
        let mut sums = Self { totals: BTreeMap::new(), hours: BTreeMap::new(), counted: Counted::default() };
        for message in messages {
            if !fresh.remove(&message.id) {
                sums.counted.duplicates += 1;
                continue;
            }
            sums.counted.views += message.total();
            for view in &message.views {
                *sums.totals.entry(view.product_id).or_default() += i64::from(view.count);
                *sums.hours.entry((view.product_id, view.hour.start())).or_default() += i64::from(view.count);
            }
        }
        sums
    }

    fn is_empty(&self) -> bool {
        self.totals.is_empty()
    }

    async fn add_totals(&self, tx: &mut PgConnection, now: DateTime<Utc>) -> Result<(), sqlx::Error> {
        let ids: Vec<_> = self.totals.keys().copied().collect();
        let views: Vec<_> = self.totals.values().copied().collect();
        sqlx::query!(
            "INSERT INTO tracking.product_views AS counted (product_id, total, updated_at)
             SELECT product_id, views, $3 FROM UNNEST($1::uuid[], $2::bigint[]) AS added (product_id, views) ORDER BY 1
             ON CONFLICT (product_id) DO UPDATE SET total = counted.total + excluded.total, updated_at = excluded.updated_at",
            &ids,
            &views,
            now,
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!("INSERT INTO tracking.changed_totals (product_ids) VALUES ($1)", &ids).execute(tx).await?;
        Ok(())
    }

    async fn add_hours(&self, tx: &mut PgConnection) -> Result<(), sqlx::Error> {
        let (ids, hours): (Vec<_>, Vec<_>) = self.hours.keys().copied().unzip();
        let views: Vec<_> = self.hours.values().copied().collect();
        sqlx::query!(
            "INSERT INTO tracking.hourly_views AS counted (product_id, hour, views)
             SELECT * FROM UNNEST($1::uuid[], $2::timestamptz[], $3::bigint[]) ORDER BY 1, 2
             ON CONFLICT (product_id, hour) DO UPDATE SET views = counted.views + excluded.views",
            &ids,
            &hours,
            &views,
        )
        .execute(tx)
        .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracking::message::{Hour, View};

    #[test]
    fn only_new_messages_are_added_and_each_of_them_once() {
        let now = Utc::now();
        let product_id = Uuid::from_u128(7);
        let message = |id: u128, count| Message {
            id: Uuid::from_u128(id),
            frozen_at: now,
            views: vec![View { product_id, hour: Hour::of(now), count }, View { product_id, hour: Hour::from_number(5), count }],
        };
        let messages = [message(1, 1), message(2, 10), message(2, 10), message(3, 100)];
        let sums = Sums::of(&messages, HashSet::from([Uuid::from_u128(1), Uuid::from_u128(2)]));
        assert_eq!(sums.counted, Counted { views: 22, duplicates: 2 });
        assert_eq!(sums.totals, BTreeMap::from([(product_id, 22)]));
        assert_eq!(sums.hours.values().collect::<Vec<_>>(), [&11, &11]);
    }
}
