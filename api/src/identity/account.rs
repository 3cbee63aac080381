//! Accounts in requests, in the database and in responses. Admins and customers share one table and its rules.

mod admin;
mod customer;

use chrono::{DateTime, Utc};
use garde::Validate;
use serde::{Deserialize, Deserializer};
use uuid::Uuid;

pub use self::{
    admin::{AdminAccount, AdminPatch, NewAdmin},
    customer::{CustomerAccount, CustomerPatch, NewCustomer},
};
use super::claims::Role;
use crate::{config::Secret, text::Text};

/// An account as it is kept, without its password. Which role it has is what the query asked for.
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
    /// Whether it cannot be changed or deactivated through the API. Admins only.
    pub is_superuser: bool,
    /// Whether it may sign in.
    pub is_active: bool,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// What differs between the accounts of the roles: their form in requests and responses.
pub trait RoleAccount: From<Account> {
    /// The role.
    const ROLE: Role;
    /// A new account.
    type New: Validate<Context = ()>;
    /// What to change of one.
    type Patch: Validate<Context = ()>;

    /// The fields of a new account.
    fn details(new: &Self::New) -> Details<'_>;

    /// The fields that a patch gives.
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

/// The fields to change; what is `None` stays.
#[allow(clippy::option_option, reason = "a name that is removed is not one that stays")]
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

/// A field that is present, so that null is an error where it cannot remove anything.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// The same for text, in NFC.
fn given_text<'de, D: Deserializer<'de>, T: Deserialize<'de> + Text>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(|given| Some(given.into_nfc()))
}

/// The recipient of a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// Account.
    pub id: Uuid,
    /// Address.
    pub email: String,
    /// Full name, or else the username.
    pub name: String,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use utoipa::PartialSchema;

    use super::*;

    /// A schema without what is said of it in words.
    fn bare(schema: &impl serde::Serialize) -> Value {
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
        assert_eq!(bare(&NewCustomer::schema()), bare(&NewAdmin::schema()));
        assert_eq!(bare(&CustomerPatch::schema()), bare(&AdminPatch::schema()));
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

    fn messages(given: &impl Validate<Context = ()>) -> Option<String> {
        given.validate().err().map(|report| report.to_string())
    }
}
