//! Waiting for conditions instead of sleeping.

use std::{fmt::Debug, time::Duration};

use tokio::time::{Instant, MissedTickBehavior, interval};

/// Default timeout. It is generous for loaded machines; a condition that is met ends the wait at once.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// Poll interval.
const STEP: Duration = Duration::from_millis(10);

/// Polls a condition until it is met, and returns its value.
///
/// # Panics
/// If it is not met within [`DEFAULT_TIMEOUT`]; with `what` and the last reason.
pub async fn eventually<T, E: Debug>(what: &str, probe: impl AsyncFnMut() -> Result<T, E>) -> T {
    within(DEFAULT_TIMEOUT, what, probe).await
}

/// Like [`eventually`], with another timeout.
///
/// # Panics
/// If the condition is not met within `limit`.
pub async fn within<T, E: Debug>(limit: Duration, what: &str, mut probe: impl AsyncFnMut() -> Result<T, E>) -> T {
    let started = Instant::now();
    let mut ticks = interval(STEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match probe().await {
            Ok(value) => return value,
            Err(why) => assert!(started.elapsed() < limit, "{what}: not met within {limit:?}; last state: {why:?}"),
        }
    }
}

/// Returns `Ok` if `condition` is true, otherwise the result of `why`. For probes.
///
/// # Errors
/// If `condition` is false.
pub fn check<E>(condition: bool, why: impl FnOnce() -> E) -> Result<(), E> {
    if condition { Ok(()) } else { Err(why()) }
}
