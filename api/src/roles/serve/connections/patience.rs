//! How long a connection waits for the head of its next request. Hyper asks its timer for a new sleep
//! before every head; arming one in the runtime takes a lock that all connections share. Here each
//! connection has one armed sleep for its whole life, and hyper's only say until when they last.

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

/// The clock of one connection, for hyper. What it gives doesn't wake anybody: [`Attended`] does.
#[derive(Clone)]
pub struct Clock(Arc<Shared>);

struct Shared {
    started: Instant,
    /// When the latest sleep ends, in milliseconds after `started`.
    until: AtomicU64,
}

impl Clock {
    pub fn start() -> Self {
        Self(Arc::new(Shared { started: Instant::now(), until: AtomicU64::new(0) }))
    }

    fn until(&self) -> Instant {
        self.0.started + Duration::from_millis(self.0.until.load(Ordering::Relaxed))
    }
}

impl Timer for Clock {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: std::time::Instant) -> Pin<Box<dyn Sleep>> {
        let deadline = Instant::from_std(deadline);
        // Rounded up: a clock that rings before the sleep is over would find it still to go, and itself with nothing to do.
        let millis = deadline.saturating_duration_since(self.0.started).as_millis() + 1;
        self.0.until.store(u64::try_from(millis).unwrap_or(u64::MAX), Ordering::Relaxed);
        Box::pin(Until(deadline))
    }

    fn now(&self) -> std::time::Instant {
        Instant::now().into_std()
    }
}

struct Until(Instant);

impl Sleep for Until {}

impl Future for Until {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if Instant::now() < self.0 { Poll::Pending } else { Poll::Ready(()) }
    }
}

pin_project! {
    /// A connection that is polled again when its clock says so.
    pub struct Attended<C> {
        #[pin]
        connection: C,
        #[pin]
        alarm: tokio::time::Sleep,
        clock: Clock,
        patience: Duration,
    }
}

impl<C> Attended<C> {
    /// `patience` is the length of the sleeps that `connection` asks `clock` for.
    pub fn new(connection: C, clock: Clock, patience: Duration) -> Self {
        Self { connection, alarm: tokio::time::sleep(patience), clock, patience }
    }
}

impl<C: Future> Future for Attended<C> {
    type Output = C::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<C::Output> {
        let mut this = self.project();
        loop {
            if let Poll::Ready(output) = this.connection.as_mut().poll(cx) {
                return Poll::Ready(output);
            }
            ready!(this.alarm.as_mut().poll(cx));
            // A sleep of the past is over: a request is being answered, and the next sleep lasts at least so long.
            let until = this.clock.until();
            let now = Instant::now();
            let again = if until > now { until } else { now + *this.patience };
            this.alarm.as_mut().reset(again);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::{body::Body, response::Response};
    use hyper::{server::conn::http1, service::service_fn};
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(75);
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: shop\r\n\r\n";

    fn connection() -> DuplexStream {
        let (client, server) = tokio::io::duplex(4096);
        let clock = Clock::start();
        let mut protocol = http1::Builder::new();
        protocol.timer(clock.clone()).header_read_timeout(PATIENCE);
        let service = service_fn(async |_| Ok::<_, Infallible>(Response::new(Body::from("here"))));
        let connection = protocol.serve_connection(TokioIo::new(server), service);
        tokio::spawn(Attended::new(connection, clock, PATIENCE));
        client
    }

    /// Seconds until the server closes.
    async fn closed_after(client: &mut DuplexStream) -> u64 {
        let started = Instant::now();
        client.read_to_end(&mut Vec::new()).await.unwrap();
        started.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn who_sends_nothing_or_half_a_head_is_not_waited_for() {
        assert_eq!(closed_after(&mut connection()).await, 75);
        let mut client = connection();
        client.write_all(&REQUEST[..10]).await.unwrap();
        assert_eq!(closed_after(&mut client).await, 75);
    }

    #[test]
    fn the_clock_rings_when_the_sleep_is_over() {
        let clock = Clock::start();
        for nanos in (0..5_000_000).step_by(99_999) {
            let deadline = clock.0.started + Duration::from_nanos(nanos);
            drop(clock.sleep_until(deadline.into_std()));
            assert!(clock.until() >= deadline, "{nanos} ns");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn every_head_has_the_whole_time() {
        let mut client = connection();
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_secs(70)).await;
            client.write_all(REQUEST).await.unwrap();
            let mut answer = [0; 512];
            let read = client.read(&mut answer).await.unwrap();
            assert!(answer[..read].starts_with(b"HTTP/1.1 200"));
        }
        assert_eq!(closed_after(&mut client).await, 75);
    }
}
