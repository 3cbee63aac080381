//! The connection to NATS.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_nats::{
    Client, ConnectOptions, Event, ServerAddr,
    connection::State,
    jetstream::{self, ContextBuilder},
};
use percent_encoding::percent_decode_str;
use thiserror::Error;
use tokio::sync::Notify;

use crate::{backoff, config::EventsSettings};

/// Timeout of requests to `JetStream` and of publish acknowledgements.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection with two unanswered pings is closed.
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// Poll interval of the connection state. The client has no notification for it.
const CONNECTED_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The reason why the client cannot start to connect.
#[derive(Debug, Error)]
pub enum NatsError {
    /// `NATS_CREDS_FILE` cannot be read, or holds no credentials.
    #[error("NATS_CREDS_FILE={path}: {source}", path = path.display())]
    Credentials {
        /// The file.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
    /// `NATS_CA_FILE` or `NATS_URL` is invalid.
    #[error("cannot prepare the connection to NATS")]
    Connect(#[from] async_nats::ConnectError),
}

/// A connection to NATS that reconnects without limit. Cheap to clone.
#[derive(Clone)]
pub struct Nats {
    /// Core NATS.
    pub client: Client,
    /// `JetStream`, with [`REQUEST_TIMEOUT`].
    pub jetstream: jetstream::Context,
    prefix: Arc<str>,
    missing: Arc<Notify>,
}

impl Nats {
    /// Starts to connect and returns at once, because the server may start later than this process.
    ///
    /// # Errors
    /// If a file in the settings cannot be read or is invalid.
    pub async fn connect(settings: &EventsSettings) -> Result<Self, NatsError> {
        let mut options = ConnectOptions::new()
            .name(format!("catalog {}", settings.prefix))
            .retry_on_initial_connect()
            .max_reconnects(None)
            .connection_timeout(REQUEST_TIMEOUT)
            .request_timeout(Some(REQUEST_TIMEOUT))
            .ping_interval(PING_INTERVAL)
            .reconnect_delay_callback(reconnect_delay)
            .event_callback(log_events());
        options = set_credentials(options, &settings.servers);
        if let Some(path) = &settings.creds_file {
            let credentials = read_credentials(path).await?;
            options = options.credentials(&credentials).map_err(|source| NatsError::Credentials { path: path.clone(), source })?;
        }
        if let Some(path) = &settings.ca_file {
            options = options.add_root_certificates(path.clone()).require_tls(true);
        }
        let client = options.connect(&settings.servers).await?;
        let jetstream = ContextBuilder::new().timeout(REQUEST_TIMEOUT).build(client.clone());
        Ok(Self { client, jetstream, prefix: settings.prefix.as_str().into(), missing: Arc::default() })
    }

    /// Returns the prefix of all names of streams and of all subjects.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Returns whether the client is connected.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Resolves when the client is connected.
    pub async fn connected(&self) {
        while !self.is_connected() {
            tokio::time::sleep(CONNECTED_POLL_INTERVAL).await;
        }
    }

    /// Reports a missing stream or consumer, so that the next check starts earlier.
    pub fn report_missing(&self) {
        self.missing.notify_one();
    }

    /// Resolves after [`Nats::report_missing`].
    pub async fn missing(&self) {
        self.missing.notified().await;
    }
}

/// Sets the user and password, or the token, of the first URL that has them. The client itself ignores them.
fn set_credentials(options: ConnectOptions, servers: &[ServerAddr]) -> ConnectOptions {
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let Some((user, password)) = servers.iter().find_map(|server| Some((server.username()?, server.password()))) else { return options };
    match password {
        Some(password) => options.user_and_password(decode(user), decode(password)),
        None => options.token(decode(user)),
    }
}

async fn read_credentials(path: &Path) -> Result<String, NatsError> {
    tokio::fs::read_to_string(path).await.map_err(|source| NatsError::Credentials { path: path.to_owned(), source })
}

/// Returns the delay before an attempt to reconnect: zero before the first, then doubling delays with jitter.
fn reconnect_delay(attempts: usize) -> Duration {
    if attempts <= 1 {
        return Duration::ZERO;
    }
    backoff::delays().nth((attempts - 2).min(10)).unwrap_or(backoff::LONGEST)
}

/// Logs client events. During an outage, attempts to connect fail every few seconds, and only the first failure is logged as a warning.
fn log_events() -> impl Fn(Event) -> std::future::Ready<()> + Send + Sync + 'static {
    let is_logged = AtomicBool::new(false);
    move |event| {
        match event {
            Event::Connected => {
                is_logged.store(false, Ordering::Relaxed);
                tracing::info!("NATS connected");
            }
            Event::Disconnected => tracing::warn!("NATS disconnected"),
            Event::ServerError(error) => tracing::error!(%error, "NATS server error"),
            Event::ClientError(error) if !is_logged.swap(true, Ordering::Relaxed) => {
                tracing::warn!(%error, "NATS unavailable; retrying");
            }
            other => tracing::debug!(event = %other, "NATS client event"),
        }
        std::future::ready(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reconnect_is_immediate_and_later_delays_are_at_most_two_seconds() {
        assert_eq!(reconnect_delay(1), Duration::ZERO);
        for attempts in [2, 3, 10, 1000, usize::MAX] {
            let delay = reconnect_delay(attempts);
            assert!(delay >= Duration::from_millis(50) && delay <= 2 * backoff::LONGEST, "{attempts}: {delay:?}");
        }
    }
}
