//! Builds mails: addresses, headers, text.

use chrono::{DateTime, Utc};
use lettre::{
    Address, Message,
    message::{
        Mailbox,
        header::{HeaderName, HeaderValue},
    },
};
use thiserror::Error;
use uuid::Uuid;

use super::fields::line;

/// Longest name in `To`, in characters.
const MAX_NAME: usize = 100;

/// Why a mail can never be sent.
#[derive(Debug, Error)]
pub(super) enum MailError {
    #[error("the recipient's address is invalid: {0}")]
    Address(#[from] lettre::address::AddressError),
    #[error("the headers are invalid: {0}")]
    Message(#[from] lettre::error::Error),
    /// Cannot happen: mails are encoded as ASCII.
    #[error("the encoded mail is not UTF-8: {0}")]
    Text(#[from] std::string::FromUtf8Error),
}

/// The parts of a mail to one recipient.
#[derive(Debug, Clone)]
pub(super) struct Draft<'a> {
    pub from: &'a Mailbox,
    pub to: &'a str,
    pub to_name: &'a str,
    pub message_id: &'a str,
    pub date: DateTime<Utc>,
    /// One line.
    pub subject: &'a str,
    pub body: &'a str,
}

impl Draft<'_> {
    /// Returns the recipient's address and the encoded mail.
    pub(super) fn build(&self) -> Result<(Address, String), MailError> {
        let to: Address = self.to.parse()?;
        let name = Some(line(self.to_name, MAX_NAME)).filter(|name| !name.trim().is_empty());
        let message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(name, to.clone()))
            .date(self.date.into())
            .message_id(Some(self.message_id.to_owned()))
            .subject(self.subject)
            // RFC 3834: prevents automatic replies.
            .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned()))
            .header(lettre::message::header::ContentType::TEXT_PLAIN)
            .body(self.body.to_owned())?;
        Ok((to, String::from_utf8(message.formatted())?))
    }
}

/// Returns the `Message-ID`, which stays the same when a mail is sent again.
pub(super) fn message_id(event_id: Uuid, recipient_id: Uuid, host: &str) -> String {
    // RFC 5322 ids are ASCII. The ids before the host make it unique.
    let host = if host.is_ascii() { host } else { "catalog.invalid" };
    format!("<{event_id}.{recipient_id}@{host}>")
}

/// Masks an address for logs.
pub(super) fn masked(address: &str) -> String {
    let (local, domain) = address.rsplit_once('@').unwrap_or((address, ""));
    let first: String = local.chars().take(1).collect();
    format!("{first}***@{domain}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(to_name: &str, subject: &str, body: &str) -> String {
        let from = "Catalog <catalog@shop.example>".parse().unwrap();
        let message_id = message_id(Uuid::nil(), Uuid::max(), "shop.example");
        let date = "2026-11-21T10:00:00Z".parse().unwrap();
        let draft = Draft { from: &from, to: "ada@shop.example", to_name, message_id: &message_id, date, subject, body };
        draft.build().unwrap().1
    }

    #[test]
    fn a_mail_has_one_recipient_a_stable_id_and_says_that_a_machine_wrote_it() {
        let text = text("Ada Lovelace", "Product updated: Bar table", "price: 1 EUR -> 2 EUR\n");
        for line in [
            "From: Catalog <catalog@shop.example>",
            "To: \"Ada Lovelace\" <ada@shop.example>",
            "Date: Sat, 21 Nov 2026 10:00:00 +0000",
            "Message-ID: <00000000-0000-0000-0000-000000000000.ffffffff-ffff-ffff-ffff-ffffffffffff@shop.example>",
            "Subject: Product updated: Bar table",
            "Auto-Submitted: auto-generated",
            "Content-Transfer-Encoding: 7bit",
            "price: 1 EUR -> 2 EUR",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn neither_a_subject_nor_a_name_can_add_headers() {
        let text = text("Ada\r\nBcc: eve@evil.example", "a\r\nBcc: eve@evil.example\r\n\r\nbody", "b");
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(!head.lines().any(|line| line.starts_with("Bcc")), "{head}");
        assert_eq!(body, "b");
    }

    #[test]
    fn an_invalid_address_is_found_before_the_mail_server_is_contacted() {
        let from = "catalog@shop.example".parse().unwrap();
        for to in ["", "ada", "ada@", "ada@shop.example\r\nRCPT TO:<eve@evil.example>", "ada@shop.example>"] {
            let draft = Draft { from: &from, to, to_name: "", message_id: "<1@a>", date: DateTime::UNIX_EPOCH, subject: "s", body: "b" };
            assert!(draft.build().is_err(), "{to}");
        }
    }

    #[test]
    fn logs_show_only_the_first_letter_of_an_address() {
        assert_eq!(masked("ada@shop.example"), "a***@shop.example");
        assert_eq!(masked("nonsense"), "n***@");
    }
}
