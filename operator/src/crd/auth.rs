//! The `auth` field of the spec.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::SecretRef;

/// Lifetimes of tokens, rotation of signing keys, and the superuser.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Auth {
    /// Lifetime of an access token, from `1m` to `24h`.
    #[serde(rename = "accessTokenTTL")]
    #[schemars(schema_with = "token_lifetime::<24>")]
    pub access_token_ttl: String,
    /// Lifetime of a refresh token, from `1m` to `9600h`.
    #[serde(rename = "refreshTokenTTL")]
    #[schemars(schema_with = "token_lifetime::<9600>")]
    pub refresh_token_ttl: String,
    /// Age at which a new signing key replaces the current one, from `1h` to `87600h`.
    #[schemars(schema_with = "rotation_age")]
    pub signing_key_rotation: String,
    /// A Secret with `username`, `email` and `password` of the superuser. If unset, the operator generates one.
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

fn token_lifetime<const HOURS: u32>(_: &mut SchemaGenerator) -> Schema {
    duration("1m", &format!("{HOURS}h"))
}

fn rotation_age(_: &mut SchemaGenerator) -> Schema {
    duration("1h", "87600h")
}

/// A duration in the units that both CEL (which uses Go's `time.ParseDuration`) and `catalog` parse. Go has no unit for days.
fn duration(min: &str, max: &str) -> Schema {
    let pattern = "self.matches('^([0-9]{1,5}(h|m|s))+$')";
    json_schema!({
        "type": "string",
        "maxLength": 18,
        "x-kubernetes-validations": [
            { "rule": pattern, "message": "use a duration in hours, minutes and seconds, such as 15m or 1h30m" },
            {
                "rule": format!("!{pattern} || (duration(self) >= duration('{min}') && duration(self) <= duration('{max}'))"),
                "message": format!("use a duration from {min} to {max}")
            }
        ]
    })
}
