//! What was read from the cluster: pure data, made by dereference and by tests.

use std::collections::BTreeMap;

use k8s_openapi::{ByteString, api::core::v1::Secret};
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
}

/// What may be known of a Secret without holding its values: its keys, each with a hash of its value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SecretFacts {
    /// SHA-256 of each value, by key.
    pub keys: BTreeMap<String, [u8; 32]>,
}

impl SecretFacts {
    /// The facts of a Secret that was read.
    #[must_use]
    pub fn of(secret: &Secret) -> Self {
        Self { keys: secret.data.iter().flatten().map(|(key, ByteString(value))| (key.clone(), Sha256::digest(value).into())).collect() }
    }
}

/// What was read of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimFacts {
    /// `spec.resources.requests.storage`.
    pub storage: Quantity,
    /// `spec.storageClassName`.
    pub storage_class_name: Option<String>,
}
