//! Rate limits by key, such as a client address or an account, in constant memory.

use std::{
    hash::{BuildHasher, Hash, RandomState},
    num::NonZeroU32,
    sync::Arc,
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::{StateInformationMiddleware, StateSnapshot},
    nanos::Nanos,
    state::{InMemoryState, NotKeyed, StateStore},
};

/// Number of states that all keys share, to bound the memory. Two keys share a state with a probability of 1 in 65,536; clients
/// cannot predict which.
const STATES: u64 = 65_536;
/// Window of every limit.
pub const WINDOW: Duration = Duration::from_mins(1);

/// State of a limit for one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Name of the limit.
    pub policy: &'static str,
    /// Requests per [`WINDOW`].
    pub quota: u32,
    /// Remaining requests.
    pub remaining: u32,
    /// Time until the whole quota is available again or, if none is left, until the next request is allowed.
    pub reset: Duration,
}

/// A rate limit (GCRA): allows a burst of the whole quota, which is replenished steadily.
pub struct Limit<C: Clock = DefaultClock> {
    policy: &'static str,
    charged: RateLimiter<u64, Shared, C, StateInformationMiddleware>,
    peeked: RateLimiter<u64, ReadOnly, C, StateInformationMiddleware>,
    hasher: RandomState,
}

impl Limit {
    /// Allows `per_minute` requests per minute for each key.
    #[must_use]
    pub fn new(policy: &'static str, per_minute: u32) -> Self {
        Self::with_clock(policy, per_minute, &DefaultClock::default())
    }
}

impl<C: Clock + Clone> Limit<C> {
    fn with_clock(policy: &'static str, per_minute: u32, clock: &C) -> Self {
        let quota = Quota::per_minute(NonZeroU32::new(per_minute).unwrap_or(NonZeroU32::MIN));
        let states = Shared((0..STATES).map(|_| InMemoryState::default()).collect());
        Self {
            policy,
            charged: RateLimiter::new(quota, states.clone(), clock.clone()),
            peeked: RateLimiter::new(quota, ReadOnly(states), clock.clone()),
            hasher: RandomState::new(),
        }
    }

    /// Charges one request to the key and returns the remaining allowance.
    ///
    /// # Errors
    /// If no request is left. `reset` is the time until the next is allowed.
    pub fn charge(&self, key: &impl Hash) -> Result<Allowance, Allowance> {
        self.check(&self.charged, key)
    }

    /// Like [`Limit::charge`], without charging.
    ///
    /// # Errors
    /// As [`Limit::charge`].
    pub fn peek(&self, key: &impl Hash) -> Result<Allowance, Allowance> {
        self.check(&self.peeked, key)
    }

    fn check<S: StateStore<Key = u64>>(
        &self,
        limiter: &RateLimiter<u64, S, C, StateInformationMiddleware>,
        key: &impl Hash,
    ) -> Result<Allowance, Allowance> {
        let slot = self.hasher.hash_one(key) % STATES;
        limiter.check_key(&slot).map(|left| self.left(&left)).map_err(|rejection| Allowance {
            policy: self.policy,
            quota: rejection.quota().burst_size().get(),
            remaining: 0,
            reset: rejection.wait_time_from(limiter.clock().now()),
        })
    }

    fn left(&self, snapshot: &StateSnapshot) -> Allowance {
        let (quota, remaining) = (snapshot.quota(), snapshot.remaining_burst_capacity());
        let missing = if remaining == 0 { 1 } else { quota.burst_size().get() - remaining };
        Allowance { policy: self.policy, quota: quota.burst_size().get(), remaining, reset: quota.replenish_interval() * missing }
    }
}

/// States by slot. Their number is fixed, so no cleanup is needed.
#[derive(Clone)]
struct Shared(Arc<[InMemoryState]>);

impl StateStore for Shared {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, slot: &u64, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let state = &self.0[usize::try_from(slot % STATES).unwrap_or_default()];
        state.measure_and_replace(&NotKeyed::NonKey, decide)
    }
}

/// The same states, read-only.
struct ReadOnly(Shared);

impl StateStore for ReadOnly {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, slot: &u64, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        // A rejection leaves the state unchanged, so every decision is wrapped in one.
        let decision = |state| Err(decide(state).map(|(allowed, _)| allowed));
        match self.0.measure_and_replace::<std::convert::Infallible, _, _>(slot, decision) {
            Ok(never) => match never {},
            Err(decision) => decision,
        }
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn limit(per_minute: u32) -> (Limit<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        clock.advance(Duration::from_secs(1));
        (Limit::with_clock("test", per_minute, &clock), clock)
    }

    #[test]
    fn requests_beyond_the_quota_are_rejected_and_the_quota_is_replenished_steadily() {
        let (limit, clock) = limit(3);
        let remaining: Vec<_> = (0..3).map(|_| limit.charge(&"a").unwrap().remaining).collect();
        assert_eq!(remaining, [2, 1, 0]);
        let rejection = limit.charge(&"a").unwrap_err();
        assert_eq!(rejection, Allowance { policy: "test", quota: 3, remaining: 0, reset: Duration::from_secs(20) });
        clock.advance(Duration::from_secs(20));
        assert_eq!(limit.charge(&"a").unwrap().remaining, 0);
        clock.advance(WINDOW);
        assert_eq!(limit.charge(&"a"), Ok(Allowance { policy: "test", quota: 3, remaining: 2, reset: Duration::from_secs(20) }));
    }

    #[test]
    fn peeking_charges_nothing_and_reflects_charges() {
        let (limit, clock) = limit(2);
        for _ in 0..5 {
            assert!(limit.peek(&"a").is_ok());
        }
        limit.charge(&"a").unwrap();
        assert!(limit.peek(&"a").is_ok());
        limit.charge(&"a").unwrap();
        assert_eq!(limit.peek(&"a").unwrap_err().reset, Duration::from_secs(30));
        assert!(limit.peek(&"b").is_ok());
        clock.advance(Duration::from_secs(30));
        assert!(limit.peek(&"a").is_ok());
    }
}
