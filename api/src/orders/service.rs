//! State that the handlers of carts and orders share.

use std::sync::Arc;

use catalog_values::Currency;
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{Error, Order, Transition, TransitionOutcome, TransitionService};
use crate::{
    database,
    events::Origin,
    products::{Catalogue, Money},
};

/// Carts and orders of a catalogue.
pub struct Orders {
    /// Products, stock and the database.
    pub catalogue: Arc<Catalogue>,
    /// Time after which a cart without changes expires.
    pub cart_ttl: TimeDelta,
    /// Changes the status of orders.
    pub transitions: TransitionService,
}

impl Orders {
    /// Creates the service of a catalogue.
    #[must_use]
    pub fn new(catalogue: Arc<Catalogue>, cart_ttl: TimeDelta) -> Self {
        let transitions = TransitionService { outbox: catalogue.outbox.clone(), currency: catalogue.currency };
        Self { catalogue, cart_ttl, transitions }
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
        origin: &Origin,
        customer_id: Option<Uuid>,
        id: Uuid,
        transition: Transition<'_>,
        now: DateTime<Utc>,
    ) -> Result<Order, Error> {
        let mut tx = database::begin_brief(&self.catalogue.database.primary).await?;
        match self.transitions.change_status(&mut tx, origin, customer_id, id, transition, now).await? {
            TransitionOutcome::Applied(order, stale) => {
                tx.commit().await?;
                self.catalogue.invalidate_products(&stale);
                Ok(order)
            }
            TransitionOutcome::Unchanged(order) => Ok(order),
            TransitionOutcome::Rejected(order) => Err(Error::InvalidTransition { order: Box::new(order), to: transition.to }),
        }
    }
}
