//! The session of a request, for requests that take long: it may end, and the access token expire, while a body arrives.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::problem::Problem;

/// What authenticated a request.
pub trait Session: Send + Sync {
    /// Whether account and session are still active. Fails if the database is unavailable.
    fn is_active(&self) -> BoxFuture<'_, Result<bool, sqlx::Error>>;
}

/// In the extensions of authenticated requests.
pub type RequestSession = Arc<dyn Session>;

/// 401 for an access token whose session has ended, or whose account was deactivated or deleted. `advice` says what to do.
pub fn session_ended(advice: &str) -> Problem {
    let detail = format!("The session has ended, or the account was deactivated or deleted. {advice}");
    Problem::unauthorized("token-revoked", detail).of_access_token()
}
