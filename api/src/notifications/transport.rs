//! One conversation with the mail server, step by step, so that it is known who an answer is about:
//! the server, the recipient, or the mail.

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

/// How long the server may take to let us in, and for each answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// How long it may take to accept the text.
const ACCEPT_TIMEOUT: Duration = Duration::from_secs(30);
/// Goodbye is a courtesy.
const QUIT_TIMEOUT: Duration = Duration::from_secs(1);

/// How to reach the mail server.
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

/// The certificates of this machine cannot be used.
#[derive(Debug, Error)]
#[error("cannot prepare TLS to the mail server")]
pub struct TlsError(#[from] lettre::transport::smtp::Error);

/// Why a mail was not sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub verdict: Verdict,
    /// What the server said, or what went wrong; one line, for people.
    pub reply: String,
}

/// What to do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The server is away, busy or set up wrongly. No mail is at fault.
    Server,
    /// Not this mail to this recipient now.
    Later,
    /// This mail to this recipient never.
    Never,
}

/// How far the conversation was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Greeting, encryption, sign-in.
    Connect,
    /// The sender is named, the same for every mail.
    Sender,
    /// The recipient is named.
    Recipient,
    /// The text is handed over.
    Text,
}

impl Transport {
    /// Prepares the connection; the server isn't asked yet.
    ///
    /// # Errors
    /// If this machine's certificates cannot be read.
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

    /// Opens a session that is ready for mail.
    pub(super) async fn connect(&self) -> Result<Session, Failure> {
        match timeout(ANSWER_TIMEOUT, self.open()).await {
            Ok(Ok(connection)) => Ok(Session { connection, fresh: true, used_at: Instant::now() }),
            Ok(Err(error)) => Err(failure(Step::Connect, &error)),
            Err(_) => Err(silence()),
        }
    }

    async fn open(&self) -> Result<AsyncSmtpConnection, lettre::transport::smtp::Error> {
        let wrapped = if let Tls::Wrapped(parameters) = &self.tls { Some(parameters.clone()) } else { None };
        let address = (self.server.as_str(), self.port);
        let mut connection = AsyncSmtpConnection::connect_tokio1(address, Some(ANSWER_TIMEOUT), &self.name, wrapped, None).await?;
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
    /// How long nothing was sent.
    pub(super) fn idle(&self) -> Duration {
        self.used_at.elapsed()
    }

    /// Whether nothing was sent yet. The server may have given up one that is not fresh, which says
    /// nothing about the server.
    pub(super) fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// Starts a mail. On failure by [`Verdict::Server`] the session is of no more use.
    pub(super) async fn begin(&mut self, sender: &Address, recipient: &Address) -> Result<(), Failure> {
        self.used_at = Instant::now();
        let mut parameters = Vec::new();
        if !is_ascii(sender) || !is_ascii(recipient) {
            if !self.connection.server_info().supports_feature(Extension::SmtpUtfEight) {
                let verdict = if is_ascii(sender) { Verdict::Never } else { Verdict::Server };
                return Err(Failure { verdict, reply: "the server does not take addresses of other letters than ASCII".to_owned() });
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        self.command(Step::Sender, Mail::new(Some(sender.clone()), parameters)).await?;
        self.fresh = false;
        Ok(())
    }

    /// Hands over a mail that was begun: the server has it when this gives its answer. After a
    /// failure other than by [`Verdict::Server`] the next mail can begin.
    pub(super) async fn finish(&mut self, recipient: &Address, text: &str) -> Result<String, Failure> {
        let outcome = self.hand_over(recipient, text).await;
        if let Err(Failure { verdict: Verdict::Later | Verdict::Never, .. }) = outcome {
            self.command(Step::Sender, Rset).await?;
        }
        outcome
    }

    async fn hand_over(&mut self, recipient: &Address, text: &str) -> Result<String, Failure> {
        self.command(Step::Recipient, Rcpt::new(recipient.clone(), Vec::new())).await?;
        self.command(Step::Text, Data).await?;
        // In one write: the end of the text, sent on its own, would wait for the server's delayed acknowledgement.
        let accepted = timeout(ACCEPT_TIMEOUT, self.connection.command(Terminated(text))).await.map_err(|_| silence())?;
        Ok(one_line(&reply(&accepted.map_err(|error| failure(Step::Text, &error))?)))
    }

    async fn command(&mut self, step: Step, command: impl fmt::Display) -> Result<Response, Failure> {
        let answer = timeout(ANSWER_TIMEOUT, self.connection.command(command)).await.map_err(|_| silence())?;
        answer.map_err(|error| failure(step, &error))
    }

    /// Says goodbye.
    pub(super) async fn quit(mut self) {
        let _ = timeout(QUIT_TIMEOUT, self.connection.abort()).await;
    }
}

/// A mail as it goes over the line: with a second dot where a line starts with one, and an end
/// (RFC 5321, section 4.5.2).
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

fn reply(response: &Response) -> String {
    let lines: Vec<_> = response.message().collect();
    format!("{} {}", response.code(), lines.join(" "))
}

fn failure(step: Step, error: &lettre::transport::smtp::Error) -> Failure {
    Failure { verdict: verdict(step, error.status().map(u16::from)), reply: one_line(&error.to_string()) }
}

fn silence() -> Failure {
    Failure { verdict: Verdict::Server, reply: format!("no answer within {} s", ANSWER_TIMEOUT.as_secs()) }
}

/// Who a negative answer is about; RFC 5321, section 4.2, and RFC 4954, section 6, for the codes.
fn verdict(step: Step, code: Option<u16>) -> Verdict {
    match (step, code) {
        // Nobody answered in SMTP, or nothing was said about a mail yet; closing down; temporary
        // authentication failure; everything about authentication; and all mail has the same sender.
        (_, None | Some(421 | 454 | 530..=539)) | (Step::Connect, _) | (Step::Sender, Some(400..=499)) => Verdict::Server,
        (_, Some(400..=499)) => Verdict::Later,
        (_, Some(500..=599)) => Verdict::Never,
        (_, Some(_)) => Verdict::Server,
    }
}

/// Replies are kept and logged.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(500).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_away_closing_or_unhappy_with_us_costs_no_mail_a_try() {
        for code in [None, Some(220), Some(421), Some(450), Some(535), Some(554)] {
            assert_eq!(verdict(Step::Connect, code), Verdict::Server, "{code:?}");
        }
        for step in [Step::Sender, Step::Recipient, Step::Text] {
            for code in [None, Some(421), Some(454), Some(530), Some(534), Some(535), Some(538), Some(250)] {
                assert_eq!(verdict(step, code), Verdict::Server, "{step:?} {code:?}");
            }
        }
        assert_eq!(verdict(Step::Sender, Some(451)), Verdict::Server);
    }

    #[test]
    fn a_line_that_starts_with_a_dot_does_not_end_the_mail() {
        let text = Terminated("Subject: s\r\n\r\n.\r\n..a\r\nb.c\r\n.").to_string();
        assert_eq!(text, "Subject: s\r\n\r\n..\r\n...a\r\nb.c\r\n..\r\n.\r\n");
    }

    #[test]
    fn a_temporary_answer_about_one_mail_postpones_that_mail() {
        for step in [Step::Recipient, Step::Text] {
            for code in [450, 451, 452, 499] {
                assert_eq!(verdict(step, Some(code)), Verdict::Later, "{step:?} {code}");
            }
        }
    }

    #[test]
    fn a_permanent_answer_about_one_mail_ends_it() {
        for step in [Step::Sender, Step::Recipient, Step::Text] {
            for code in [500, 550, 552, 553, 554, 599] {
                assert_eq!(verdict(step, Some(code)), Verdict::Never, "{step:?} {code}");
            }
        }
    }
}
