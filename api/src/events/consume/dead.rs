//! Publishes dead letters: messages that cannot be handled, with the reason.

use async_nats::{
    HeaderMap, HeaderName, HeaderValue,
    jetstream::{
        Message,
        context::{PublishError, PublishErrorKind},
        message::PublishMessage,
    },
};

use crate::events::{
    Nats,
    streams::{self, Durable},
};

/// Maximum length of a header value that is set here, in characters.
const MAX_HEADER_VALUE: usize = 300;

/// Copies a message to the stream of dead letters and waits for the acknowledgement.
///
/// # Errors
/// If it is not acknowledged.
pub(super) async fn publish(nats: &Nats, durable: Durable, message: &Message, reason: &str) -> Result<(), PublishError> {
    match send(nats, durable, message, reason, false).await {
        // The original headers, the additional ones and the payload together exceed `max_payload`.
        Err(error) if error.kind() == PublishErrorKind::MaxPayloadExceeded => send(nats, durable, message, reason, true).await,
        other => other,
    }
}

/// Publishes the copy. With `truncate`, it has none of the original headers and half of the payload.
async fn send(nats: &Nats, durable: Durable, message: &Message, reason: &str, truncate: bool) -> Result<(), PublishError> {
    let mut headers = HeaderMap::new();
    set(&mut headers, "Catalog-Reason", reason);
    set(&mut headers, "Catalog-Subject", message.subject.as_str());
    if let Ok(info) = message.info() {
        set(&mut headers, "Catalog-Stream-Sequence", &info.stream_sequence.to_string());
        set(&mut headers, "Nats-Msg-Id", &format!("{}-{}", info.stream, info.stream_sequence));
    }
    let original = message.headers.iter().flat_map(HeaderMap::iter).filter(|_| !truncate);
    for (name, values) in original {
        // The server would interpret `Nats-*` headers of the copy.
        if !name.to_string().starts_with("Nats-") {
            for value in values {
                headers.append(name.clone(), value.clone());
            }
        }
    }
    let payload = if truncate { message.payload.slice(..message.payload.len() / 2) } else { message.payload.clone() };
    let subject = streams::dead_subject(nats.prefix(), durable.name);
    nats.jetstream.send_publish(subject, PublishMessage::build().headers(headers).payload(payload)).await?.await?;
    Ok(())
}

/// Sets a header. Control characters become spaces, because a header value is one line.
fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    let line: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_HEADER_VALUE).collect();
    if let Ok(value) = line.parse::<HeaderValue>() {
        headers.insert(HeaderName::from_static(name), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_of_many_lines_becomes_one_line_of_bounded_length() {
        let mut headers = HeaderMap::new();
        set(&mut headers, "Catalog-Reason", &format!("a\r\nNats-Rollup: all{}", "x".repeat(1000)));
        let reason = headers.get("Catalog-Reason").unwrap().as_str();
        assert!(reason.starts_with("a  Nats-Rollup: all") && reason.len() == MAX_HEADER_VALUE, "{reason}");
    }
}
