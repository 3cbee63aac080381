//! Turning counters into batches that never change again.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    message::{self, View, Viewed},
    views::{Open, SHARDS, Views},
};
use crate::events::Envelope;

/// Entries of a message, at most.
const MAX_ENTRIES: usize = 5000;
/// Upper bound of an entry in JSON, in bytes: two names, a UUID, a time and nine digits.
const ENTRY_BYTES: usize = 112;
/// Room for the rest of the event and for NATS headers, in bytes.
const OVERHEAD_BYTES: usize = 8 * 1024;

/// A message with its id: resent as it is until acknowledged, so that a second copy is recognised.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Event id and message id.
    pub id: Uuid,
    /// How many views it holds.
    pub views: u64,
    /// The event.
    pub payload: Bytes,
    frozen_at: Instant,
}

impl Batch {
    /// Time since it was frozen.
    pub(super) fn age(&self) -> Duration {
        self.frozen_at.elapsed()
    }
}

/// Takes views from the counters and freezes them.
pub(super) struct Freezer {
    views: Views,
    source: Arc<str>,
    spare: Open,
    next_shard: usize,
    taken: Vec<View>,
}

impl Freezer {
    /// `source` is the installation's public URL.
    pub(super) fn new(views: Views, source: &str) -> Self {
        Self { views, source: source.into(), spare: Open::default(), next_shard: 0, taken: Vec::new() }
    }

    /// The next batch and whether it is full, so that there may be more. `None` when no view waits.
    /// Views that don't fit stay where they are and go on being added up.
    ///
    /// # Errors
    /// If the event cannot be written as JSON.
    pub(super) fn freeze(&mut self, max_payload: usize, now: DateTime<Utc>) -> Result<Option<(Batch, bool)>, serde_json::Error> {
        let room = (max_payload.saturating_sub(OVERHEAD_BYTES) / ENTRY_BYTES).clamp(1, MAX_ENTRIES);
        for _ in 0..SHARDS {
            if self.taken.len() >= room {
                break;
            }
            self.views.take(self.next_shard, &mut self.spare, &mut self.taken);
            self.next_shard = (self.next_shard + 1) % SHARDS;
        }
        if self.taken.is_empty() {
            return Ok(None);
        }
        let later = self.taken.split_off(self.taken.len().min(room));
        let entries = std::mem::replace(&mut self.taken, later);
        let full = entries.len() == room;
        self.write(&entries, now).map(|batch| Some((batch, full)))
    }

    fn write(&self, entries: &[View], now: DateTime<Utc>) -> Result<Batch, serde_json::Error> {
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
        Ok(Batch { id, views, payload, frozen_at: Instant::now() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracking::message::{Hour, Message};

    #[test]
    fn a_full_batch_stays_below_its_bytes_and_the_rest_follows() {
        let views = Views::empty(100_000, Utc::now());
        (0..12_000).for_each(|_| views.count(Uuid::now_v7()));
        for max_payload in [1024 * 1024, 64 * 1024] {
            let mut freezer = Freezer::new(views.clone(), "https://shop.example");
            let (batch, full) = freezer.freeze(max_payload, Utc::now()).unwrap().unwrap();
            assert!(full && batch.payload.len() < max_payload - 1024, "{} bytes", batch.payload.len());
            let message = Message::parse(&batch.payload, Utc::now()).unwrap();
            assert_eq!((message.id, message.total()), (batch.id, batch.views));
            while let Some((batch, full)) = freezer.freeze(max_payload, Utc::now()).unwrap() {
                assert!(batch.payload.len() < max_payload);
                assert!(full || freezer.freeze(max_payload, Utc::now()).unwrap().is_none(), "what isn't full is the last");
            }
            (0..12_000).for_each(|_| views.count(Uuid::now_v7()));
        }
    }

    #[test]
    fn the_largest_entry_fits_its_bound() {
        let entry = View { product_id: Uuid::max(), hour: Hour::of(Utc::now()), count: u32::MAX };
        assert!(serde_json::to_string(&[entry, entry]).unwrap().len() <= 2 * ENTRY_BYTES);
    }
}
