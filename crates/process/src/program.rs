//! How a program starts and ends: logging, the Tokio runtime, and an exit status.

use std::process::ExitCode;

use catalog_logging::LogFormat;

/// Log filter without `RUST_LOG`.
const DEFAULT_FILTER: &str = "info,async_nats=warn,sqlx=warn";

/// Starts logging and runs `work` on a multi-threaded runtime. An error is logged, and the exit status is 1.
pub fn run(log_format: Option<LogFormat>, work: impl Future<Output = anyhow::Result<ExitCode>>) -> ExitCode {
    if let Err(error) = start_logging(log_format) {
        eprintln!("{error:#}");
        return ExitCode::FAILURE;
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "runtime not started");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(work) {
        Ok(status) => status,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Starts logging to standard error, filtered by `RUST_LOG`.
///
/// # Errors
/// If `RUST_LOG` is invalid.
fn start_logging(format: Option<LogFormat>) -> anyhow::Result<()> {
    let filter = std::env::var("RUST_LOG").unwrap_or_default();
    catalog_logging::start(format, if filter.is_empty() { DEFAULT_FILTER } else { &filter })
}
