//! Client of the inbox (`catalogctl inbox`), a real SMTP server.

use chrono::{DateTime, FixedOffset};
use serde::Deserialize;
use serde_json::json;

use crate::wait::{check, eventually};

/// A received mail.
#[derive(Debug, Clone, Deserialize)]
pub struct Mail {
    /// Number of the mail. It increases with every mail.
    pub n: u64,
    /// Envelope sender.
    pub from: String,
    /// Envelope recipients.
    pub to: Vec<String>,
    /// Subject, decoded.
    pub subject: String,
    /// `Message-ID`.
    pub message_id: String,
    /// Time of arrival.
    pub date: Option<DateTime<FixedOffset>>,
    /// The text part, decoded.
    pub text: String,
}

impl Mail {
    /// Whether the subject or the text of the mail contains `text`.
    pub fn mentions(&self, text: &str) -> bool {
        self.subject.contains(text) || self.text.contains(text)
    }

    /// Whether the mail was sent to this address.
    pub fn is_for(&self, address: &str) -> bool {
        self.to.iter().any(|to| to == address)
    }
}

/// Fault injection of the SMTP server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpMode {
    /// Accepts every mail.
    Normal,
    /// Responds with 421 instead of a greeting.
    Busy,
    /// Responds with 451 to every recipient.
    Defer,
    /// Responds with 550 to every recipient.
    Reject,
    /// Stores the mail and closes the connection without a reply.
    Drop,
}

/// The inbox of one shop.
#[derive(Clone)]
pub struct Inbox {
    http: reqwest::Client,
    base: String,
}

impl Inbox {
    /// Creates a client. `base` is the URL of the inbox's API.
    pub fn new(base: String) -> Self {
        Self { http: reqwest::Client::new(), base }
    }

    /// Returns all mails in order of arrival.
    ///
    /// # Panics
    /// If the request fails.
    pub async fn mails(&self) -> Vec<Mail> {
        let response = self.http.get(format!("{}/api/messages", self.base)).send().await.expect("the inbox responds");
        let mut mails: Vec<Mail> = response.json().await.expect("a list of messages");
        mails.sort_by_key(|mail| mail.n);
        mails
    }

    /// Returns the mails to one address.
    pub async fn mails_for(&self, address: &str) -> Vec<Mail> {
        self.mails().await.into_iter().filter(|mail| mail.is_for(address)).collect()
    }

    /// Waits until at least `count` mails have arrived, and returns all mails.
    pub async fn at_least(&self, count: usize) -> Vec<Mail> {
        eventually(&format!("{count} mails arrive"), async || {
            let mails = self.mails().await;
            if mails.len() >= count { Ok(mails) } else { Err(mails) }
        })
        .await
    }

    /// Waits for a mail to `address` that mentions `text`.
    pub async fn mail_about(&self, address: &str, text: &str) -> Mail {
        eventually(&format!("{address} gets a mail about {text}"), async || {
            let mails = self.mails().await;
            mails.iter().find(|mail| mail.is_for(address) && mail.mentions(text)).cloned().ok_or(mails)
        })
        .await
    }

    /// Deletes all mails.
    ///
    /// # Panics
    /// If the request fails.
    pub async fn clear(&self) {
        let response = self.http.delete(format!("{}/api/messages", self.base)).send().await.expect("the inbox responds");
        assert!(response.status().is_success());
        eventually("the inbox is empty", async || {
            let left = self.mails().await;
            check(left.is_empty(), || left)
        })
        .await;
    }

    /// Sets the mode of the SMTP server.
    ///
    /// # Panics
    /// If the request fails.
    pub async fn set_mode(&self, mode: SmtpMode) {
        let mode = match mode {
            SmtpMode::Normal => "normal",
            SmtpMode::Busy => "busy",
            SmtpMode::Defer => "defer",
            SmtpMode::Reject => "refuse",
            SmtpMode::Drop => "drop",
        };
        let response = self.http.post(format!("{}/api/chaos", self.base)).json(&json!({"mode": mode})).send().await;
        let response = response.expect("the inbox responds");
        assert!(response.status().is_success(), "{}", response.status());
    }
}
