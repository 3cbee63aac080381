//! Every setting: a flag, an environment variable, a documented default and unit.
//!
//! clap collects the raw texts, and [`catalog_process::config::Checker`] checks them.

mod auth;
mod database;
mod events;
mod http;
mod imports;
mod mail;
mod migration;
mod orders;
mod reads;
mod server;

pub use auth::{AuthArgs, AuthSettings, SuperuserArgs, SuperuserSettings};
pub use database::{CatalogueArgs, DatabaseArgs, DatabaseSettings};
pub use events::{EventsArgs, EventsSettings, ViewsArgs, ViewsSettings};
pub use http::{HttpArgs, HttpSettings};
pub use imports::{UploadArgs, UploadLimits, UploadSettings};
pub use mail::{MailArgs, MailSettings, MailTls};
pub use migration::MigrationArgs;
pub use orders::{CartArgs, FulfilmentArgs};
pub use reads::{ReadArgs, ReadPoolSettings, ReadSettings};
pub use server::{ApiArgs, ApiSettings, LinksArgs};
