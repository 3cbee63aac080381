//! A mail: its envelope, and what is parsed of its headers and text.

use std::fmt::Write;

use chrono::{DateTime, Utc};
use mail_parser::MessageParser;
use serde::Serialize;

/// A received mail.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Delivery {
    /// Sender of the envelope.
    pub from: String,
    /// Recipients of the envelope that were accepted.
    pub to: Vec<String>,
    /// The mail as sent, dots unstuffed.
    pub source: Vec<u8>,
}

/// A stored mail.
#[derive(Debug, Clone, Serialize)]
pub struct Message {
    /// Number from 1 in order of arrival. Numbers are not reused.
    pub n: u64,
    /// Sender of the envelope.
    pub from: String,
    /// Recipients of the envelope.
    pub to: Vec<String>,
    /// Decoded header.
    pub subject: Option<String>,
    /// Header, without its angle brackets.
    pub message_id: Option<String>,
    /// Header, as UTC.
    pub date: Option<DateTime<Utc>>,
    /// The text part, decoded.
    pub text: String,
    /// The whole mail.
    #[serde(skip)]
    pub source: Vec<u8>,
}

impl Message {
    /// Parses a mail. What cannot be parsed stays empty.
    pub fn parse(n: u64, delivery: Delivery) -> Self {
        let Delivery { from, to, source } = delivery;
        let parsed = MessageParser::default().parse(&source);
        let field = |read: fn(&mail_parser::Message<'_>) -> Option<String>| parsed.as_ref().and_then(read);
        let subject = field(|mail| mail.subject().map(str::to_owned));
        let message_id = field(|mail| mail.message_id().map(str::to_owned));
        let date = field(|mail| mail.date().map(mail_parser::DateTime::to_rfc3339));
        let date = date.and_then(|date| DateTime::parse_from_rfc3339(&date).ok()).map(|date| date.to_utc());
        let text = field(|mail| mail.body_text(0).map(|text| text.replace("\r\n", "\n"))).unwrap_or_default();
        Self { n, from, to, subject, message_id, date, text, source }
    }
}

const SENDER: &str = "Return-Path: <";
const RECIPIENT: &str = "Delivered-To: <";
/// Ends the envelope, because a mail may start with the same headers.
const END: &str = "X-Envelope: end\r\n";

/// Formats a mail as a file. The envelope is prepended in the headers that delivery agents use.
pub fn to_file(delivery: &Delivery) -> Vec<u8> {
    let mut envelope = format!("{SENDER}{}>\r\n", delivery.from);
    for recipient in &delivery.to {
        // Writing to a String cannot fail.
        let _ = write!(envelope, "{RECIPIENT}{recipient}>\r\n");
    }
    envelope.push_str(END);
    [envelope.as_bytes(), &delivery.source].concat()
}

/// Reads a file of [`to_file`]. Another file is a mail without an envelope.
pub fn from_file(file: &[u8]) -> Delivery {
    read_envelope(file).unwrap_or_else(|| Delivery { source: file.to_owned(), ..Delivery::default() })
}

fn read_envelope(file: &[u8]) -> Option<Delivery> {
    let end = file.windows(END.len()).position(|window| window == END.as_bytes())?;
    let mut lines = std::str::from_utf8(&file[..end]).ok()?.split_terminator("\r\n");
    let value = |line: &str, prefix| Some(line.strip_prefix(prefix)?.strip_suffix('>')?.to_owned());
    let from = value(lines.next()?, SENDER)?;
    let to = lines.map(|line| value(line, RECIPIENT)).collect::<Option<_>>()?;
    Some(Delivery { from, to, source: file[end + END.len()..].to_owned() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn delivery(source: &str) -> Delivery {
        Delivery { from: "shop@example.com".into(), to: vec!["a@example.com".into(), "b@example.com".into()], source: source.into() }
    }

    #[test]
    fn headers_and_text_are_decoded() {
        let source = "From: Shop <shop@example.com>\r\nSubject: =?utf-8?q?Fahrr=C3=A4der?=\r\nMessage-ID: <1.2@example.com>\r\n\
                      Date: Sat, 21 Nov 2026 11:00:00 +0100\r\nContent-Type: text/plain; charset=utf-8\r\n\
                      Content-Transfer-Encoding: quoted-printable\r\n\r\nPrice: 19.90 =E2=82=AC\r\nold: 5=\r\n0\r\n";
        let message = Message::parse(7, delivery(source));
        assert_eq!(message.subject.as_deref(), Some("Fahrräder"));
        assert_eq!(message.message_id.as_deref(), Some("1.2@example.com"));
        assert_eq!(message.date.unwrap().to_rfc3339(), "2026-11-21T10:00:00+00:00");
        assert_eq!(message.text, "Price: 19.90 €\nold: 50\n");
        assert_eq!(message.n, 7);
        assert_eq!(message.to, ["a@example.com", "b@example.com"]);
    }

    #[test]
    fn an_empty_mail_is_stored() {
        let message = Message::parse(1, delivery(""));
        assert_eq!((message.subject, message.message_id, message.date), (None, None, None));
    }

    #[test]
    fn a_file_of_another_program_is_a_mail_without_an_envelope() {
        let file = b"Delivered-To: <a@example.com>\r\nSubject: found\r\n\r\n";
        assert_eq!(from_file(file), Delivery { source: file.to_vec(), ..Delivery::default() });
    }

    proptest! {
        #[test]
        fn reading_a_written_file_returns_the_same_mail(from in "[a-z.+]{0,9}@[a-z.]{1,9}", to in prop::collection::vec("[a-z]{1,9}@[a-z.]{1,9}", 0..4),
                                             head in "(Delivered-To: <a@b>\r\n|Return-Path: <>\r\n|X-Envelope: end\r\n)?",
                                             body in prop::collection::vec(any::<u8>(), 0..99)) {
            let delivery = Delivery { from, to, source: [head.into_bytes(), body].concat() };
            prop_assert_eq!(from_file(&to_file(&delivery)), delivery);
        }
    }
}
