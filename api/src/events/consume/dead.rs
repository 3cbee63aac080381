//! The stream of dead letters: messages that cannot be handled, with the reason.

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

/// Longest reason kept, in characters.
const MAX_REASON: usize = 300;

/// Copies a message to the stream of dead letters and waits for the acknowledgement.
///
/// # Errors
/// If it is not acknowledged.
pub(super) async fn publish(nats: &Nats, durable: Durable, message: &Message, reason: &str) -> Result<(), PublishError> {
    match send(nats, durable, message, reason, true).await {
        // With the additional headers it exceeds `max_payload`.
        Err(error) if error.kind() == PublishErrorKind::MaxPayloadExceeded => send(nats, durable, message, reason, false).await,
        other => other,
    }
}

async fn send(nats: &Nats, durable: Durable, message: &Message, reason: &str, whole: bool) -> Result<(), PublishError> {
    let mut headers = HeaderMap::new();
    set(&mut headers, "Catalog-Reason", reason);
    set(&mut headers, "Catalog-Subject", message.subject.as_str());
    if let Ok(info) = message.info() {
        set(&mut headers, "Catalog-Stream-Sequence", &info.stream_sequence.to_string());
        set(&mut headers, "Nats-Msg-Id", &format!("{}-{}", info.stream, info.stream_sequence));
    }
    let original = message.headers.iter().flat_map(HeaderMap::iter).filter(|_| whole);
    for (name, values) in original {
        // Headers of the server's own steer what it does with the copy.
        if !name.to_string().starts_with("Nats-") {
            for value in values {
                headers.append(name.clone(), value.clone());
            }
        }
    }
    let payload = if whole { message.payload.clone() } else { message.payload.slice(..message.payload.len() / 2) };
    let subject = streams::dead_subject(nats.prefix(), durable.name);
    nats.jetstream.send_publish(subject, PublishMessage::build().headers(headers).payload(payload)).await?.await?;
    Ok(())
}

/// Header values are one line.
fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    let line: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_REASON).collect();
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
        assert!(reason.starts_with("a  Nats-Rollup: all") && reason.len() == MAX_REASON, "{reason}");
    }
}
