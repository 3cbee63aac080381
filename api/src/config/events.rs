//! NATS, and the batching of views.

use std::{path::PathBuf, time::Duration};

use catalog_process::config::Checker;
use clap::Args;

/// NATS `JetStream`.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Events")]
pub struct EventsArgs {
    /// NATS servers, comma-separated
    #[arg(
        long,
        env = "NATS_URL",
        hide_env_values = true,
        default_value = "nats://127.0.0.1:4222",
        value_name = "URLS",
        hide_env_values = true
    )]
    nats_url: String,
    /// Credentials file (JWT and nkey seed)
    #[arg(long, env = "NATS_CREDS_FILE", value_name = "FILE")]
    nats_creds_file: Option<PathBuf>,
    /// CA certificates to trust, PEM; TLS is then required
    #[arg(long, env = "NATS_CA_FILE", value_name = "FILE")]
    nats_ca_file: Option<PathBuf>,
    /// Prefix of the names of streams and of subjects, so that shops can share one NATS server
    #[arg(long, env = "EVENTS_PREFIX", default_value = "catalog", value_name = "NAME")]
    events_prefix: String,
}

/// Checked event settings.
#[derive(Debug, Clone)]
pub struct EventsSettings {
    /// Servers.
    pub servers: Vec<async_nats::ServerAddr>,
    /// Credentials file.
    pub creds_file: Option<PathBuf>,
    /// CA certificates, PEM.
    pub ca_file: Option<PathBuf>,
    /// Prefix of the names of streams and of subjects: 1–64 of `A-Z a-z 0-9 _ -`.
    pub prefix: String,
}

impl EventsArgs {
    /// Checks the settings.
    pub fn check(&self, check: &mut Checker) -> Option<EventsSettings> {
        let servers: Option<Vec<async_nats::ServerAddr>> = self.nats_url.split(',').map(|url| url.trim().parse().ok()).collect();
        if servers.is_none() {
            // The URL may contain a password, so the error has only the name of the setting.
            check.add_error("NATS_URL must be nats://host:port or tls://host:port, several separated by commas");
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let prefix = check.value("EVENTS_PREFIX", &self.events_prefix, "1 to 64 letters, digits, '-' or '_'", |p: &String| {
            (1..=64).contains(&p.len()) && p.chars().all(allowed)
        });
        Some(EventsSettings {
            servers: servers?,
            creds_file: self.nats_creds_file.clone(),
            ca_file: self.nats_ca_file.clone(),
            prefix: prefix?,
        })
    }
}

/// How views are collected before they are published.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Views")]
pub struct ViewsArgs {
    /// How long views are collected before they are published as one message
    #[arg(long, env = "VIEWS_FLUSH_INTERVAL", default_value = "50ms", value_name = "DURATION")]
    views_flush_interval: String,
    /// Views kept in memory while NATS is unavailable; more are dropped and counted
    #[arg(long, env = "VIEWS_BUFFER_LIMIT", default_value = "100000", value_name = "N")]
    views_buffer_limit: String,
}

/// Checked view settings.
#[derive(Debug, Clone, Copy)]
pub struct ViewsSettings {
    /// 1 ms to 10 s.
    pub flush_interval: Duration,
    /// Maximum number of views in memory.
    pub buffer_limit: u64,
}

impl ViewsArgs {
    /// Checks the settings.
    pub fn check(&self, check: &mut Checker) -> Option<ViewsSettings> {
        let flush_interval =
            check.duration("VIEWS_FLUSH_INTERVAL", &self.views_flush_interval, Duration::from_millis(1), Duration::from_secs(10));
        let buffer_limit = check.value("VIEWS_BUFFER_LIMIT", &self.views_buffer_limit, "a whole number from 1 to 100000000", |n: &u64| {
            (1..=100_000_000).contains(n)
        });
        Some(ViewsSettings { flush_interval: flush_interval?, buffer_limit: buffer_limit? })
    }
}
