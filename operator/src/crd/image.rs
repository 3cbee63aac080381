//! The image of every role.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SecretRef;

/// A container image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Image {
    /// Repository, without a tag.
    #[schemars(length(min = 1, max = 255))]
    pub repository: String,
    /// Tag. Absent: the operator's own release.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub tag: Option<String>,
    /// When nodes fetch it.
    pub pull_policy: PullPolicy,
    /// Secrets with the credentials of the registry.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub pull_secrets: Vec<SecretRef>,
}

impl Default for Image {
    fn default() -> Self {
        Self { repository: "catalog".into(), tag: None, pull_policy: PullPolicy::default(), pull_secrets: Vec::new() }
    }
}

/// When nodes fetch an image, as in Kubernetes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PullPolicy {
    /// Before every start.
    Always,
    /// If it isn't there.
    #[default]
    IfNotPresent,
    /// Never: it has to be there.
    Never,
}
