//! The outgoing mail server.

use std::path::PathBuf;

use catalog_process::config::{Checker, Secret};
use clap::{Args, ValueEnum};
use lettre::message::Mailbox;

/// SMTP.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Mail (MAIL_USERNAME, MAIL_PASSWORD: environment only)")]
pub struct MailArgs {
    /// Host name of the SMTP server
    #[arg(long, env = "MAIL_SERVER", value_name = "HOST")]
    mail_server: Option<String>,
    /// Port of the SMTP server
    #[arg(long, env = "MAIL_PORT", default_value = "587", value_name = "PORT")]
    mail_port: String,
    /// File with the SMTP user name
    #[arg(long, env = "MAIL_USERNAME_FILE", value_name = "FILE")]
    mail_username_file: Option<PathBuf>,
    /// File with the SMTP password
    #[arg(long, env = "MAIL_PASSWORD_FILE", value_name = "FILE")]
    mail_password_file: Option<PathBuf>,
    /// Sender of all mail, such as "Catalog <catalog@example.com>"
    #[arg(long, env = "MAIL_FROM", value_name = "ADDRESS")]
    mail_from: Option<String>,
    /// Encryption: none, starttls or tls
    #[arg(long, env = "MAIL_TLS", default_value = "starttls", value_name = "MODE")]
    mail_tls: String,
}

/// How the connection to the mail server is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MailTls {
    /// Not at all.
    None,
    /// Upgraded by STARTTLS, which is required.
    Starttls,
    /// From the first byte.
    Tls,
}

/// Checked mail settings.
#[derive(Debug, Clone)]
pub struct MailSettings {
    /// Host name.
    pub server: String,
    /// Port.
    pub port: u16,
    /// User name and password.
    pub credentials: Option<(Secret, Secret)>,
    /// Sender.
    pub from: Mailbox,
    /// Encryption.
    pub tls: MailTls,
}

impl MailArgs {
    /// Checks the settings.
    pub fn check(&self, check: &mut Checker) -> Option<MailSettings> {
        let server = self.mail_server.clone().filter(|host| !host.is_empty());
        if server.is_none() {
            check.reject("MAIL_SERVER", "", "the host name of an SMTP server");
        }
        let port = check.value("MAIL_PORT", &self.mail_port, "a port from 1 to 65535", |p: &u16| *p > 0);
        let username = check.secret("MAIL_USERNAME", self.mail_username_file.as_ref());
        let password = check.secret("MAIL_PASSWORD", self.mail_password_file.as_ref());
        let credentials = match (username, password) {
            (Some(username), Some(password)) => Some((username, password)),
            (None, None) => None,
            _ => {
                check.add_error("MAIL_USERNAME and MAIL_PASSWORD belong together: set both or none");
                None
            }
        };
        let from = self.mail_from.as_deref().unwrap_or_default();
        let from = check.value("MAIL_FROM", from, "an address such as \"Catalog <catalog@example.com>\"", |_: &Mailbox| true);
        let tls = MailTls::from_str(self.mail_tls.trim(), true).ok();
        if tls.is_none() {
            check.reject("MAIL_TLS", &self.mail_tls, "none, starttls or tls");
        }
        Some(MailSettings { server: server?, port: port?, credentials, from: from?, tls: tls? })
    }
}
