//! Waiting for a condition, never for a span of time.

use std::{fmt::Debug, time::Duration};

use tokio::time::{Instant, MissedTickBehavior, interval};

/// How long anything may take unless a test says otherwise. Generous: a loaded machine is slow, and
/// a condition that holds ends the wait at once.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How often a condition is looked at.
const STEP: Duration = Duration::from_millis(10);

/// Looks at a condition until it holds, and gives what it holds.
///
/// # Panics
/// If it does not hold within [`PATIENCE`]: names `what`, and the last reason why not.
pub async fn eventually<T, E: Debug>(what: &str, probe: impl AsyncFnMut() -> Result<T, E>) -> T {
    within(PATIENCE, what, probe).await
}

/// The same with a limit of its own.
///
/// # Panics
/// If the condition does not hold within the limit.
pub async fn within<T, E: Debug>(limit: Duration, what: &str, mut probe: impl AsyncFnMut() -> Result<T, E>) -> T {
    let started = Instant::now();
    let mut ticks = interval(STEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match probe().await {
            Ok(held) => return held,
            Err(why) => assert!(started.elapsed() < limit, "{what}: not within {limit:?}; at last: {why:?}"),
        }
    }
}

/// For probes: `Ok` if `condition`, otherwise the reason.
///
/// # Errors
/// `why`, if not `condition`.
pub fn holds<E>(condition: bool, why: impl FnOnce() -> E) -> Result<(), E> {
    if condition { Ok(()) } else { Err(why()) }
}
