//! The workers and their work: messages and rows.

/// A role that consumes from NATS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerRole {
    /// Turns events into mail.
    Notifier,
    /// Counts views.
    Tracker,
    /// Confirms and fulfils orders.
    Fulfiller,
}

/// Rows that a worker has to process without receiving a message for them, because they become due later or are retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitingRows {
    /// Name of the rows in messages to users.
    pub what: &'static str,
    /// Query that counts the rows, in the tables of `catalog` (api/migrations).
    pub count: &'static str,
}

impl WorkerRole {
    /// Returns the name of the role, which is also that of the field in the spec, of the subcommand and of the durable consumer.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Notifier => "notifier",
            Self::Tracker => "tracker",
            Self::Fulfiller => "fulfiller",
        }
    }

    /// Returns the name of the stream that the role consumes, without the prefix.
    #[must_use]
    pub fn stream(self) -> &'static str {
        match self {
            Self::Notifier | Self::Fulfiller => "changes",
            Self::Tracker => "views",
        }
    }

    /// Returns the default of `lagThreshold`.
    #[must_use]
    pub fn default_lag_threshold(self) -> i32 {
        match self {
            Self::Notifier => NOTIFIER_LAG_THRESHOLD,
            Self::Tracker => TRACKER_LAG_THRESHOLD,
            Self::Fulfiller => FULFILLER_LAG_THRESHOLD,
        }
    }

    /// Returns the rows that the role has to process without a message, if it has such rows.
    #[must_use]
    pub fn waiting_rows(self) -> Option<WaitingRows> {
        match self {
            Self::Notifier => {
                Some(WaitingRows { what: "waiting mail", count: "SELECT count(*) FROM notifications.deliveries WHERE state = 'pending'" })
            }
            Self::Tracker => None,
            Self::Fulfiller => Some(WaitingRows {
                what: "due orders",
                // Orders to be fulfilled, and new orders whose event has not been processed (api/src/orders/fulfil/due.rs).
                count: "SELECT count(*) FROM orders.orders WHERE status = 'confirmed' AND fulfil_at <= now() \
                        OR status = 'pending' AND created_at <= now() - interval '1 minute'",
            }),
        }
    }
}

/// Each message results in at least one mail.
const NOTIFIER_LAG_THRESHOLD: i32 = 50;
/// Each message contains many views.
const TRACKER_LAG_THRESHOLD: i32 = 1000;
/// Each message results in a transaction over an order and the stock of its products.
const FULFILLER_LAG_THRESHOLD: i32 = 50;
