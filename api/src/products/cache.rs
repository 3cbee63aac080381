//! The cache of single reads: finished bodies and header values.
//!
//! It serves only while its invalidation feed is alive (see [`super::invalidation`]), so an outage of
//! NATS never shows stale prices for long. An invalidation leaves a tombstone, and a fill that was
//! read before it is refused: a slow read cannot bring an old version back.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::http::HeaderValue;
use bytes::Bytes;
use moka::ops::compute::Op;
use uuid::Uuid;

use super::Product;

/// Products held at most.
const CAPACITY: u64 = 20_000;
/// Longest life of an entry, for what no invalidation tells of.
const TIME_TO_LIVE: Duration = Duration::from_secs(30);
/// The feed counts as alive for this long after its last answer.
const FEED_PATIENCE: Duration = Duration::from_secs(2);

/// A product, ready to be sent.
#[derive(Debug)]
pub struct Rendered {
    /// JSON.
    pub body: Bytes,
    /// Strong entity tag.
    pub etag: HeaderValue,
    version: i64,
}

impl Rendered {
    /// Renders a product.
    #[must_use]
    pub fn new(product: &Product) -> Self {
        Self {
            body: serde_json::to_vec(product).unwrap_or_default().into(),
            etag: HeaderValue::from_str(&product.etag()).unwrap_or(HeaderValue::from_static("\"\"")),
            version: product.version,
        }
    }
}

#[derive(Clone)]
enum Slot {
    Live(Arc<Rendered>),
    /// What is older than this version, or was read before this moment, may not come back.
    Tombstone {
        version: i64,
        at: Instant,
    },
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Cache {
    slots: moka::sync::Cache<Uuid, Slot>,
    started: Instant,
    /// Milliseconds after `started` until which the cache may serve.
    alive_until: Arc<AtomicU64>,
    /// Milliseconds after `started` before which reads may not fill: when the cache was last cleared.
    cleared_at: Arc<AtomicU64>,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            slots: moka::sync::Cache::builder().max_capacity(CAPACITY).time_to_live(TIME_TO_LIVE).build(),
            started: Instant::now(),
            alive_until: Arc::default(),
            cleared_at: Arc::default(),
        }
    }
}

impl Cache {
    /// The product, if it is here and the cache may serve.
    #[must_use]
    pub fn get(&self, id: Uuid) -> Option<Arc<Rendered>> {
        if !self.is_alive() {
            return None;
        }
        match self.slots.get(&id)? {
            Slot::Live(rendered) => Some(rendered),
            Slot::Tombstone { .. } => None,
        }
    }

    /// Keeps what a read that began at `read_at` found, unless something newer is known.
    pub fn fill(&self, id: Uuid, rendered: &Arc<Rendered>, read_at: Instant) {
        if !self.is_alive() || self.millis(read_at) <= self.cleared_at.load(Ordering::Acquire) {
            return;
        }
        let fresh = |slot: &Slot| match slot {
            Slot::Live(known) => rendered.version >= known.version,
            Slot::Tombstone { version, at } => rendered.version >= *version && read_at > *at,
        };
        self.slots.entry(id).and_compute_with(|known| match known {
            Some(entry) if !fresh(entry.value()) => Op::Nop,
            _ => Op::Put(Slot::Live(rendered.clone())),
        });
    }

    /// Forgets a product, whatever is known of it: it, or whether it is in stock, has just changed.
    /// Its version is at least this.
    pub fn forget(&self, id: Uuid, version: i64) {
        let at = Instant::now();
        self.slots.entry(id).and_compute_with(|known| {
            let known = match known.map(moka::Entry::into_value) {
                Some(Slot::Tombstone { version, .. }) => version,
                _ => 0,
            };
            Op::Put(Slot::Tombstone { version: version.max(known), at })
        });
    }

    /// Forgets what is older than this version of a product.
    pub fn outdate(&self, id: Uuid, version: i64) {
        if !matches!(self.slots.get(&id), Some(Slot::Live(known)) if known.version >= version) {
            self.forget(id, version);
        }
    }

    /// The invalidation feed has just answered.
    pub fn feed_answered(&self) {
        let until = self.millis(Instant::now() + FEED_PATIENCE);
        self.alive_until.fetch_max(until, Ordering::AcqRel);
    }

    /// The feed has a gap: nothing here can be trusted.
    pub fn clear(&self) {
        self.alive_until.store(0, Ordering::Release);
        self.cleared_at.fetch_max(self.millis(Instant::now()), Ordering::AcqRel);
        self.slots.invalidate_all();
    }

    fn is_alive(&self) -> bool {
        self.millis(Instant::now()) < self.alive_until.load(Ordering::Acquire)
    }

    fn millis(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.started).as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(version: i64) -> Arc<Rendered> {
        Arc::new(Rendered { body: Bytes::new(), etag: HeaderValue::from_static("\"\""), version })
    }

    fn alive() -> Cache {
        let cache = Cache::default();
        cache.feed_answered();
        // Reads of the cache's first millisecond count as before its last clearing.
        cache
    }

    fn later() -> Instant {
        Instant::now() + Duration::from_millis(5)
    }

    #[test]
    fn a_read_from_before_an_invalidation_does_not_come_back() {
        let (cache, id) = (alive(), Uuid::now_v7());
        let read_at = later();
        cache.fill(id, &rendered(1), read_at);
        assert!(cache.get(id).is_some());
        cache.forget(id, 2);
        assert!(cache.get(id).is_none());
        cache.fill(id, &rendered(1), later());
        assert!(cache.get(id).is_none(), "version 1 is older than the tombstone");
        cache.fill(id, &rendered(2), later());
        assert!(cache.get(id).is_some());
    }

    #[test]
    fn a_read_begun_before_a_stock_change_of_the_same_version_is_refused() {
        let (cache, id) = (alive(), Uuid::now_v7());
        let before = Instant::now();
        cache.forget(id, 1);
        cache.fill(id, &rendered(1), before);
        assert!(cache.get(id).is_none());
    }

    #[test]
    fn without_its_feed_the_cache_neither_serves_nor_fills() {
        let (cache, id) = (Cache::default(), Uuid::now_v7());
        cache.fill(id, &rendered(1), later());
        cache.feed_answered();
        assert!(cache.get(id).is_none());
        cache.fill(id, &rendered(1), later());
        assert!(cache.get(id).is_some());
        cache.clear();
        assert!(cache.get(id).is_none());
    }
}
