//! Receives a body into memory, within limits of its size, its time and the memory of all bodies together.

use std::time::Duration;

use axum::{body::Body, extract::Request, http::StatusCode};
use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::BodyExt;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout},
};

use crate::http::{
    problem::Problem,
    session::{RequestSession, session_ended},
};

/// How long a client may take to send a body. It is enough for 1 MiB at 0.5 Mbit/s.
const BODY_TIMEOUT: Duration = Duration::from_secs(20);
/// The session of a request whose body took longer is checked again, because it may have ended.
const RECHECK_AFTER: Duration = Duration::from_millis(100);
/// Memory of all bodies that are being received, in permits of [`UNIT`] bytes: 64 MiB, four times what the connections of one
/// client can take.
static MEMORY: Semaphore = Semaphore::const_new(64 * 1024);
const UNIT: usize = 1024;

/// Receives a body of at most `max` bytes.
///
/// # Errors
/// 413 for a larger body: at once if its `Content-Length` is larger, otherwise when the limit is reached. 408 if it takes longer than 20 s,
/// 400 if it ends early, 401 if the session ended during the request, and 503 if too many bodies are being received.
pub async fn receive(request: Request, max: usize) -> Result<Bytes, Problem> {
    let session = request.extensions().get::<RequestSession>().cloned();
    let body = request.into_body();
    if body.size_hint().lower() > max as u64 {
        return Err(too_large(max));
    }
    let started = Instant::now();
    let bytes = timeout(BODY_TIMEOUT, collect(body, max)).await.map_err(|_| {
        let detail = format!("The body was not received within {} s. Send it faster.", BODY_TIMEOUT.as_secs());
        Problem::new(StatusCode::REQUEST_TIMEOUT, "request-timeout", "The request took too long", detail)
    })??;
    if let Some(session) = session.filter(|_| started.elapsed() > RECHECK_AFTER)
        && !session.is_active().await?
    {
        return Err(session_ended("No changes were made; sign in again."));
    }
    Ok(bytes)
}

/// Collects the frames of a body in one buffer. Kept separately, the frames of a body that arrives byte by byte would take many times its
/// length.
async fn collect(mut body: Body, max: usize) -> Result<Bytes, Problem> {
    let mut received = BytesMut::new();
    let mut memory = Memory::default();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Problem::malformed("The body ended early."))?;
        let Some(data) = frame.data_ref() else { continue };
        if received.len() + data.len() > max {
            return Err(too_large(max));
        }
        memory.grow(received.len() + data.len())?;
        received.extend_from_slice(data);
    }
    Ok(received.freeze())
}

/// The share of [`MEMORY`] that a body uses while it is being received.
#[derive(Default)]
struct Memory {
    permits: Option<SemaphorePermit<'static>>,
}

impl Memory {
    fn grow(&mut self, bytes: usize) -> Result<(), Problem> {
        let held = self.permits.as_ref().map_or(0, SemaphorePermit::num_permits);
        let missing = u32::try_from(bytes.div_ceil(UNIT).saturating_sub(held)).unwrap_or(u32::MAX);
        if missing == 0 {
            return Ok(());
        }
        let more = MEMORY.try_acquire_many(missing);
        let more = more.map_err(|_| Problem::unavailable("Too many request bodies are being received. Retry after 2 s."))?;
        match &mut self.permits {
            Some(permits) => permits.merge(more),
            none => *none = Some(more),
        }
        Ok(())
    }
}

/// Returns the problem 413 with the limit.
fn too_large(max: usize) -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "too-large",
        "The body is too large",
        format!("The body of this request may have {} KiB. POST /v1/products/bulk streams imports of any size.", max / 1024),
    )
}
