//! What was read from the cluster: pure data, made by dereference and by tests.

use std::{collections::BTreeMap, fmt};

use k8s_openapi::{ByteString, api::core::v1::Secret};
use secrecy::{ExposeSecret, SecretSlice};
use sha2::{Digest, Sha256};

use crate::crd::Quantity;

/// What was read from the cluster about one Catalog.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observed {
    /// KEDA's API is installed.
    pub keda: bool,
    /// Secrets the spec refers to, by name. What isn't here doesn't exist.
    pub referenced: BTreeMap<String, SecretFacts>,
    /// Secrets the operator generated, by name. What isn't here doesn't exist.
    pub generated: BTreeMap<String, SecretFacts>,
    /// Claims of data volumes, by name. What isn't here doesn't exist.
    pub claims: BTreeMap<String, ClaimFacts>,
    /// The installation that each migration Job expects, by its name.
    pub migrations: BTreeMap<String, Option<String>>,
    /// `max_connections` of the embedded PostgreSQL, as the operator declared it last.
    pub max_connections: Option<i32>,
}

/// What was read of a Secret. Values are there to be checked; printing shows none.
#[derive(Clone, Default)]
pub struct SecretFacts {
    uid: Option<String>,
    values: BTreeMap<String, SecretSlice<u8>>,
}

impl SecretFacts {
    /// The facts of a Secret that was read.
    #[must_use]
    pub fn of(secret: &Secret) -> Self {
        let values = secret.data.iter().flatten().map(|(key, ByteString(value))| (key.clone(), value.clone().into()));
        Self { uid: secret.metadata.uid.clone(), values: values.collect() }
    }

    /// Its uid, if it was read from a cluster.
    #[must_use]
    pub fn uid(&self) -> Option<&str> {
        self.uid.as_deref()
    }

    /// Its keys.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// The value of a key, if it is there and text.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        std::str::from_utf8(self.values.get(key)?.expose_secret()).ok()
    }

    /// Whether the key is there.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    /// SHA-256 of each value, by key.
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

/// What was read of a claim.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClaimFacts {
    /// Its uid, if it was read from a cluster.
    pub uid: Option<String>,
    /// `spec.resources.requests.storage`.
    pub storage: Quantity,
    /// `status.capacity.storage`, once it is bound.
    pub capacity: Option<Quantity>,
    /// A volume is bound to it, or was.
    pub is_bound: bool,
    /// Why it didn't grow, in the words of its conditions.
    pub resize_error: Option<String>,
    /// `spec.storageClassName`.
    pub storage_class_name: Option<String>,
    /// The operator has declared that class: it cannot be left out any more, as the field cannot be changed.
    pub class_is_declared: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printing_shows_keys_and_no_values() {
        let printed = format!("{:?}", SecretFacts::from([("password", "hunter2")]));
        assert!(printed.contains("password") && !printed.contains("hunter2"), "{printed}");
    }

    #[test]
    fn facts_differ_when_a_value_does() {
        assert_eq!(SecretFacts::from([("a", "1")]), SecretFacts::from([("a", "1")]));
        assert_ne!(SecretFacts::from([("a", "1")]), SecretFacts::from([("a", "2")]));
    }
}
