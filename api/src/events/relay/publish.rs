//! Publishes one batch of the outbox to `JetStream`.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, Ordering},
};

use async_nats::{
    HeaderMap, HeaderName, HeaderValue,
    header::NATS_MESSAGE_ID,
    jetstream::{
        context::{PublishError, PublishErrorKind},
        message::PublishMessage,
    },
};
use bytes::Bytes;
use futures::{StreamExt, stream};
use uuid::Uuid;

use crate::events::{Nats, outbox, streams};

/// Maximum number of aggregates whose events are published concurrently, one event each.
const AGGREGATES_IN_FLIGHT: usize = 128;

/// An event of the outbox that is not published yet.
#[derive(Debug, Clone)]
pub(super) struct PendingEvent {
    pub seq: i64,
    pub id: Uuid,
    pub aggregate_id: Uuid,
    /// Kind of the event: the end of its subject, after `<prefix>.changes.`.
    pub kind: String,
    pub headers: HashMap<String, String>,
    /// The complete event as JSON.
    pub payload: Bytes,
}

/// The result of publishing a batch.
pub(super) struct Outcome {
    /// Rows that `JetStream` has acknowledged.
    pub published: Vec<i64>,
    /// Events that it has not acknowledged.
    pub failed: Vec<Uuid>,
    /// One of the errors, if any event failed.
    pub error: Option<PublishError>,
}

/// Publishes events in their order. An event is sent when the previous event of the same aggregate was acknowledged. If one fails, the
/// later events of its aggregate are not sent and stay pending.
pub(super) async fn publish(nats: &Nats, pending: Vec<PendingEvent>) -> Outcome {
    let mut outcome = Outcome { published: Vec::with_capacity(pending.len()), failed: Vec::new(), error: None };
    // After one outage error, stop: the remaining events would fail too while this transaction holds the locks of the partitions.
    let is_stopped = AtomicBool::new(false);
    let publish_aggregate = async |rows: Vec<PendingEvent>| {
        let mut published = Vec::with_capacity(rows.len());
        let mut error = None;
        for row in &rows {
            if is_stopped.load(Ordering::Relaxed) {
                break;
            }
            match send(nats, row).await {
                Ok(()) => published.push(row.seq),
                Err(failure) => {
                    is_stopped.fetch_or(is_outage(&failure), Ordering::Relaxed);
                    error = Some(failure);
                    break;
                }
            }
        }
        let failed: Vec<_> = rows[published.len()..].iter().map(|row| row.id).collect();
        (published, failed, error)
    };
    let mut results = stream::iter(group_by_aggregate(pending)).map(publish_aggregate).buffer_unordered(AGGREGATES_IN_FLIGHT);
    while let Some((published, failed, error)) = results.next().await {
        outcome.failed.extend(failed);
        outcome.published.extend(published);
        outcome.error = outcome.error.or(error);
    }
    outcome
}

/// Returns whether the error affects all events, and not only this one.
fn is_outage(error: &PublishError) -> bool {
    !matches!(error.kind(), PublishErrorKind::MaxPayloadExceeded)
}

/// Groups events by aggregate, in their order.
fn group_by_aggregate(pending: Vec<PendingEvent>) -> Vec<Vec<PendingEvent>> {
    let mut indexes = HashMap::new();
    let mut groups: Vec<Vec<PendingEvent>> = Vec::new();
    for row in pending {
        let index = *indexes.entry(row.aggregate_id).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[index].push(row);
    }
    groups
}

async fn send(nats: &Nats, row: &PendingEvent) -> Result<(), PublishError> {
    match send_payload(nats, row, row.payload.clone()).await {
        Err(error) if error.kind() == PublishErrorKind::MaxPayloadExceeded => match outbox::build_reference(&row.payload) {
            Some(reference) => send_payload(nats, row, reference).await,
            None => Err(error),
        },
        sent => sent,
    }
}

async fn send_payload(nats: &Nats, row: &PendingEvent, payload: Bytes) -> Result<(), PublishError> {
    let subject = streams::change_subject(nats.prefix(), &row.kind);
    let message = PublishMessage::build().headers(headers(row)).payload(payload);
    nats.jetstream.send_publish(subject, message).await?.await?;
    Ok(())
}

fn headers(row: &PendingEvent) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in &row.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) {
            headers.insert(name, value);
        }
    }
    headers.insert(NATS_MESSAGE_ID, row.id.to_string());
    headers
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(seq: i64, aggregate: u8) -> PendingEvent {
        PendingEvent {
            seq,
            id: Uuid::from_u128(u128::from(seq.unsigned_abs())),
            aggregate_id: Uuid::from_u128(aggregate.into()),
            kind: "product.updated".into(),
            headers: HashMap::new(),
            payload: Bytes::from_static(b"{}"),
        }
    }

    proptest! {
        #[test]
        fn groups_have_all_events_of_one_aggregate_in_order(aggregates in prop::collection::vec(0_u8..6, 0..60)) {
            let rows: Vec<_> = (0..).zip(&aggregates).map(|(seq, aggregate)| row(seq, *aggregate)).collect();
            let groups = group_by_aggregate(rows.clone());
            prop_assert_eq!(groups.iter().map(Vec::len).sum::<usize>(), rows.len());
            for group in &groups {
                prop_assert!(group.iter().all(|row| row.aggregate_id == group[0].aggregate_id));
                prop_assert!(group.is_sorted_by(|a, b| a.seq < b.seq));
            }
            let mut heads: Vec<_> = groups.iter().map(|group| group[0].aggregate_id).collect();
            heads.sort_unstable();
            prop_assert!(heads.is_sorted_by(|a, b| a < b));
        }
    }

    #[test]
    fn a_header_with_a_line_break_is_left_out() {
        let mut row = row(1, 1);
        row.headers = HashMap::from([("X-Request-Id".into(), "a\r\nb".into()), ("traceparent".into(), "00-1".into())]);
        let headers = headers(&row);
        assert!(headers.get("X-Request-Id").is_none());
        assert_eq!(headers.get("traceparent").unwrap().as_str(), "00-1");
        assert_eq!(headers.get("Nats-Msg-Id").unwrap().as_str(), row.id.to_string());
    }
}
