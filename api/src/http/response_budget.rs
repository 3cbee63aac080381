//! Limits the memory of responses that clients haven't read yet. A large response acquires permits for its length from a budget
//! of the process before it is sent, and releases them when it has been written to the socket or dropped.

use std::{
    collections::{HashMap, hash_map::Entry},
    convert::Infallible,
    io,
    net::{IpAddr, Ipv4Addr},
    pin::Pin,
    sync::{Arc, LazyLock, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::Request,
    response::{IntoResponse, Response},
};
use catalog_process::{metrics, server::client_key};
use futures::{StreamExt, future::BoxFuture};
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use prometheus::{IntCounter, IntGauge};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tower::{Layer, Service};

use super::{context::RequestContext, problem::Problem};

/// Minimum size of a response that uses the budget, in bytes. The number of connections bounds the smaller ones.
const LARGE: u64 = 16 * 1024;
/// Size of one permit, in bytes.
const UNIT: usize = 1024;
/// One client may hold a quarter of the budget, so that a client that doesn't read leaves the rest to others.
const CLIENT_DIVISOR: usize = 4;
/// How long a large response waits for its part of the budget.
const WAIT: Duration = Duration::from_secs(1);
/// Responses that wait for the budget take memory themselves: at most a quarter of the budget.
const WAITING_DIVISOR: usize = 4;
/// How long a chunk of a stream waits for its part of the budget. The stream then ends with an error.
const STREAM_WAIT: Duration = Duration::from_secs(30);

static IN_FLIGHT: LazyLock<IntGauge> =
    LazyLock::new(|| metrics::register_gauge("http_response_budget_used_bytes", "Bytes of large responses that clients haven't read yet"));
static REJECTED: LazyLock<IntCounter> = LazyLock::new(|| {
    metrics::register_counter(
        "http_response_budget_rejections_total",
        "Large responses replaced by 503 because the response budget was used up",
    )
});

/// Makes [`ResponseBudget`] services that share one budget.
#[derive(Clone, Copy)]
pub struct ResponseBudgetLayer(&'static Budget);

struct Budget {
    free: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    clients: Mutex<HashMap<IpAddr, Client>>,
    client_share: usize,
}

/// The permits of one client, and how many of its responses use them.
struct Client {
    free: Arc<Semaphore>,
    users: usize,
}

impl ResponseBudgetLayer {
    /// Creates a budget of `bytes`. It is never freed, so that requests need no reference count.
    pub fn new(bytes: usize) -> Self {
        LazyLock::force(&IN_FLIGHT);
        LazyLock::force(&REJECTED);
        let units = (bytes / UNIT).clamp(CLIENT_DIVISOR, u32::MAX as usize);
        Self(Box::leak(Box::new(Budget {
            free: Arc::new(Semaphore::new(units)),
            waiting: Arc::new(Semaphore::new(units / WAITING_DIVISOR)),
            clients: Mutex::default(),
            client_share: units / CLIENT_DIVISOR,
        })))
    }
}

/// A part of the budget that is in use.
struct Held {
    _client: ClientRef,
    _client_permits: OwnedSemaphorePermit,
    _global_permits: OwnedSemaphorePermit,
    bytes: i64,
}

impl Drop for Held {
    fn drop(&mut self) {
        IN_FLIGHT.sub(self.bytes);
    }
}

/// A counted reference to a client. Dropping the last one removes the client from the budget.
struct ClientRef {
    budget: &'static Budget,
    client: IpAddr,
    free: Arc<Semaphore>,
}

impl Drop for ClientRef {
    fn drop(&mut self) {
        let mut clients = self.budget.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut client) = clients.entry(self.client) {
            client.get_mut().users -= 1;
            if client.get().users == 0 {
                client.remove();
            }
        }
    }
}

impl Budget {
    /// Counts a response of the client until the reference is dropped.
    fn register_client(&'static self, client: IpAddr) -> ClientRef {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let state = clients.entry(client).or_insert_with(|| Client { free: Arc::new(Semaphore::new(self.client_share)), users: 0 });
        state.users += 1;
        ClientRef { budget: self, client, free: state.free.clone() }
    }

    /// Converts bytes to permits. A response that is larger than the client's share takes the whole share.
    fn units(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.div_ceil(UNIT).min(self.client_share)).unwrap_or(u32::MAX)
    }

    /// Acquires permits for `bytes`, if they become available within `wait`.
    async fn hold(&'static self, client: IpAddr, bytes: usize, wait: Duration) -> Option<Held> {
        let units = self.units(bytes);
        let client = self.register_client(client);
        let permits = async {
            let client_permits = client.free.clone().acquire_many_owned(units).await.ok()?;
            Some((client_permits, self.free.clone().acquire_many_owned(units).await.ok()?))
        };
        let (client_permits, global_permits) = timeout(wait, permits).await.ok()??;
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        IN_FLIGHT.add(bytes);
        Some(Held { _client: client, _client_permits: client_permits, _global_permits: global_permits, bytes })
    }

    /// Acquires permits for a complete response: at once, or after a short wait unless too many responses wait already.
    async fn hold_response(&'static self, client: IpAddr, bytes: usize) -> Option<Held> {
        let now = self.hold(client, bytes, Duration::ZERO).await;
        if now.is_some() {
            return now;
        }
        let _waiting = self.waiting.clone().try_acquire_many_owned(self.units(bytes)).ok()?;
        self.hold(client, bytes, WAIT).await
    }

    async fn send(&'static self, client: IpAddr, response: Response) -> Response {
        let client = client_key(client);
        let Some(length) = response.body().size_hint().exact() else {
            return response.map(|body| self.stream(client, body));
        };
        if let Some(held) = self.hold_response(client, usize::try_from(length).unwrap_or(usize::MAX)).await {
            response.map(|body| Body::new(HeldBody { body, held: Arc::new(held) }))
        } else {
            REJECTED.inc();
            drop(response);
            Problem::unavailable("Too many large responses are being sent. Ask for smaller pages, or retry after 2 s.").into_response()
        }
    }

    /// Streams a body of unknown length. Each large chunk acquires permits for itself.
    fn stream(&'static self, client: IpAddr, body: Body) -> Body {
        Body::from_stream(body.into_data_stream().then(move |chunk| async move {
            let chunk = chunk?;
            if (chunk.len() as u64) < LARGE {
                return Ok(chunk);
            }
            match self.hold(client, chunk.len(), STREAM_WAIT).await {
                Some(held) => Ok(Bytes::from_owner(HeldBytes { bytes: chunk, _held: Arc::new(held) })),
                None => Err(axum::Error::new(io::Error::new(io::ErrorKind::TimedOut, "the response budget is used up"))),
            }
        }))
    }
}

/// A complete body with its part of the budget.
struct HeldBody {
    body: Body,
    held: Arc<Held>,
}

/// Bytes whose permits are released with the last reference: hyper keeps one until they are written.
struct HeldBytes {
    bytes: Bytes,
    _held: Arc<Held>,
}

impl AsRef<[u8]> for HeldBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl HttpBody for HeldBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let hold = |bytes| Bytes::from_owner(HeldBytes { bytes, _held: self.held.clone() });
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(hold))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<S> Layer<S> for ResponseBudgetLayer {
    type Service = ResponseBudget<S>;

    fn layer(&self, inner: S) -> ResponseBudget<S> {
        ResponseBudget { inner, budget: self.0 }
    }
}

/// See the module.
#[derive(Clone)]
pub struct ResponseBudget<S> {
    inner: S,
    budget: &'static Budget,
}

impl<S> Service<Request> for ResponseBudget<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = ResponseBudgetFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let client = request.extensions().get::<RequestContext>().map_or(Ipv4Addr::UNSPECIFIED.into(), |context| context.client);
        ResponseBudgetFuture { future: self.inner.call(request), client, budget: self.budget, sending: None }
    }
}

pin_project! {
    /// Passes small responses through, and others when the budget has permits for them.
    pub struct ResponseBudgetFuture<F> {
        #[pin]
        future: F,
        client: IpAddr,
        budget: &'static Budget,
        sending: Option<BoxFuture<'static, Response>>,
    }
}

impl<F: Future<Output = Result<Response, Infallible>>> Future for ResponseBudgetFuture<F> {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let sending = if let Some(sending) = this.sending {
            sending
        } else {
            let response = ready!(this.future.poll(cx))?;
            if response.body().size_hint().exact().is_some_and(|length| length < LARGE) {
                return Poll::Ready(Ok(response));
            }
            this.sending.insert(Box::pin(this.budget.send(*this.client, response)))
        };
        sending.as_mut().poll(cx).map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    const KIB: usize = 1024;

    async fn send(layer: ResponseBudgetLayer, client: &str, body: Body) -> Response {
        layer.0.send(client.parse().unwrap(), Response::new(body)).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_leaves_the_rest_of_the_budget_to_others() {
        let layer = ResponseBudgetLayer::new(400 * KIB);
        let unread = send(layer, "192.0.2.1", vec![0; 100 * KIB].into()).await;
        assert_eq!(unread.status(), 200);
        assert_eq!(send(layer, "192.0.2.1", vec![0; 20 * KIB].into()).await.status(), 503);
        for other in ["192.0.2.2", "192.0.2.3"] {
            assert_eq!(send(layer, other, vec![0; 100 * KIB].into()).await.status(), 200);
        }
        drop(unread);
        assert_eq!(send(layer, "192.0.2.1", vec![0; 100 * KIB].into()).await.status(), 200);
        assert!(layer.0.clients.lock().unwrap().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn the_budget_is_held_until_the_bytes_are_dropped_not_the_body() {
        let layer = ResponseBudgetLayer::new(400 * KIB);
        let mut body = send(layer, "192.0.2.1", vec![0; 100 * KIB].into()).await.into_body();
        let bytes = body.frame().await.unwrap().unwrap().into_data().unwrap();
        drop(body);
        assert_eq!(layer.0.free.available_permits(), 300);
        drop(bytes);
        assert_eq!(layer.0.free.available_permits(), 400);
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_waits_a_second_for_the_budget_and_few_wait_at_once() {
        let layer = ResponseBudgetLayer::new(400 * KIB);
        let unread = send(layer, "192.0.2.1", vec![0; 100 * KIB].into()).await;
        let waiting = tokio::spawn(async move { send(layer, "192.0.2.1", vec![0; 100 * KIB].into()).await.status() });
        tokio::task::yield_now().await;
        let started = tokio::time::Instant::now();
        assert_eq!(send(layer, "192.0.2.1", vec![0; 20 * KIB].into()).await.status(), 503);
        assert_eq!(started.elapsed().as_millis() / 100, 0, "the second one doesn't wait");
        drop(unread);
        assert_eq!(waiting.await.unwrap(), 200);
    }

    #[tokio::test(start_paused = true)]
    async fn chunks_of_a_stream_take_the_budget_one_by_one() {
        let layer = ResponseBudgetLayer::new(400 * KIB);
        let chunks = futures::stream::iter((0..10).map(|_| Ok::<_, io::Error>(Bytes::from(vec![0; 60 * KIB]))));
        let body = send(layer, "192.0.2.1", Body::from_stream(chunks)).await.into_body();
        assert_eq!(
            body.collect().await.unwrap_err().to_string(),
            "the response budget is used up",
            "collect() keeps all chunks, so the budget runs out"
        );
        let chunks = futures::stream::iter((0..10).map(|_| Ok::<_, io::Error>(Bytes::from(vec![0; 60 * KIB]))));
        let mut body = send(layer, "192.0.2.1", Body::from_stream(chunks)).await.into_body();
        let mut read = 0;
        while let Some(frame) = body.frame().await {
            read += frame.unwrap().into_data().unwrap().len();
        }
        assert_eq!(read, 600 * KIB);
        assert_eq!(layer.0.free.available_permits(), 400);
    }
}
