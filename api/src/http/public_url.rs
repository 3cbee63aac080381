//! The URL at which clients reach the API.

use std::sync::Arc;

/// `PUBLIC_URL`, without a trailing slash.
#[derive(Clone)]
pub struct PublicUrl(pub Arc<str>);
