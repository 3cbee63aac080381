//! Mail about events, to admins and, about their orders, to customers. The notifier writes one delivery per event and
//! recipient, and sends deliveries as mail. Only this folder builds mail.

mod audience;
mod circuit_breaker;
mod deliveries;
mod distribute;
mod fields;
mod housekeeping;
mod in_flight;
mod mail;
mod metrics;
mod notification;
mod sender;
mod templates;
mod transport;

pub use distribute::Distributor;
pub use housekeeping::{measure_backlog, purge_messages};
pub use sender::Senders;
pub use transport::Transport;
