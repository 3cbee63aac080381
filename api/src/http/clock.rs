//! The clock of requests. Domain code gets the time as a parameter.

use chrono::{DateTime, SubsecRound, Utc};

/// Now, in microseconds: the precision of PostgreSQL, so that responses have the times that later reads return.
#[must_use]
pub fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}
