//! While the mail server is unavailable, all senders of this process pause.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rand::RngExt;
use tokio::time::Instant;

/// First and longest pause.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// The circuit breaker of the mail server. Failed attempts open it for a pause; a successful one closes it.
#[derive(Debug, Default)]
pub(super) struct CircuitBreaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    opened_at: Option<Instant>,
    retry_at: Option<Instant>,
    error: Option<String>,
}

impl CircuitBreaker {
    /// Waits until an attempt is due.
    pub(super) async fn wait(&self) {
        while let Some(retry_at) = self.retry_at().filter(|retry_at| *retry_at > Instant::now()) {
            tokio::time::sleep_until(retry_at).await;
        }
    }

    /// The error of the last attempt, while the circuit breaker is open.
    pub(super) fn error(&self) -> Option<String> {
        self.lock().error.clone()
    }

    /// Opens the circuit breaker after a failed attempt that began at `started`, and returns the pause. Attempts that were in
    /// flight when it opened are not counted again and return `None`.
    pub(super) fn record_failure(&self, started: Instant, error: &str) -> Option<Duration> {
        let mut state = self.lock();
        if state.opened_at.is_some_and(|opened_at| opened_at >= started) {
            return None;
        }
        let pause = pause(state.failures);
        let now = Instant::now();
        *state = State {
            failures: state.failures.saturating_add(1),
            opened_at: Some(now),
            retry_at: Some(now + pause),
            error: Some(error.to_owned()),
        };
        Some(pause)
    }

    /// Closes the circuit breaker.
    pub(super) fn record_success(&self) {
        *self.lock() = State::default();
    }

    fn retry_at(&self) -> Option<Instant> {
        self.lock().retry_at
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Doubles with every failure, with jitter so that processes don't retry together.
fn pause(failures: u32) -> Duration {
    let pause = PAUSE.0.saturating_mul(1 << failures.min(10)).min(PAUSE.1);
    pause.mul_f64(rand::rng().random_range(0.5..1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_five_seconds() {
        assert!(pause(0) <= PAUSE.0);
        for failures in [5, 40, u32::MAX] {
            assert!((PAUSE.1 / 2..=PAUSE.1).contains(&pause(failures)), "{failures}");
        }
    }

    #[test]
    fn attempts_in_flight_together_count_as_one_failure() {
        let breaker = CircuitBreaker::default();
        let started = Instant::now();
        assert!(breaker.record_failure(started, "421").is_some());
        assert!(breaker.record_failure(started, "421").is_none());
        assert!(breaker.record_failure(Instant::now(), "421").is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_is_due_after_the_pause_or_after_a_success() {
        let breaker = CircuitBreaker::default();
        let before = Instant::now();
        let pause = breaker.record_failure(before, "421").unwrap();
        breaker.wait().await;
        assert!(before.elapsed() >= pause);
        breaker.record_failure(Instant::now(), "421").unwrap();
        let before = Instant::now();
        assert_eq!(breaker.error().as_deref(), Some("421"));
        breaker.record_success();
        assert_eq!(breaker.error(), None);
        breaker.wait().await;
        assert_eq!(before.elapsed(), Duration::ZERO);
    }
}
