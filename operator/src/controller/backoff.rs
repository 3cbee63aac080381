//! How long a failed reconcile waits for its next try, and whether its error is logged as a warning again.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use kube::runtime::reflector::ObjectRef;
use tokio::time::Instant;

use crate::crd::GuardedCatalog;

/// First and longest pause. Jitter adds up to as much again. The end of an outage is no event, so the longest pause is how
/// long a Catalog stands still after one.
const BOUNDS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// How often an error that stays the same is logged as a warning.
const WARNING_INTERVAL: Duration = Duration::from_mins(10);

/// Pauses of all Catalogs that fail: each twice as long as the one before, with jitter.
#[derive(Default)]
pub struct Backoff(Mutex<HashMap<ObjectRef<GuardedCatalog>, Failures>>);

/// The failures of one Catalog since its last success.
struct Failures {
    pauses: ExponentialBackoff,
    /// The error that was logged last, and when.
    logged: Option<(String, Instant)>,
}

/// What follows after a failure.
#[derive(Debug)]
pub struct Retry {
    /// The pause before the next try.
    pub pause: Duration,
    /// Whether the error is another one than before, or was logged too long ago.
    pub is_news: bool,
}

impl Backoff {
    /// After another failure.
    pub fn next(&self, catalog: ObjectRef<GuardedCatalog>, error: &str, now: Instant) -> Retry {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let failures = all.entry(catalog).or_insert_with(|| Failures { pauses: pauses(), logged: None });
        let is_known = |(logged, at): &(String, Instant)| logged == error && now.duration_since(*at) < WARNING_INTERVAL;
        let is_news = !failures.logged.as_ref().is_some_and(is_known);
        if is_news {
            failures.logged = Some((error.to_owned(), now));
        }
        Retry { pause: failures.pauses.next().unwrap_or(BOUNDS.1), is_news }
    }

    /// Forgets the failures of a Catalog that was reconciled or deleted.
    pub fn reset(&self, catalog: &ObjectRef<GuardedCatalog>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(catalog);
    }
}

fn pauses() -> ExponentialBackoff {
    ExponentialBuilder::new().with_min_delay(BOUNDS.0).with_max_delay(BOUNDS.1).with_jitter().without_max_times().build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_news_when_it_is_another_one_and_every_ten_minutes() {
        let (backoff, start) = (Backoff::default(), Instant::now());
        let shop = ObjectRef::<GuardedCatalog>::new("shop").within("default");
        let is_news = |catalog: &ObjectRef<GuardedCatalog>, error: &str, seconds: u64| {
            backoff.next(catalog.clone(), error, start + Duration::from_secs(seconds)).is_news
        };
        let logged: Vec<_> = (0..1200).step_by(20).filter(|seconds| is_news(&shop, "quota exceeded", *seconds)).collect();
        assert_eq!(logged, [0, 600]);
        assert!(is_news(&shop, "name taken", 1201) && !is_news(&shop, "name taken", 1202));
        assert!(is_news(&ObjectRef::new("other").within("default"), "name taken", 1203), "of another Catalog");
        backoff.reset(&shop);
        assert!(is_news(&shop, "name taken", 1204), "it has succeeded in between");
    }

    #[test]
    fn pauses_grow_within_bounds_and_start_afresh_after_a_success() {
        let (backoff, catalog) = (Backoff::default(), ObjectRef::<GuardedCatalog>::new("shop").within("default"));
        let pauses: Vec<_> = (0..20).map(|_| backoff.next(catalog.clone(), "error", Instant::now()).pause).collect();
        assert!(pauses[0] < BOUNDS.0 * 2 && pauses[5] > pauses[0] * 8, "{pauses:?}");
        assert!(pauses.iter().all(|pause| *pause >= BOUNDS.0 && *pause <= BOUNDS.1 * 2), "{pauses:?}");
        backoff.reset(&catalog);
        assert!(backoff.next(catalog, "error", Instant::now()).pause < BOUNDS.0 * 2);
    }
}
