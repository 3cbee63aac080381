//! The declared configuration of all streams and durable consumers.

use std::{collections::HashMap, time::Duration};

use async_nats::jetstream::{
    consumer::{AckPolicy, pull},
    stream::{self, DiscardPolicy, RetentionPolicy, StorageType},
};

use super::{
    CHANGES_RETENTION, Durable, FULFILLER, NOTIFIER, TRACKER, VIEWS_RETENTION, changes_stream, dead_stream, new_orders, order_changes,
    product_changes, views_stream, views_subject,
};

const DEAD_LETTER_RETENTION: Duration = Duration::from_hours(30 * 24);
const MIB: i64 = 1024 * 1024;

/// Revision of the definitions below. Increase it with every change of them. Streams and consumers with a higher revision, which a newer
/// release has created, are not changed.
const REVISION: u64 = 2;
const REVISION_KEY: &str = "catalog-revision";

/// Returns the configuration of all streams.
pub(super) fn streams(prefix: &str) -> [stream::Config; 3] {
    let config = |name: String, subject: String| stream::Config {
        name,
        subjects: vec![subject],
        storage: StorageType::File,
        num_replicas: 1,
        metadata: revision_metadata(),
        ..stream::Config::default()
    };
    [
        stream::Config {
            description: Some("Changes of the catalogue".into()),
            retention: RetentionPolicy::Limits,
            max_age: CHANGES_RETENTION,
            max_bytes: 512 * MIB,
            // A full stream rejects new events. They stay in the outbox.
            discard: DiscardPolicy::New,
            ..config(changes_stream(prefix), format!("{prefix}.changes.>"))
        },
        stream::Config {
            description: Some("Views that wait to be counted".into()),
            retention: RetentionPolicy::WorkQueue,
            max_age: VIEWS_RETENTION,
            max_bytes: 512 * MIB,
            discard: DiscardPolicy::New,
            ..config(views_stream(prefix), views_subject(prefix))
        },
        stream::Config {
            description: Some("Messages that could not be understood".into()),
            retention: RetentionPolicy::Limits,
            max_age: DEAD_LETTER_RETENTION,
            max_bytes: 64 * MIB,
            discard: DiscardPolicy::Old,
            ..config(dead_stream(prefix), format!("{prefix}.dead.>"))
        },
    ]
}

/// Returns the configuration of all durable consumers.
pub(super) fn consumers(prefix: &str) -> [(Durable, pull::Config); 3] {
    let config = |durable: Durable| pull::Config {
        durable_name: Some(durable.name.into()),
        ack_policy: AckPolicy::Explicit,
        ack_wait: durable.ack_wait(),
        max_deliver: -1,
        max_ack_pending: 10_000,
        metadata: revision_metadata(),
        ..pull::Config::default()
    };
    let notifier_subjects = vec![product_changes(prefix), order_changes(prefix)];
    [
        (NOTIFIER, pull::Config { filter_subjects: notifier_subjects, ..config(NOTIFIER) }),
        (FULFILLER, pull::Config { filter_subject: new_orders(prefix), ..config(FULFILLER) }),
        (TRACKER, pull::Config { filter_subject: views_subject(prefix), ..config(TRACKER) }),
    ]
}

fn revision_metadata() -> HashMap<String, String> {
    HashMap::from([(REVISION_KEY.into(), REVISION.to_string())])
}

/// Returns whether the stream or consumer with this metadata has this revision or a newer one.
pub(super) fn is_current(metadata: &HashMap<String, String>) -> bool {
    metadata.get(REVISION_KEY).and_then(|revision| revision.parse().ok()).unwrap_or(0) >= REVISION
}
