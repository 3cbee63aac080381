//! Request bodies that a handler did not read completely. The rest is read and discarded, or the response has `Connection: close`.
//! Otherwise the next request on the connection would fail, and the client would not know why.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, header},
};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::oneshot;

/// Maximum number of unread bytes that are read and discarded to keep a connection open.
const DRAIN_BYTES: u64 = 64 * 1024;
/// Timeout for reading the unread bytes, for which the response waits.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// A body that sends its unread rest to [`Unread`] when it is dropped.
pub struct RequestBody {
    // Always `Some` until it is dropped.
    incoming: Option<Incoming>,
    state: State,
    unread: Option<oneshot::Sender<Rest>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not read yet, and the client waits for `100 Continue`, which hyper sends when the body is first read.
    Expected,
    Reading,
    Ended,
    Failed,
}

struct Rest {
    incoming: Incoming,
    state: State,
}

/// Access to the part of a body that the handler leaves unread.
pub struct Unread(oneshot::Receiver<Rest>);

impl RequestBody {
    /// Wraps a body for a handler. Also returns access to the part that is left unread, or `None` for an empty body.
    pub fn watch(incoming: Incoming, headers: &HeaderMap) -> (Body, Option<Unread>) {
        if incoming.is_end_stream() {
            return (Body::empty(), None);
        }
        let (sender, receiver) = oneshot::channel();
        let state = if headers.contains_key(header::EXPECT) { State::Expected } else { State::Reading };
        (Body::new(Self { incoming: Some(incoming), state, unread: Some(sender) }), Some(Unread(receiver)))
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(incoming) = &mut self.incoming else { return Poll::Ready(None) };
        let polled = Pin::new(incoming).poll_frame(cx);
        self.state = State::Reading;
        let frame = ready!(polled);
        match &frame {
            Some(Ok(_)) => {}
            Some(Err(_)) => self.state = State::Failed,
            None => self.state = State::Ended,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(|| SizeHint::with_exact(0), Incoming::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let (Some(incoming), Some(unread)) = (self.incoming.take(), self.unread.take()) else { return };
        if self.state == State::Failed || (self.state != State::Ended && !incoming.is_end_stream()) {
            let _ = unread.send(Rest { incoming, state: self.state });
        }
    }
}

impl Unread {
    /// Reads and discards the rest within limits. Returns whether the body was read to its end.
    pub async fn drain(mut self) -> bool {
        match self.0.try_recv() {
            Ok(rest) => rest.drain().await,
            Err(oneshot::error::TryRecvError::Closed) => true,
            // The handler has moved the body to a task.
            Err(oneshot::error::TryRecvError::Empty) => false,
        }
    }
}

impl Rest {
    async fn drain(mut self) -> bool {
        // A client that waits for `100 Continue` need not send its body (RFC 9110, section 10.1.1).
        if self.state != State::Reading || self.incoming.size_hint().lower() > DRAIN_BYTES {
            return false;
        }
        let to_end = async {
            let mut remaining = DRAIN_BYTES;
            while let Some(frame) = self.incoming.frame().await {
                let Ok(frame) = frame else { return false };
                let read = frame.data_ref().map_or(0, |data| data.len() as u64);
                let Some(rest) = remaining.checked_sub(read) else { return false };
                remaining = rest;
            }
            true
        };
        tokio::time::timeout(DRAIN_TIMEOUT, to_end).await.unwrap_or(false)
    }
}
