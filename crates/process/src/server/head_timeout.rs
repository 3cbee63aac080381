//! Timeouts for the head of the next request of a connection. Hyper asks its timer for a new sleep before every head; arming
//! one in the runtime takes a lock that all connections share. Here each connection has one armed sleep for its lifetime, and
//! hyper's sleeps only record their deadline.

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

/// How long an idle connection is kept for the next request. Longer than the idle timeouts of common gateways (60 s), so that
/// they close first and never send a request into a closing connection.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// The idle timeout while connections are scarce: idle ones must not keep new clients out.
const SCARCE_IDLE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the head of a request may take from its first byte.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// Interval at which a connection checks these timeouts.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// What a connection waits for.
pub struct Activity {
    limits: Arc<Limits>,
    started: Instant,
    /// When the latest sleep ends, in milliseconds after `started`.
    until: AtomicU64,
    /// When the first byte came after the last request that was read to its end, in milliseconds after `started` and
    /// at least 1; 0 if none was received.
    input_since: AtomicU64,
}

impl Activity {
    pub fn start(limits: Arc<Limits>) -> Arc<Self> {
        Arc::new(Self { limits, started: Instant::now(), until: AtomicU64::new(0), input_since: AtomicU64::new(0) })
    }

    /// Records that bytes were received.
    pub fn input(&self) {
        if self.input_since.load(Ordering::Relaxed) == 0 {
            self.input_since.store(self.millis(Instant::now()).max(1), Ordering::Relaxed);
        }
    }

    /// Records that a request was read to the end of its body.
    pub fn request_read(&self) {
        self.input_since.store(0, Ordering::Relaxed);
    }

    /// Whether the client may still be sending.
    pub fn has_unread_input(&self) -> bool {
        self.input_since.load(Ordering::Relaxed) != 0
    }

    fn millis(&self, instant: Instant) -> u64 {
        u64::try_from(instant.saturating_duration_since(self.started).as_millis()).unwrap_or(u64::MAX)
    }

    fn after_start(&self, millis: u64) -> Instant {
        self.started + Duration::from_millis(millis)
    }

    fn is_over(&self, sleep: &HeadSleep) -> bool {
        let now = Instant::now();
        let head = match self.input_since.load(Ordering::Relaxed) {
            0 => None,
            since => Some(self.after_start(since) + HEAD_TIMEOUT),
        };
        now >= sleep.deadline
            || head.is_some_and(|deadline| now >= deadline)
            || (now >= sleep.started + SCARCE_IDLE_TIMEOUT && self.limits.connections_are_scarce())
    }
}

/// The timer of one connection, for hyper. Its sleeps don't wake a task: [`Timed`] does.
#[derive(Clone)]
pub struct HeadTimer(pub Arc<Activity>);

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: std::time::Instant) -> Pin<Box<dyn Sleep>> {
        let deadline = Instant::from_std(deadline);
        // Rounded up: an alarm before the deadline would find the sleep still pending.
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
        if self.activity.is_over(&self) { Poll::Ready(()) } else { Poll::Pending }
    }
}

pin_project! {
    /// A connection that is polled again when one of its timeouts may be over.
    pub struct Timed<C> {
        #[pin]
        connection: C,
        #[pin]
        alarm: tokio::time::Sleep,
        activity: Arc<Activity>,
    }
}

impl<C> Timed<C> {
    pub fn new(connection: C, activity: Arc<Activity>) -> Self {
        Self { connection, alarm: tokio::time::sleep(CHECK_INTERVAL), activity }
    }
}

impl<C: Future> Future for Timed<C> {
    type Output = C::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<C::Output> {
        let mut this = self.project();
        loop {
            if let Poll::Ready(output) = this.connection.as_mut().poll(cx) {
                return Poll::Ready(output);
            }
            ready!(this.alarm.as_mut().poll(cx));
            let next = Instant::now() + CHECK_INTERVAL;
            // The sleep has ended, because a request is being processed.
            let until = this.activity.after_start(this.activity.until.load(Ordering::Relaxed));
            let next = if until > Instant::now() { next.min(until) } else { next };
            this.alarm.as_mut().reset(next);
        }
    }
}

#[cfg(test)]
mod tests;
