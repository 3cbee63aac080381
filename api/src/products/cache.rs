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
use foldhash::fast::RandomState;
use quick_cache::{
    Lifecycle, Weighter,
    sync::{EntryAction, EntryResult},
};
use uuid::Uuid;

use super::Product;

/// Products that are expected to fit in, which sizes the tables.
const EXPECTED_ITEMS: usize = 20_000;
/// Memory of all entries, in bytes: that many products of a kilobyte, and an eighth of what the operator gives the API.
const MAX_BYTES: u64 = 32 * 1024 * 1024;
/// Bytes of an entry beside its body: key, slot, entity tag, and the tables of the cache. Estimated; a tombstone has no more.
const ENTRY_BYTES: u64 = 300;
/// Longest body that is kept, in bytes. A larger one would take the place of hundreds that are read more often.
const MAX_BODY: usize = 64 * 1024;
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
            // Without the room that a growing buffer leaves at its end.
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
        /// Milliseconds after the cache's start.
        until: u64,
    },
    /// What is older than this version, or was read before this moment, may not come back.
    Tombstone { version: i64, at: Instant },
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Cache {
    slots: Arc<Slots>,
    times: Arc<Times>,
}

/// Reads take a shared lock of a shard and write nothing. What is too old is found out by who reads it,
/// so that nothing has to be swept.
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
    /// Milliseconds after `started` until which the cache may serve.
    alive_until: AtomicU64,
    /// Milliseconds after `started` before which reads may not fill: when the cache was last cleared,
    /// or the latest tombstone that had to make room.
    fills_from: AtomicU64,
}

impl Times {
    fn millis(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.started).as_millis()).unwrap_or(u64::MAX)
    }

    fn refuse_fills_until(&self, at: Instant) {
        self.fills_from.fetch_max(self.millis(at), Ordering::AcqRel);
    }
}

/// What a tombstone forbade stays forbidden when it is gone.
#[derive(Clone)]
struct Eviction(Arc<Times>);

impl Lifecycle<Uuid, Slot> for Eviction {
    type RequestState = ();

    fn before_evict(&self, (): &mut (), _: &Uuid, slot: &mut Slot) {
        if let Slot::Tombstone { at, .. } = slot {
            self.0.refuse_fills_until(*at);
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

    /// The product, if it is here and the cache may serve.
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

    /// Keeps what a read that began at `read_at` found, unless something newer is known.
    pub fn fill(&self, id: Uuid, rendered: &Arc<Rendered>, read_at: Instant) {
        let now = Instant::now();
        if !self.is_alive(self.times.millis(now)) || rendered.body.len() > MAX_BODY {
            return;
        }
        let live = Slot::Live { rendered: rendered.clone(), until: self.times.millis(now + TIME_TO_LIVE) };
        // Asked when the place is ours: who clears the cache from now on clears this too.
        let may_fill = || self.times.millis(read_at) > self.times.fills_from.load(Ordering::Acquire);
        self.change(id, |known| match known {
            _ if !may_fill() => None,
            Some(Slot::Live { rendered: known, .. }) if rendered.version < known.version => None,
            Some(Slot::Tombstone { version, at }) if rendered.version < *version || read_at <= *at => None,
            _ => Some(live),
        });
    }

    /// Forgets a product, whatever is known of it: it, or whether it is in stock, has just changed.
    /// Its version is at least this.
    pub fn forget(&self, id: Uuid, version: i64) {
        let at = Instant::now();
        self.change(id, |known| {
            let known = match known {
                Some(Slot::Tombstone { version, .. }) => *version,
                _ => 0,
            };
            Some(Slot::Tombstone { version: version.max(known), at })
        });
    }

    /// Forgets what is older than this version of a product.
    pub fn outdate(&self, id: Uuid, version: i64) {
        if !matches!(self.slots.get(&id), Some(Slot::Live { rendered, .. }) if rendered.version >= version) {
            self.forget(id, version);
        }
    }

    /// The invalidation feed has just answered.
    pub fn feed_answered(&self) {
        let until = self.times.millis(Instant::now() + FEED_PATIENCE);
        self.times.alive_until.fetch_max(until, Ordering::AcqRel);
    }

    /// The feed has a gap: nothing here can be trusted.
    pub fn clear(&self) {
        self.times.alive_until.store(0, Ordering::Release);
        self.times.refuse_fills_until(Instant::now());
        self.slots.clear();
    }

    fn is_alive(&self, now: u64) -> bool {
        now < self.times.alive_until.load(Ordering::Acquire)
    }

    /// Replaces what is known of a product with what `next` makes of it, in one step.
    fn change(&self, id: Uuid, next: impl FnOnce(Option<&Slot>) -> Option<Slot>) {
        let mut next = Some(next);
        let entry = self.slots.entry(&id, None, |_, known| {
            if let Some(slot) = next.take().and_then(|next| next(Some(known))) {
                *known = slot;
            }
            EntryAction::Retain(())
        });
        if let EntryResult::Vacant(place) = entry
            && let Some(slot) = next.and_then(|next| next(None))
        {
            // Refused if the cache was cleared meanwhile, which forgets this product too.
            let _ = place.insert(slot);
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
    fn what_a_tombstone_forbade_stays_forbidden_when_it_had_to_make_room() {
        let (cache, id) = (Cache::of(64, 64 * ENTRY_BYTES), Uuid::now_v7());
        cache.feed_answered();
        let before = later();
        std::iter::repeat_with(Instant::now).find(|now| *now > before);
        let forget_others = || (0..1000).for_each(|_| cache.forget(Uuid::now_v7(), 1));
        // The first ones stay longest.
        forget_others();
        cache.forget(id, 2);
        forget_others();
        assert!(cache.slots.get(&id).is_none(), "2,001 tombstones fit into 64 places");
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
