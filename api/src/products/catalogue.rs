//! State that the handlers of products share: cached reads and the context of commands.

use std::{sync::Arc, time::Instant};

use catalog_values::Currency;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Error, cache::Cache, cache::Rendered, reader::Reader, rules::Rules, store, write::Command};
use crate::{
    database::Database,
    events::{Origin, Outbox},
};

/// The products of a shop. All requests share it.
pub struct Catalogue {
    /// Connections to the database.
    pub database: Database,
    /// Currency of all prices.
    pub currency: Currency,
    /// Receives the events.
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
        Arc::new(Self { database, currency, outbox, cache: Cache::default(), reader })
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

    /// Creates the context of a command by `origin`.
    #[must_use]
    pub fn command<'a>(&'a self, origin: &'a Origin, now: DateTime<Utc>) -> Command<'a> {
        Command { outbox: &self.outbox, origin, rules: self.rules(), now }
    }

    /// Call after the commit of a change: invalidates the product in this process at once and, through the relay, in others.
    pub fn invalidate_product(&self, id: Uuid, version: i64) {
        self.cache.invalidate(id, version);
        self.outbox.wake();
    }

    /// Call after the commit of availability changes: invalidates the products, given with their versions, in this process at
    /// once and, through the relay, in others.
    pub fn invalidate_products(&self, stale: &[(Uuid, i64)]) {
        for (id, version) in stale {
            self.cache.invalidate(*id, *version);
        }
        self.outbox.wake();
    }
}
