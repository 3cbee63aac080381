//! SMTP sessions, command by command, so that an error can be attributed to the server or to one mail.

use std::{fmt, time::Duration};

use lettre::{
    Address,
    transport::smtp::{
        authentication::{Credentials, DEFAULT_MECHANISMS},
        client::{AsyncSmtpConnection, TlsParameters},
        commands::{Data, Mail, Rcpt, Rset},
        extension::{ClientId, Extension, MailParameter},
        response::Response,
    },
};
use secrecy::ExposeSecret;
use thiserror::Error;
use tokio::time::{Instant, timeout};

use crate::config::{MailSettings, MailTls};

/// Timeout of opening a session, and of each reply.
const REPLY_TIMEOUT: Duration = Duration::from_secs(20);
/// Timeout of the reply to the text of a mail.
const ACCEPT_TIMEOUT: Duration = Duration::from_secs(30);
const QUIT_TIMEOUT: Duration = Duration::from_secs(1);

/// Address, TLS and credentials of the mail server.
pub struct Transport {
    server: String,
    port: u16,
    tls: Tls,
    credentials: Option<Credentials>,
    name: ClientId,
}

enum Tls {
    None,
    Starttls(TlsParameters),
    Wrapped(TlsParameters),
}

/// The root certificates of this machine cannot be read.
#[derive(Debug, Error)]
#[error("cannot prepare TLS to the mail server")]
pub struct TlsError(#[from] lettre::transport::smtp::Error);

/// Why a mail was not sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub kind: FailureKind,
    /// The server's reply or the error, on one line.
    pub reply: String,
}

/// Decides what happens to the delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FailureKind {
    /// The server is unavailable, busy or misconfigured. The circuit breaker opens.
    Server,
    /// The server rejects this mail temporarily. The delivery is deferred.
    Transient,
    /// The server rejects this mail permanently.
    Permanent,
}

/// The command that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Greeting, TLS or authentication.
    Connect,
    /// `MAIL FROM`; the sender is the same for every mail.
    Sender,
    /// `RCPT TO`.
    Recipient,
    /// `DATA` or the text.
    Text,
}

impl Transport {
    /// Doesn't connect yet.
    ///
    /// # Errors
    /// If the root certificates of this machine cannot be read.
    pub fn new(settings: &MailSettings) -> Result<Self, TlsError> {
        let parameters = || TlsParameters::new(settings.server.clone());
        let tls = match settings.tls {
            MailTls::None => Tls::None,
            MailTls::Starttls => Tls::Starttls(parameters()?),
            MailTls::Tls => Tls::Wrapped(parameters()?),
        };
        let credentials = settings
            .credentials
            .as_ref()
            .map(|(username, password)| Credentials::new(username.expose_secret().to_owned(), password.expose_secret().to_owned()));
        Ok(Self { server: settings.server.clone(), port: settings.port, tls, credentials, name: ClientId::default() })
    }

    /// Opens a session.
    pub(super) async fn connect(&self) -> Result<Session, Failure> {
        match timeout(REPLY_TIMEOUT, self.open()).await {
            Ok(Ok(connection)) => Ok(Session { connection, fresh: true, used_at: Instant::now() }),
            Ok(Err(error)) => Err(failure(Step::Connect, &error)),
            Err(_) => Err(timed_out(REPLY_TIMEOUT)),
        }
    }

    async fn open(&self) -> Result<AsyncSmtpConnection, lettre::transport::smtp::Error> {
        let wrapped = if let Tls::Wrapped(parameters) = &self.tls { Some(parameters.clone()) } else { None };
        let address = (self.server.as_str(), self.port);
        let mut connection = AsyncSmtpConnection::connect_tokio1(address, Some(REPLY_TIMEOUT), &self.name, wrapped, None).await?;
        if let Tls::Starttls(parameters) = &self.tls {
            connection.starttls(parameters.clone(), &self.name).await?;
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(DEFAULT_MECHANISMS, credentials).await?;
        }
        Ok(connection)
    }
}

/// An open session with the mail server.
pub(super) struct Session {
    connection: AsyncSmtpConnection,
    fresh: bool,
    used_at: Instant,
}

impl Session {
    /// Time since the last mail was started, or since the session was opened.
    pub(super) fn idle(&self) -> Duration {
        self.used_at.elapsed()
    }

    /// Whether no mail was started yet. The server may have closed a session that is not fresh, which is not an error of the
    /// server.
    pub(super) fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// Starts a mail. After a failure of [`FailureKind::Server`] the session is unusable.
    pub(super) async fn start_mail(&mut self, sender: &Address, recipient: &Address) -> Result<(), Failure> {
        self.used_at = Instant::now();
        let mut parameters = Vec::new();
        if !is_ascii(sender) || !is_ascii(recipient) {
            if !self.connection.server_info().supports_feature(Extension::SmtpUtfEight) {
                let kind = if is_ascii(sender) { FailureKind::Permanent } else { FailureKind::Server };
                return Err(Failure { kind, reply: "the server lacks SMTPUTF8, which an address outside ASCII needs".to_owned() });
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        self.command(Step::Sender, Mail::new(Some(sender.clone()), parameters)).await?;
        self.fresh = false;
        Ok(())
    }

    /// Sends a mail that was started and returns the server's reply. After a failure other than [`FailureKind::Server`] the
    /// session can be used for the next mail.
    pub(super) async fn send_mail(&mut self, recipient: &Address, text: &str) -> Result<String, Failure> {
        let outcome = self.send_recipient_and_text(recipient, text).await;
        if let Err(Failure { kind: FailureKind::Transient | FailureKind::Permanent, .. }) = outcome {
            self.command(Step::Sender, Rset).await?;
        }
        outcome
    }

    async fn send_recipient_and_text(&mut self, recipient: &Address, text: &str) -> Result<String, Failure> {
        self.command(Step::Recipient, Rcpt::new(recipient.clone(), Vec::new())).await?;
        self.command(Step::Text, Data).await?;
        // Text and terminator in one write: a write of the terminator alone would wait for the server's delayed ACK.
        let accepted = timeout(ACCEPT_TIMEOUT, self.connection.command(Terminated(text))).await.map_err(|_| timed_out(ACCEPT_TIMEOUT))?;
        Ok(one_line(&format_reply(&accepted.map_err(|error| failure(Step::Text, &error))?)))
    }

    async fn command(&mut self, step: Step, command: impl fmt::Display) -> Result<Response, Failure> {
        let reply = timeout(REPLY_TIMEOUT, self.connection.command(command)).await.map_err(|_| timed_out(REPLY_TIMEOUT))?;
        reply.map_err(|error| failure(step, &error))
    }

    /// Closes the session with `QUIT`.
    pub(super) async fn quit(mut self) {
        let _ = timeout(QUIT_TIMEOUT, self.connection.abort()).await;
    }
}

/// A mail with dot-stuffing and terminator (RFC 5321, section 4.5.2).
struct Terminated<'a>(&'a str);

impl fmt::Display for Terminated<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.0.split_inclusive('\n') {
            f.write_str(if line.starts_with('.') { "." } else { "" })?;
            f.write_str(line)?;
        }
        f.write_str("\r\n.\r\n")
    }
}

fn is_ascii(address: &Address) -> bool {
    AsRef::<str>::as_ref(address).is_ascii()
}

fn format_reply(response: &Response) -> String {
    let lines: Vec<_> = response.message().collect();
    format!("{} {}", response.code(), lines.join(" "))
}

fn failure(step: Step, error: &lettre::transport::smtp::Error) -> Failure {
    Failure { kind: classify(step, error.status().map(u16::from)), reply: one_line(&error.to_string()) }
}

fn timed_out(limit: Duration) -> Failure {
    Failure { kind: FailureKind::Server, reply: format!("no reply within {} s", limit.as_secs()) }
}

/// Classifies a negative reply by its code (RFC 5321, section 4.2; RFC 4954, section 6).
fn classify(step: Step, code: Option<u16>) -> FailureKind {
    match (step, code) {
        // No SMTP reply, shutdown (421), temporary authentication failure (454), other authentication errors (530 to 539), errors
        // before the first mail, and a sender that is rejected temporarily: all mails have the same one.
        (_, None | Some(421 | 454 | 530..=539)) | (Step::Connect, _) | (Step::Sender, Some(400..=499)) => FailureKind::Server,
        (_, Some(400..=499)) => FailureKind::Transient,
        (_, Some(500..=599)) => FailureKind::Permanent,
        (_, Some(_)) => FailureKind::Server,
    }
}

/// Clips a reply for the log and the database.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(500).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unavailable_or_misconfigured_server_defers_no_mail() {
        for code in [None, Some(220), Some(421), Some(450), Some(535), Some(554)] {
            assert_eq!(classify(Step::Connect, code), FailureKind::Server, "{code:?}");
        }
        for step in [Step::Sender, Step::Recipient, Step::Text] {
            for code in [None, Some(421), Some(454), Some(530), Some(534), Some(535), Some(538), Some(250)] {
                assert_eq!(classify(step, code), FailureKind::Server, "{step:?} {code:?}");
            }
        }
        assert_eq!(classify(Step::Sender, Some(451)), FailureKind::Server);
    }

    #[test]
    fn an_error_names_the_timeout_that_ran_out() {
        let reply = |limit| timed_out(limit).reply;
        assert_eq!([reply(REPLY_TIMEOUT), reply(ACCEPT_TIMEOUT)], ["no reply within 20 s", "no reply within 30 s"]);
    }

    #[test]
    fn a_line_that_starts_with_a_dot_does_not_end_the_mail() {
        let text = Terminated("Subject: s\r\n\r\n.\r\n..a\r\nb.c\r\n.").to_string();
        assert_eq!(text, "Subject: s\r\n\r\n..\r\n...a\r\nb.c\r\n..\r\n.\r\n");
    }

    #[test]
    fn a_temporary_rejection_of_a_mail_is_transient() {
        for step in [Step::Recipient, Step::Text] {
            for code in [450, 451, 452, 499] {
                assert_eq!(classify(step, Some(code)), FailureKind::Transient, "{step:?} {code}");
            }
        }
    }

    #[test]
    fn a_permanent_rejection_of_a_mail_is_permanent() {
        for step in [Step::Sender, Step::Recipient, Step::Text] {
            for code in [500, 550, 552, 553, 554, 599] {
                assert_eq!(classify(step, Some(code)), FailureKind::Permanent, "{step:?} {code}");
            }
        }
    }
}
