//! A server for HTTP/1.1 with connection limits, timeouts and a drain, which `axum::serve` lacks.

mod head_timeout;
mod limits;
mod linger;
mod open_files;
mod request_body;
mod transport;

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::{ConnectInfo, Request},
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{rt::TokioIo, server::graceful::GracefulShutdown};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

use self::{
    head_timeout::{Activity, HeadTimer, IDLE_TIMEOUT, TimedConnection},
    limits::Rejection,
    linger::Linger,
    request_body::RequestBody,
    transport::Transport,
};
pub use self::{
    limits::{ConnectionLimit, Limits, RETRY_AFTER, RespondToRejected, client_key, respond_without_body},
    open_files::raise_open_file_limit,
};

/// Maximum size of the head of a request, in bytes. A larger one gets 431. It is also the size of a connection's read buffer.
const MAX_HEAD: usize = 32 * 1024;
/// Size of a socket's send buffer, in bytes. The kernel allocates twice as much, because it includes its overhead. Without a limit, the
/// buffer grows to 4 MiB (`tcp_wmem`) for a client that doesn't read, and counts as memory of the container.
const SEND_BUFFER: u32 = 128 * 1024;
/// Pause after `accept` has failed, for example because of too many open files: otherwise it would fail again at once.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);
/// Time at the start of a drain in which idle connections stay open and responses have `Connection: close`. Without it, a client could
/// send a request on a connection that is being closed.
const DRAIN_GRACE: Duration = Duration::from_secs(1);
/// Interval at which the drain checks for open connections.
const DRAIN_POLL_INTERVAL: Duration = Duration::from_millis(10);
/// Timeout of a rejected connection, for the request, the response and the linger.
const REJECTION_TIMEOUT: Duration = Duration::from_secs(2);
/// The response to a rejected connection if too many others are being rejected. It has no body.
const REJECTION: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 2\r\ncontent-length: 0\r\n\r\n";

/// The state that all connections of a listener share.
#[derive(Clone)]
struct Server {
    router: Router,
    limits: Arc<Limits>,
    respond: RespondToRejected,
    draining: Arc<AtomicBool>,
    tasks: TaskTracker,
}

/// Accepts connections until `stop`, and answers connections over a limit with `respond`. Then finishes the requests in progress.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, respond: RespondToRejected, stop: CancellationToken) {
    if let Err(error) = socket2::SockRef::from(&listener).set_send_buffer_size(SEND_BUFFER as usize) {
        tracing::warn!(%error, "cannot set the send buffer size");
    }
    let connections = GracefulShutdown::new();
    let server = Server { router, limits: Arc::new(limits), respond, draining: Arc::default(), tasks: TaskTracker::new() };
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, peer)) => server.admit(stream, peer, &connections),
            Err(error) if is_connection_error(&error) => tracing::debug!(%error, "a connection was aborted before it was accepted"),
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections; retrying");
                tokio::time::sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
    drop(listener);
    server.draining.store(true, Ordering::Relaxed);
    let all_closed = async {
        while connections.count() > 0 {
            tokio::time::sleep(DRAIN_POLL_INTERVAL).await;
        }
    };
    let _ = tokio::time::timeout(DRAIN_GRACE, all_closed).await;
    connections.shutdown().await;
    server.tasks.close();
    server.tasks.wait().await;
}

fn is_connection_error(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused)
}

impl Server {
    /// Serves a connection in a new task, or rejects it if it exceeds a limit.
    fn admit(&self, stream: TcpStream, peer: SocketAddr, connections: &GracefulShutdown) {
        // Disable Nagle's algorithm. Responses are written in one piece, so it would only delay them.
        let _ = stream.set_nodelay(true);
        // Limit how long the kernel keeps unacknowledged data, also after the connection is closed.
        let _ = socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(self.limits.write_timeout));
        match self.limits.admit(peer.ip()) {
            Ok(permit) => {
                let (server, activity) = (self.clone(), Activity::start(self.limits.clone()));
                let service_activity = activity.clone();
                let service = service_fn(move |request| server.clone().respond(request, peer, service_activity.clone()));
                let (transport, linger) = self.wrap_stream(stream, &activity);
                let connection = http1_builder(&activity).serve_connection(transport, service);
                let connection = TimedConnection::new(connections.watch(connection), activity);
                self.tasks.spawn(async move {
                    let _permit = permit;
                    if let Err(error) = connection.await {
                        tracing::debug!(%error, %peer, "connection ended with an error");
                    }
                    linger.discard().await;
                });
            }
            Err(rejection) => self.reject(stream, peer, rejection),
        }
    }

    /// Wraps a stream with the write timeout.
    fn wrap_stream(&self, stream: TcpStream, activity: &Arc<Activity>) -> (TokioIo<Transport<TcpStream>>, Linger<TcpStream>) {
        // Otherwise the kernel would keep unsent data for a client that doesn't read the response.
        let reset: fn(&TcpStream) = |stream| {
            let _ = stream.set_zero_linger();
        };
        let (transport, linger) = Transport::new(stream, activity.clone(), self.limits.write_timeout, reset);
        (TokioIo::new(transport), linger)
    }

    /// Rejects the first request of a connection that exceeds a limit. It waits for the request, because many clients discard a response
    /// that they receive before they have sent a request.
    fn reject(&self, stream: TcpStream, peer: SocketAddr, rejection: Rejection) {
        let Some(slot) = rejection.slot else {
            let _ = stream.try_write(REJECTION);
            return;
        };
        let activity = Activity::start(self.limits.clone());
        let (respond, limit) = (self.respond, rejection.limit);
        let service = service_fn(move |request: Request<Incoming>| {
            let mut response = respond(limit, request.headers(), peer);
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            std::future::ready(Ok::<_, Infallible>(response))
        });
        let (transport, linger) = self.wrap_stream(stream, &activity);
        let connection = http1_builder(&activity).serve_connection(transport, service);
        tokio::spawn(async move {
            let _slot = slot;
            let _ = tokio::time::timeout(REJECTION_TIMEOUT, async {
                let _ = TimedConnection::new(connection, activity).await;
                linger.discard().await;
            })
            .await;
        });
    }

    /// Routes a request and reads the rest of its body.
    async fn respond(self, request: Request<Incoming>, peer: SocketAddr, activity: Arc<Activity>) -> Result<Response, Infallible> {
        let (mut parts, body) = request.into_parts();
        if head_length(&parts) > MAX_HEAD {
            return Ok((StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, [(header::CONNECTION, "close")]).into_response());
        }
        parts.extensions.insert(ConnectInfo(peer));
        let (body, unread) = RequestBody::watch(body, &parts.headers);
        let mut response = self.router.oneshot(Request::from_parts(parts, body)).await?;
        let is_read = match unread {
            Some(unread) => unread.drain().await,
            None => true,
        };
        if is_read {
            activity.record_request_read();
        }
        if !is_read || self.draining.load(Ordering::Relaxed) {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response)
    }
}

/// Returns the size of a request's head in bytes. Hyper compares only unparsed bytes with its limit, so it accepts a larger head that
/// arrives in one piece. Therefore the server checks the size again.
fn head_length(parts: &Parts) -> usize {
    let fields = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
    let target = parts.uri.path_and_query().map_or(0, |target| target.as_str().len());
    parts.method.as_str().len() + target + "  HTTP/1.1\r\n\r\n".len() + fields.sum::<usize>()
}

fn http1_builder(activity: &Arc<Activity>) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.timer(HeadTimer(activity.clone())).header_read_timeout(IDLE_TIMEOUT).max_buf_size(MAX_HEAD);
    builder
}
