//! Model test of the publisher: whether the stream stores or loses messages and acknowledgements, the final counts are
//! those of all views that were not dropped. Time is virtual.

use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use proptest::prelude::*;
use tokio::time::{sleep, timeout};

use super::*;
use crate::views::message::Message;

/// Outcome of one attempt to send.
#[derive(Debug, Clone, Copy)]
enum Outcome {
    Stored,
    /// Stored, but the acknowledgement is lost.
    AckLost,
    Lost,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    View(u8),
    Pause(u8),
}

/// A stream with scripted outcomes. After the script, everything is stored.
#[derive(Default)]
struct Stream {
    script: Mutex<Vec<(Outcome, u8)>>,
    sent: Mutex<HashMap<Uuid, Bytes>>,
    stored: Mutex<Vec<Bytes>>,
    in_flight: AtomicUsize,
}

impl Sink for &Stream {
    type Error = &'static str;

    async fn send(&self, id: Uuid, payload: Bytes) -> Result<(), &'static str> {
        assert!(self.in_flight.fetch_add(1, Ordering::Relaxed) < MAX_IN_FLIGHT);
        assert_eq!(self.sent.lock().unwrap().entry(id).or_insert(payload.clone()), &payload, "a batch is resent unchanged");
        assert_eq!(Message::parse(&payload, Utc::now()).unwrap().id, id, "the message id is the event id");
        let (outcome, delay) = self.script.lock().unwrap().pop().unwrap_or((Outcome::Stored, 0));
        sleep(Duration::from_millis(delay.into())).await;
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        if !matches!(outcome, Outcome::Lost) {
            self.stored.lock().unwrap().push(payload);
        }
        if matches!(outcome, Outcome::Stored) { Ok(()) } else { Err("no answer") }
    }

    fn max_payload(&self) -> usize {
        // Fits few entries, so that views are spread over several batches.
        9000
    }
}

impl Stream {
    /// Counts the stored messages like a tracker, each id once.
    fn counted(&self) -> HashMap<Uuid, u64> {
        let messages = self.stored.lock().unwrap().iter().map(|payload| Message::parse(payload, Utc::now()).unwrap()).collect::<Vec<_>>();
        let once: HashMap<_, _> = messages.into_iter().map(|message| (message.id, message.views)).collect();
        let mut counted = HashMap::new();
        for view in once.into_values().flatten() {
            *counted.entry(view.product_id).or_default() += u64::from(view.count);
        }
        counted
    }
}

/// Runs the steps, stops the publisher, and returns the views that were not dropped.
async fn run_steps(stream: &Stream, steps: &[Step], limit: u64) -> HashMap<Uuid, u64> {
    let views = Views::empty(limit, Utc::now());
    let publisher = Publisher { views: views.clone(), flush_interval: Duration::from_millis(50), source: "test".into(), sink: stream };
    let stop = CancellationToken::new();
    let mut viewed = HashMap::new();
    let viewing = async {
        for step in steps {
            match *step {
                Step::View(product) => {
                    // Uses few shards, so that a shard has more entries than fit into a batch.
                    let product_id = Uuid::from_u128(u128::from(product) << 8);
                    if views.waiting() < limit {
                        *viewed.entry(product_id).or_default() += 1;
                    }
                    views.count(product_id);
                }
                Step::Pause(millis) => sleep(Duration::from_millis(millis.into())).await,
            }
            assert!(views.waiting() <= limit);
        }
        stop.cancel();
    };
    let ended = timeout(Duration::from_mins(10), async { tokio::join!(publisher.run(stop.clone()), viewing).0 });
    ended.await.expect("every view is published or dropped soon after the stop").unwrap();
    assert_eq!(views.waiting(), 0);
    viewed
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![4 => (0..20_u8).prop_map(Step::View), 1 => any::<u8>().prop_map(Step::Pause)]
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![Just(Outcome::Stored), Just(Outcome::AckLost), Just(Outcome::Lost)]
}

proptest! {
    #[test]
    fn no_view_is_lost_or_counted_twice(
        steps in prop::collection::vec(step(), 0..300),
        script in prop::collection::vec((outcome(), any::<u8>()), 0..60),
        limit in 1..80_u64,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let stream = Stream { script: Mutex::new(script), ..Stream::default() };
        let viewed = runtime.block_on(run_steps(&stream, &steps, limit));
        prop_assert_eq!(stream.counted(), viewed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_dropped_after_a_day_of_outage() {
    struct UnavailableSink;
    impl Sink for UnavailableSink {
        type Error = &'static str;
        async fn send(&self, _: Uuid, _: Bytes) -> Result<(), &'static str> {
            Err("unavailable")
        }
        fn max_payload(&self) -> usize {
            1024 * 1024
        }
    }
    let views = Views::empty(10, Utc::now());
    views.count(Uuid::now_v7());
    let (batch, _) = BatchBuilder::new(views.clone(), "test").build_batch(UnavailableSink.max_payload(), Utc::now()).unwrap().unwrap();
    let (batch, stored) = deliver(batch, &UnavailableSink).await;
    assert!(!stored && batch.age() >= MAX_AGE);
    record_outcome(&views, &batch, stored);
    assert_eq!(views.waiting(), 0);
}
