//! `Idempotency-Key`: a repeated request gets the stored response and has no second effect.
//!
//! The response is stored in the transaction of the effect, so that either both exist or neither. The transaction holds an
//! advisory lock, by which a request in progress is recognised.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::problem::{FieldError, Problem};
use crate::events::UnitOfWork;

const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
/// Marks a stored response.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// Longest key, in characters.
const MAX_KEY: usize = 255;
/// How long responses are kept.
pub const RETENTION: chrono::TimeDelta = chrono::TimeDelta::hours(24);

/// A key, scoped to its principal and route, with the hash of the request body. The column `caller` of
/// `http.idempotency_keys` has the principal.
#[derive(Clone)]
pub struct IdempotencyKey {
    principal: Uuid,
    route: &'static str,
    key: String,
    request_hash: Vec<u8>,
}

/// Runs `command` in `work`, at most once per key: a repeated request gets the stored response instead. Commits the command and
/// its response together, or neither. A request without a key always runs.
///
/// # Errors
/// 409 while the first request with the key is in progress, 422 if its body was different, and the errors of `command`.
pub async fn respond_once(
    mut work: UnitOfWork,
    key: Option<IdempotencyKey>,
    command: impl AsyncFnOnce(&mut UnitOfWork, Reply) -> Result<Replied, Problem>,
) -> Result<Response, Problem> {
    let outcome: Result<Outcome, Problem> = async {
        if let Some(key) = &key
            && let Some(stored) = key.claim(&mut work).await?
        {
            return Ok(Outcome::Repeated(stored));
        }
        Ok(Outcome::Done(command(&mut work, Reply { key }).await?))
    }
    .await;
    // A rollback is awaited, because the key must be free before the client can retry. If it fails, the connection is lost, and
    // PostgreSQL rolls back.
    match outcome {
        Ok(Outcome::Done(Replied(response))) => {
            work.commit().await?;
            Ok(response.into())
        }
        Ok(Outcome::Repeated(stored)) => {
            let _ = work.rollback().await;
            Ok(stored.into())
        }
        Err(problem) => {
            let rolled_back = work.rollback().await;
            if problem.is_retryable() {
                // Without a rollback the next attempt could wait for the locks of this one.
                rolled_back?;
            }
            Err(problem)
        }
    }
}

enum Outcome {
    /// The command ran.
    Done(Replied),
    /// The response to the first request with the key.
    Repeated(StorableResponse),
}

/// Stores the response to a command. The command can continue afterwards, for example to take locks that it must hold briefly.
pub struct Reply {
    key: Option<IdempotencyKey>,
}

/// The response to a command, which is sent after the commit. Only a [`Reply`] makes one, so a command cannot forget to store
/// its response.
pub struct Replied(StorableResponse);

impl Reply {
    /// Responds with a JSON body.
    ///
    /// # Errors
    /// If the body cannot be written as JSON, or the database fails.
    pub async fn json(
        self,
        work: &mut UnitOfWork,
        status: StatusCode,
        headers: Vec<(HeaderName, HeaderValue)>,
        body: &impl Serialize,
    ) -> Result<Replied, Problem> {
        let body = serde_json::to_vec(body).map_err(|error| Problem::internal(&error))?;
        let response = StorableResponse { status, headers, body };
        if let Some(key) = self.key {
            key.store(work, &response).await?;
        }
        Ok(Replied(response))
    }
}

/// A response in a form that can be stored.
struct StorableResponse {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// JSON.
    body: Vec<u8>,
}

impl IdempotencyKey {
    /// Reads the key of a request, or returns `None` without one. A key in quotes equals the same key without.
    ///
    /// # Errors
    /// 400 for a key that is empty, too long or not of visible ASCII characters.
    pub fn of(headers: &HeaderMap, principal: Uuid, route: &'static str, body: &[u8]) -> Result<Option<Self>, Problem> {
        let mut values = headers.get_all(HEADER).iter();
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(Problem::bad_parameters(vec![FieldError::parameter(
                "Idempotency-Key",
                "Idempotency-Key is a duplicate header; send it once",
            )]));
        }
        let key = value.to_str().unwrap_or_default().trim();
        let key = key.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or(key);
        let visible = key.bytes().all(|c| c.is_ascii_graphic() && c != b'"');
        if key.is_empty() || key.len() > MAX_KEY || !visible {
            let detail = format!(
                "Idempotency-Key must be 1 to {MAX_KEY} visible ASCII characters without spaces and quotes; the whole may be in quotes"
            );
            return Err(Problem::bad_parameters(vec![FieldError::parameter("Idempotency-Key", detail)]));
        }
        Ok(Some(Self { principal, route, key: key.to_owned(), request_hash: Sha256::digest(body).to_vec() }))
    }

    /// Reads the key of a request to an operation that requires one.
    ///
    /// # Errors
    /// 400 without one, and as [`IdempotencyKey::of`].
    pub fn required(headers: &HeaderMap, principal: Uuid, route: &'static str, body: &[u8]) -> Result<Self, Problem> {
        Self::of(headers, principal, route, body)?.ok_or_else(|| {
            let detail = "Idempotency-Key is required: send a new one, such as a UUID, for each order, and the same one for retries";
            Problem::bad_parameters(vec![FieldError::parameter("Idempotency-Key", detail)])
        })
    }

    /// Replaces the hash of the body by one (SHA-256) that was computed while the body was read.
    #[must_use]
    pub fn for_hash(self, request_hash: [u8; 32]) -> Self {
        Self { request_hash: request_hash.to_vec(), ..self }
    }

    /// Locks the key for this transaction, or returns the response that is stored under it.
    async fn claim(&self, work: &mut UnitOfWork) -> Result<Option<StorableResponse>, Problem> {
        let name = format!("{}/{}/{}", self.principal, self.route, self.key);
        let free = sqlx::query_scalar!(r#"SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0)) AS "free!""#, name)
            .fetch_one(&mut **work)
            .await?;
        if !free {
            return Err(Problem::conflict(
                "idempotency-key-in-use",
                "A request with this Idempotency-Key is in progress. Retry after the seconds in Retry-After.",
            )
            .with_header(header::RETRY_AFTER, HeaderValue::from(1)));
        }
        let stored = sqlx::query!(
            "SELECT request_hash, status, headers, body, created_at FROM http.idempotency_keys
             WHERE caller = $1 AND route = $2 AND key = $3",
            self.principal,
            self.route,
            self.key,
        )
        .fetch_optional(&mut **work)
        .await?;
        // Not a condition in SQL, because PostgreSQL might then scan all recent keys.
        let Some(stored) = stored.filter(|stored| stored.created_at > work.now() - RETENTION) else { return Ok(None) };
        if stored.request_hash != self.request_hash {
            let detail = "This Idempotency-Key was used with another body. Use a new key for a new request.";
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused", "Idempotency-Key reused", detail));
        }
        let status = u16::try_from(stored.status).ok().and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(StatusCode::OK);
        let headers = stored
            .headers
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| Some((HeaderName::try_from(name).ok()?, HeaderValue::from_str(value.as_str()?).ok()?)));
        let headers = headers.chain([(REPLAYED, HeaderValue::from_static("true"))]).collect();
        Ok(Some(StorableResponse { status, headers, body: stored.body }))
    }

    async fn store(&self, work: &mut UnitOfWork, response: &StorableResponse) -> Result<(), sqlx::Error> {
        let headers: Map<String, Value> =
            response.headers.iter().filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.into()))).collect();
        sqlx::query!(
            "INSERT INTO http.idempotency_keys (caller, route, key, request_hash, status, headers, body, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
             ON CONFLICT (caller, route, key) DO UPDATE SET request_hash = excluded.request_hash, status = excluded.status,
                 headers = excluded.headers, body = excluded.body, created_at = excluded.created_at",
            self.principal,
            self.route,
            self.key,
            self.request_hash,
            i16::try_from(response.status.as_u16()).unwrap_or(200),
            Value::Object(headers),
            response.body,
            work.now(),
        )
        .execute(&mut **work)
        .await?;
        Ok(())
    }
}

impl From<StorableResponse> for Response {
    fn from(stored: StorableResponse) -> Self {
        let mut response = Self::new(Body::from(stored.body));
        *response.status_mut() = stored.status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response.headers_mut().extend(stored.headers.into_iter().map(|(name, value)| (Some(name), value)));
        response
    }
}

/// Deletes responses older than [`RETENTION`].
///
/// # Errors
/// If the database fails.
pub async fn purge(pool: &sqlx::PgPool, now: DateTime<Utc>) -> Result<u64, sqlx::Error> {
    let deleted = sqlx::query!("DELETE FROM http.idempotency_keys WHERE created_at <= $1", now - RETENTION).execute(pool).await?;
    Ok(deleted.rows_affected())
}
