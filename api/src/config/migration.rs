//! Which database `catalog migrate` may change, and where it reports.

use std::path::PathBuf;

use catalog_process::config::Checker;
use clap::Args;
use uuid::Uuid;

/// Settings of `catalog migrate` about the installation.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Installation")]
pub struct MigrationArgs {
    /// Installation id that the database must have; any other, and one without a schema, is an error and stays unchanged
    #[arg(long, env = "EXPECT_INSTALLATION", value_name = "UUID")]
    expect_installation: Option<String>,
    /// File for a report in JSON, or for the error: the `terminationMessagePath` of the container
    #[arg(long, env = "TERMINATION_LOG", value_name = "FILE")]
    termination_log: Option<PathBuf>,
}

/// Checked settings of `catalog migrate` about the installation.
#[derive(Debug, Clone)]
pub struct MigrationSettings {
    /// The id that the database must have.
    pub expected: Option<Uuid>,
    /// Where the report goes.
    pub termination_log: Option<PathBuf>,
}

impl MigrationArgs {
    /// Checks the settings.
    pub fn check(&self, check: &mut Checker) -> Option<MigrationSettings> {
        let expected = match self.expect_installation.as_deref().filter(|id| !id.is_empty()) {
            None => None,
            Some(id) => Some(check.value("EXPECT_INSTALLATION", id, "a UUID as catalog migrate logs it", |_| true)?),
        };
        Some(MigrationSettings { expected, termination_log: self.termination_log.clone() })
    }
}
