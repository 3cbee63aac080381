//! Keeps the cache true while other processes write.

use uuid::Uuid;

use super::{cache::Cache, change::AVAILABILITY};
use crate::events::feed::Listener;

impl Listener for Cache {
    fn changed(&self, kind: &str, aggregate_id: Uuid, version: i64) {
        // Availability moves within a version.
        if kind == AVAILABILITY { self.forget(aggregate_id, version) } else { self.outdate(aggregate_id, version) }
    }

    fn answered(&self) {
        self.feed_answered();
    }

    fn gap(&self) {
        self.clear();
    }
}
