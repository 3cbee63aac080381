//! Building immutable batches of views from the counters.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    counters::{SHARDS, UnpublishedCounts, Views},
    message::{self, View, Viewed},
};
use crate::events::Envelope;

/// Maximum number of entries per message.
const MAX_ENTRIES: usize = 5000;
/// Maximum size of an entry in JSON, in bytes.
const ENTRY_BYTES: usize = 112;
/// Size reserved for the rest of the event and for NATS headers, in bytes.
const OVERHEAD_BYTES: usize = 8 * 1024;

/// A message with its id. It is resent unchanged until it is acknowledged, so that duplicates are recognised by the id.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Event id and message id.
    pub id: Uuid,
    /// Number of views.
    pub views: u64,
    /// Serialised event.
    pub payload: Bytes,
    created_at: Instant,
}

impl Batch {
    /// Time since the batch was built.
    pub(super) fn age(&self) -> Duration {
        self.created_at.elapsed()
    }
}

/// Takes views from the counters and builds batches of them.
pub(super) struct BatchBuilder {
    views: Views,
    source: Arc<str>,
    spare: UnpublishedCounts,
    next_shard: usize,
    taken: Vec<View>,
}

impl BatchBuilder {
    /// `source` is the public URL of the installation.
    pub(super) fn new(views: Views, source: &str) -> Self {
        Self { views, source: source.into(), spare: UnpublishedCounts::default(), next_shard: 0, taken: Vec::new() }
    }

    /// Builds the next batch, and returns whether it is full, so that more views may be left. Returns `None` if there are none.
    /// Views that do not fit stay in the counters.
    ///
    /// # Errors
    /// If the event cannot be serialised.
    pub(super) fn build_batch(&mut self, max_payload: usize, now: DateTime<Utc>) -> Result<Option<(Batch, bool)>, serde_json::Error> {
        let capacity = (max_payload.saturating_sub(OVERHEAD_BYTES) / ENTRY_BYTES).clamp(1, MAX_ENTRIES);
        for _ in 0..SHARDS {
            if self.taken.len() >= capacity {
                break;
            }
            self.views.take(self.next_shard, &mut self.spare, &mut self.taken);
            self.next_shard = (self.next_shard + 1) % SHARDS;
        }
        if self.taken.is_empty() {
            return Ok(None);
        }
        let rest = self.taken.split_off(self.taken.len().min(capacity));
        let entries = std::mem::replace(&mut self.taken, rest);
        let full = entries.len() == capacity;
        self.serialize_batch(&entries, now).map(|batch| Some((batch, full)))
    }

    fn serialize_batch(&self, entries: &[View], now: DateTime<Utc>) -> Result<Batch, serde_json::Error> {
        let id = Uuid::now_v7();
        let event = Envelope {
            specversion: "1.0".into(),
            id,
            source: self.source.to_string(),
            r#type: message::TYPE.into(),
            subject: "products".into(),
            time: now,
            datacontenttype: "application/json".into(),
            data: Viewed { views: entries },
        };
        let payload = serde_json::to_vec(&event)?.into();
        let views = entries.iter().map(|view| u64::from(view.count)).sum();
        Ok(Batch { id, views, payload, created_at: Instant::now() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::message::{Hour, Message};

    #[test]
    fn a_full_batch_is_smaller_than_the_maximum_payload_and_the_rest_follows() {
        let views = Views::empty(100_000, Utc::now());
        (0..12_000).for_each(|_| views.count(Uuid::now_v7()));
        for max_payload in [1024 * 1024, 64 * 1024] {
            let mut builder = BatchBuilder::new(views.clone(), "https://shop.example");
            let (batch, full) = builder.build_batch(max_payload, Utc::now()).unwrap().unwrap();
            assert!(full && batch.payload.len() < max_payload - 1024, "{} bytes", batch.payload.len());
            let message = Message::parse(&batch.payload, Utc::now()).unwrap();
            assert_eq!((message.id, message.total()), (batch.id, batch.views));
            while let Some((batch, full)) = builder.build_batch(max_payload, Utc::now()).unwrap() {
                assert!(batch.payload.len() < max_payload);
                assert!(full || builder.build_batch(max_payload, Utc::now()).unwrap().is_none(), "a batch that is not full is the last");
            }
            (0..12_000).for_each(|_| views.count(Uuid::now_v7()));
        }
    }

    #[test]
    fn the_largest_entry_is_within_the_assumed_size() {
        let entry = View { product_id: Uuid::max(), hour: Hour::of(Utc::now()), count: u32::MAX };
        assert!(serde_json::to_string(&[entry, entry]).unwrap().len() <= 2 * ENTRY_BYTES);
    }
}
