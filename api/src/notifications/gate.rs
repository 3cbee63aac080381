//! While the mail server is in trouble, every sender of this process pauses together.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rand::RngExt;
use tokio::time::Instant;

/// First and longest pause.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// Open while the mail server is well.
#[derive(Debug, Default)]
pub(super) struct Gate(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    closed_at: Option<Instant>,
    opens_at: Option<Instant>,
    trouble: Option<String>,
}

impl Gate {
    /// Resolves when a try is due.
    pub(super) async fn opened(&self) {
        while let Some(opens_at) = self.opens_at().filter(|opens_at| *opens_at > Instant::now()) {
            tokio::time::sleep_until(opens_at).await;
        }
    }

    /// What the server's trouble is, while it has any.
    pub(super) fn trouble(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).trouble.clone()
    }

    /// The server is in trouble, as a try showed that began at `since`. Gives the pause if that is
    /// news: tries that were under way when the gate closed say nothing new.
    pub(super) fn close(&self, since: Instant, trouble: &str) -> Option<Duration> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed_at.is_some_and(|closed_at| closed_at >= since) {
            return None;
        }
        let pause = pause(state.failures);
        let now = Instant::now();
        *state = State {
            failures: state.failures.saturating_add(1),
            closed_at: Some(now),
            opens_at: Some(now + pause),
            trouble: Some(trouble.to_owned()),
        };
        Some(pause)
    }

    /// The server is well.
    pub(super) fn open(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = State::default();
    }

    fn opens_at(&self) -> Option<Instant> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).opens_at
    }
}

/// Doubles with every failure, and differs between processes.
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
    fn tries_under_way_together_count_as_one_failure() {
        let gate = Gate::default();
        let since = Instant::now();
        assert!(gate.close(since, "421").is_some());
        assert!(gate.close(since, "421").is_none());
        assert!(gate.close(Instant::now(), "421").is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_gate_opens_by_itself_or_when_the_server_is_well() {
        let gate = Gate::default();
        let before = Instant::now();
        let pause = gate.close(before, "421").unwrap();
        gate.opened().await;
        assert!(before.elapsed() >= pause);
        gate.close(Instant::now(), "421").unwrap();
        let before = Instant::now();
        assert_eq!(gate.trouble().as_deref(), Some("421"));
        gate.open();
        assert_eq!(gate.trouble(), None);
        gate.opened().await;
        assert_eq!(before.elapsed(), Duration::ZERO);
    }
}
