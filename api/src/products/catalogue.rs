//! State that the handlers of products share: cached reads and the start of commands.

use std::{sync::Arc, time::Instant};

use catalog_values::Currency;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Error, cache::Cache, cache::Rendered, reader::Reader, rules::Rules, store};
use crate::{
    database::{self, Database},
    events::{Origin, Outbox, UnitOfWork},
};

/// The products of a shop. All requests share it.
pub struct Catalogue {
    /// Connections to the database.
    pub database: Database,
    /// Currency of all prices.
    pub currency: Currency,
    /// Receives the events, and passes those of this process to the cache.
    pub outbox: Outbox,
    /// Cache of single products.
    pub cache: Cache,
    reader: Reader,
}

impl Catalogue {
    /// Starts the reader task.
    #[must_use]
    pub fn start(database: Database, currency: Currency, outbox: Outbox) -> Arc<Self> {
        let reader = Reader::start(&database.primary, currency);
        let cache = Cache::default();
        Arc::new(Self { database, currency, outbox: outbox.with_listener(cache.clone()), cache, reader })
    }

    /// Rules that products must meet.
    #[must_use]
    pub fn rules(&self) -> Rules {
        Rules { currency: self.currency }
    }

    /// Reads a rendered product from the cache or the database.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn read(&self, id: Uuid) -> Result<Arc<Rendered>, Error> {
        if let Some(rendered) = self.cache.get(id) {
            return Ok(rendered);
        }
        let read_at = Instant::now();
        let product = self.reader.read(id).await?.ok_or(Error::NotFound)?;
        let rendered = Arc::new(Rendered::new(&product));
        self.cache.fill(id, &rendered, read_at);
        Ok(rendered)
    }

    /// Reads the id and the rendered product of a sku from the database.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Busy`].
    pub async fn read_by_sku(&self, sku: &str) -> Result<(Uuid, Rendered), Error> {
        let _permit = self.database.lookups.acquire().await?;
        let row = store::read_by_sku(&self.database.primary, sku).await?.ok_or(Error::NotFound)?;
        let product = row.into_product(self.currency);
        Ok((product.id, Rendered::new(&product)))
    }

    /// Begins a command on products by `origin`.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn begin(&self, origin: Origin, now: DateTime<Utc>) -> Result<UnitOfWork, sqlx::Error> {
        Ok(UnitOfWork::new(self.database.primary.begin().await?, &self.outbox, origin, now))
    }

    /// Begins a command by `origin` that takes milliseconds, such as a change of stock.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn begin_brief(&self, origin: Origin, now: DateTime<Utc>) -> Result<UnitOfWork, sqlx::Error> {
        Ok(UnitOfWork::new(database::begin_brief(&self.database.primary).await?, &self.outbox, origin, now))
    }
}
