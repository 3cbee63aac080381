//! The database of a plan, and the installation that it must be.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{SecretKey, Volume};
use crate::crd::{Resources, SslMode};

/// The PostgreSQL database.
#[derive(Debug, Clone, PartialEq)]
pub enum DatabasePlan {
    /// One PostgreSQL pod.
    Embedded(EmbeddedDatabasePlan),
    /// An existing PostgreSQL.
    External(ExternalDatabasePlan),
}

/// One PostgreSQL pod.
#[derive(Debug, Clone, PartialEq)]
pub struct EmbeddedDatabasePlan {
    /// Data volume.
    pub volume: Volume,
    /// Container image.
    pub image: String,
    /// CPU and memory.
    pub resources: Resources,
    /// The login role that pods use.
    pub login: String,
    /// The generated password of the login role.
    pub password: SecretKey,
    /// A password that was generated before this instant is replaced.
    pub rotate: Option<Timestamp>,
    /// The `max_connections` that the operator last declared, if the server exists.
    pub running_connections: Option<i32>,
}

/// An existing PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalDatabasePlan {
    /// Address and credentials.
    pub address: PostgresAddress,
    /// Encryption of the connection. `None`: as in the URI.
    pub ssl_mode: Option<SslMode>,
    /// CA certificates to trust.
    pub ca: Option<SecretKey>,
    /// Whether the host in the URI has no dot, so that it can only be resolved in the namespace of the shop.
    pub uri_host_is_short: bool,
}

impl DatabasePlan {
    /// Returns why KEDA cannot query the database, if it cannot. The text completes "KEDA cannot count rows in a database …".
    ///
    /// The PostgreSQL scaler of KEDA cannot load a CA, accepts no `sslmode` beside a URI, and resolves host names in KEDA's namespace.
    #[must_use]
    pub fn keda_obstacle(&self) -> Option<&'static str> {
        let Self::External(ExternalDatabasePlan { address, ssl_mode, ca, uri_host_is_short }) = self else { return None };
        let ssl_mode_is_ignored = matches!(address, PostgresAddress::Uri(_)) && ssl_mode.is_some_and(|mode| mode != SslMode::Prefer);
        if ca.is_some() {
            Some("with a CA")
        } else if ssl_mode_is_ignored {
            Some("with an sslMode beside its URI")
        } else if *uri_host_is_short {
            Some("whose URI names a host without a namespace (use HOST.NAMESPACE.svc)")
        } else {
            None
        }
    }
}

/// Address and credentials of a PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PostgresAddress {
    /// A URI in a Secret contains everything.
    Uri(SecretKey),
    /// User name and password are in a Secret, the rest is in the spec.
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

/// The installation that the database must be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstallationPlan {
    /// The installation id that the database must have. `None` accepts any.
    pub expected: Option<String>,
    /// Uid of the embedded database's claim. A new volume needs a new migration.
    pub claim_uid: Option<String>,
    /// Uid of a claim that was deleted and must not be re-created.
    pub lost_claim: Option<String>,
    /// Value of the annotation [`crate::validate::ABANDON`].
    pub abandoned: Option<String>,
    /// Whether that value is the installation or the claim in the status.
    pub is_abandoned: bool,
    /// The installation that each existing migration Job expects, by the name of the Job. Jobs are immutable.
    pub migrations: BTreeMap<String, Option<String>>,
}
