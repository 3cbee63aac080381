//! Counters of unpublished views per product and hour, in memory.

use std::{
    collections::HashMap,
    sync::{
        Arc, LazyLock, Mutex, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

use catalog_process::metrics;
use chrono::{DateTime, Utc};
use foldhash::fast::RandomState;
use prometheus::{IntCounter, IntGauge};
use uuid::Uuid;

use super::message::{Hour, View};

/// Number of shards. It is large enough for the threads of a large machine to rarely contend.
pub(super) const SHARDS: usize = 64;

static VIEWS_DROPPED: LazyLock<IntCounter> = LazyLock::new(|| {
    metrics::register_counter("views_dropped_total", "Views dropped because the buffer was full or NATS was unavailable for a day")
});
static VIEWS_WAITING: LazyLock<IntGauge> =
    LazyLock::new(|| metrics::register_gauge("views_waiting", "Views in memory that NATS has not acknowledged"));

/// Counters of one shard. A fast hash is sufficient, because clients cannot choose product ids.
pub(super) type UnpublishedCounts = HashMap<(Uuid, Hour), u32, RandomState>;

/// Counts views. Cheap to clone.
#[derive(Clone)]
pub struct Views(Arc<Shared>);

struct Shared {
    shards: Box<[Mutex<UnpublishedCounts>]>,
    /// Views in the shards and in unacknowledged batches.
    waiting: AtomicU64,
    limit: u64,
    hour: AtomicU32,
}

impl Views {
    /// `buffer_limit` is the maximum number of views in memory. Further ones are dropped.
    #[must_use]
    pub(super) fn empty(buffer_limit: u64, now: DateTime<Utc>) -> Self {
        // Registers the metric with zero.
        LazyLock::force(&VIEWS_DROPPED);
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        let hour = AtomicU32::new(Hour::of(now).number());
        Self(Arc::new(Shared { shards, waiting: AtomicU64::new(0), limit: buffer_limit, hour }))
    }

    /// Counts a view of an existing product in the current hour. Takes tens of nanoseconds.
    pub fn count(&self, product_id: Uuid) {
        let shared = &*self.0;
        if shared.waiting.fetch_add(1, Ordering::Relaxed) >= shared.limit {
            shared.waiting.fetch_sub(1, Ordering::Relaxed);
            VIEWS_DROPPED.inc();
            return;
        }
        let hour = Hour::from_number(shared.hour.load(Ordering::Relaxed));
        // The last byte of a UUIDv7 is random.
        let counters = &shared.shards[usize::from(product_id.as_bytes()[15]) % SHARDS];
        *counters.lock().unwrap_or_else(PoisonError::into_inner).entry((product_id, hour)).or_insert(0) += 1;
    }

    /// Number of views in memory that the stream has not acknowledged.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.0.waiting.load(Ordering::Relaxed)
    }

    /// Sets the current hour, so that `count` does not have to read the clock.
    pub(super) fn set_time(&self, now: DateTime<Utc>) {
        self.0.hour.store(Hour::of(now).number(), Ordering::Relaxed);
        VIEWS_WAITING.set(i64::try_from(self.waiting()).unwrap_or(i64::MAX));
    }

    /// Moves the counters of a shard to the end of `taken`. They still count as waiting. The empty map `spare` replaces them, so
    /// that the lock is held briefly and the allocation is reused.
    pub(super) fn take(&self, shard: usize, spare: &mut UnpublishedCounts, taken: &mut Vec<View>) {
        std::mem::swap(&mut *self.0.shards[shard].lock().unwrap_or_else(PoisonError::into_inner), spare);
        taken.extend(spare.drain().map(|((product_id, hour), count)| View { product_id, hour, count }));
    }

    /// Call when the stream has acknowledged `views`.
    pub(super) fn mark_published(&self, views: u64) {
        self.0.waiting.fetch_sub(views, Ordering::Relaxed);
    }

    /// Call when `views` are dropped.
    pub(super) fn mark_dropped(&self, views: u64) {
        self.0.waiting.fetch_sub(views, Ordering::Relaxed);
        VIEWS_DROPPED.inc_by(views);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take_all(views: &Views) -> Vec<View> {
        let mut taken = Vec::new();
        (0..SHARDS).for_each(|shard| views.take(shard, &mut UnpublishedCounts::default(), &mut taken));
        taken
    }

    #[test]
    fn views_of_a_product_and_hour_become_one_entry() {
        let now: DateTime<Utc> = "2026-11-21T10:59:59Z".parse().unwrap();
        let views = Views::empty(100, now);
        let product_id = Uuid::now_v7();
        views.count(product_id);
        views.count(product_id);
        views.set_time(now + chrono::TimeDelta::seconds(1));
        views.count(product_id);
        let mut taken = take_all(&views);
        taken.sort_by_key(|view| view.hour);
        let counts: Vec<_> = taken.iter().map(|view| (view.hour.start().to_rfc3339(), view.count)).collect();
        assert_eq!(counts, [("2026-11-21T10:00:00+00:00".into(), 2), ("2026-11-21T11:00:00+00:00".into(), 1)]);
    }

    #[test]
    fn views_above_the_limit_are_dropped_until_waiting_ones_are_published() {
        let views = Views::empty(2, Utc::now());
        let product_id = Uuid::now_v7();
        (0..3).for_each(|_| views.count(product_id));
        assert_eq!(take_all(&views)[0].count, 2);
        views.count(product_id);
        assert_eq!(take_all(&views), [], "taken views are not published yet");
        views.mark_published(2);
        views.count(product_id);
        assert_eq!(take_all(&views)[0].count, 1);
        assert_eq!(views.waiting(), 1);
    }

    #[test]
    fn concurrent_counting_loses_no_view() {
        let views = Views::empty(1_000_000, Utc::now());
        let products: Vec<_> = (0..10).map(|_| Uuid::now_v7()).collect();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|_| products.iter().for_each(|id| views.count(*id))));
            }
        });
        let taken = take_all(&views);
        assert_eq!(taken.len(), 10);
        assert!(taken.iter().all(|view| view.count == 4000), "{taken:?}");
    }
}
