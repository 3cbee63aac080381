//! The ops listener, which every role has: `/livez`, `/readyz` and `/metrics`.

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
use futures::{
    FutureExt,
    future::{BoxFuture, join_all},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    metrics,
    server::{self, Limits, RespondToRejected},
};

/// Maximum number of connections. Probes and scrapes need only a few.
const MAX_CONNECTIONS: usize = 64;
/// How long a client may take to read 16 KiB of a response.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Timeout of the probe of one dependency for `/readyz?verbose`.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// The readiness of this process. Cheap to clone.
///
/// A process is ready when it has started, waits for nothing that it needs, and is not draining. It should stay ready while a
/// dependency is unavailable: otherwise an outage would remove all pods from the Service, and no pod would answer with 503.
#[derive(Clone)]
pub struct Readiness(Arc<Inner>);

struct Inner {
    phase: Mutex<Phase>,
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
        Self(Arc::new(Inner { phase: Mutex::new(Phase::Waiting("start".into())), probes: Mutex::default() }))
    }
}

impl Readiness {
    /// Sets this process to not ready, because it waits for `what`. Logs that.
    pub fn waiting_for(&self, what: &str) {
        tracing::info!(dependency = what, "waiting for dependency");
        self.set(Phase::Waiting(what.to_owned()));
    }

    /// Sets this process to ready. Logs that.
    pub fn ready(&self) {
        tracing::info!("ready");
        self.set(Phase::Ready);
    }

    /// Sets this process to not ready, permanently, because it stops.
    pub fn draining(&self) {
        self.set(Phase::Draining);
    }

    /// Adds a dependency that `/readyz?verbose` probes. The result does not affect readiness.
    pub fn add_dependency<F, Fut>(&self, name: &'static str, probe: F)
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), String>> + Send + 'static,
    {
        let probe: Probe = Box::new(move || Box::pin(probe()));
        self.0.probes.lock().unwrap_or_else(PoisonError::into_inner).push((name, probe));
    }

    /// Sets the phase, unless this process is draining.
    fn set(&self, phase: Phase) {
        let mut current = self.0.phase.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(*current, Phase::Draining) {
            *current = phase;
        }
    }

    /// Returns the status and text of the response to `/readyz`.
    fn readiness_response(&self) -> (StatusCode, String) {
        match &*self.0.phase.lock().unwrap_or_else(PoisonError::into_inner) {
            Phase::Ready => (StatusCode::OK, "ready\n".into()),
            Phase::Waiting(what) => (StatusCode::SERVICE_UNAVAILABLE, format!("waiting for {what}\n")),
            Phase::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining\n".into()),
        }
    }

    /// Probes all dependencies at the same time and returns one line for each.
    async fn probe_dependencies(&self) -> String {
        let results: Vec<_> = {
            let probes = self.0.probes.lock().unwrap_or_else(PoisonError::into_inner);
            let probe = |(name, probe): &(&'static str, Probe)| {
                let name = *name;
                tokio::time::timeout(PROBE_TIMEOUT, probe()).map(move |result| (name, result))
            };
            probes.iter().map(probe).collect()
        };
        let mut lines = String::new();
        for (name, result) in join_all(results).await {
            let line = match result {
                Ok(Ok(())) => format!("[+] {name}: ok\n"),
                Ok(Err(error)) => format!("[-] {name}: {error}\n"),
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
pub(crate) async fn serve(
    listener: TcpListener,
    readiness: Readiness,
    respond: RespondToRejected,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let router = Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(encoded_metrics))
        .with_state(readiness);
    server::serve(listener, router, Limits::new("ops", MAX_CONNECTIONS, None, WRITE_TIMEOUT), respond, stop).await;
    Ok(())
}

async fn readyz(State(readiness): State<Readiness>, RawQuery(query): RawQuery) -> Response {
    let (status, mut text) = readiness.readiness_response();
    if query.is_some_and(|query| query.split('&').any(|part| part == "verbose" || part.starts_with("verbose="))) {
        text.push_str(&readiness.probe_dependencies().await);
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

    #[tokio::test(start_paused = true)]
    async fn a_dependency_that_does_not_respond_does_not_delay_the_probes_of_others() {
        let readiness = Readiness::default();
        readiness.add_dependency("nats", std::future::pending);
        readiness.add_dependency("postgresql", async || {
            tokio::time::sleep(PROBE_TIMEOUT / 2).await;
            Ok(())
        });
        assert_eq!(readiness.probe_dependencies().await, "[-] nats: no answer within 2 s\n[+] postgresql: ok\n");
    }

    #[test]
    fn a_draining_process_never_becomes_ready_again() {
        let readiness = Readiness::default();
        readiness.draining();
        readiness.ready();
        assert_eq!(readiness.readiness_response(), (StatusCode::SERVICE_UNAVAILABLE, "draining\n".into()));
    }
}
