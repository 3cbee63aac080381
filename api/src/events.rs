//! Events: CloudEvents, written to the outbox with the change itself, relayed to JetStream,
//! consumed at least once. Only this folder names NATS subjects.

mod envelope;
pub mod outbox;

pub use envelope::{Actor, Envelope, Origin};
pub use outbox::{Draft, Outbox};
