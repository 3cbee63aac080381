//! Who is to hear of an event.

use std::collections::{HashMap, hash_map::Entry};

use sqlx::PgConnection;
use uuid::Uuid;

use crate::identity::{self, Recipient};

/// Whom an event concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Audience {
    /// Every admin but this one, who did it and knows.
    OtherAdmins(Uuid),
    /// This customer alone.
    Customer(Uuid),
}

impl Audience {
    async fn recipients(self, tx: &mut PgConnection) -> Result<Vec<Recipient>, sqlx::Error> {
        match self {
            Self::OtherAdmins(actor_id) => identity::active_admins_except(tx, actor_id).await,
            Self::Customer(id) => Ok(identity::active_customer(tx, id).await?.into_iter().collect()),
        }
    }
}

/// Recipients by audience, asked once per batch.
#[derive(Default)]
pub(super) struct Recipients(HashMap<Audience, Vec<Recipient>>);

impl Recipients {
    /// Those who are to hear of it: maybe nobody.
    pub(super) async fn of(&mut self, tx: &mut PgConnection, audience: Audience) -> Result<&[Recipient], sqlx::Error> {
        Ok(match self.0.entry(audience) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(audience.recipients(tx).await?),
        })
    }
}
