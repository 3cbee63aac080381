//! Who is who: admins, their passwords, sessions and tokens, and the keys that sign them.

mod account;
mod admins;
mod error;
pub mod handlers;
pub mod keys;
pub mod limits;
pub mod passwords;
mod rules;
mod service;
mod sessions;
pub mod superuser;
pub mod tokens;

pub use account::{AdminAccount, AdminPatch, NewAdmin, Recipient};
pub use admins::{active_admins_except, active_customer, create, deactivate, find_by_username, list, set_password};
pub use error::{Error, Unique};
pub use service::{Identity, SignIn, TokenPair};
