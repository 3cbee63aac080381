//! The upper limit of cached reads: axum with one route that returns a constant response.

use std::net::{Ipv4Addr, SocketAddr};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    response::Response,
    routing::get,
    serve::ListenerExt,
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

/// A constant response. The server adds `date` and `content-length`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Canned {
    /// HTTP status.
    pub status: u16,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: String,
}

/// Serves it under the path of a product, and prints its address.
///
/// # Errors
/// If it cannot be served.
pub async fn serve(canned: Canned) -> anyhow::Result<()> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
    println!("{}", listener.local_addr()?);
    let listener = listener.tap_io(|connection| {
        let _ = connection.set_nodelay(true);
    });
    let status = StatusCode::from_u16(canned.status)?;
    let mut headers = HeaderMap::new();
    for (name, value) in &canned.headers {
        headers.insert(HeaderName::try_from(name)?, HeaderValue::try_from(value)?);
    }
    let body = Bytes::from(canned.body);
    let handler = async move || {
        let mut response = Response::new(Body::from(body.clone()));
        *response.status_mut() = status;
        response.headers_mut().clone_from(&headers);
        response
    };
    let router = Router::new().route("/v1/products/{id}", get(handler));
    axum::serve(listener, router).await?;
    Ok(())
}
