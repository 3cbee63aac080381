//! The clock of requests. Domain code gets the time as a parameter.

use chrono::{DateTime, SubsecRound, Utc};

/// Returns the current time in microseconds, the precision of PostgreSQL, so that a response has the same times as later reads.
#[must_use]
pub fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}
