//! The processes of `catalog dev`.

/// Who is who.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    /// `catalog dev` itself.
    Dev,
    /// PostgreSQL.
    Postgres,
    /// nats-server.
    Nats,
    /// `catalog migrate`.
    Migrate,
    /// `catalog inbox`.
    Inbox,
    /// `catalog serve`.
    Serve,
    /// `catalog notifier`.
    Notifier,
    /// `catalog tracker`.
    Tracker,
}

impl Name {
    /// As shown in front of log lines, and as named on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Postgres => "postgres",
            Self::Nats => "nats",
            Self::Migrate => "migrate",
            Self::Inbox => "inbox",
            Self::Serve => "serve",
            Self::Notifier => "notifier",
            Self::Tracker => "tracker",
        }
    }
}
