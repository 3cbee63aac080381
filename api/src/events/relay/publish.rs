//! One batch of the outbox on its way to `JetStream`.

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

/// Aggregates whose events are on their way at once; of each, one event.
const AGGREGATES_IN_FLIGHT: usize = 128;

/// A row that waits to be published.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    pub seq: i64,
    pub id: Uuid,
    pub aggregate_id: Uuid,
    /// Below `<prefix>.changes.`.
    pub kind: String,
    pub headers: HashMap<String, String>,
    /// The whole event as JSON.
    pub payload: Bytes,
}

/// What became of a batch.
pub(super) struct Outcome {
    /// Rows that `JetStream` has for certain.
    pub published: Vec<i64>,
    /// Events that it may not have.
    pub failed: Vec<Uuid>,
    /// Why, of one of them.
    pub error: Option<PublishError>,
}

/// Publishes rows that are in order. An event waits until the one before it, of the same aggregate,
/// is acknowledged; when that fails, it stays where it is.
pub(super) async fn publish(nats: &Nats, waiting: Vec<Waiting>) -> Outcome {
    let mut outcome = Outcome { published: Vec::with_capacity(waiting.len()), failed: Vec::new(), error: None };
    // When one goes unanswered, those not yet sent would only wait for as long, with the lock held.
    let give_up = AtomicBool::new(false);
    let publish_aggregate = async |rows: Vec<Waiting>| {
        let mut published = Vec::with_capacity(rows.len());
        let mut error = None;
        for row in &rows {
            if give_up.load(Ordering::Relaxed) {
                break;
            }
            match send(nats, row).await {
                Ok(()) => published.push(row.seq),
                Err(failure) => {
                    give_up.fetch_or(is_outage(&failure), Ordering::Relaxed);
                    error = Some(failure);
                    break;
                }
            }
        }
        let failed: Vec<_> = rows[published.len()..].iter().map(|row| row.id).collect();
        (published, failed, error)
    };
    let mut done = stream::iter(by_aggregate(waiting)).map(publish_aggregate).buffer_unordered(AGGREGATES_IN_FLIGHT);
    while let Some((published, failed, error)) = done.next().await {
        outcome.failed.extend(failed);
        outcome.published.extend(published);
        outcome.error = outcome.error.or(error);
    }
    outcome
}

/// Whether other events would fare no better.
fn is_outage(error: &PublishError) -> bool {
    !matches!(error.kind(), PublishErrorKind::MaxPayloadExceeded)
}

/// Keeps the order within each aggregate.
fn by_aggregate(waiting: Vec<Waiting>) -> Vec<Vec<Waiting>> {
    let mut places = HashMap::new();
    let mut groups: Vec<Vec<Waiting>> = Vec::new();
    for row in waiting {
        let place = *places.entry(row.aggregate_id).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[place].push(row);
    }
    groups
}

async fn send(nats: &Nats, row: &Waiting) -> Result<(), PublishError> {
    match send_payload(nats, row, row.payload.clone()).await {
        Err(error) if error.kind() == PublishErrorKind::MaxPayloadExceeded => match outbox::reference(&row.payload) {
            Some(reference) => send_payload(nats, row, reference).await,
            None => Err(error),
        },
        sent => sent,
    }
}

async fn send_payload(nats: &Nats, row: &Waiting, payload: Bytes) -> Result<(), PublishError> {
    let subject = streams::change_subject(nats.prefix(), &row.kind);
    let message = PublishMessage::build().headers(headers(row)).payload(payload);
    nats.jetstream.send_publish(subject, message).await?.await?;
    Ok(())
}

fn headers(row: &Waiting) -> HeaderMap {
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

    fn row(seq: i64, aggregate: u8) -> Waiting {
        Waiting {
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
        fn grouping_loses_nothing_mixes_nothing_and_keeps_order(aggregates in prop::collection::vec(0_u8..6, 0..60)) {
            let rows: Vec<_> = (0..).zip(&aggregates).map(|(seq, aggregate)| row(seq, *aggregate)).collect();
            let groups = by_aggregate(rows.clone());
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
