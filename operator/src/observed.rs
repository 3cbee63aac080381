//! The observed state of one Catalog, as plain data.

use std::{collections::BTreeMap, fmt};

use k8s_openapi::{ByteString, api::core::v1::Secret};
use secrecy::{ExposeSecret, SecretSlice};
use sha2::{Digest, Sha256};

use crate::crd::{DatabaseStatus, Quantity};

/// The observed state of one Catalog.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observed {
    /// Whether KEDA is installed.
    pub keda: bool,
    /// Existing Secrets that the spec references, by name.
    pub referenced: BTreeMap<String, SecretFacts>,
    /// Existing Secrets that the operator generated, by name.
    pub generated: BTreeMap<String, SecretFacts>,
    /// Existing claims of data volumes, by name.
    pub claims: BTreeMap<String, ClaimFacts>,
    /// The installation that each migration Job expects, by the name of the Job.
    pub migrations: BTreeMap<String, Option<String>>,
    /// The `max_connections` that the operator last declared for the embedded PostgreSQL.
    pub max_connections: Option<i32>,
}

/// The observed state of a Secret. `Debug` prints keys, but no values.
#[derive(Clone, Default)]
pub struct SecretFacts {
    uid: Option<String>,
    values: BTreeMap<String, SecretSlice<u8>>,
}

impl SecretFacts {
    /// Takes the facts from a Secret.
    #[must_use]
    pub fn of(secret: &Secret) -> Self {
        let values = secret.data.iter().flatten().map(|(key, ByteString(value))| (key.clone(), value.clone().into()));
        Self { uid: secret.metadata.uid.clone(), values: values.collect() }
    }

    /// Returns the uid, if the Secret was read from a cluster.
    #[must_use]
    pub fn uid(&self) -> Option<&str> {
        self.uid.as_deref()
    }

    /// Returns the keys.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// Returns the value of a key, if it exists and is UTF-8 text.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        std::str::from_utf8(self.values.get(key)?.expose_secret()).ok()
    }

    /// Whether the key exists.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    /// Whether the key is missing or has only white space.
    #[must_use]
    pub fn is_blank(&self, key: &str) -> bool {
        self.values.get(key).is_none_or(|value| value.expose_secret().trim_ascii().is_empty())
    }

    /// Returns the SHA-256 of each value, by key.
    #[must_use]
    pub fn digests(&self) -> BTreeMap<String, [u8; 32]> {
        self.values.iter().map(|(key, value)| (key.clone(), Sha256::digest(value.expose_secret()).into())).collect()
    }
}

impl<const N: usize> From<[(&str, &str); N]> for SecretFacts {
    fn from(values: [(&str, &str); N]) -> Self {
        let values = values.map(|(key, value)| (key.to_owned(), value.as_bytes().to_vec().into()));
        Self { uid: None, values: values.into() }
    }
}

impl PartialEq for SecretFacts {
    fn eq(&self, other: &Self) -> bool {
        self.uid == other.uid && self.digests() == other.digests()
    }
}

impl fmt::Debug for SecretFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretFacts").field("uid", &self.uid).field("keys", &self.values.keys()).finish_non_exhaustive()
    }
}

/// The observed state of a `PersistentVolumeClaim`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClaimFacts {
    /// Uid, if the claim was read from a cluster.
    pub uid: Option<String>,
    /// `spec.resources.requests.storage`.
    pub storage: Quantity,
    /// `status.capacity.storage`, if the claim is bound.
    pub capacity: Option<Quantity>,
    /// Whether a volume is or was bound to the claim.
    pub is_bound: bool,
    /// Why the last expansion failed, from the conditions of the claim.
    pub resize_error: Option<String>,
    /// `spec.storageClassName`.
    pub storage_class_name: Option<String>,
    /// Whether the operator declared the storage class. It must then declare it in all later applies, because the field is immutable.
    pub class_is_declared: bool,
}

/// What one reconcile found out about the database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DatabaseFindings {
    /// The new status of the database, if a migration has finished since the last reconcile.
    pub status: Option<DatabaseStatus>,
    /// The problem with the database, if there is one.
    pub problem: Option<DatabaseProblem>,
}

/// A problem with the database, with its message to users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseProblem {
    /// The claim of the volume was deleted.
    VolumeLost(String),
    /// The database is not the expected installation.
    OtherInstallation(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_contains_keys_but_no_values() {
        let printed = format!("{:?}", SecretFacts::from([("password", "hunter2")]));
        assert!(printed.contains("password") && !printed.contains("hunter2"), "{printed}");
    }

    #[test]
    fn facts_with_different_values_are_not_equal() {
        assert_eq!(SecretFacts::from([("a", "1")]), SecretFacts::from([("a", "1")]));
        assert_ne!(SecretFacts::from([("a", "1")]), SecretFacts::from([("a", "2")]));
    }
}
