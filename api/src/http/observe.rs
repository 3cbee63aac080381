//! A layer around every route: request id and trace, span, timing, metrics, access log, and the bodies of problem documents,
//! also of panics. Every cached read passes through it, so it allocates almost nothing.
//!
//! Each request has a span with the fields of docs/logging.md. Creating a span costs 3 % of a cached read. Anonymous reads
//! therefore create it lazily: when they first wait, fail or log (docs/decisions/0014).

use std::{
    cell::RefCell,
    collections::HashMap,
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroU32,
    pin::Pin,
    sync::{
        Arc, LazyLock, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    extract::{ConnectInfo, MatchedPath, Request},
    http::{HeaderValue, Method, StatusCode, Version, header, uri::PathAndQuery},
    response::{IntoResponse, Response},
};
use catalog_logging::panics;
use catalog_process::metrics;
use foldhash::fast::RandomState;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use pin_project_lite::pin_project;
use prometheus::{Histogram, HistogramVec, IntCounter, register_histogram_vec};
use tokio::time::Sleep;
use tower::{Layer, Service};
use tracing::{Instrument, Span, field::Empty, instrument::Instrumented, level_filters::LevelFilter};

use super::{
    client,
    context::{REQUEST_ID, RequestContext, TRACEPARENT},
    problem::Problem,
};

static DURATIONS: LazyLock<HistogramVec> = LazyLock::new(|| {
    #[allow(clippy::expect_used, reason = "registered once, with a constant name")]
    register_histogram_vec!(
        "http_request_duration_seconds",
        "Time from the request's head to the response's head",
        &["method", "route", "status"],
        vec![0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]
    )
    .expect("a metric of this name is registered once")
});

static UNLOGGED: LazyLock<IntCounter> = LazyLock::new(|| {
    metrics::register_counter(
        "http_rejections_unlogged_total",
        "Rejected requests without a log line, because too many were rejected at once",
    )
});

/// Maximum number of log lines per second for responses with 4xx, and for responses with 503, because clients can cause any
/// number of them. `http_request_duration_seconds` counts all.
const LOGGED_REJECTIONS: NonZeroU32 = NonZeroU32::new(100).unwrap();
/// A request that takes longer is aborted with 503, because PostgreSQL or another server does not respond.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Routes whose duration depends on the size of the body. They have their own limits.
const STREAMING: [&str; 1] = ["/v1/products/bulk"];

/// Maximum number of logged characters of a path or a method.
const MAX_LOGGED: usize = 256;
/// The route label of requests that no route matched.
const UNMATCHED: &str = "unmatched";

/// Makes [`Observe`] services that share one table of metric handles.
#[derive(Clone)]
pub struct ObserveLayer {
    shared: Arc<Shared>,
}

struct Shared {
    log_sample: u64,
    trusted_proxy_hops: usize,
    reads: AtomicU64,
    /// Limits of log lines of rejected requests, by whether the status is 503.
    rejections: [DefaultDirectRateLimiter; 2],
}

const METHODS: [Method; 6] = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
const STATUSES: usize = 500;

/// The histograms of one route, created when first used and never freed.
struct RouteHandles {
    route: &'static str,
    by_method: [[OnceLock<Histogram>; STATUSES]; METHODS.len()],
}

type Routes = HashMap<&'static str, &'static RouteHandles, RandomState>;

static ROUTES: LazyLock<Mutex<Routes>> = LazyLock::new(Mutex::default);

thread_local! {
    /// The routes that this thread has served. Only the first request of a route takes the lock of [`ROUTES`].
    static LOCAL_ROUTES: RefCell<Routes> = RefCell::default();
}

impl RouteHandles {
    fn of(route: &str) -> &'static Self {
        LOCAL_ROUTES.with_borrow_mut(|local| {
            local.get(route).copied().unwrap_or_else(|| {
                let mut routes = ROUTES.lock().unwrap_or_else(PoisonError::into_inner);
                let handles = routes.get(route).copied().unwrap_or_else(|| Self::new(route));
                routes.insert(handles.route, handles);
                local.insert(handles.route, handles);
                handles
            })
        })
    }

    fn new(route: &str) -> &'static Self {
        let by_method = std::array::from_fn(|_| std::array::from_fn(|_| OnceLock::new()));
        Box::leak(Box::new(Self { route: Box::leak(route.into()), by_method }))
    }

    fn observe(&self, method: &Method, status: StatusCode, seconds: f64) {
        let make = || DURATIONS.with_label_values(&[method.as_str(), self.route, status.as_str()]);
        let slot = usize::from(status.as_u16()).wrapping_sub(100);
        match METHODS.iter().position(|known| known == method) {
            Some(index) if slot < STATUSES => self.by_method[index][slot].get_or_init(make).observe(seconds),
            // Clients can send any method; only known ones become labels.
            _ => DURATIONS.with_label_values(&["other", self.route, status.as_str()]).observe(seconds),
        }
    }
}

impl ObserveLayer {
    /// Logs one of `log_sample` successful reads. `trusted_proxy_hops` is the number of proxies in front of the
    /// API whose `X-Forwarded-For` entries are trusted.
    #[must_use]
    pub fn new(log_sample: u64, trusted_proxy_hops: usize) -> Self {
        LazyLock::force(&UNLOGGED);
        let rejections = std::array::from_fn(|_| RateLimiter::direct(Quota::per_second(LOGGED_REJECTIONS)));
        let shared = Shared { log_sample, trusted_proxy_hops, reads: AtomicU64::new(0), rejections };
        Self { shared: Arc::new(shared) }
    }
}

impl<S> Layer<S> for ObserveLayer {
    type Service = Observe<S>;

    fn layer(&self, inner: S) -> Observe<S> {
        Observe { inner, shared: self.shared.clone() }
    }
}

/// See the module.
#[derive(Clone)]
pub struct Observe<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> Service<Request> for Observe<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = ObserveFuture<Instrumented<S::Future>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let started = Instant::now();
        let peer =
            request.extensions().get::<ConnectInfo<SocketAddr>>().map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| peer.0.ip().to_canonical());
        let client = client::address(peer, request.headers(), self.shared.trusted_proxy_hops);
        let context = RequestContext::of(request.headers(), client);
        let route = RouteHandles::of(request.extensions().get::<MatchedPath>().map_or(UNMATCHED, MatchedPath::as_str));
        let method = request.method().clone();
        let path = request.uri().path_and_query().cloned();
        let is_anonymous = !request.headers().contains_key(header::AUTHORIZATION);
        request.extensions_mut().insert(context.clone());
        let mut observed = ObservedRequest { started, context, route, method, path, span: Span::none(), shared: self.shared.clone() };
        // At debug level, reads log before they first wait, so the span is needed at once.
        if !(is_anonymous && is_read(&observed.method)) || LevelFilter::current() > LevelFilter::INFO {
            observed.open_span();
        }
        let rejected = (!has_one_host(&request)).then(|| Problem::malformed("An HTTP/1.1 request must have one Host header.").into());
        // The future is instrumented so that what it drops when the client disconnects is logged with the request's fields.
        let future = self.inner.call(request).instrument(observed.span.clone());
        ObserveFuture { future, rejected, deadline: None, observed: Some(observed) }
    }
}

/// RFC 9112, section 3.2.
fn has_one_host(request: &Request) -> bool {
    request.version() != Version::HTTP_11 || request.headers().get_all(header::HOST).iter().count() == 1
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

struct ObservedRequest {
    started: Instant,
    context: RequestContext,
    route: &'static RouteHandles,
    method: Method,
    path: Option<PathAndQuery>,
    /// A disabled span until [`ObservedRequest::open_span`].
    span: Span,
    shared: Arc<Shared>,
}

pin_project! {
    /// Completes the response of one request.
    pub struct ObserveFuture<F> {
        #[pin]
        future: F,
        // The response to a request that is rejected before routing.
        rejected: Option<Box<Problem>>,
        // Created when the request first waits. Cached reads never wait.
        deadline: Option<Pin<Box<Sleep>>>,
        observed: Option<ObservedRequest>,
    }
}

impl<F: Future<Output = Result<Response, Infallible>>> Future for ObserveFuture<F> {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        // A panic of a handler fails only this request, not the connection or the process.
        let polled = if let Some(problem) = this.rejected.take() {
            Ok(Poll::Ready(Ok(problem.into_response())))
        } else {
            let _entered = this.observed.as_ref().map(|observed| observed.span.enter());
            panics::catch(|| this.future.poll(cx))
        };
        let mut response = match polled {
            Ok(Poll::Ready(Ok(response))) => response,
            Ok(Poll::Pending) => {
                if let Some(observed) = this.observed {
                    observed.open_span();
                }
                if this.observed.as_ref().is_some_and(|observed| STREAMING.contains(&observed.route.route)) {
                    return Poll::Pending;
                }
                let deadline = this.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(REQUEST_TIMEOUT)));
                ready!(deadline.as_mut().poll(cx));
                let detail = format!("The request did not complete within {} s. Retry it.", REQUEST_TIMEOUT.as_secs());
                Problem::unavailable(detail).into_response()
            }
            Err(panic) => Problem::internal(&panic).into_response(),
        };
        if let Some(observed) = this.observed.take() {
            observed.complete(&mut response);
        }
        Poll::Ready(Ok(response))
    }
}

impl ObservedRequest {
    fn open_span(&mut self) {
        if self.span.is_none() {
            // Error level, so that no log filter drops the span.
            self.span = tracing::error_span!(
                "request",
                request_id = self.context.request_id(),
                traceparent = self.context.traceparent(),
                method = clip(self.method.as_str()),
                route = self.route.route,
                path = self.path.as_ref().map(|path| clip(path.path())),
                client = %self.context.client,
                account_id = Empty,
                event_id = Empty,
            );
        }
    }

    fn complete(mut self, response: &mut Response) {
        let problem = response.extensions_mut().remove::<Problem>();
        if let Some(problem) = &problem {
            let body = problem.to_json(self.context.request_id());
            response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
            *response.body_mut() = Body::from(body);
        }
        let status = response.status();
        let elapsed = self.started.elapsed();
        self.route.observe(&self.method, status, elapsed.as_secs_f64());
        if self.should_log(status) {
            self.open_span();
            self.span.in_scope(|| log(status, elapsed, problem.as_ref()));
        }
        let headers = response.headers_mut();
        headers.insert(REQUEST_ID, self.context.request_id);
        headers.insert(TRACEPARENT, self.context.traceparent);
    }

    fn should_log(&self, status: StatusCode) -> bool {
        match status {
            StatusCode::SERVICE_UNAVAILABLE => self.acquire_log_permit(1),
            status if status.is_client_error() => self.acquire_log_permit(0),
            status if status.is_server_error() => true,
            _ if is_read(&self.method) => self.shared.reads.fetch_add(1, Ordering::Relaxed).is_multiple_of(self.shared.log_sample),
            _ => true,
        }
    }

    fn acquire_log_permit(&self, kind: usize) -> bool {
        let is_within_limit = self.shared.rejections[kind].check().is_ok();
        if !is_within_limit {
            UNLOGGED.inc();
        }
        is_within_limit
    }
}

/// Limits the logged length, because a client can send a path or a method of 32 KiB with every request.
fn clip(text: &str) -> &str {
    text.char_indices().nth(MAX_LOGGED).map_or(text, |(end, _)| &text[..end])
}

/// Writes the access log line of a request, with the cause if the server failed.
fn log(status: StatusCode, elapsed: Duration, problem: Option<&Problem>) {
    let duration_ms = elapsed.as_secs_f64() * 1000.0;
    let kind = problem.map(Problem::kind);
    let error = problem.filter(|_| status.is_server_error()).map(Problem::cause);
    let status = status.as_u16();
    match status {
        503 => tracing::warn!(status, duration_ms, problem = kind, error, "request"),
        500.. => tracing::error!(status, duration_ms, problem = kind, error, "request"),
        _ => tracing::info!(status, duration_ms, problem = kind, "request"),
    }
}

#[cfg(test)]
mod tests;
