//! Reads the security requirements of an operation.

use serde_json::Value;
use utoipa::openapi::path::Operation;

/// What an operation requires of a client.
pub(super) struct Access {
    /// An access token is read if there is one.
    pub takes_token: bool,
    /// Clients without an access token may use it.
    pub is_public: bool,
    /// Only accounts of one role may use it.
    pub is_for_role: bool,
}

/// Reads the requirements. The list of a bearer requirement has the role that the account must have (OpenAPI 3.1, Security
/// Requirement Object).
pub(super) fn access(operation: &Operation) -> Access {
    // Converted to JSON, because utoipa's type has private fields.
    let requirements: Vec<Value> =
        operation.security.iter().flatten().filter_map(|requirement| serde_json::to_value(requirement).ok()).collect();
    let roles = |requirement: &Value| requirement["bearer"].as_array().map(Vec::len);
    Access {
        takes_token: requirements.iter().any(|requirement| roles(requirement).is_some()),
        is_public: requirements.is_empty() || requirements.iter().any(|requirement| roles(requirement).is_none()),
        is_for_role: requirements.iter().any(|requirement| roles(requirement) > Some(0)),
    }
}

/// States that an operation without requirements is public. Without `security`, the requirements of the whole document
/// would apply.
pub(super) fn state(operation: &mut Operation) {
    operation.security.get_or_insert_default();
}
