//! Limits of imports through the API.

use std::time::Duration;

use catalog_process::config::Checker;
use clap::Args;

/// Staged rows of an import are purged after a day, so an upload must end well before.
const MAX_UPLOAD: Duration = Duration::from_hours(12);

/// Limits of `POST /v1/products/bulk`.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Imports")]
pub struct UploadArgs {
    /// Minimum rate of an upload in bytes per second, averaged over `IMPORT_RATE_WINDOW`; 0 for none
    #[arg(long, env = "IMPORT_MIN_RATE", default_value = "500", value_name = "BYTES")]
    import_min_rate: String,
    /// How long an upload may pause or stay below the minimum rate
    #[arg(long, env = "IMPORT_RATE_WINDOW", default_value = "60s", value_name = "DURATION")]
    import_rate_window: String,
    /// Maximum duration of an upload
    #[arg(long, env = "IMPORT_MAX_DURATION", default_value = "1h", value_name = "DURATION")]
    import_max_duration: String,
    /// Imports that one admin may run at the same time in one process
    #[arg(long, env = "IMPORT_MAX_PER_ADMIN", default_value = "2", value_name = "N")]
    import_max_per_admin: String,
}

/// Limits of one upload.
#[derive(Debug, Clone, Copy)]
pub struct UploadLimits {
    /// Minimum rate in bytes per second, averaged over `window`, at most 1 GiB; 0 for none.
    pub min_rate: u32,
    /// How long the client may pause: 100 milliseconds to 1 hour.
    pub window: Duration,
    /// Maximum duration, including the time in which the server processes rows: 1 second to 12 hours.
    pub max_duration: Duration,
}

/// Checked limits of imports.
#[derive(Debug, Clone, Copy)]
pub struct UploadSettings {
    /// Of each upload.
    pub upload: UploadLimits,
    /// 1 to 16.
    pub max_per_admin: usize,
}

impl UploadArgs {
    /// Checks the settings.
    pub fn check(&self, check: &mut Checker) -> Option<UploadSettings> {
        let rates = 0..=1024 * 1024 * 1024;
        let min_rate =
            check.value("IMPORT_MIN_RATE", &self.import_min_rate, "a whole number of bytes per second from 0 to 1073741824", |n| {
                rates.contains(n)
            });
        let rate_window =
            check.duration("IMPORT_RATE_WINDOW", &self.import_rate_window, Duration::from_millis(100), Duration::from_hours(1));
        let max_duration = check.duration("IMPORT_MAX_DURATION", &self.import_max_duration, Duration::from_secs(1), MAX_UPLOAD);
        let max_per_admin = check
            .value("IMPORT_MAX_PER_ADMIN", &self.import_max_per_admin, "a whole number from 1 to 16", |n: &usize| (1..=16).contains(n));
        Some(UploadSettings {
            upload: UploadLimits { min_rate: min_rate?, window: rate_window?, max_duration: max_duration? },
            max_per_admin: max_per_admin?,
        })
    }
}
