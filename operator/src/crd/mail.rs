//! The `mail` field of the spec.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The SMTP server that the notifier sends mail through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "has(self.server)",
        "message": "mail.server is required: name the SMTP server, such as smtp.example.com"
    },
    {
        "rule": "has(self.from)",
        "message": "mail.from is required: set the sender, such as Catalog <catalog@example.com>"
    },
    {
        "rule": "self.tls != 'None' || !has(self.credentialsSecretRef)",
        "message": "a password must not be sent without encryption: set mail.tls to StartTls or Tls, or remove mail.credentialsSecretRef"
    }
]))]
pub struct Mail {
    /// Host name of the SMTP server.
    #[serde(default)]
    #[schemars(transform = super::definition::without_default, length(max = 253), extend("x-kubernetes-validations" = [{
        "rule": "isIP(self) || self.matches('^[A-Za-z0-9_]([-A-Za-z0-9_]*[A-Za-z0-9_])?([.][A-Za-z0-9_]([-A-Za-z0-9_]*[A-Za-z0-9_])?)*[.]?$')",
        "message": "use a host name such as smtp.example.com, without a scheme or a port, and set the port in mail.port"
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
        "message": "use an e-mail address such as catalog@example.com or Catalog <catalog@example.com>"
    }]))]
    pub from: String,
    /// User name and password. If unset, the notifier doesn't authenticate.
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

/// The submission port of RFC 6409.
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
    /// No encryption.
    None,
    /// Encryption after STARTTLS, which the server must support.
    #[default]
    StartTls,
    /// Encryption from the start of the connection.
    Tls,
}

impl MailTls {
    /// The value of `MAIL_TLS`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::StartTls => "starttls",
            Self::Tls => "tls",
        }
    }
}
