//! Limits of reads.

use std::time::Duration;

use catalog_process::config::Checker;
use clap::Args;

use super::DatabaseSettings;

/// Limits of lists, reports and exports, so that orders and sign-ins always have connections.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Reads")]
pub struct ReadArgs {
    /// Connections for product lists; part of the maximum per process unless there is a replica
    #[arg(long, env = "DATABASE_LIST_CONNECTIONS", default_value = "2", value_name = "N")]
    database_list_connections: String,
    /// Statement timeout of product lists; a list that takes longer gets 503
    #[arg(long, env = "DATABASE_LIST_TIMEOUT", default_value = "2s", value_name = "DURATION")]
    database_list_timeout: String,
    /// Connections for reports and exports; part of the maximum per process unless there is a replica
    #[arg(long, env = "DATABASE_REPORT_CONNECTIONS", default_value = "2", value_name = "N")]
    database_report_connections: String,
    /// Statement timeout of reports and exports
    #[arg(long, env = "DATABASE_REPORT_TIMEOUT", default_value = "20s", value_name = "DURATION")]
    database_report_timeout: String,
    /// Anonymous reads of products per minute and client address; 0 sets no limit
    #[arg(long, env = "HTTP_READS_PER_CLIENT", default_value = "0", value_name = "N")]
    http_reads_per_client: String,
}

/// Checked limits of reads.
#[derive(Debug, Clone, Copy)]
pub struct ReadSettings {
    /// Of product lists.
    pub lists: ReadPoolSettings,
    /// Of reports and exports.
    pub reports: ReadPoolSettings,
    /// Anonymous reads per minute and client address; `None` is no limit.
    pub per_client: Option<u32>,
}

/// Limits of one kind of read.
#[derive(Debug, Clone, Copy)]
pub struct ReadPoolSettings {
    /// Connections, 1 to 1000.
    pub connections: u32,
    /// Statement timeout, 10 milliseconds to 10 minutes.
    pub timeout: Duration,
}

impl ReadSettings {
    /// Connections of the primary that reads use.
    #[must_use]
    pub fn connections_of_primary(&self, database: &DatabaseSettings) -> u32 {
        if database.replica.is_some() { 0 } else { self.lists.connections + self.reports.connections }
    }
}

impl ReadArgs {
    /// Checks the settings, together with the database's.
    pub fn check(&self, database: Option<&DatabaseSettings>, check: &mut Checker) -> Option<ReadSettings> {
        let mut pool = |kind: &str, connections: &str, timeout: &str| {
            let name = format!("DATABASE_{kind}_CONNECTIONS");
            let connections = check.value(&name, connections, "a whole number from 1 to 1000", |n: &u32| (1..=1000).contains(n));
            let (min, max) = (Duration::from_millis(10), Duration::from_mins(10));
            let timeout = check.duration(&format!("DATABASE_{kind}_TIMEOUT"), timeout, min, max);
            Some(ReadPoolSettings { connections: connections?, timeout: timeout? })
        };
        let lists = pool("LIST", &self.database_list_connections, &self.database_list_timeout);
        let reports = pool("REPORT", &self.database_report_connections, &self.database_report_timeout);
        let allowed = "a whole number from 0 to 1000000";
        let per_client = check.value("HTTP_READS_PER_CLIENT", &self.http_reads_per_client, allowed, |n: &u32| *n <= 1_000_000);
        let settings = ReadSettings { lists: lists?, reports: reports?, per_client: per_client.map(|n| (n > 0).then_some(n))? };
        if let Some(database) = database {
            let reads = settings.connections_of_primary(database);
            if database.max_connections <= reads {
                check.add_error(format!(
                    "DATABASE_MAX_CONNECTIONS={} leaves no connection for orders and sign-ins: set it to more than \
                     DATABASE_LIST_CONNECTIONS and DATABASE_REPORT_CONNECTIONS together ({reads})",
                    database.max_connections
                ));
                return None;
            }
        }
        Some(settings)
    }
}
