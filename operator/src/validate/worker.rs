//! The workers, and what each of them waits for.

/// A role that works on what waits, as opposed to the API, which is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerRole {
    /// Turns changes into mail.
    Notifier,
    /// Counts views.
    Tracker,
    /// Takes orders to their end.
    Fulfiller,
}

/// Rows that wait for a worker without any message of them: those of a later time, or of a second try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitingRows {
    /// What they are, for people.
    pub what: &'static str,
    /// Query that counts them, in the tables of `catalog` (api/migrations).
    pub count: &'static str,
}

impl WorkerRole {
    /// Its name: that of its field in the spec, of its subcommand of `catalog`, and of its durable consumer.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Notifier => "notifier",
            Self::Tracker => "tracker",
            Self::Fulfiller => "fulfiller",
        }
    }

    /// The stream that it consumes, without the prefix.
    #[must_use]
    pub fn stream(self) -> &'static str {
        match self {
            Self::Notifier | Self::Fulfiller => "changes",
            Self::Tracker => "views",
        }
    }

    /// Waiting messages per pod, unless the spec says otherwise.
    #[must_use]
    pub fn lag(self) -> i32 {
        match self {
            Self::Notifier => NOTIFIER_LAG,
            Self::Tracker => TRACKER_LAG,
            Self::Fulfiller => FULFILLER_LAG,
        }
    }

    /// What waits for it in the database, if anything does. No message would wake it for that.
    #[must_use]
    pub fn waiting_rows(self) -> Option<WaitingRows> {
        match self {
            Self::Notifier => {
                Some(WaitingRows { what: "waiting mail", count: "SELECT count(*) FROM notifications.deliveries WHERE state = 'pending'" })
            }
            Self::Tracker => None,
            Self::Fulfiller => Some(WaitingRows {
                what: "due orders",
                // Those that are to be fulfilled, and those whose event never came (catalog's `orders/fulfil/due.rs`).
                count: "SELECT count(*) FROM orders.orders WHERE status = 'confirmed' AND fulfil_at <= now() \
                        OR status = 'pending' AND created_at <= now() - interval '1 minute'",
            }),
        }
    }
}

/// Each is at least one mail.
const NOTIFIER_LAG: i32 = 50;
/// Each carries many views.
const TRACKER_LAG: i32 = 1000;
/// Each is a transaction over an order and the stock of its products.
const FULFILLER_LAG: i32 = 50;
