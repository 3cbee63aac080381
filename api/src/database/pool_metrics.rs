//! Metrics of connection pools, collected on each scrape.

use prometheus::{
    IntGaugeVec, Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};
use sqlx::PgPool;

struct PoolMetrics {
    pool: PgPool,
    connections: IntGaugeVec,
}

/// Adds a pool to the metrics. A second one of the same name is ignored.
pub fn register(name: &'static str, pool: &PgPool) {
    let opts = Opts::new("database_pool_connections", "Connections of a pool to PostgreSQL by state: in_use or idle");
    let registered = IntGaugeVec::new(opts.const_label("pool", name), &["state"])
        .and_then(|connections| prometheus::register(Box::new(PoolMetrics { pool: pool.clone(), connections })));
    if let Err(error) = registered {
        tracing::debug!(%error, pool = name, "pool metrics not registered");
    }
}

impl Collector for PoolMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.connections.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let idle = i64::try_from(self.pool.num_idle()).unwrap_or(i64::MAX);
        let in_use = i64::from(self.pool.size()).saturating_sub(idle).max(0);
        self.connections.with_label_values(&["idle"]).set(idle);
        self.connections.with_label_values(&["in_use"]).set(in_use);
        self.connections.collect()
    }
}
