//! The catalogue as its handlers see it: reads through the cache, commands in transactions.

use std::{sync::Arc, time::Instant};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Error, cache::Cache, cache::Rendered, reader::Reader, rules::Rules, store, write::Command};
use crate::{
    config::Currency,
    database::Database,
    events::{Origin, Outbox},
};

/// Shared by all requests.
pub struct Catalogue {
    /// Where products live.
    pub database: Database,
    /// Of all prices.
    pub currency: Currency,
    /// Where events go.
    pub outbox: Outbox,
    /// Single reads.
    pub cache: Cache,
    reader: Reader,
}

impl Catalogue {
    /// Starts the readers.
    #[must_use]
    pub fn start(database: Database, currency: Currency, outbox: Outbox) -> Arc<Self> {
        let reader = Reader::start(&database.primary, currency);
        Arc::new(Self { database, currency, outbox, cache: Cache::default(), reader })
    }

    /// The rules products must keep here.
    #[must_use]
    pub fn rules(&self) -> Rules {
        Rules { currency: self.currency }
    }

    /// A product ready to be sent, from the cache or the database.
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

    /// The id and the rendered product of a sku.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Busy`].
    pub async fn read_by_sku(&self, sku: &str) -> Result<(Uuid, Rendered), Error> {
        let _permit = self.database.lookups.acquire().await?;
        let row = store::by_sku(&self.database.primary, sku).await?.ok_or(Error::NotFound)?;
        let product = row.into_product(self.currency);
        Ok((product.id, Rendered::new(&product)))
    }

    /// A command given now by `origin`.
    #[must_use]
    pub fn command<'a>(&'a self, origin: &'a Origin, now: DateTime<Utc>) -> Command<'a> {
        Command { outbox: &self.outbox, origin, rules: self.rules(), now }
    }

    /// After the commit of a change: this process forgets the product at once, the relay tells the others.
    pub fn committed(&self, id: Uuid, version: i64) {
        self.cache.forget(id, version);
        self.outbox.wake();
    }

    /// After the commit of what moved stock: this process forgets what came into stock or went out of it, each with
    /// its version, and the relay tells the others.
    pub fn stock_turned(&self, forget: &[(Uuid, i64)]) {
        for (id, version) in forget {
            self.cache.forget(*id, *version);
        }
        self.outbox.wake();
    }
}
