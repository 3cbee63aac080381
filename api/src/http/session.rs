//! The session of a request. While a long body arrives, the session may end and the access token may expire.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::problem::Problem;

/// The session that authenticated a request.
pub trait Session: Send + Sync {
    /// Whether the account and the session are still active. Fails if the database is unavailable.
    fn is_active(&self) -> BoxFuture<'_, Result<bool, sqlx::Error>>;
}

/// An extension of authenticated requests.
pub type RequestSession = Arc<dyn Session>;

/// Returns the problem 401 for an access token whose session has ended, or whose account was deactivated or deleted.
/// `advice` says what to do.
pub fn session_ended(advice: &str) -> Problem {
    let detail = format!("The session has ended, or the account was deactivated or deleted. {advice}");
    Problem::unauthorized("token-revoked", detail).with_invalid_token_challenge()
}
