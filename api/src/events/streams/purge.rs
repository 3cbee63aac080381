//! Deletes events that every consumer has handled, before the stream of changes is full. A full stream rejects new events, which would
//! stay in the outbox until the oldest events of the stream expire.

use async_nats::jetstream::{
    consumer,
    context::ConsumerInfoError,
    stream::{PurgeError, State},
};
use thiserror::Error;

use super::{FULFILLER, NOTIFIER, changes_stream};
use crate::events::Nats;

/// The reason why handled events were not deleted.
#[derive(Debug, Error)]
pub(in crate::events) enum Error {
    #[error("cannot read the stream of changes")]
    Stream(#[from] async_nats::jetstream::context::GetStreamError),
    #[error("cannot read a consumer of changes")]
    Consumer(#[from] ConsumerInfoError),
    #[error("cannot purge the stream of changes")]
    Purge(#[from] PurgeError),
}

/// Deletes the oldest handled events if the stream of changes is more than half full. Returns their number.
///
/// # Errors
/// If NATS does not respond or rejects a request.
pub(in crate::events) async fn purge_handled(nats: &Nats) -> Result<u64, Error> {
    let stream = nats.jetstream.get_stream(changes_stream(nats.prefix())).await?;
    let info = stream.cached_info();
    if !is_half_full(info.state.bytes, info.config.max_bytes) {
        return Ok(0);
    }
    // The state of the consumers is read after that of the stream. Then an idle consumer has handled all events up to `last_sequence`.
    let mut handled = info.state.last_sequence;
    for durable in [NOTIFIER, FULFILLER] {
        handled = handled.min(handled_by(&stream.consumer_info(durable.name).await?, info.state.last_sequence));
    }
    match first_kept(&info.state, handled) {
        Some(sequence) => Ok(stream.purge().sequence(sequence).await?.purged),
        None => Ok(0),
    }
}

/// Returns whether a stream is more than half full. `max_bytes` of -1 means no limit.
fn is_half_full(bytes: u64, max_bytes: i64) -> bool {
    u64::try_from(max_bytes).is_ok_and(|max_bytes| max_bytes > 0 && bytes > max_bytes / 2)
}

/// Returns the last sequence number up to which a consumer has handled all its messages. The acknowledgement floor advances only with
/// messages that match the consumer's filter, so an idle consumer counts as having handled the whole stream.
fn handled_by(consumer: &consumer::Info, last_sequence: u64) -> u64 {
    let is_idle = consumer.num_pending == 0 && consumer.num_ack_pending == 0;
    if is_idle { last_sequence } else { consumer.ack_floor.stream_sequence }
}

/// Returns the sequence number up to which events can be deleted, exclusively. The newest quarter of the handled events is kept, because
/// API processes may not have received them yet.
fn first_kept(state: &State, handled: u64) -> Option<u64> {
    let count = (handled + 1).checked_sub(state.first_sequence)?;
    let purged = count - count / 4;
    (purged > 0).then_some(state.first_sequence + purged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(first_sequence: u64, last_sequence: u64) -> State {
        serde_json::from_value(serde_json::json!({
            "messages": last_sequence + 1 - first_sequence, "bytes": 0, "first_seq": first_sequence, "last_seq": last_sequence,
            "first_ts": "2026-01-01T00:00:00Z", "last_ts": "2026-01-01T00:00:00Z", "consumer_count": 2,
        }))
        .unwrap()
    }

    #[test]
    fn a_stream_without_a_limit_is_never_half_full() {
        assert!(!is_half_full(u64::MAX, -1));
        assert!(!is_half_full(50, 100));
        assert!(is_half_full(51, 100));
    }

    #[test]
    fn purging_keeps_a_quarter_of_the_handled_events_and_all_unhandled_ones() {
        assert_eq!(first_kept(&state(1, 500), 100), Some(76));
        assert_eq!(first_kept(&state(76, 500), 100), Some(95));
        assert_eq!(first_kept(&state(1, 500), 0), None);
        assert_eq!(first_kept(&state(101, 500), 40), None);
        assert_eq!(first_kept(&state(501, 500), 500), None);
    }
}
