//! Names of the processes of a shop.

use nix::sys::signal::Signal;

/// Process names, in the order of stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// `catalogctl dev` itself.
    Dev,
    /// `catalog migrate`.
    Migrate,
    /// `catalog serve`.
    Serve,
    /// `catalog notifier`.
    Notifier,
    /// `catalog tracker`.
    Tracker,
    /// `catalog fulfiller`.
    Fulfiller,
    /// `catalogctl inbox`.
    Inbox,
    /// nats-server.
    Nats,
    /// PostgreSQL.
    Postgres,
}

impl Name {
    pub const CHILDREN: [Self; 8] =
        [Self::Migrate, Self::Serve, Self::Notifier, Self::Tracker, Self::Fulfiller, Self::Inbox, Self::Nats, Self::Postgres];

    /// Returns the name for log lines. For roles, it is also the subcommand.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Migrate => "migrate",
            Self::Serve => "serve",
            Self::Notifier => "notifier",
            Self::Tracker => "tracker",
            Self::Fulfiller => "fulfiller",
            Self::Inbox => "inbox",
            Self::Nats => "nats",
            Self::Postgres => "postgres",
        }
    }

    /// The signal for a graceful stop. PostgreSQL waits for all clients on SIGTERM; SIGINT is its fast shutdown (PostgreSQL
    /// manual, 19.5).
    pub fn stop_signal(self) -> Signal {
        if self == Self::Postgres { Signal::SIGINT } else { Signal::SIGTERM }
    }

    /// The signal for an immediate stop. PostgreSQL stops its own children on SIGQUIT.
    pub fn kill_signal(self) -> Signal {
        if self == Self::Postgres { Signal::SIGQUIT } else { Signal::SIGKILL }
    }
}
