//! Cache of single products, as rendered bodies with their header values.
//!
//! It serves only while its feed of changes is up to date (see [`super::invalidation`]), so that it does not serve stale prices
//! for long during an outage of NATS. An invalidation leaves a tombstone that rejects fills from earlier reads: a slow read
//! cannot put an old version back.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::http::HeaderValue;
use bytes::Bytes;
use foldhash::fast::RandomState;
use quick_cache::{
    Lifecycle, Weighter,
    sync::{EntryAction, EntryResult},
};
use uuid::Uuid;

use super::Product;

/// Expected number of entries. Sizes the tables.
const EXPECTED_ITEMS: usize = 20_000;
/// Memory of all entries, in bytes: 20,000 products of about 1 KiB, an eighth of the memory that the operator gives the API.
const MAX_BYTES: u64 = 32 * 1024 * 1024;
/// Estimated size of an entry without its body, in bytes: key, slot, entity tag and tables. A tombstone has this size.
const ENTRY_BYTES: u64 = 300;
/// Longest cached body, in bytes. A longer one would evict hundreds that are read more often.
const MAX_BODY: usize = 64 * 1024;
/// Lifetime of an entry, in case an invalidation is missed.
const TIME_TO_LIVE: Duration = Duration::from_secs(30);
/// Time after which the feed counts as interrupted if it was not up to date meanwhile.
const FEED_TIMEOUT: Duration = Duration::from_secs(2);

/// A product that is ready to be sent.
#[derive(Debug)]
pub struct Rendered {
    /// JSON body.
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
            // Drops the spare capacity of the buffer.
            body: serde_json::to_vec(product).unwrap_or_default().into_boxed_slice().into(),
            etag: HeaderValue::from_str(&product.etag()).unwrap_or(HeaderValue::from_static("\"\"")),
            version: product.version,
        }
    }
}

#[derive(Clone)]
enum Slot {
    Live {
        rendered: Arc<Rendered>,
        /// Milliseconds since the start of the cache.
        until: u64,
    },
    /// Rejects fills with an older version and fills whose read began before this time.
    Tombstone { version: i64, at: Instant },
}

/// The cache. Cheap to clone.
#[derive(Clone)]
pub struct Cache {
    slots: Arc<Slots>,
    times: Arc<Times>,
}

/// Reads take a shared lock of a shard and write nothing. Expired entries are detected by the reads themselves, so that no task
/// has to sweep them.
type Slots = quick_cache::sync::Cache<Uuid, Slot, ByteWeighter, RandomState, Eviction>;

#[derive(Clone)]
struct ByteWeighter;

impl Weighter<Uuid, Slot> for ByteWeighter {
    fn weight(&self, _: &Uuid, slot: &Slot) -> u64 {
        match slot {
            Slot::Live { rendered, .. } => ENTRY_BYTES + rendered.body.len() as u64,
            Slot::Tombstone { .. } => ENTRY_BYTES,
        }
    }
}

struct Times {
    started: Instant,
    /// Time until which the cache may serve, in milliseconds since `started`.
    alive_until: AtomicU64,
    /// Reads that began at or before this time (milliseconds since `started`) may not fill the cache: the time of the last
    /// clearing or of the latest evicted tombstone.
    fills_from: AtomicU64,
}

impl Times {
    fn millis(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.started).as_millis()).unwrap_or(u64::MAX)
    }

    fn reject_fills_until(&self, at: Instant) {
        self.fills_from.fetch_max(self.millis(at), Ordering::AcqRel);
    }
}

/// Keeps rejecting the fills that an evicted tombstone would have rejected.
#[derive(Clone)]
struct Eviction(Arc<Times>);

impl Lifecycle<Uuid, Slot> for Eviction {
    type RequestState = ();

    fn before_evict(&self, (): &mut (), _: &Uuid, slot: &mut Slot) {
        if let Slot::Tombstone { at, .. } = slot {
            self.0.reject_fills_until(*at);
        }
    }
}

impl Default for Cache {
    fn default() -> Self {
        Self::of(EXPECTED_ITEMS, MAX_BYTES)
    }
}

impl Cache {
    fn of(items: usize, bytes: u64) -> Self {
        let times = Arc::new(Times { started: Instant::now(), alive_until: AtomicU64::new(0), fills_from: AtomicU64::new(0) });
        let eviction = Eviction(times.clone());
        let slots = Slots::with(items, bytes, ByteWeighter, RandomState::default(), eviction);
        Self { slots: Arc::new(slots), times }
    }

    /// Gets a product, if it is cached and the cache may serve.
    #[must_use]
    pub fn get(&self, id: Uuid) -> Option<Arc<Rendered>> {
        let now = self.times.millis(Instant::now());
        if !self.is_alive(now) {
            return None;
        }
        match self.slots.get(&id)? {
            Slot::Live { rendered, until } if now < until => Some(rendered),
            Slot::Live { .. } | Slot::Tombstone { .. } => None,
        }
    }

    /// Stores the result of a read that began at `read_at`, unless the product was invalidated since.
    pub fn fill(&self, id: Uuid, rendered: &Arc<Rendered>, read_at: Instant) {
        let now = Instant::now();
        if !self.is_alive(self.times.millis(now)) || rendered.body.len() > MAX_BODY {
            return;
        }
        let live = Slot::Live { rendered: rendered.clone(), until: self.times.millis(now + TIME_TO_LIVE) };
        // Checked while the slot is locked: a later `clear` removes this entry, too.
        let may_fill = || self.times.millis(read_at) > self.times.fills_from.load(Ordering::Acquire);
        self.change(id, |known| match known {
            _ if !may_fill() => None,
            Some(Slot::Live { rendered: known, .. }) if rendered.version < known.version => None,
            Some(Slot::Tombstone { version, at }) if rendered.version < *version || read_at <= *at => None,
            _ => Some(live),
        });
    }

    /// Invalidates a product in any version, because it or its availability has just changed. `version` is a lower bound of its
    /// current version.
    pub(super) fn invalidate(&self, id: Uuid, version: i64) {
        let at = Instant::now();
        self.change(id, |known| {
            let known = match known {
                Some(Slot::Tombstone { version, .. }) => *version,
                _ => 0,
            };
            Some(Slot::Tombstone { version: version.max(known), at })
        });
    }

    /// Invalidates versions of a product older than this one.
    pub(super) fn invalidate_older(&self, id: Uuid, version: i64) {
        if !matches!(self.slots.get(&id), Some(Slot::Live { rendered, .. }) if rendered.version >= version) {
            self.invalidate(id, version);
        }
    }

    /// Call when the feed of changes is up to date.
    pub(super) fn mark_feed_up_to_date(&self) {
        let until = self.times.millis(Instant::now() + FEED_TIMEOUT);
        self.times.alive_until.fetch_max(until, Ordering::AcqRel);
    }

    /// Removes all entries. Call when the feed may have missed an invalidation.
    pub(super) fn clear(&self) {
        self.times.alive_until.store(0, Ordering::Release);
        self.times.reject_fills_until(Instant::now());
        self.slots.clear();
    }

    fn is_alive(&self, now: u64) -> bool {
        now < self.times.alive_until.load(Ordering::Acquire)
    }

    /// Replaces the slot of a product with the result of `next` while it is locked.
    fn change(&self, id: Uuid, next: impl FnOnce(Option<&Slot>) -> Option<Slot>) {
        let mut next = Some(next);
        let entry = self.slots.entry(&id, None, |_, known| {
            if let Some(slot) = next.take().and_then(|next| next(Some(known))) {
                *known = slot;
            }
            EntryAction::Retain(())
        });
        if let EntryResult::Vacant(vacancy) = entry
            && let Some(slot) = next.and_then(|next| next(None))
        {
            // Fails if the cache was cleared meanwhile, which removed this product, too.
            let _ = vacancy.insert(slot);
        }
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
        cache.mark_feed_up_to_date();
        cache
    }

    /// Past the first millisecond, in which fills are rejected.
    fn later() -> Instant {
        Instant::now() + Duration::from_millis(5)
    }

    #[test]
    fn a_read_that_began_before_an_invalidation_is_rejected() {
        let (cache, id) = (alive(), Uuid::now_v7());
        let read_at = later();
        cache.fill(id, &rendered(1), read_at);
        assert!(cache.get(id).is_some());
        cache.invalidate(id, 2);
        assert!(cache.get(id).is_none());
        cache.fill(id, &rendered(1), later());
        assert!(cache.get(id).is_none(), "version 1 is older than the tombstone");
        cache.fill(id, &rendered(2), later());
        assert!(cache.get(id).is_some());
    }

    #[test]
    fn a_read_that_began_before_a_stock_change_of_the_same_version_is_rejected() {
        let (cache, id) = (alive(), Uuid::now_v7());
        let before = Instant::now();
        cache.invalidate(id, 1);
        cache.fill(id, &rendered(1), before);
        assert!(cache.get(id).is_none());
    }

    #[test]
    fn an_evicted_tombstone_still_rejects_older_reads() {
        let (cache, id) = (Cache::of(64, 64 * ENTRY_BYTES), Uuid::now_v7());
        cache.mark_feed_up_to_date();
        let before = later();
        std::iter::repeat_with(Instant::now).find(|now| *now > before);
        let invalidate_others = || (0..1000).for_each(|_| cache.invalidate(Uuid::now_v7(), 1));
        // The cache keeps the first entries longest.
        invalidate_others();
        cache.invalidate(id, 2);
        invalidate_others();
        assert!(cache.slots.get(&id).is_none(), "the tombstone is not evicted");
        cache.fill(id, &rendered(1), before);
        assert!(cache.get(id).is_none());
        cache.fill(id, &rendered(2), later());
        assert!(cache.get(id).is_some());
    }

    #[test]
    fn large_products_take_no_more_memory_than_small_ones() {
        let cache = alive();
        let large =
            |length: usize| Arc::new(Rendered { body: vec![b'x'; length].into(), etag: HeaderValue::from_static("\"\""), version: 1 });
        let (fits, too_large) = (large(MAX_BODY), large(MAX_BODY + 1));
        for _ in 0..2000 {
            cache.fill(Uuid::now_v7(), &fits, later());
        }
        assert!((MAX_BYTES / 2..=MAX_BYTES).contains(&cache.slots.weight()), "{}", cache.slots.weight());
        let id = Uuid::now_v7();
        cache.fill(id, &too_large, later());
        assert!(cache.get(id).is_none());
    }

    #[test]
    fn without_its_feed_the_cache_neither_serves_nor_stores() {
        let (cache, id) = (Cache::default(), Uuid::now_v7());
        cache.fill(id, &rendered(1), later());
        cache.mark_feed_up_to_date();
        assert!(cache.get(id).is_none());
        cache.fill(id, &rendered(1), later());
        assert!(cache.get(id).is_some());
        cache.clear();
        assert!(cache.get(id).is_none());
    }
}
