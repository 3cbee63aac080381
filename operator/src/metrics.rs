//! What Prometheus is told.

use std::time::Instant;

use kube::runtime::controller::Action;
use prometheus::{Encoder, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};

use crate::error::Error;

/// All metrics of the operator. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    duration: HistogramVec,
    errors: IntCounterVec,
    running: IntGauge,
    leader: IntGauge,
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
        };
        metrics.registry.register(Box::new(metrics.duration.clone()))?;
        metrics.registry.register(Box::new(metrics.errors.clone()))?;
        metrics.registry.register(Box::new(metrics.running.clone()))?;
        metrics.registry.register(Box::new(metrics.leader.clone()))?;
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

    /// Whether this process leads.
    pub fn leads(&self, leads: bool) {
        self.leader.set(leads.into());
    }

    /// In the text format of Prometheus.
    ///
    /// # Errors
    /// If the values cannot be written.
    pub fn text(&self) -> prometheus::Result<Vec<u8>> {
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
