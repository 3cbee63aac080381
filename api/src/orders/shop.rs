//! Carts and orders as their handlers see them.

use std::sync::Arc;

use chrono::TimeDelta;

use super::Mover;
use crate::{
    config::Currency,
    products::{Catalogue, Money},
};

/// Shared by all requests.
pub struct Orders {
    /// What is sold, and where it all lives.
    pub catalogue: Arc<Catalogue>,
    /// How long a cart that nobody touches keeps what it holds.
    pub cart_ttl: TimeDelta,
    /// Moves orders on.
    pub mover: Mover,
}

impl Orders {
    /// Carts and orders of a catalogue.
    #[must_use]
    pub fn new(catalogue: Arc<Catalogue>, cart_ttl: TimeDelta) -> Self {
        let mover = Mover { outbox: catalogue.outbox.clone(), currency: catalogue.currency };
        Self { catalogue, cart_ttl, mover }
    }

    /// Of all prices.
    #[must_use]
    pub fn currency(&self) -> Currency {
        self.catalogue.currency
    }

    /// An amount in the catalogue's currency.
    pub(super) fn money(&self, amount: rust_decimal::Decimal) -> Money {
        Money::new(amount, self.currency())
    }
}
