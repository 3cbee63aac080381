//! Prometheus metrics of the operator.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use kube::runtime::{controller::Action, reflector::Store};
use prometheus::{Encoder, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};

use crate::{crd::GuardedCatalog, error::Error};

/// All metrics of the operator. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    duration: HistogramVec,
    errors: IntCounterVec,
    running: IntGauge,
    leader: IntGauge,
    catalogs: IntGaugeVec,
    store: Arc<Mutex<Option<Store<GuardedCatalog>>>>,
}

impl Metrics {
    /// Creates the metrics in a new registry.
    ///
    /// # Errors
    /// If the names of the metrics are invalid or not unique.
    pub fn new() -> prometheus::Result<Self> {
        let duration = HistogramOpts::new("catalog_operator_reconcile_duration_seconds", "Duration of reconciles, by result")
            .buckets(prometheus::exponential_buckets(0.005, 2.0, 12)?);
        let metrics = Self {
            registry: Registry::new(),
            duration: HistogramVec::new(duration, &["result"])?,
            errors: IntCounterVec::new(Opts::new("catalog_operator_reconcile_errors_total", "Failed reconciles, by reason"), &["reason"])?,
            running: IntGauge::new("catalog_operator_reconciles_running", "Reconciles in progress")?,
            leader: IntGauge::new("catalog_operator_leader", "1 while this process leads, 0 otherwise")?,
            catalogs: IntGaugeVec::new(
                Opts::new("catalog_operator_catalogs", "Catalogs by condition and status, in the leader only"),
                &["condition", "status"],
            )?,
            store: Arc::default(),
        };
        metrics.registry.register(Box::new(metrics.duration.clone()))?;
        metrics.registry.register(Box::new(metrics.errors.clone()))?;
        metrics.registry.register(Box::new(metrics.running.clone()))?;
        metrics.registry.register(Box::new(metrics.leader.clone()))?;
        metrics.registry.register(Box::new(metrics.catalogs.clone()))?;
        #[cfg(target_os = "linux")]
        metrics.registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(metrics)
    }

    /// Counts a reconcile as in progress and starts its timer.
    #[must_use]
    pub fn start(&self) -> RunningReconcile {
        self.running.inc();
        RunningReconcile { metrics: self.clone(), started: Instant::now() }
    }

    /// Sets whether this process leads. Only the leader counts Catalogs.
    pub fn set_leader(&self, is_leader: bool) {
        self.leader.set(is_leader.into());
        if !is_leader {
            *self.store.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    /// Sets the store whose Catalogs are counted at each scrape.
    pub fn set_store(&self, store: Store<GuardedCatalog>) {
        *self.store.lock().unwrap_or_else(PoisonError::into_inner) = Some(store);
    }

    fn count(&self, store: Option<&Store<GuardedCatalog>>) {
        let mut numbers = BTreeMap::<_, i64>::new();
        let catalogs = store.map(Store::state).unwrap_or_default();
        let unreadable = i64::try_from(catalogs.iter().filter(|catalog| catalog.0.is_err()).count()).unwrap_or(i64::MAX);
        if unreadable > 0 {
            numbers.extend([(("Ready", "False"), unreadable), (("Degraded", "True"), unreadable)]);
        }
        let statuses = catalogs.iter().filter_map(|catalog| catalog.0.as_ref().ok()?.status.as_ref());
        for condition in statuses.flat_map(|status| &status.conditions) {
            *numbers.entry((condition.type_.as_str(), condition.status.as_str())).or_default() += 1;
        }
        self.catalogs.reset();
        for ((condition, status), number) in numbers {
            self.catalogs.with_label_values(&[condition, status]).set(number);
        }
    }

    /// Encodes the metrics in the text format of Prometheus.
    ///
    /// # Errors
    /// If the metrics cannot be encoded.
    pub fn text(&self) -> prometheus::Result<Vec<u8>> {
        // Locked until the metrics are gathered, so that a concurrent scrape doesn't see partial counts.
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        self.count(store.as_ref());
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

/// A reconcile in progress, until it is dropped.
pub struct RunningReconcile {
    metrics: Metrics,
    started: Instant,
}

impl RunningReconcile {
    /// Records the duration and the result.
    pub fn end(self, result: &Result<Action, Error>) {
        let label = if result.is_ok() { "ok" } else { "error" };
        self.metrics.duration.with_label_values(&[label]).observe(self.started.elapsed().as_secs_f64());
        if let Err(error) = result {
            self.metrics.errors.with_label_values(&[error.reason()]).inc();
        }
    }
}

impl Drop for RunningReconcile {
    fn drop(&mut self) {
        self.metrics.running.dec();
    }
}
