//! Who is asking: extractors that turn the bearer token into a caller.

use uuid::Uuid;

use crate::{
    events::{Actor, Origin},
    http::context::RequestContext,
};

/// An active admin.
#[derive(Debug, Clone)]
pub struct Admin {
    /// Account id.
    pub id: Uuid,
    /// Username.
    pub username: String,
    /// The sign-in the token belongs to.
    pub session_id: Uuid,
}

/// Anyone at all. A bad token is 401, not anonymous.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visitor {
    /// No token: their reads are views.
    Anonymous,
    /// A customer or an admin.
    SignedIn,
}

impl Admin {
    /// The origin of commands this admin gives in this request.
    pub fn origin(&self, context: &RequestContext) -> Origin {
        Origin {
            actor: Actor { id: self.id, username: self.username.clone() },
            request_id: context.request_id().to_owned(),
            traceparent: context.traceparent().to_owned(),
        }
    }
}
