//! How long a failed reconcile waits for its next try.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use kube::runtime::reflector::ObjectRef;

use crate::crd::GuardedCatalog;

/// First and longest pause. Jitter adds up to as much again. The end of an outage is no event, so the longest pause is how
/// long a Catalog stands still after one.
const BOUNDS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// Pauses of all Catalogs that fail: each twice as long as the one before, with jitter.
#[derive(Default)]
pub struct Backoff(Mutex<HashMap<ObjectRef<GuardedCatalog>, ExponentialBackoff>>);

impl Backoff {
    /// The pause after another failure.
    pub fn next(&self, catalog: ObjectRef<GuardedCatalog>) -> Duration {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(catalog).or_insert_with(pauses).next().unwrap_or(BOUNDS.1)
    }

    /// It succeeded, or is gone.
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
    fn pauses_grow_within_bounds_and_start_afresh_after_a_success() {
        let (backoff, catalog) = (Backoff::default(), ObjectRef::<GuardedCatalog>::new("shop").within("default"));
        let pauses: Vec<_> = (0..20).map(|_| backoff.next(catalog.clone())).collect();
        assert!(pauses[0] < BOUNDS.0 * 2 && pauses[5] > pauses[0] * 8, "{pauses:?}");
        assert!(pauses.iter().all(|pause| *pause >= BOUNDS.0 && *pause <= BOUNDS.1 * 2), "{pauses:?}");
        backoff.reset(&catalog);
        assert!(backoff.next(catalog) < BOUNDS.0 * 2);
    }
}
