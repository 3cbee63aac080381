//! Tables of notifications: one message per event, one delivery per recipient.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{mail::message_id, templates::Text};
use crate::identity::Recipient;

/// A due delivery that this transaction has locked.
#[derive(Debug)]
pub(super) struct ClaimedDelivery {
    pub id: i64,
    pub event_id: Uuid,
    pub recipient_id: Uuid,
    pub address: String,
    pub recipient_name: String,
    pub message_id: String,
    /// How often the mail server has deferred this delivery.
    pub deferrals: i32,
    pub subject: String,
    pub body: String,
    /// When the message was written.
    pub created_at: DateTime<Utc>,
}

/// Returns the events that have a message already. Checked in bulk, because a replay repeats thousands of events.
pub(super) async fn find_distributed(tx: &mut PgConnection, event_ids: &[Uuid]) -> Result<HashSet<Uuid>, sqlx::Error> {
    if event_ids.is_empty() {
        return Ok(HashSet::new());
    }
    let known = sqlx::query_scalar!("SELECT event_id FROM notifications.messages WHERE event_id = ANY($1)", event_ids);
    Ok(known.fetch_all(tx).await?.into_iter().collect())
}

/// Writes a message and one pending delivery per recipient. Returns false if the event has a message already.
pub(super) async fn insert_message(
    tx: &mut PgConnection,
    event_id: Uuid,
    text: &Text,
    recipients: &[Recipient],
    host: &str,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let written = sqlx::query!(
        "INSERT INTO notifications.messages (event_id, subject, body, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        event_id,
        text.subject,
        text.body,
        now
    )
    .execute(&mut *tx)
    .await?;
    if written.rows_affected() == 0 {
        return Ok(false);
    }
    let ids: Vec<_> = recipients.iter().map(|recipient| recipient.id).collect();
    let addresses: Vec<_> = recipients.iter().map(|recipient| recipient.email.clone()).collect();
    let names: Vec<_> = recipients.iter().map(|recipient| recipient.name.clone()).collect();
    let message_ids: Vec<_> = ids.iter().map(|id| message_id(event_id, *id, host)).collect();
    sqlx::query!(
        "INSERT INTO notifications.deliveries (event_id, recipient_id, address, recipient_name, message_id, next_attempt_at, created_at)
         SELECT $1, recipient_id, address, name, message_id, $6, $6
         FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[]) AS r (recipient_id, address, name, message_id)",
        event_id,
        &ids,
        &addresses,
        &names,
        &message_ids,
        now
    )
    .execute(tx)
    .await?;
    Ok(true)
}

/// Locks the delivery that has been due longest. If this process hangs or its machine fails, the transaction's timeout
/// unlocks it.
pub(super) async fn claim_due(tx: &mut PgConnection, now: DateTime<Utc>) -> Result<Option<ClaimedDelivery>, sqlx::Error> {
    // With a plain join, PostgreSQL may scan all messages.
    let row = sqlx::query!(
        "WITH due AS MATERIALIZED (
             SELECT id, event_id, recipient_id, address, recipient_name, message_id, deferrals FROM notifications.deliveries
             WHERE state = 'pending' AND next_attempt_at <= $1
             ORDER BY next_attempt_at, id LIMIT 1 FOR UPDATE SKIP LOCKED
         )
         SELECT due.*, message.*
         FROM due CROSS JOIN LATERAL (
             SELECT subject, body, created_at FROM notifications.messages WHERE event_id = due.event_id LIMIT 1
         ) message",
        now
    )
    .fetch_optional(tx)
    .await?;
    Ok(row.map(|row| ClaimedDelivery {
        id: row.id,
        event_id: row.event_id,
        recipient_id: row.recipient_id,
        address: row.address,
        recipient_name: row.recipient_name,
        message_id: row.message_id,
        deferrals: row.deferrals,
        subject: row.subject,
        body: row.body,
        created_at: row.created_at,
    }))
}

pub(super) async fn mark_sent(tx: &mut PgConnection, id: i64, reply: &str, now: DateTime<Utc>) -> Result<(), sqlx::Error> {
    finish(tx, id, "sent", reply, now).await
}

/// Marks a delivery that the mail server rejected permanently. Its state is stored as `refused`.
pub(super) async fn mark_rejected(tx: &mut PgConnection, id: i64, reply: &str, now: DateTime<Utc>) -> Result<(), sqlx::Error> {
    finish(tx, id, "refused", reply, now).await
}

async fn finish(tx: &mut PgConnection, id: i64, state: &str, reply: &str, now: DateTime<Utc>) -> Result<(), sqlx::Error> {
    sqlx::query!("UPDATE notifications.deliveries SET state = $2, last_reply = $3, finished_at = $4 WHERE id = $1", id, state, reply, now)
        .execute(tx)
        .await?;
    Ok(())
}

/// Retries a delivery at `until`, after the mail server rejected it temporarily.
pub(super) async fn defer(tx: &mut PgConnection, id: i64, reply: &str, until: DateTime<Utc>) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE notifications.deliveries SET deferrals = deferrals + 1, next_attempt_at = $3, last_reply = $2 WHERE id = $1",
        id,
        reply,
        until
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Makes a delivery due at `until` without counting a deferral, after an error of the mail server. Other due deliveries come
/// first.
pub(super) async fn requeue(tx: &mut PgConnection, id: i64, reply: &str, until: DateTime<Utc>) -> Result<(), sqlx::Error> {
    sqlx::query!("UPDATE notifications.deliveries SET next_attempt_at = $3, last_reply = $2 WHERE id = $1", id, reply, until)
        .execute(tx)
        .await?;
    Ok(())
}
