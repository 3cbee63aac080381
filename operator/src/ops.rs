//! The server of `/livez`, `/readyz` and `/metrics`.

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::net::TcpListener;

use crate::{leader::Leadership, metrics::Metrics};

/// Serves until the future is dropped. `/readyz` succeeds once this process leads or is a standby, and never while another
/// installation of the operator runs.
///
/// # Errors
/// If the listener fails.
pub async fn serve(listener: TcpListener, metrics: Metrics, leadership: Leadership) -> std::io::Result<()> {
    let router = Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(move || ready(leadership.is_leader_known())))
        .route("/metrics", get(text))
        .with_state(metrics);
    axum::serve(listener, router).await
}

fn ready(is_leader_known: bool) -> impl Future<Output = Response> {
    let response = if is_leader_known { (StatusCode::OK, "ready\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "no leader elected yet\n") };
    std::future::ready(response.into_response())
}

async fn text(State(metrics): State<Metrics>) -> Response {
    match metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics not encoded");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
