//! Mail about what happened, to the admins and, about their orders, to customers: events become
//! deliveries, one per recipient, and deliveries become mail. Only this folder builds mail.

mod audience;
mod deliveries;
mod distribute;
mod fields;
mod gate;
mod mail;
mod metrics;
mod notice;
mod sender;
mod templates;
mod transport;
mod underway;
mod upkeep;

pub use distribute::Distributor;
pub use sender::Senders;
pub use transport::Transport;
pub use upkeep::{measure, purge};
