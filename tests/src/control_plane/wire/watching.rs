//! The body of a watch, which may break off.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::sync::watch;
use tower::BoxError;

use super::service::broken;

/// Events until the wire is deaf, and an error then.
pub struct Watching {
    events: Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send>>,
    deaf: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Watching {
    pub fn new(events: impl Body<Data = Bytes, Error = BoxError> + Send + 'static, mut deaf: watch::Receiver<bool>) -> Self {
        let deaf = async move {
            // A wire that is gone stays as it was.
            if deaf.wait_for(|deaf| *deaf).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        Self { events: Box::pin(events), deaf: Box::pin(deaf) }
    }
}

impl Body for Watching {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.deaf.as_mut().poll(context).is_ready() {
            // Polled no more after an error.
            self.deaf = Box::pin(std::future::pending());
            return Poll::Ready(Some(Err(broken("the watch broke off"))));
        }
        self.events.as_mut().poll_frame(context)
    }
}
