//! Events: CloudEvents, written to the outbox with the change itself, relayed to JetStream,
//! consumed at least once. Only this folder names NATS subjects.

pub mod consume;
mod envelope;
pub mod feed;
pub mod nats;
pub mod outbox;
pub mod relay;
pub mod streams;

use std::{error::Error, fmt};

pub use envelope::{Actor, Envelope, Origin, Unreadable};
pub use nats::Nats;
pub use outbox::{Draft, Outbox};

/// Shows an error with its causes, for logs.
struct Chain<'a>(&'a dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::release::cause(self.0))
    }
}
