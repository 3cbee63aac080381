//! Connections of the public API. They are served with a limit that `axum::serve` doesn't have: who
//! sends nothing, or half a head, is not waited for.

mod patience;

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request},
    http::{HeaderValue, header},
    response::Response,
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{rt::TokioIo, server::graceful::GracefulShutdown};
use patience::{Attended, Clock};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// How long the head of a request may take, and how long an idle connection is kept for the next.
/// Longer than the idle timeouts of common gateways (60 s), so that they close first and never send
/// a request into a closing connection.
const HEAD_PATIENCE: Duration = Duration::from_secs(75);
/// Pause after an error of accept, such as too many open files, which would otherwise repeat at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Before idle connections are closed, busy ones are told so for this long, with `Connection: close` on their
/// next answer: who learns it only from the end of the connection may have sent a request into it.
const FAREWELL: Duration = Duration::from_secs(1);
/// How often it is looked whether anybody is left.
const LOOK: Duration = Duration::from_millis(10);

/// Serves until `stop`, then finishes the requests in progress.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let connections = GracefulShutdown::new();
    let leaving = Arc::new(AtomicBool::new(false));
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, peer)) => attend(stream, peer, &router, &leaving, &connections),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    leaving.store(true, Ordering::Relaxed);
    let nobody_is_left = async {
        while connections.count() > 0 {
            tokio::time::sleep(LOOK).await;
        }
    };
    let _ = tokio::time::timeout(FAREWELL, nobody_is_left).await;
    connections.shutdown().await;
}

fn attend(stream: TcpStream, peer: SocketAddr, router: &Router, leaving: &Arc<AtomicBool>, connections: &GracefulShutdown) {
    // Answers are written whole: waiting to fill a packet would only delay them.
    let _ = stream.set_nodelay(true);
    let (router, leaving) = (router.clone(), leaving.clone());
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        answer(router.clone(), request, leaving.clone())
    });
    let mut protocol = http1::Builder::new();
    let clock = Clock::start();
    protocol.timer(clock.clone()).header_read_timeout(HEAD_PATIENCE);
    let connection = connections.watch(protocol.serve_connection(TokioIo::new(stream), service));
    let connection = Attended::new(connection, clock, HEAD_PATIENCE);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, %peer, "a connection ended in error");
        }
    });
}

async fn answer(router: Router, request: Request, leaving: Arc<AtomicBool>) -> Result<Response, Infallible> {
    let mut answer = router.oneshot(request).await?;
    if leaving.load(Ordering::Relaxed) {
        answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(answer)
}
