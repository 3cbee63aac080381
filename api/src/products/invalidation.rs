//! Invalidates the cache when other processes change products.

use uuid::Uuid;

use super::{cache::Cache, change::AVAILABILITY};
use crate::events::Listener;

impl Listener for Cache {
    fn changed(&self, kind: &str, aggregate_id: Uuid, version: i64) {
        // Availability changes without a new version.
        if kind == AVAILABILITY { self.invalidate(aggregate_id, version) } else { self.invalidate_older(aggregate_id, version) }
    }

    fn up_to_date(&self) {
        self.mark_feed_up_to_date();
    }

    fn gap(&self) {
        self.clear();
    }
}
