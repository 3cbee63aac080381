//! Amounts of CPU, memory and storage.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An amount of CPU, memory or storage, such as `500m`, `2` or `5Gi`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Quantity(pub String);

impl From<&str> for Quantity {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}
