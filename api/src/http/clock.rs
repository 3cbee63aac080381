//! The clock of requests. Domain code gets the time as a parameter.

use chrono::{DateTime, SubsecRound, Utc};

/// Now, in microseconds: what PostgreSQL keeps, so that what is answered is what is read later.
#[must_use]
pub fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}
