//! Delays between attempts to reach NATS or PostgreSQL.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// First delay, without jitter.
const FIRST: Duration = Duration::from_millis(50);
/// Longest delay, without jitter.
pub const LONGEST: Duration = Duration::from_secs(1);

/// Returns delays that double from 50 ms to 1 s, without an end. Jitter of up to 100 % is added to each, so that processes do not retry at
/// the same time.
#[must_use]
pub fn delays() -> ExponentialBackoff {
    ExponentialBuilder::new().with_min_delay(FIRST).with_max_delay(LONGEST).with_jitter().without_max_times().build()
}

/// Waits for the next delay.
pub async fn wait(delays: &mut ExponentialBackoff) {
    tokio::time::sleep(delays.next().unwrap_or(LONGEST)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest_and_never_end() {
        let mut expected = FIRST;
        for (attempt, delay) in delays().take(1000).enumerate() {
            assert!((expected..=expected * 2).contains(&delay), "delay {attempt} is {delay:?}");
            expected = (expected * 2).min(LONGEST);
        }
        assert_eq!(delays().take(1000).count(), 1000);
    }
}
