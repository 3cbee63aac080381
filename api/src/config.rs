//! Every setting: a flag, an environment variable, a documented default and unit.
//!
//! Settings are read in two steps, so that all wrong ones are reported at once and not one per
//! start: clap collects the raw text (and writes `--help`), then [`Checker`] turns it into checked
//! values or into a list of errors that each name the setting, its value and what is allowed.

mod auth;
mod check;
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
pub use check::{Checker, ConfigError, Secret};
pub use database::{CatalogueArgs, DatabaseArgs, DatabaseSettings};
pub use events::{EventsArgs, EventsSettings, ViewsArgs, ViewsSettings};
pub use http::{HttpArgs, HttpSettings};
pub use imports::{UploadArgs, UploadLimits, UploadSettings};
pub use mail::{MailArgs, MailSettings, MailTls};
pub use migration::MigrationArgs;
pub use orders::{CartArgs, FulfilmentArgs};
pub use reads::{ReadArgs, ReadPoolSettings, ReadSettings};
pub use server::{ApiArgs, ApiSettings, LinksArgs, LogArgs, OpsArgs, OpsSettings};
