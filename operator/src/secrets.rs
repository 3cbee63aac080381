//! Generated Secrets: which are missing or due, and how they are made.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use rand::Rng;

use crate::{observed::Observed, validate::Plan};

/// How one generated Secret is made.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// Name of the Secret.
    pub name: String,
}

impl Recipe {
    /// The Secret, to be POSTed.
    #[must_use]
    pub fn make(&self, _now: Timestamp, _rng: &mut impl Rng) -> Secret {
        Secret::default()
    }
}

/// Recipes of the generated Secrets that don't exist.
#[must_use]
pub fn missing(_plan: &Plan, _observed: &Observed) -> Vec<Recipe> {
    Vec::new()
}

/// The data of the Secret with the signing keys as it shall become, if it shall change: a successor
/// was due, or an old key is no longer needed.
#[must_use]
pub fn rotated(
    _plan: &Plan,
    _data: &BTreeMap<String, ByteString>,
    _now: Timestamp,
    _rng: &mut impl Rng,
) -> Option<BTreeMap<String, ByteString>> {
    None
}
