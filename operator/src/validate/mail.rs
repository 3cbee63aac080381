//! Checks `spec.mail`.

use lettre::message::Mailbox;

use super::{
    check::{Check, some_text},
    plan::MailPlan,
};
use crate::crd::Mail;

/// Checks `spec.mail`. The sender is parsed as in `catalog`, whose notifier doesn't start with an invalid one.
pub fn check(mail: &Mail, check: &mut Check<'_>) -> Option<MailPlan> {
    let path = "spec.mail";
    if mail.server.is_empty() {
        check.invalid(&format!("{path}.server"), "name the SMTP server, such as smtp.example.com");
    }
    let from: Option<Mailbox> = mail.from.parse().ok();
    if from.is_none() {
        check.invalid(&format!("{path}.from"), "use an e-mail address such as catalog@example.com or Catalog <catalog@example.com>");
    }
    let credentials = mail.credentials_secret_ref.as_ref().map(|reference| {
        let path = format!("{path}.credentialsSecretRef");
        let mut key = |field: &str, key: &str| {
            check.require_key((&format!("{path}.name"), &format!("{path}.{field}")), &reference.name, key, some_text)
        };
        (key("usernameKey", &reference.username_key), key("passwordKey", &reference.password_key))
    });
    Some(MailPlan {
        server: mail.server.clone(),
        port: mail.port,
        tls: mail.tls,
        from: mail.from.clone(),
        address: from?.email.to_string(),
        credentials,
    })
}
