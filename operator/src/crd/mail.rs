//! The outgoing mail server.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The outgoing mail server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Mail {
    /// Host name of the SMTP server.
    pub server: String,
    /// Port of the SMTP server.
    #[serde(default = "submission")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// Encryption of the connection.
    #[serde(default)]
    pub tls: MailTls,
    /// Sender of all mail, such as `Catalog <catalog@example.com>`.
    pub from: String,
    /// User name and password. Absent: the server asks for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<MailCredentials>,
}

/// RFC 6409.
fn submission() -> i32 {
    587
}

/// The Secret with user name and password of the mail server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MailCredentials {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key of the user name.
    #[serde(default = "username")]
    #[schemars(length(min = 1, max = 253))]
    pub username_key: String,
    /// Key of the password.
    #[serde(default = "password")]
    #[schemars(length(min = 1, max = 253))]
    pub password_key: String,
}

fn username() -> String {
    "username".into()
}

fn password() -> String {
    "password".into()
}

/// How the connection to the mail server is encrypted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MailTls {
    /// Not at all.
    None,
    /// Upgraded by STARTTLS, which is required.
    #[default]
    StartTls,
    /// From the first byte.
    Tls,
}
