//! What Prometheus is told.

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
    /// With a registry of their own.
    ///
    /// # Errors
    /// Never, as long as the names here are valid and differ.
    pub fn new() -> prometheus::Result<Self> {
        let duration = HistogramOpts::new("catalog_operator_reconcile_duration_seconds", "Time that one reconcile took, by its result")
            .buckets(prometheus::exponential_buckets(0.005, 2.0, 12)?);
        let metrics = Self {
            registry: Registry::new(),
            duration: HistogramVec::new(duration, &["result"])?,
            errors: IntCounterVec::new(
                Opts::new("catalog_operator_reconcile_errors_total", "Reconciles that didn't come to their end, by reason"),
                &["reason"],
            )?,
            running: IntGauge::new("catalog_operator_reconciles_running", "Reconciles that run now")?,
            leader: IntGauge::new("catalog_operator_leader", "1 while this process leads, 0 otherwise")?,
            catalogs: IntGaugeVec::new(
                Opts::new("catalog_operator_catalogs", "Catalogs by condition and its status, as the leader sees them"),
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

    /// A reconcile begins.
    #[must_use]
    pub fn start(&self) -> Measured {
        self.running.inc();
        Measured { metrics: self.clone(), started: Instant::now() }
    }

    /// Whether this process leads. One that doesn't counts no Catalogs.
    pub fn leads(&self, leads: bool) {
        self.leader.set(leads.into());
        if !leads {
            *self.store.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    /// The Catalogs that are counted, as they are when somebody asks.
    pub fn counts(&self, store: Store<GuardedCatalog>) {
        *self.store.lock().unwrap_or_else(PoisonError::into_inner) = Some(store);
    }

    fn count(&self, store: Option<&Store<GuardedCatalog>>) {
        let mut numbers = BTreeMap::<_, i64>::new();
        let catalogs = store.map(Store::state).unwrap_or_default();
        let statuses = catalogs.iter().filter_map(|catalog| catalog.0.as_ref().ok()?.status.as_ref());
        for condition in statuses.flat_map(|status| &status.conditions) {
            *numbers.entry((condition.type_.as_str(), condition.status.as_str())).or_default() += 1;
        }
        self.catalogs.reset();
        for ((condition, status), number) in numbers {
            self.catalogs.with_label_values(&[condition, status]).set(number);
        }
    }

    /// In the text format of Prometheus.
    ///
    /// # Errors
    /// If the values cannot be written.
    pub fn text(&self) -> prometheus::Result<Vec<u8>> {
        // Held until it is gathered: another scrape would see what is only half counted.
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        self.count(store.as_ref());
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

/// A reconcile that runs, until it is dropped.
pub struct Measured {
    metrics: Metrics,
    started: Instant,
}

impl Measured {
    /// It ended.
    pub fn end(self, result: &Result<Action, Error>) {
        let label = if result.is_ok() { "ok" } else { "error" };
        self.metrics.duration.with_label_values(&[label]).observe(self.started.elapsed().as_secs_f64());
        if let Err(error) = result {
            self.metrics.errors.with_label_values(&[error.reason()]).inc();
        }
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        self.metrics.running.dec();
    }
}
