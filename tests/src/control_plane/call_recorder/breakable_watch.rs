//! A response body of a watch that can be made to fail.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::sync::watch;
use tower::BoxError;

use super::service::broken;

/// The events of a watch until watches are broken, then an error.
pub struct BreakableWatch {
    events: Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send>>,
    broken: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl BreakableWatch {
    pub fn new(events: impl Body<Data = Bytes, Error = BoxError> + Send + 'static, mut watches_broken: watch::Receiver<bool>) -> Self {
        let broken = async move {
            // A dropped sender no longer changes the state.
            if watches_broken.wait_for(|broken| *broken).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        Self { events: Box::pin(events), broken: Box::pin(broken) }
    }
}

impl Body for BreakableWatch {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.broken.as_mut().poll(context).is_ready() {
            // A completed future must not be polled again.
            self.broken = Box::pin(std::future::pending());
            return Poll::Ready(Some(Err(broken("the watch was interrupted"))));
        }
        self.events.as_mut().poll_frame(context)
    }
}
