//! Reports: what was viewed when, and what most.
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

pub use page::{Position, page};
pub use range::{Bound, MAX_DAYS, Range, Span};
pub use top::{TopProduct, top_products};

use crate::database::{Busy, Database, ReadError};

/// Without `tz`.
pub const UTC: &str = "UTC";

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database knows no such time zone.
    #[error("there is no time zone {0:?}")]
    UnknownZone(String),
    /// It ends before it starts.
    #[error("the range is empty")]
    EmptyRange,
    /// More than [`range::MAX_DAYS`].
    #[error("the range is too long")]
    RangeTooLong,
    /// It took longer than `DATABASE_REPORT_TIMEOUT`.
    #[error("the report takes too long")]
    TooSlow,
    /// Too many reports at once: retry later.
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

/// How long the time is over which views are added up.
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
    /// The product.
    pub product_id: Uuid,
    /// Start of the bucket.
    pub start: DateTime<Utc>,
    /// Views, at least 1.
    #[schema(example = 12, minimum = 1)]
    pub views: i64,
}

/// Which views a report is about.
#[derive(Debug, Clone)]
pub struct Selection {
    /// When.
    pub range: Range,
    /// How they are added up.
    pub bucket: Bucket,
    /// Where a day starts.
    pub zone: String,
    /// Of this product only.
    pub product_id: Option<Uuid>,
}

/// Where reports come from.
pub struct Reports {
    /// Connections.
    pub database: Database,
    zones: OnceCell<HashSet<String>>,
}

impl Reports {
    /// Reports on the counts in `database`.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database, zones: OnceCell::new() }
    }

    /// Checks the name of a time zone. The database reads a directory to list those it knows, so they are asked for once.
    ///
    /// # Errors
    /// [`Error::UnknownZone`].
    pub async fn zone(&self, name: Option<String>) -> Result<String, Error> {
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
