//! The outgoing mail server.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The outgoing mail server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "has(self.server)",
        "message": "name the SMTP server in mail.server, such as smtp.example.com"
    },
    {
        "rule": "has(self.from)",
        "message": "say in mail.from who sends the mail, such as Catalog <catalog@example.com>"
    },
    {
        "rule": "self.tls != 'None' || !has(self.credentialsSecretRef)",
        "message": "a password isn't sent in the clear: set mail.tls to StartTls or Tls, or leave out mail.credentialsSecretRef"
    }
]))]
pub struct Mail {
    /// Host name of the SMTP server.
    #[serde(default)]
    #[schemars(transform = super::definition::without_default, length(max = 253), extend("x-kubernetes-validations" = [{
        "rule": "isIP(self) || self.matches('^[A-Za-z0-9_]([-A-Za-z0-9_]*[A-Za-z0-9_])?([.][A-Za-z0-9_]([-A-Za-z0-9_]*[A-Za-z0-9_])?)*[.]?$')",
        "message": "give a host name such as smtp.example.com, without a scheme or a port: the port goes into mail.port"
    }]))]
    pub server: String,
    /// Port of the SMTP server.
    #[serde(default = "submission")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// Encryption of the connection.
    #[serde(default)]
    pub tls: MailTls,
    /// Sender of all mail, such as `Catalog <catalog@example.com>`.
    #[serde(default)]
    #[schemars(transform = super::definition::without_default, length(max = 320), extend("x-kubernetes-validations" = [{
        "rule": r"self.matches('^([^<>@\\r\\n]*<[^<>@\\s]+@[^<>@\\s]+>|[^<>@\\s]+@[^<>@\\s]+)$')",
        "message": "give an e-mail address such as catalog@example.com or Catalog <catalog@example.com>"
    }]))]
    pub from: String,
    /// User name and password. Absent: the server asks for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<MailCredentials>,
}

impl Default for Mail {
    fn default() -> Self {
        Self { server: String::new(), port: submission(), tls: MailTls::default(), from: String::new(), credentials_secret_ref: None }
    }
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

/// RFC 6409.
fn submission() -> i32 {
    587
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

impl MailTls {
    /// As `MAIL_TLS` spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::StartTls => "starttls",
            Self::Tls => "tls",
        }
    }
}
