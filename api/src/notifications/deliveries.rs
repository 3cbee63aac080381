//! The rows: one message per event, one delivery per recipient.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{mail::message_id, templates::Text};
use crate::identity::Recipient;

/// A delivery that is due, locked by this transaction.
#[derive(Debug)]
pub(super) struct Claimed {
    pub id: i64,
    pub event_id: Uuid,
    pub recipient_id: Uuid,
    pub address: String,
    pub recipient_name: String,
    pub message_id: String,
    /// How often the server has said "later" to this one.
    pub deferrals: i32,
    pub subject: String,
    pub body: String,
    /// When the message was written.
    pub created_at: DateTime<Utc>,
}

/// Which of these events were turned into deliveries before: a replay brings thousands of them.
pub(super) async fn known(tx: &mut PgConnection, event_ids: &[Uuid]) -> Result<HashSet<Uuid>, sqlx::Error> {
    if event_ids.is_empty() {
        return Ok(HashSet::new());
    }
    let known = sqlx::query_scalar!("SELECT event_id FROM notifications.messages WHERE event_id = ANY($1)", event_ids);
    Ok(known.fetch_all(tx).await?.into_iter().collect())
}

/// Writes a message and one pending delivery per recipient, and gives whether it did: an event is
/// turned into deliveries once, however often it comes.
pub(super) async fn distribute(
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

/// Locks the delivery that is due longest. The transaction's timeout frees it when this process stands still or its machine
/// is gone.
pub(super) async fn claim(tx: &mut PgConnection, now: DateTime<Utc>) -> Result<Option<Claimed>, sqlx::Error> {
    // As a plain join, PostgreSQL may look for the message among all of them.
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
    Ok(row.map(|row| Claimed {
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

/// The mail server has it.
pub(super) async fn mark_sent(tx: &mut PgConnection, id: i64, reply: &str, now: DateTime<Utc>) -> Result<(), sqlx::Error> {
    finish(tx, id, "sent", reply, now).await
}

/// No server will ever take it.
pub(super) async fn mark_refused(tx: &mut PgConnection, id: i64, reply: &str, now: DateTime<Utc>) -> Result<(), sqlx::Error> {
    finish(tx, id, "refused", reply, now).await
}

async fn finish(tx: &mut PgConnection, id: i64, state: &str, reply: &str, now: DateTime<Utc>) -> Result<(), sqlx::Error> {
    sqlx::query!("UPDATE notifications.deliveries SET state = $2, last_reply = $3, finished_at = $4 WHERE id = $1", id, state, reply, now)
        .execute(tx)
        .await?;
    Ok(())
}

/// The server said "later" to this one.
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

/// The server broke off. That is no fault of this mail, but others may go first.
pub(super) async fn put_behind(tx: &mut PgConnection, id: i64, reply: &str, until: DateTime<Utc>) -> Result<(), sqlx::Error> {
    sqlx::query!("UPDATE notifications.deliveries SET next_attempt_at = $3, last_reply = $2 WHERE id = $1", id, reply, until)
        .execute(tx)
        .await?;
    Ok(())
}
