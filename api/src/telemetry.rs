//! Fields of the log lines of a request.

use tracing::{Span, field::display};
use uuid::Uuid;

/// Adds an account to the log lines of the current request: the authenticated one, or the one of a sign-in attempt.
pub fn record_account(account_id: Uuid) {
    Span::current().record("account_id", display(account_id));
}

/// Adds the id of the written event to the log lines of the current request or order.
pub fn record_event(event_id: Uuid) {
    Span::current().record("event_id", display(event_id));
}
