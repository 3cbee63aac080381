//! The public API and its links.

use std::{net::SocketAddr, time::Duration};

use catalog_process::config::Checker;
use clap::Args;

/// The public API.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "API")]
pub struct ApiArgs {
    /// Where the public API listens; the IPv6 wildcard includes IPv4
    #[arg(long, env = "HTTP_ADDRESS", default_value = "[::]:8080", value_name = "ADDRESS:PORT")]
    http_address: String,
    /// How users reach the API: links in mails, Location headers, token issuer
    #[arg(long, env = "PUBLIC_URL", default_value = "http://localhost:8080", value_name = "URL")]
    public_url: String,
    /// How long deleted products can be restored before they are purged
    #[arg(long, env = "DELETED_RETENTION", default_value = "30d", value_name = "DURATION")]
    deleted_retention: String,
    /// One in N successful reads is logged; writes and errors always are
    #[arg(long, env = "ACCESS_LOG_SAMPLE", default_value = "100", value_name = "N")]
    access_log_sample: String,
    /// Proxies in front whose X-Forwarded-For entries are trusted; 0 takes the peer address as the client's
    #[arg(long, env = "TRUSTED_PROXY_HOPS", default_value = "0", value_name = "N")]
    trusted_proxy_hops: String,
}

/// Checked API settings.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// Listener.
    pub address: SocketAddr,
    /// Without a trailing slash.
    pub public_url: String,
    /// 1 second to 10 years.
    pub deleted_retention: Duration,
    /// One in this many successful reads is logged.
    pub access_log_sample: u64,
    /// Trusted proxies in front, at most 10.
    pub trusted_proxy_hops: usize,
}

impl ApiArgs {
    /// Checks the settings.
    pub fn check(&self, check: &mut Checker) -> Option<ApiSettings> {
        let address = check.value("HTTP_ADDRESS", &self.http_address, "an address and port such as [::]:8080 or 127.0.0.1:8080", |_| true);
        let public_url = check_public_url(check, &self.public_url);
        let deleted_retention =
            check.duration("DELETED_RETENTION", &self.deleted_retention, Duration::from_secs(1), Duration::from_hours(87600));
        let access_log_sample =
            check.value("ACCESS_LOG_SAMPLE", &self.access_log_sample, "a whole number of at least 1", |n: &u64| *n >= 1);
        let trusted_proxy_hops =
            check.value("TRUSTED_PROXY_HOPS", &self.trusted_proxy_hops, "a whole number from 0 to 10", |n: &usize| *n <= 10);
        Some(ApiSettings {
            address: address?,
            public_url: public_url?,
            deleted_retention: deleted_retention?,
            access_log_sample: access_log_sample?,
            trusted_proxy_hops: trusted_proxy_hops?,
        })
    }
}

fn check_public_url(check: &mut Checker, raw: &str) -> Option<String> {
    let url = raw.trim().trim_end_matches('/').to_owned();
    let valid = reqwest::Url::parse(&url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if !valid {
        check.reject("PUBLIC_URL", raw, "an absolute http or https URL");
    }
    valid.then_some(url)
}

/// Where links lead, for roles that write them without serving them.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Links")]
pub struct LinksArgs {
    /// How users reach the API: links in mails
    #[arg(long, env = "PUBLIC_URL", default_value = "http://localhost:8080", value_name = "URL")]
    public_url: String,
}

impl LinksArgs {
    /// Checks the setting: the URL, without a trailing slash.
    pub fn check(&self, check: &mut Checker) -> Option<String> {
        check_public_url(check, &self.public_url)
    }
}
