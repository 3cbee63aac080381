//! Determines when a failed reconcile is retried, and whether its error is logged as a warning.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use kube::runtime::reflector::ObjectRef;
use tokio::time::Instant;

use crate::crd::GuardedCatalog;

/// Shortest and longest pause; jitter at most doubles it. Nothing triggers a reconcile when an outage ends, so a Catalog may wait this
/// long.
const BOUNDS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// Interval at which an unchanged error is logged as a warning.
const WARNING_INTERVAL: Duration = Duration::from_mins(10);

/// The failures of all Catalogs. Each pause is twice as long as the previous one, with jitter.
#[derive(Default)]
pub struct Backoff(Mutex<HashMap<ObjectRef<GuardedCatalog>, Failures>>);

/// The failures of one Catalog since its last success.
struct Failures {
    pauses: ExponentialBackoff,
    /// The error that was logged last, and when.
    logged: Option<(String, Instant)>,
}

/// How to retry.
#[derive(Debug)]
pub struct Retry {
    /// The pause before the next reconcile.
    pub pause: Duration,
    /// Whether to log the error as a warning: it has changed, or was last logged longer ago than the interval.
    pub should_log: bool,
}

impl Backoff {
    /// Records a failed reconcile of a Catalog.
    pub fn record_failure(&self, catalog: ObjectRef<GuardedCatalog>, error: &str, now: Instant) -> Retry {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let failures = all.entry(catalog).or_insert_with(|| Failures { pauses: pauses(), logged: None });
        let is_known = |(logged, at): &(String, Instant)| logged == error && now.duration_since(*at) < WARNING_INTERVAL;
        let should_log = !failures.logged.as_ref().is_some_and(is_known);
        if should_log {
            failures.logged = Some((error.to_owned(), now));
        }
        Retry { pause: failures.pauses.next().unwrap_or(BOUNDS.1), should_log }
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
    fn an_error_is_logged_as_a_warning_when_it_changes_and_every_ten_minutes() {
        let (backoff, start) = (Backoff::default(), Instant::now());
        let shop = ObjectRef::<GuardedCatalog>::new("shop").within("default");
        let should_log = |catalog: &ObjectRef<GuardedCatalog>, error: &str, seconds: u64| {
            backoff.record_failure(catalog.clone(), error, start + Duration::from_secs(seconds)).should_log
        };
        let logged: Vec<_> = (0..1200).step_by(20).filter(|seconds| should_log(&shop, "quota exceeded", *seconds)).collect();
        assert_eq!(logged, [0, 600]);
        assert!(should_log(&shop, "name taken", 1201) && !should_log(&shop, "name taken", 1202));
        assert!(should_log(&ObjectRef::new("other").within("default"), "name taken", 1203), "a different Catalog");
        backoff.reset(&shop);
        assert!(should_log(&shop, "name taken", 1204), "it succeeded in between");
    }

    #[test]
    fn pauses_grow_within_bounds_and_are_reset_by_a_success() {
        let (backoff, catalog) = (Backoff::default(), ObjectRef::<GuardedCatalog>::new("shop").within("default"));
        let pauses: Vec<_> = (0..20).map(|_| backoff.record_failure(catalog.clone(), "error", Instant::now()).pause).collect();
        assert!(pauses[0] < BOUNDS.0 * 2 && pauses[5] > pauses[0] * 8, "{pauses:?}");
        assert!(pauses.iter().all(|pause| *pause >= BOUNDS.0 && *pause <= BOUNDS.1 * 2), "{pauses:?}");
        backoff.reset(&catalog);
        assert!(backoff.record_failure(catalog, "error", Instant::now()).pause < BOUNDS.0 * 2);
    }
}
