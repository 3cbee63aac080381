//! The Tower service of the layer.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use kube::client::Body;
use tower::{BoxError, Service};

use super::{
    CallRecorder, Fault,
    breakable_watch::BreakableWatch,
    call::{self, Verb},
    disturbed::DisturbedWatch,
    journal::Answer,
};

type Answered = Result<Response<UnsyncBoxBody<Bytes, BoxError>>, BoxError>;

/// The event of a watch whose `resourceVersion` is too old.
const EXPIRED: &[u8] = concat!(
    r#"{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","#,
    r#""message":"too old resource version","reason":"Expired","code":410}}"#,
    "\n"
)
.as_bytes();

/// The response to a write with an outdated `resourceVersion`.
const CONFLICT: &[u8] = concat!(
    r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","reason":"Conflict","code":409,"#,
    r#""message":"the object has been modified; please apply your changes to the latest version and try again"}"#
)
.as_bytes();

/// A client's service inside a [`CallRecorder`].
pub struct RecordingService<S> {
    inner: S,
    recorder: CallRecorder,
}

impl<S> RecordingService<S> {
    pub fn new(inner: S, recorder: CallRecorder) -> Self {
        Self { inner, recorder }
    }
}

impl<S, B> Service<Request<Body>> for RecordingService<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError>,
    S::Future: Send + 'static,
    B: http_body::Body<Data = Bytes, Error = BoxError> + Send + 'static,
{
    type Response = Response<UnsyncBoxBody<Bytes, BoxError>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Answered> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let uri = request.uri().clone();
        if call::is_unrecorded(&uri) {
            let is_watch = call::is_watch(&uri);
            let watches_broken = self.recorder.0.watches_broken.subscribe();
            if is_watch && *watches_broken.borrow() {
                return Box::pin(async { Err(broken("watches are broken")) });
            }
            if is_watch && self.recorder.expires(&uri) {
                return Box::pin(async { Ok(Response::new(whole(Bytes::from_static(EXPIRED)))) });
            }
            let sent = self.inner.call(request);
            let disturbance = self.recorder.0.disturbance.subscribe();
            return Box::pin(async move {
                let response = sent.await?;
                Ok(if is_watch {
                    response.map(|body| BreakableWatch::new(DisturbedWatch::new(body, disturbance), watches_broken).boxed_unsync())
                } else {
                    response.map(BodyExt::boxed_unsync)
                })
            });
        }
        let is_read = *request.method() == Verb::GET;
        let ((index, fault), first) = {
            let mut journal = self.recorder.journal();
            (journal.record(request.method(), &uri), journal.first(&uri))
        };
        match (fault, first) {
            (Some(Fault::NotSent), _) => return Box::pin(async { Err(broken("the call was not sent")) }),
            (Some(Fault::Conflict), _) => return Box::pin(async { Ok(conflict()) }),
            (Some(Fault::Stale), Some(first)) => return Box::pin(async { Ok(repeated(first)) }),
            _ => {}
        }
        let sent = self.inner.call(request);
        let recorder = self.recorder.clone();
        Box::pin(async move {
            let (parts, body) = sent.await?.into_parts();
            // The server has certainly executed the call once its response is complete.
            let body = body.collect().await?.to_bytes();
            match fault {
                Some(Fault::ResponseLost) => return Err(broken("the response was lost")),
                Some(Fault::Crash) => {
                    recorder.0.crashed.notify_one();
                    return std::future::pending().await;
                }
                _ => {}
            }
            if is_read {
                let answer = Answer { status: parts.status, headers: parts.headers.clone(), body: body.clone() };
                recorder.journal().remember(index, &uri, answer);
            }
            Ok(Response::from_parts(parts, whole(body)))
        })
    }
}

fn conflict() -> Response<UnsyncBoxBody<Bytes, BoxError>> {
    let mut response = Response::new(whole(Bytes::from_static(CONFLICT)));
    *response.status_mut() = StatusCode::CONFLICT;
    response
}

fn repeated(answer: Answer) -> Response<UnsyncBoxBody<Bytes, BoxError>> {
    let mut response = Response::new(whole(answer.body));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    response
}

fn whole(body: Bytes) -> UnsyncBoxBody<Bytes, BoxError> {
    Full::new(body).map_err(|never| match never {}).boxed_unsync()
}

pub fn broken(why: &str) -> BoxError {
    io::Error::new(io::ErrorKind::ConnectionReset, why).into()
}
