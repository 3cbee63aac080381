//! The private listener of every role: `/livez`, `/readyz` and `/metrics`.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    extract::{RawQuery, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use futures::future::BoxFuture;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    metrics,
    server::{self, Limits, RespondToRejected},
};

/// Connections at most, of all clients: probes and scrapes need a handful.
const MAX_CONNECTIONS: usize = 64;
/// How long a client may take to read 16 KiB.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one dependency may take to answer `/readyz?verbose`.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// Whether this process wants work. Cheap to clone.
///
/// Ready means started, not draining, and on a database with the schema that this release needs. It doesn't fail
/// with a dependency: otherwise an outage would remove all pods from the Service, and none would answer with 503.
#[derive(Clone)]
pub struct Readiness(Arc<Inner>);

struct Inner {
    state: Mutex<Phase>,
    probes: Mutex<Vec<(&'static str, Probe)>>,
}

type Probe = Box<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

enum Phase {
    Waiting(String),
    Ready,
    Draining,
}

impl Default for Readiness {
    fn default() -> Self {
        Self(Arc::new(Inner { state: Mutex::new(Phase::Waiting("start".into())), probes: Mutex::default() }))
    }
}

impl Readiness {
    /// Not ready yet: waiting for `what`, which is also logged.
    pub fn waiting_for(&self, what: &str) {
        tracing::info!(dependency = what, "waiting for dependency");
        self.set(Phase::Waiting(what.to_owned()));
    }

    /// Started: from now on ready until the drain.
    pub fn ready(&self) {
        tracing::info!("ready");
        self.set(Phase::Ready);
    }

    /// Stopping: no new work, please.
    pub fn draining(&self) {
        self.set(Phase::Draining);
    }

    /// Adds a dependency that `/readyz?verbose` asks. It never decides readiness.
    pub fn dependency<F, Fut>(&self, name: &'static str, probe: F)
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), String>> + Send + 'static,
    {
        let probe: Probe = Box::new(move || Box::pin(probe()));
        self.0.probes.lock().unwrap_or_else(PoisonError::into_inner).push((name, probe));
    }

    /// A drain is final.
    fn set(&self, state: Phase) {
        let mut current = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(*current, Phase::Draining) {
            *current = state;
        }
    }

    fn verdict(&self) -> (StatusCode, String) {
        match &*self.0.state.lock().unwrap_or_else(PoisonError::into_inner) {
            Phase::Ready => (StatusCode::OK, "ready\n".into()),
            Phase::Waiting(what) => (StatusCode::SERVICE_UNAVAILABLE, format!("waiting for {what}\n")),
            Phase::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining\n".into()),
        }
    }

    async fn verbose(&self) -> String {
        let running: Vec<_> = {
            let probes = self.0.probes.lock().unwrap_or_else(PoisonError::into_inner);
            probes.iter().map(|(name, probe)| (*name, tokio::time::timeout(PROBE_TIMEOUT, probe()))).collect()
        };
        let mut lines = String::new();
        for (name, answer) in running {
            let line = match answer.await {
                Ok(Ok(())) => format!("[+] {name}: ok\n"),
                Ok(Err(why)) => format!("[-] {name}: {why}\n"),
                Err(_) => format!("[-] {name}: no answer within {} s\n", PROBE_TIMEOUT.as_secs()),
            };
            lines.push_str(&line);
        }
        lines
    }
}

/// Serves probes and metrics until `stop`.
///
/// # Errors
/// If the listener fails.
pub async fn serve(listener: TcpListener, readiness: Readiness, respond: RespondToRejected, stop: CancellationToken) -> anyhow::Result<()> {
    let router = Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(encoded_metrics))
        .with_state(readiness);
    server::serve(listener, router, Limits::new("ops", MAX_CONNECTIONS, None, WRITE_TIMEOUT), respond, stop).await;
    Ok(())
}

async fn readyz(State(readiness): State<Readiness>, RawQuery(query): RawQuery) -> Response {
    let (status, mut text) = readiness.verdict();
    if query.is_some_and(|query| query.split('&').any(|part| part == "verbose" || part.starts_with("verbose="))) {
        text.push_str(&readiness.verbose().await);
    }
    (status, text).into_response()
}

async fn encoded_metrics() -> Response {
    match metrics::encode() {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics not encoded");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drain_is_final() {
        let readiness = Readiness::default();
        readiness.draining();
        readiness.ready();
        assert_eq!(readiness.verdict(), (StatusCode::SERVICE_UNAVAILABLE, "draining\n".into()));
    }
}
