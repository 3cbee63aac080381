//! Settings of the database and of the currency.

use std::path::PathBuf;

use catalog_process::config::Checker;
use catalog_values::Currency;
use clap::Args;
use secrecy::ExposeSecret;
use sqlx::postgres::PgConnectOptions;

/// PostgreSQL. `DATABASE_URL` and `DATABASE_READ_URL` hold passwords, so they come from the
/// environment or from files, never from arguments.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Database (DATABASE_URL, DATABASE_READ_URL: environment only)")]
pub struct DatabaseArgs {
    /// File with the URL of the primary, postgres://user:password@host:port/name
    #[arg(long, env = "DATABASE_URL_FILE", value_name = "FILE")]
    database_url_file: Option<PathBuf>,
    /// File with the URL of a replica, for lists, reports and exports, which may lag [default: the primary]
    #[arg(long, env = "DATABASE_READ_URL_FILE", value_name = "FILE")]
    database_read_url_file: Option<PathBuf>,
    /// Connections per process, at most; catalog serve keeps some of them for lists and reports
    #[arg(long, env = "DATABASE_MAX_CONNECTIONS", default_value = "10", value_name = "N")]
    database_max_connections: String,
}

/// Checked database settings.
#[derive(Clone)]
pub struct DatabaseSettings {
    /// The primary.
    pub primary: PgConnectOptions,
    /// For reads that may lag.
    pub replica: Option<PgConnectOptions>,
    /// Connections per process, 1 to 1000.
    pub max_connections: u32,
}

impl DatabaseArgs {
    /// Checks the settings.
    pub fn check(&self, check: &mut Checker) -> Option<DatabaseSettings> {
        let mut url = |name: &str, file: &Option<PathBuf>, required: bool| {
            let secret = if required { check.required_secret(name, file.as_ref()) } else { check.secret(name, file.as_ref()) };
            secret.and_then(|url| {
                let options = postgres_options(url.expose_secret());
                if options.is_none() {
                    check.add_error(format!("{name} is not a PostgreSQL URL: give postgres://user:password@host:port/name"));
                }
                options
            })
        };
        let primary = url("DATABASE_URL", &self.database_url_file, true);
        let replica = url("DATABASE_READ_URL", &self.database_read_url_file, false);
        let max_connections =
            check.value("DATABASE_MAX_CONNECTIONS", &self.database_max_connections, "a whole number from 1 to 1000", |n: &u32| {
                (1..=1000).contains(n)
            });
        Some(DatabaseSettings { primary: primary?, replica, max_connections: max_connections? })
    }
}

/// The parser accepts any scheme, and would then connect to an unintended server.
fn postgres_options(url: &str) -> Option<PgConnectOptions> {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme)?;
    if scheme == "postgres" || scheme == "postgresql" { url.parse().ok() } else { None }
}

/// The catalogue itself.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Catalogue")]
pub struct CatalogueArgs {
    /// The one currency of all prices, ISO 4217; fixed once products exist
    #[arg(long, env = "CURRENCY", default_value = "EUR", value_name = "CODE")]
    currency: String,
}

impl CatalogueArgs {
    /// Checks the settings.
    pub fn check(&self, check: &mut Checker) -> Option<Currency> {
        check.value("CURRENCY", &self.currency, "an ISO 4217 code such as EUR, USD or JPY", |_| true)
    }
}
