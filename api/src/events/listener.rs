//! The listener of changes: those of this process from its units of work, and those of other processes from the feed.

use uuid::Uuid;

/// A receiver of changes, such as a cache.
pub trait Listener: Send + Sync + 'static {
    /// An aggregate changed, and now has this version. `kind` is the kind of the event, such as `product.updated`.
    fn changed(&self, kind: &str, aggregate_id: Uuid, version: i64);
    /// The listener has received every event that was published before the latest poll of the consumer.
    fn up_to_date(&self);
    /// Changes may have been missed: the feed has restarted, or this process has committed too many at once.
    fn gap(&self);
}
