//! Counting messages. Message ids and counts are written in one transaction, so that a redelivered message is not counted
//! twice.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::views::message::Message;

/// Result of counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CountOutcome {
    /// Number of added views.
    pub views: u64,
    /// Number of messages that were counted before or occurred twice in the batch.
    pub duplicates: u64,
}

/// Counts the messages that were not counted before. Partitions for their days must exist.
///
/// Each transaction locks message ids, then totals, then hours, each in the order of their keys, so that concurrent trackers
/// cannot deadlock.
///
/// # Errors
/// Database errors; nothing was counted.
pub async fn count_messages(pool: &PgPool, messages: &[Message], now: DateTime<Utc>) -> Result<CountOutcome, sqlx::Error> {
    let mut tx = pool.begin().await?;
    let new_ids = insert_message_ids(&mut tx, messages).await?;
    let sums = Sums::of(messages, new_ids);
    if !sums.is_empty() {
        sums.add_totals(&mut tx, now).await?;
        sums.add_hours(&mut tx).await?;
    }
    tx.commit().await?;
    Ok(sums.counted)
}

/// Inserts message ids and returns those that are new.
async fn insert_message_ids(tx: &mut PgConnection, messages: &[Message]) -> Result<HashSet<Uuid>, sqlx::Error> {
    let days: Vec<_> = messages.iter().map(|message| message.created_at.date_naive()).collect();
    let ids: Vec<_> = messages.iter().map(|message| message.id).collect();
    let new_ids = sqlx::query_scalar!(
        "INSERT INTO tracking.counted_messages (day, id)
         SELECT * FROM UNNEST($1::date[], $2::uuid[]) ORDER BY 1, 2
         ON CONFLICT DO NOTHING RETURNING id",
        &days,
        &ids,
    )
    .fetch_all(tx)
    .await?;
    Ok(new_ids.into_iter().collect())
}

/// Sums of new messages, ordered by key.
struct Sums {
    totals: BTreeMap<Uuid, i64>,
    hours: BTreeMap<(Uuid, DateTime<Utc>), i64>,
    counted: CountOutcome,
}

impl Sums {
    /// Adds up the messages in `new_ids`, each once.
    fn of(messages: &[Message], mut new_ids: HashSet<Uuid>) -> Self {
        let mut sums = Self { totals: BTreeMap::new(), hours: BTreeMap::new(), counted: CountOutcome::default() };
        for message in messages {
            if !new_ids.remove(&message.id) {
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
    use crate::views::message::{Hour, View};

    #[test]
    fn new_messages_are_added_once_each() {
        let now = Utc::now();
        let product_id = Uuid::from_u128(7);
        let message = |id: u128, count| Message {
            id: Uuid::from_u128(id),
            created_at: now,
            views: vec![View { product_id, hour: Hour::of(now), count }, View { product_id, hour: Hour::from_number(5), count }],
        };
        let messages = [message(1, 1), message(2, 10), message(2, 10), message(3, 100)];
        let sums = Sums::of(&messages, HashSet::from([Uuid::from_u128(1), Uuid::from_u128(2)]));
        assert_eq!(sums.counted, CountOutcome { views: 22, duplicates: 2 });
        assert_eq!(sums.totals, BTreeMap::from([(product_id, 22)]));
        assert_eq!(sums.hours.values().collect::<Vec<_>>(), [&11, &11]);
    }
}
