//! Events (CloudEvents). They are written to the outbox in the transaction of the change, published to JetStream by the relay, and
//! consumed at least once. NATS subjects are defined only in this folder.

pub mod consume;
mod envelope;
pub mod feed;
mod listener;
pub mod nats;
pub mod outbox;
pub mod relay;
pub mod streams;
mod unit_of_work;

use std::fmt;

pub use envelope::{Actor, Envelope, Origin, Unreadable};
pub use listener::Listener;
pub use nats::Nats;
pub use outbox::{Draft, EventData, Outbox};
pub use unit_of_work::UnitOfWork;

/// Maximum number of ids in one log line.
const MAX_LOGGED_IDS: usize = 100;

/// Formats ids for logs, separated by commas.
struct Ids<I>(I);

impl<I: Iterator<Item: fmt::Display> + Clone> fmt::Display for Ids<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, id) in self.0.clone().take(MAX_LOGGED_IDS).enumerate() {
            write!(f, "{}{id}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}
