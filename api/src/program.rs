//! How a program starts and ends: logging, the Tokio runtime, and an exit status.

use std::process::ExitCode;

use catalog_logging::LogFormat;

use crate::telemetry;

/// Starts logging and runs `work` on a multi-threaded runtime. An error is logged, and the exit status is 1.
pub fn run(log_format: Option<LogFormat>, work: impl Future<Output = anyhow::Result<ExitCode>>) -> ExitCode {
    if let Err(error) = telemetry::start_logging(log_format) {
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
