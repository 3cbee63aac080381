//! The `image` field of the spec.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SecretRef;

/// The image of all roles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Image {
    /// Repository, without a tag, such as `registry.example.com/catalog`.
    #[schemars(length(max = 255), extend("x-kubernetes-validations" = [{
        "rule": "self.matches('^[a-z0-9]+([._:/-]+[a-zA-Z0-9]+)*$') && !self.matches(':[^/]*$')",
        "message": "use a repository without a tag, such as registry.example.com/catalog, and set the tag in image.tag"
    }]))]
    pub repository: String,
    /// Tag. Defaults to the release of the operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128), extend("x-kubernetes-validations" = [{
        "rule": "self.matches('^[A-Za-z0-9_][A-Za-z0-9._-]*$')",
        "message": "use only letters, digits, '_', '.' and '-' in a tag, such as 1.2.0"
    }]))]
    pub tag: Option<String>,
    /// When nodes pull the image, as `imagePullPolicy` of a container.
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

/// When nodes pull an image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PullPolicy {
    /// Before every start.
    Always,
    /// If the node doesn't have it.
    #[default]
    IfNotPresent,
    /// Never. The node must have it already.
    Never,
}
