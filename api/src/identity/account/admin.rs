//! Accounts of admins in requests and responses.

use catalog_process::config::Secret;
use catalog_values::text;
use chrono::{DateTime, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Account, Changes, Details, RoleAccount, present, present_text};
use crate::identity::{claims::Role, rules};

/// An account that manages the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Admin)]
pub struct AdminAccount {
    /// Identifier (`UUIDv7`).
    pub id: Uuid,
    /// Unique among admins and customers, case-insensitive.
    #[schema(example = "alice")]
    pub username: String,
    /// Unique among admins, case-insensitive.
    #[schema(example = "alice@example.com")]
    pub email: String,
    /// Name to show.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full_name: Option<String>,
    /// Whether this is the superuser, which cannot be changed or deactivated through the API.
    pub is_superuser: bool,
    /// Whether this admin may sign in.
    pub is_active: bool,
    /// When the account was created.
    pub created_at: DateTime<Utc>,
    /// When the account was last changed.
    pub updated_at: DateTime<Utc>,
}

/// A new admin.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AdminInput)]
pub struct NewAdmin {
    /// Unique among admins and customers, case-insensitive.
    #[garde(custom(rules::username))]
    #[schema(example = "alice", min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._@-]+$")]
    pub username: String,
    /// Unique among admins, case-insensitive.
    #[serde(deserialize_with = "text::normalized")]
    #[garde(custom(rules::email))]
    #[schema(example = "alice@example.com", max_length = 254, format = "email")]
    pub email: String,
    /// Password.
    #[garde(custom(rules::new_password))]
    #[schema(value_type = String, min_length = 8, max_length = 256, format = "password", pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    pub password: Secret,
    /// Name to show.
    #[serde(default, deserialize_with = "text::normalized")]
    #[garde(inner(custom(rules::full_name)))]
    #[schema(min_length = 1, max_length = 200, pattern = "line")]
    pub full_name: Option<String>,
}

/// Changes of an admin. Absent fields keep their values.
#[allow(clippy::option_option, reason = "removing a name differs from keeping it")]
#[derive(Debug, Default, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AdminPatch {
    /// Unique among admins and customers, case-insensitive.
    #[serde(default, deserialize_with = "present")]
    #[garde(inner(custom(rules::username)))]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._@-]+$")]
    pub username: Option<String>,
    /// Unique among admins, case-insensitive.
    #[serde(default, deserialize_with = "present_text")]
    #[garde(inner(custom(rules::email)))]
    #[schema(value_type = String, required = false, max_length = 254, format = "email")]
    pub email: Option<String>,
    /// Password. A new password revokes all sessions of the admin.
    #[serde(default, deserialize_with = "present")]
    #[garde(inner(custom(rules::new_password)))]
    #[schema(value_type = String, required = false, min_length = 8, max_length = 256, format = "password", pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    pub password: Option<Secret>,
    /// Name to show; null removes it.
    #[serde(default, deserialize_with = "present_text")]
    #[garde(inner(inner(custom(rules::full_name))))]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200, pattern = "line")]
    pub full_name: Option<Option<String>>,
}

impl From<Account> for AdminAccount {
    fn from(account: Account) -> Self {
        let Account { id, username, email, full_name, is_superuser, is_active, created_at, updated_at } = account;
        Self { id, username, email, full_name, is_superuser, is_active, created_at, updated_at }
    }
}

impl RoleAccount for AdminAccount {
    const ROLE: Role = Role::Admin;
    type New = NewAdmin;
    type Patch = AdminPatch;

    fn details(NewAdmin { username, email, password, full_name }: &NewAdmin) -> Details<'_> {
        Details { username, email, full_name: full_name.as_deref(), password }
    }

    fn changes(AdminPatch { username, email, password, full_name }: &AdminPatch) -> Changes<'_> {
        Changes {
            username: username.as_deref(),
            email: email.as_deref(),
            full_name: full_name.as_ref().map(Option::as_deref),
            password: password.as_ref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn null_removes_a_name_and_is_rejected_for_other_fields() {
        let patch: AdminPatch = serde_json::from_value(json!({"full_name": null})).unwrap();
        assert_eq!(patch.full_name, Some(None));
        assert!(patch.username.is_none() && patch.email.is_none() && patch.password.is_none());
        for field in ["username", "email", "password"] {
            assert!(serde_json::from_value::<AdminPatch>(json!({ (field): null })).is_err(), "{field}");
        }
    }

    #[test]
    fn fields_that_the_service_sets_cannot_be_patched() {
        for field in ["id", "is_superuser", "is_active", "created_at", "role"] {
            assert!(serde_json::from_value::<AdminPatch>(json!({ (field): true })).is_err(), "{field}");
        }
    }

    #[test]
    fn debug_output_has_no_password() {
        let body = json!({"username": "a", "email": "a@b.example", "password": "top secret"});
        let new: NewAdmin = serde_json::from_value(body).unwrap();
        assert!(!format!("{new:?}").contains("top secret"));
    }
}
