//! The database of a plan, and which installation it must be.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{SecretKey, Volume};
use crate::crd::{Resources, SslMode};

/// Where the data lives.
#[derive(Debug, Clone, PartialEq)]
pub enum DatabasePlan {
    /// One PostgreSQL pod.
    Embedded(EmbeddedDatabasePlan),
    /// A PostgreSQL that somebody else runs.
    External(ExternalDatabasePlan),
}

/// One PostgreSQL pod.
#[derive(Debug, Clone, PartialEq)]
pub struct EmbeddedDatabasePlan {
    /// Its data.
    pub volume: Volume,
    /// Its image.
    pub image: String,
    /// CPU and memory.
    pub resources: Resources,
    /// The login role of pods.
    pub login: String,
    /// Its generated password.
    pub password: SecretKey,
    /// A password that is older than this is replaced.
    pub rotate: Option<Timestamp>,
    /// `max_connections` of the server that runs, if one does.
    pub running_connections: Option<i32>,
}

/// A PostgreSQL that somebody else runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalDatabasePlan {
    /// How to reach it.
    pub address: PostgresAddress,
    /// Encryption, if not as the URI says.
    pub ssl_mode: Option<SslMode>,
    /// CA certificates to trust.
    pub ca: Option<SecretKey>,
    /// Whether the URI in the Secret names a host of one label, which only pods of the shop's namespace can resolve.
    pub uri_host_is_short: bool,
}

impl DatabasePlan {
    /// Why KEDA cannot count rows in it, as the end of a sentence that begins with "KEDA cannot count rows in a database".
    ///
    /// KEDA has no file for a CA of its own, takes no `sslmode` beside a URI, and resolves host names from its own namespace.
    #[must_use]
    pub fn keda_obstacle(&self) -> Option<&'static str> {
        let Self::External(ExternalDatabasePlan { address, ssl_mode, ca, uri_host_is_short }) = self else { return None };
        let mode_is_lost = matches!(address, PostgresAddress::Uri(_)) && ssl_mode.is_some_and(|mode| mode != SslMode::Prefer);
        if ca.is_some() {
            Some("with a CA")
        } else if mode_is_lost {
            Some("with an sslMode beside its URI")
        } else if *uri_host_is_short {
            Some("whose URI names a host without a namespace (use HOST.NAMESPACE.svc)")
        } else {
            None
        }
    }
}

/// How to reach a PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PostgresAddress {
    /// All is in a URI.
    Uri(SecretKey),
    /// User name and password are in a Secret, the rest is known.
    Parts {
        /// Host name or address.
        host: String,
        /// Port.
        port: i32,
        /// Name of the database.
        database: String,
        /// User name.
        username: SecretKey,
        /// Password.
        password: SecretKey,
    },
}

/// Which installation the database must be, as far as is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstallationPlan {
    /// The installation id that the database must have. Absent: the Catalog takes any.
    pub expected: Option<String>,
    /// Uid of the embedded database's claim: another volume needs a migration of its own.
    pub claim_uid: Option<String>,
    /// Uid of a claim that doesn't exist any more and must not be created again.
    pub lost_claim: Option<String>,
    /// Value of the annotation [`crate::validate::ABANDON`].
    pub abandoned: Option<String>,
    /// Whether that value is the installation or the claim in the status.
    pub is_abandoned: bool,
    /// The installation that each existing migration Job expects, by its name: Jobs cannot be changed.
    pub migrations: BTreeMap<String, Option<String>>,
}
