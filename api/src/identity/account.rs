//! Accounts in requests, in the database and in responses. Admins and customers share one table and its rules.

mod admin;
mod customer;

use catalog_process::config::Secret;
use catalog_values::text::Text;
use chrono::{DateTime, Utc};
use garde::Validate;
use serde::{Deserialize, Deserializer};
use uuid::Uuid;

pub use self::{
    admin::{AdminAccount, AdminPatch, NewAdmin},
    customer::{CustomerAccount, CustomerPatch, NewCustomer},
};
use super::claims::Role;

/// An account as stored, without the password. The role is known from the query that read the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Identifier (`UUIDv7`).
    pub id: Uuid,
    /// Unique among all accounts, case-insensitive.
    pub username: String,
    /// Unique among the accounts of its role, case-insensitive.
    pub email: String,
    /// Name to show.
    pub full_name: Option<String>,
    /// Whether this admin is the superuser, which cannot be changed or deactivated through the API.
    pub is_superuser: bool,
    /// Whether the account may sign in.
    pub is_active: bool,
    /// Time of the creation.
    pub created_at: DateTime<Utc>,
    /// Time of the last change.
    pub updated_at: DateTime<Utc>,
}

/// An account of one role in responses, with the types of the role in requests.
pub trait RoleAccount: From<Account> {
    /// The role.
    const ROLE: Role;
    /// A request to create an account.
    type New: Validate<Context = ()>;
    /// A request to change an account.
    type Patch: Validate<Context = ()>;

    /// Returns the fields of a new account.
    fn details(new: &Self::New) -> Details<'_>;

    /// Returns the fields that a patch changes.
    fn changes(patch: &Self::Patch) -> Changes<'_>;
}

/// The fields of a new account.
pub struct Details<'a> {
    /// Unique among all accounts, case-insensitive.
    pub username: &'a str,
    /// Unique among the accounts of its role, case-insensitive.
    pub email: &'a str,
    /// Name to show.
    pub full_name: Option<&'a str>,
    /// Password.
    pub password: &'a Secret,
}

/// The fields to change. A field that is `None` keeps its value.
#[allow(clippy::option_option, reason = "removing a name differs from keeping it")]
pub struct Changes<'a> {
    /// Unique among all accounts, case-insensitive.
    pub username: Option<&'a str>,
    /// Unique among the accounts of its role, case-insensitive.
    pub email: Option<&'a str>,
    /// Name to show; `Some(None)` removes it.
    pub full_name: Option<Option<&'a str>>,
    /// Password.
    pub password: Option<&'a Secret>,
}

/// Deserializes a field that is present, so that null is an error for fields that cannot be removed.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Like [`present`], for text, which is normalised to NFC.
fn present_text<'de, D: Deserializer<'de>, T: Deserialize<'de> + Text>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(|text| Some(text.into_nfc()))
}

/// The recipient of a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// Account id.
    pub id: Uuid,
    /// E-mail address.
    pub email: String,
    /// Full name, or else the username.
    pub name: String,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use utoipa::PartialSchema;

    use super::*;

    /// Returns a schema without its descriptions.
    fn without_descriptions(schema: &impl serde::Serialize) -> Value {
        fn strip(value: &mut Value) {
            if let Value::Object(fields) = value {
                fields.retain(|name, value| !(name == "description" && value.is_string()));
                fields.values_mut().for_each(strip);
            }
        }
        let mut schema = serde_json::to_value(schema).unwrap();
        strip(&mut schema);
        schema
    }

    #[test]
    fn customers_have_the_same_rules_as_admins() {
        assert_eq!(without_descriptions(&NewCustomer::schema()), without_descriptions(&NewAdmin::schema()));
        assert_eq!(without_descriptions(&CustomerPatch::schema()), without_descriptions(&AdminPatch::schema()));
        let cases = [
            ("username", json!("with space")),
            ("email", json!("no-address")),
            ("password", json!("short")),
            ("full_name", json!("two\nlines")),
            ("full_name", json!("A. Newcomer")),
        ];
        for (field, value) in cases {
            let mut body = json!({"username": "a", "email": "a@b.example", "password": "a passphrase"});
            body[field] = value.clone();
            let admin: NewAdmin = serde_json::from_value(body.clone()).unwrap();
            let customer: NewCustomer = serde_json::from_value(body).unwrap();
            assert_eq!(messages(&customer), messages(&admin), "{field} {value}");
            let admin: AdminPatch = serde_json::from_value(json!({ (field): value })).unwrap();
            let customer: CustomerPatch = serde_json::from_value(json!({ (field): value })).unwrap();
            assert_eq!(messages(&customer), messages(&admin), "{field} {value}");
        }
    }

    fn messages(request: &impl Validate<Context = ()>) -> Option<String> {
        request.validate().err().map(|report| report.to_string())
    }
}
