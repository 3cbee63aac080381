//! State that the handlers of carts and orders share.

use std::sync::Arc;

use catalog_values::Currency;
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{Error, Order, Transition, TransitionOutcome, change_status};
use crate::{
    events::{Origin, UnitOfWork},
    products::{Catalogue, Money},
};

/// Carts and orders of a catalogue.
pub struct Orders {
    /// Products, stock and the database.
    pub catalogue: Arc<Catalogue>,
    /// Time after which a cart without changes expires.
    pub cart_ttl: TimeDelta,
}

impl Orders {
    /// Creates the service of a catalogue.
    #[must_use]
    pub fn new(catalogue: Arc<Catalogue>, cart_ttl: TimeDelta) -> Self {
        Self { catalogue, cart_ttl }
    }

    /// Begins a command on carts or orders by `origin`.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn begin(&self, origin: Origin, now: DateTime<Utc>) -> Result<UnitOfWork, sqlx::Error> {
        self.catalogue.begin_brief(origin, now).await
    }

    /// Currency of all prices.
    #[must_use]
    pub fn currency(&self) -> Currency {
        self.catalogue.currency
    }

    pub(super) fn money(&self, amount: rust_decimal::Decimal) -> Money {
        Money::new(amount, self.currency())
    }

    /// Changes the status of an order in a transaction; of this customer's order if `customer_id` is given. An order that already
    /// has the status stays as it is.
    ///
    /// # Errors
    /// [`Error::NotFound`] or [`Error::InvalidTransition`].
    pub async fn change_status(
        &self,
        origin: Origin,
        customer_id: Option<Uuid>,
        id: Uuid,
        transition: Transition<'_>,
        now: DateTime<Utc>,
    ) -> Result<Order, Error> {
        let mut work = self.begin(origin, now).await?;
        match change_status(&mut work, self.currency(), customer_id, id, transition).await? {
            TransitionOutcome::Applied(order) => {
                work.commit().await?;
                Ok(order)
            }
            TransitionOutcome::Unchanged(order) => Ok(order),
            TransitionOutcome::Rejected(order) => Err(Error::InvalidTransition { order: Box::new(order), to: transition.to }),
        }
    }
}
