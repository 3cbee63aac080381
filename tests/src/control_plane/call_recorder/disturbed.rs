//! A response body of a watch that delays, drops and reorders events.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame};
use tokio::{
    sync::watch,
    time::{Instant, Sleep, sleep_until},
};
use tower::BoxError;

/// How the events of watches are disturbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Disturbance {
    /// Not at all.
    #[default]
    None,
    /// Of ten events, four are dropped and three are delayed by up to three seconds and thereby reordered. Events of Catalogs
    /// are only delayed, because the operator cannot know of a Catalog without an event.
    Shuffle,
    /// All events are dropped except those of Catalogs.
    Drop,
}

enum Fate {
    Delivered,
    Delayed(Duration),
    Dropped,
}

/// The events of a watch under the current disturbance.
pub struct DisturbedWatch {
    events: Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send>>,
    disturbance: watch::Receiver<Disturbance>,
    partial: BytesMut,
    held: Vec<(Instant, Bytes)>,
    alarm: Pin<Box<Sleep>>,
    seen: u64,
    has_ended: bool,
}

impl DisturbedWatch {
    pub fn new(events: impl Body<Data = Bytes, Error = BoxError> + Send + 'static, disturbance: watch::Receiver<Disturbance>) -> Self {
        let alarm = Box::pin(sleep_until(Instant::now()));
        Self { events: Box::pin(events), disturbance, partial: BytesMut::new(), held: Vec::new(), alarm, seen: 0, has_ended: false }
    }

    fn fate(&mut self, event: &[u8]) -> Fate {
        self.seen += 1;
        // Deterministic, and not periodic in the number of the event.
        let hash = (event.len() as u64 * 31).wrapping_add(self.seen.wrapping_mul(0x9e37_79b9_7f4a_7c15)) >> 7;
        // Only the start of the event: owner references also name Catalogs.
        let head = String::from_utf8_lossy(event.get(..100).unwrap_or(event));
        let is_catalog = head.contains(r#""kind":"Catalog""#);
        match (*self.disturbance.borrow(), hash % 10) {
            (Disturbance::Drop, _) | (Disturbance::Shuffle, 0..=3) if !is_catalog => Fate::Dropped,
            (Disturbance::Shuffle, 0..=6) => Fate::Delayed(Duration::from_millis(hash % 3000)),
            _ => Fate::Delivered,
        }
    }

    fn hold(&mut self, data: &[u8]) {
        self.partial.extend_from_slice(data);
        while let Some(end) = self.partial.iter().position(|byte| *byte == b'\n') {
            let event = self.partial.split_to(end + 1).freeze();
            match self.fate(&event) {
                Fate::Delivered => self.held.push((Instant::now(), event)),
                Fate::Delayed(by) => self.held.push((Instant::now() + by, event)),
                Fate::Dropped => {}
            }
        }
    }

    /// Removes and returns the earliest held event, if it is due.
    fn due(&mut self) -> Option<Bytes> {
        let (first, (due, _)) = self.held.iter().enumerate().min_by_key(|(_, (due, _))| *due)?;
        (*due <= Instant::now()).then(|| self.held.remove(first).1)
    }
}

impl Body for DisturbedWatch {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        loop {
            if let Some(event) = self.due() {
                return Poll::Ready(Some(Ok(Frame::data(event))));
            }
            if !self.has_ended {
                match self.events.as_mut().poll_frame(context) {
                    Poll::Ready(Some(Ok(frame))) => {
                        if let Ok(data) = frame.into_data() {
                            self.hold(&data);
                        }
                        continue;
                    }
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                    Poll::Ready(None) => self.has_ended = true,
                    Poll::Pending => {}
                }
            }
            let Some(next) = self.held.iter().map(|(due, _)| *due).min() else {
                return if self.has_ended { Poll::Ready(None) } else { Poll::Pending };
            };
            self.alarm.as_mut().reset(next);
            if self.alarm.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
        }
    }
}
