//! State that the handlers of carts and orders share.

use std::sync::Arc;

use chrono::TimeDelta;

use super::TransitionService;
use crate::{
    config::Currency,
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
}
