//! Sign-in.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SecretRef;

/// Sign-in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Auth {
    /// Life of an access token, from 1m to 24h.
    #[serde(rename = "accessTokenTTL")]
    pub access_token_ttl: String,
    /// Life of a refresh token, from 1m to 9600h (400 days).
    #[serde(rename = "refreshTokenTTL")]
    pub refresh_token_ttl: String,
    /// Age at which the signing key gets a successor.
    pub signing_key_rotation: String,
    /// Secret with `username`, `email` and `password` of the superuser. Absent: one is generated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub superuser_secret_ref: Option<SecretRef>,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            access_token_ttl: "15m".into(),
            refresh_token_ttl: "720h".into(),
            signing_key_rotation: "2160h".into(),
            superuser_secret_ref: None,
        }
    }
}
