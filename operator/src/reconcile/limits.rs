//! Rate limits of Events, so that a crash loop doesn't flood the namespace.

use std::num::NonZeroU32;

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// Burst of Events per Catalog and reason. Each reason has its own limit, so a frequent one doesn't suppress others.
const BURST: NonZeroU32 = NonZeroU32::MIN.saturating_add(4);
/// Sustained rate of Events per Catalog and reason.
const PER_MINUTE: NonZeroU32 = NonZeroU32::MIN;
/// Number of counters above which those that have their full burst again are dropped.
const MAX_COUNTERS: usize = 1000;

/// Counters by uid of the Catalog and reason.
pub struct Limits(DefaultKeyedRateLimiter<(String, String)>);

impl Default for Limits {
    fn default() -> Self {
        Self(RateLimiter::keyed(Quota::per_minute(PER_MINUTE).allow_burst(BURST)))
    }
}

impl Limits {
    /// Whether another Event may be written now.
    pub fn allow(&self, uid: &str, reason: &str) -> bool {
        if self.0.len() > MAX_COUNTERS {
            self.0.retain_recent();
        }
        self.0.check_key(&(uid.to_owned(), reason.to_owned())).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_reason_is_limited_and_does_not_suppress_others() {
        let limits = Limits::default();
        let allowed = (0..1000).filter(|_| limits.allow("uid", "NotReady")).count();
        assert_eq!(allowed, 5);
        assert!(limits.allow("uid", "Upgraded") && limits.allow("another", "NotReady"));
    }
}
