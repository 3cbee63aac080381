//! Accounts of customers in requests and responses.

use catalog_process::config::Secret;
use catalog_values::text;
use chrono::{DateTime, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Account, Changes, Details, RoleAccount, present, present_text};
use crate::identity::{claims::Role, rules};

/// An account that can place orders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Customer)]
pub struct CustomerAccount {
    /// Identifier (`UUIDv7`).
    pub id: Uuid,
    /// Unique among admins and customers, case-insensitive.
    #[schema(example = "alice")]
    pub username: String,
    /// Unique among customers, case-insensitive.
    #[schema(example = "alice@example.com")]
    pub email: String,
    /// Name to show.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full_name: Option<String>,
    /// Whether this customer may sign in.
    pub is_active: bool,
    /// When the account was created.
    pub created_at: DateTime<Utc>,
    /// When the account was last changed.
    pub updated_at: DateTime<Utc>,
}

/// A new customer.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CustomerInput)]
pub struct NewCustomer {
    /// Unique among admins and customers, case-insensitive.
    #[garde(custom(rules::username))]
    #[schema(example = "alice", min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._@-]+$")]
    pub username: String,
    /// Unique among customers, case-insensitive.
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

/// Changes of a customer. Absent fields keep their values.
#[allow(clippy::option_option, reason = "removing a name differs from keeping it")]
#[derive(Debug, Default, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CustomerPatch {
    /// Unique among admins and customers, case-insensitive.
    #[serde(default, deserialize_with = "present")]
    #[garde(inner(custom(rules::username)))]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._@-]+$")]
    pub username: Option<String>,
    /// Unique among customers, case-insensitive.
    #[serde(default, deserialize_with = "present_text")]
    #[garde(inner(custom(rules::email)))]
    #[schema(value_type = String, required = false, max_length = 254, format = "email")]
    pub email: Option<String>,
    /// Password. A new password revokes all sessions of the customer, the current one included.
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

impl From<Account> for CustomerAccount {
    fn from(account: Account) -> Self {
        // A check constraint of the table allows `is_superuser` only for admins.
        let Account { id, username, email, full_name, is_superuser: _, is_active, created_at, updated_at } = account;
        Self { id, username, email, full_name, is_active, created_at, updated_at }
    }
}

impl RoleAccount for CustomerAccount {
    const ROLE: Role = Role::Customer;
    type New = NewCustomer;
    type Patch = CustomerPatch;

    fn details(NewCustomer { username, email, password, full_name }: &NewCustomer) -> Details<'_> {
        Details { username, email, full_name: full_name.as_deref(), password }
    }

    fn changes(CustomerPatch { username, email, password, full_name }: &CustomerPatch) -> Changes<'_> {
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
        let patch: CustomerPatch = serde_json::from_value(json!({"full_name": null})).unwrap();
        assert_eq!(patch.full_name, Some(None));
        assert!(patch.username.is_none() && patch.email.is_none() && patch.password.is_none());
        for field in ["username", "email", "password"] {
            assert!(serde_json::from_value::<CustomerPatch>(json!({ (field): null })).is_err(), "{field}");
        }
    }

    #[test]
    fn fields_that_the_service_sets_cannot_be_patched() {
        for field in ["id", "is_superuser", "is_active", "created_at", "role"] {
            assert!(serde_json::from_value::<CustomerPatch>(json!({ (field): true })).is_err(), "{field}");
        }
    }

    #[test]
    fn debug_output_has_no_password() {
        let body = json!({"username": "a", "email": "a@b.example", "password": "top secret"});
        let new: NewCustomer = serde_json::from_value(body).unwrap();
        assert!(!format!("{new:?}").contains("top secret"));
    }
}
