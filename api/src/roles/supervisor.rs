//! Long-running tasks and their end: one that ends unasked, by error or panic, ends the process
//! with a logged cause; SIGTERM and Ctrl-C drain.

use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::{
    config::OpsSettings,
    http::ops::{self, Readiness},
    listener,
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
    /// Starts with the role's probes and metrics.
    ///
    /// # Errors
    /// If `OPS_ADDRESS` cannot be listened on.
    pub fn start(settings: OpsSettings) -> anyhow::Result<Self> {
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
        supervisor.spawn("probes and metrics", ops::serve(listener, readiness, ops_stop));
        Ok(supervisor)
    }

    /// Cancelled when it is time to stop. Every task watches it.
    #[must_use]
    pub fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// For the role to say what it waits for and when it is ready.
    #[must_use]
    pub fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// Runs a task under supervision. It must end, finishing its work, when [`Supervisor::stop`] says so.
    pub fn spawn(&mut self, name: &'static str, task: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        // At this level it passes every filter.
        let span = tracing::error_span!(parent: None, "task", task = name);
        self.tasks.spawn(async move { (name, task.await) }.instrument(span));
    }

    /// Runs `start`, the part of a role that waits for its dependencies, unless told to stop meanwhile.
    /// `None` means the role was stopped before it got going.
    ///
    /// # Errors
    /// What `start` returns.
    pub async fn starting<T>(&mut self, start: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<Option<T>> {
        tokio::select! {
            started = start => started.map(Some),
            signal = asked_to_stop() => { signal?; Ok(None) }
            Some(ended) = self.tasks.join_next() => Err(unasked(ended)),
        }
    }

    /// Waits for SIGTERM, Ctrl-C or the unasked end of a task, then drains.
    ///
    /// # Errors
    /// If a task ended unasked or failed while draining, or the drain took too long.
    pub async fn run(mut self) -> anyhow::Result<()> {
        let cause = tokio::select! {
            signal = asked_to_stop() => signal.err(),
            Some(ended) = self.tasks.join_next() => Some(unasked(ended)),
        };
        self.readiness.draining();
        tracing::info!(timeout_s = self.shutdown_timeout.as_secs(), "draining");
        self.stop.cancel();
        let drained = tokio::time::timeout(self.shutdown_timeout, self.drain()).await;
        match (cause, drained) {
            (Some(cause), _) => Err(cause),
            (None, Ok(drained)) => drained,
            (None, Err(_)) => bail!("work was still in progress when SHUTDOWN_TIMEOUT ({:?}) ran out", self.shutdown_timeout),
        }
    }

    async fn drain(&mut self) -> anyhow::Result<()> {
        let mut first_failure = Ok(());
        // Probes and metrics stay up until the rest has finished.
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

fn unasked(ended: Result<(&'static str, anyhow::Result<()>), tokio::task::JoinError>) -> anyhow::Error {
    match ended {
        Ok((name, Ok(()))) => anyhow!("{name} ended unasked"),
        Ok((name, Err(error))) => error.context(format!("{name} failed")),
        Err(error) => anyhow!(error).context("a task panicked"),
    }
}

async fn asked_to_stop() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Listens, on IPv4 and IPv6 for `[::]`, and logs the address, which matters for port 0.
///
/// # Errors
/// Names the setting if the address is in use, not this machine's, or not permitted.
pub fn listen(setting: &str, address: std::net::SocketAddr) -> anyhow::Result<TcpListener> {
    let listener =
        listener::bind(address).and_then(TcpListener::from_std).with_context(|| format!("{setting}={address} cannot be listened on"))?;
    tracing::info!(setting, address = %listener.local_addr()?, "listening");
    Ok(listener)
}
