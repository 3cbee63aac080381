//! Runs the tasks of a role. A task that ends unexpectedly ends the process with a logged cause; SIGTERM and Ctrl-C drain.

use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::{
    config::OpsSettings,
    listener::listen,
    ops::{self, Readiness},
    server::RespondToRejected,
    signal,
};

/// The tasks of one role.
pub struct Supervisor {
    tasks: JoinSet<(&'static str, anyhow::Result<()>)>,
    stop: CancellationToken,
    ops_stop: CancellationToken,
    readiness: Readiness,
    shutdown_timeout: Duration,
}

impl Supervisor {
    /// Starts the listener for probes and metrics, which answers connections over its limit with `respond`.
    ///
    /// # Errors
    /// If `OPS_ADDRESS` cannot be listened on.
    pub fn start(settings: OpsSettings, respond: RespondToRejected) -> anyhow::Result<Self> {
        let listener = listen("OPS_ADDRESS", settings.address)?;
        let readiness = Readiness::default();
        let ops_stop = CancellationToken::new();
        let mut supervisor = Self {
            tasks: JoinSet::new(),
            stop: CancellationToken::new(),
            ops_stop: ops_stop.clone(),
            readiness: readiness.clone(),
            shutdown_timeout: settings.shutdown_timeout,
        };
        supervisor.spawn("probes and metrics", ops::serve(listener, readiness, respond, ops_stop));
        Ok(supervisor)
    }

    /// Returns the token that is cancelled when tasks must stop.
    #[must_use]
    pub fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Returns the readiness that probes report.
    #[must_use]
    pub fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// Spawns a task, which must finish its work and end when [`Supervisor::stop`] is cancelled.
    pub fn spawn(&mut self, name: &'static str, task: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        // Error level, so that no log filter drops the span.
        let span = tracing::error_span!(parent: None, "task", task = name);
        self.tasks.spawn(async move { (name, task.await) }.instrument(span));
    }

    /// Runs `start`, in which a role waits for its dependencies. Returns `None` if the role is stopped meanwhile.
    ///
    /// # Errors
    /// What `start` returns.
    pub async fn run_start<T>(&mut self, start: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<Option<T>> {
        tokio::select! {
            started = start => started.map(Some),
            signal = signal::wait_for_stop() => { signal?; Ok(None) }
            Some(ended) = self.tasks.join_next() => Err(unexpected_end(ended)),
        }
    }

    /// Waits for SIGTERM, Ctrl-C or the unexpected end of a task, then drains.
    ///
    /// # Errors
    /// If a task ended unexpectedly or failed while draining, or draining took longer than `SHUTDOWN_TIMEOUT`.
    pub async fn run(mut self) -> anyhow::Result<()> {
        let cause = tokio::select! {
            signal = signal::wait_for_stop() => signal.err(),
            Some(ended) = self.tasks.join_next() => Some(unexpected_end(ended)),
        };
        self.readiness.draining();
        tracing::info!(timeout_s = self.shutdown_timeout.as_secs(), "draining");
        self.stop.cancel();
        let drained = tokio::time::timeout(self.shutdown_timeout, self.drain()).await;
        match (cause, drained) {
            (Some(cause), _) => Err(cause),
            (None, Ok(drained)) => drained,
            (None, Err(_)) => bail!("draining exceeded SHUTDOWN_TIMEOUT ({:?})", self.shutdown_timeout),
        }
    }

    async fn drain(&mut self) -> anyhow::Result<()> {
        let mut first_failure = Ok(());
        // The listener for probes and metrics ends last.
        while self.tasks.len() > 1 {
            if let Some(ended) = self.tasks.join_next().await {
                let (name, result) = ended.context("a task panicked while draining")?;
                first_failure = first_failure.and(result.with_context(|| format!("{name} failed while draining")));
            }
        }
        self.ops_stop.cancel();
        tracing::info!("stopped");
        first_failure
    }
}

fn unexpected_end(ended: Result<(&'static str, anyhow::Result<()>), tokio::task::JoinError>) -> anyhow::Error {
    match ended {
        Ok((name, Ok(()))) => anyhow!("{name} ended unexpectedly"),
        Ok((name, Err(error))) => error.context(format!("{name} failed")),
        Err(error) => anyhow!(error).context("a task panicked"),
    }
}
