//! Timeouts for the head of the next request of a connection. Hyper requests a new sleep from its timer before every head. A sleep of
//! the runtime takes a lock that all connections share. So each connection has a single sleep of the runtime, and the sleeps that hyper
//! gets only record their deadline.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper::rt::{Sleep, Timer};
use pin_project_lite::pin_project;
use tokio::time::Instant;

use super::limits::Limits;

/// How long an idle connection stays open. Longer than the idle timeouts of common gateways (60 s), so that a gateway closes the
/// connection first and never sends a request on a connection that is being closed.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// The idle timeout while few connections are free, so that idle connections don't prevent new ones.
const SCARCE_IDLE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a client may take to send the head of a request, from its first byte.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// Interval at which a connection checks its timeouts.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// The times from which the timeouts of a connection are computed.
pub struct Activity {
    limits: Arc<Limits>,
    started: Instant,
    /// When the latest sleep of hyper ends, in milliseconds after `started`.
    until: AtomicU64,
    /// When the first byte after the last completely read request was received, in milliseconds after `started`, at least 1. 0 if no
    /// byte was received since.
    input_since: AtomicU64,
}

impl Activity {
    pub fn start(limits: Arc<Limits>) -> Arc<Self> {
        Arc::new(Self { limits, started: Instant::now(), until: AtomicU64::new(0), input_since: AtomicU64::new(0) })
    }

    /// Records that bytes were received.
    pub fn record_input(&self) {
        if self.input_since.load(Ordering::Relaxed) == 0 {
            self.input_since.store(self.millis(Instant::now()).max(1), Ordering::Relaxed);
        }
    }

    /// Records that a request was read completely, with its body.
    pub fn record_request_read(&self) {
        self.input_since.store(0, Ordering::Relaxed);
    }

    /// Returns whether bytes were received since the last completely read request, so that the client may still be sending.
    pub fn has_unread_input(&self) -> bool {
        self.input_since.load(Ordering::Relaxed) != 0
    }

    fn millis(&self, instant: Instant) -> u64 {
        u64::try_from(instant.saturating_duration_since(self.started).as_millis()).unwrap_or(u64::MAX)
    }

    fn after_start(&self, millis: u64) -> Instant {
        self.started + Duration::from_millis(millis)
    }

    /// Returns whether a timeout has expired for this sleep.
    fn is_expired(&self, sleep: &HeadSleep) -> bool {
        let now = Instant::now();
        let head_deadline = match self.input_since.load(Ordering::Relaxed) {
            0 => None,
            since => Some(self.after_start(since) + HEAD_TIMEOUT),
        };
        now >= sleep.deadline
            || head_deadline.is_some_and(|deadline| now >= deadline)
            || (now >= sleep.started + SCARCE_IDLE_TIMEOUT && self.limits.connections_are_scarce())
    }
}

/// The timer of one connection, for hyper. Its sleeps don't wake the task; [`TimedConnection`] does.
#[derive(Clone)]
pub struct HeadTimer(pub Arc<Activity>);

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: std::time::Instant) -> Pin<Box<dyn Sleep>> {
        let deadline = Instant::from_std(deadline);
        // Rounded up: a check before the deadline would find that the sleep has not ended.
        self.0.until.store(self.0.millis(deadline).saturating_add(1), Ordering::Relaxed);
        Box::pin(HeadSleep { activity: self.0.clone(), started: Instant::now(), deadline })
    }

    fn now(&self) -> std::time::Instant {
        Instant::now().into_std()
    }
}

struct HeadSleep {
    activity: Arc<Activity>,
    started: Instant,
    deadline: Instant,
}

impl Sleep for HeadSleep {}

impl Future for HeadSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.activity.is_expired(&self) { Poll::Ready(()) } else { Poll::Pending }
    }
}

pin_project! {
    /// A connection that is polled again when one of its timeouts may have expired.
    pub struct TimedConnection<C> {
        #[pin]
        connection: C,
        #[pin]
        next_check: tokio::time::Sleep,
        activity: Arc<Activity>,
    }
}

impl<C> TimedConnection<C> {
    pub fn new(connection: C, activity: Arc<Activity>) -> Self {
        Self { connection, next_check: tokio::time::sleep(CHECK_INTERVAL), activity }
    }
}

impl<C: Future> Future for TimedConnection<C> {
    type Output = C::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<C::Output> {
        let mut this = self.project();
        loop {
            if let Poll::Ready(output) = this.connection.as_mut().poll(cx) {
                return Poll::Ready(output);
            }
            ready!(this.next_check.as_mut().poll(cx));
            let next = Instant::now() + CHECK_INTERVAL;
            // `until` is in the past while a request is processed.
            let until = this.activity.after_start(this.activity.until.load(Ordering::Relaxed));
            let next = if until > Instant::now() { next.min(until) } else { next };
            this.next_check.as_mut().reset(next);
        }
    }
}

#[cfg(test)]
mod tests;
