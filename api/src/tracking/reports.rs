//! Reports of views: by time, and of the most viewed products.
//!
//! Counts are kept by the hour of UTC. A day of a time zone consists of the hours that start in it.

mod page;
mod range;
mod top;

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;
use utoipa::ToSchema;
use uuid::Uuid;

pub use page::{Position, read_views};
pub use range::{Bound, MAX_DAYS, Range, Span};
pub use top::{TopProduct, read_top_products};

use crate::database::{Busy, Database, ReadError};

/// Default of `tz`.
pub const UTC: &str = "UTC";

/// An error of a report.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database does not know the time zone.
    #[error("unknown time zone {0:?}")]
    UnknownZone(String),
    /// The range ends before it starts.
    #[error("the range is empty")]
    EmptyRange,
    /// The range is longer than [`range::MAX_DAYS`].
    #[error("the range is too long")]
    RangeTooLong,
    /// The query took longer than `DATABASE_REPORT_TIMEOUT`.
    #[error("the report takes too long")]
    TooSlow,
    /// Too many concurrent reports. Retry later.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl From<ReadError> for Error {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Busy(busy) => busy.into(),
            ReadError::Database(error) => error.into(),
        }
    }
}

/// Time over which views are added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Bucket {
    /// An hour of UTC.
    Hour,
    /// A day of the report's time zone.
    #[default]
    Day,
}

/// Views of a product in one bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct BucketViews {
    /// Product id.
    pub product_id: Uuid,
    /// Start of the bucket.
    pub start: DateTime<Utc>,
    /// Views, at least 1.
    #[schema(example = 12, minimum = 1)]
    pub views: i64,
}

/// Selected views.
#[derive(Debug, Clone)]
pub struct Selection {
    /// Range of time.
    pub range: Range,
    /// Bucket size.
    pub bucket: Bucket,
    /// Time zone of days.
    pub zone: String,
    /// Only this product, if given.
    pub product_id: Option<Uuid>,
}

/// State that the handlers of reports share.
pub struct Reports {
    /// Connections to the database.
    pub database: Database,
    zones: OnceCell<HashSet<String>>,
}

impl Reports {
    /// Creates reports on `database`.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database, zones: OnceCell::new() }
    }

    /// Validates the name of a time zone. The list of known names is cached, because PostgreSQL reads a directory to return it.
    ///
    /// # Errors
    /// [`Error::UnknownZone`].
    pub async fn validate_zone(&self, name: Option<String>) -> Result<String, Error> {
        let Some(name) = name.filter(|name| name != UTC) else {
            return Ok(UTC.to_owned());
        };
        let load = async || {
            let mut read = self.database.reports.begin().await?;
            let names = sqlx::query_scalar!("SELECT name AS \"name!\" FROM pg_timezone_names").fetch_all(&mut *read).await?;
            Ok::<_, Error>(names.into_iter().collect())
        };
        if self.zones.get_or_try_init(load).await?.contains(&name) { Ok(name) } else { Err(Error::UnknownZone(name)) }
    }
}
