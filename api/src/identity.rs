//! Accounts of admins and customers, passwords, sessions, access tokens and signing keys.

mod account;
mod accounts;
mod admins;
mod claims;
mod customers;
mod error;
pub(crate) mod handlers;
pub mod keys;
pub(crate) mod passwords;
pub(crate) mod principal;
mod rules;
mod service;
mod sessions;
pub(crate) mod superuser;
pub(crate) mod tokens;

pub use account::{AdminAccount, AdminPatch, CustomerAccount, CustomerPatch, NewAdmin, NewCustomer, Recipient};
pub use admins::{active_admins_except, create, deactivate, find_by_username, list, set_password};
pub use customers::active_customer;
pub use error::{Error, Unique};
pub use service::{Credentials, Identity, TokenPair};
