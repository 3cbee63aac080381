//! The recipients of a notification.

use std::collections::{HashMap, hash_map::Entry};

use sqlx::PgConnection;
use uuid::Uuid;

use crate::identity::{self, Recipient};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Audience {
    /// All active admins except the one who caused the event.
    OtherAdmins(Uuid),
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

/// Recipients by audience, each read from the database once per batch.
#[derive(Default)]
pub(super) struct Recipients(HashMap<Audience, Vec<Recipient>>);

impl Recipients {
    /// Returns the recipients of an audience; there may be none.
    pub(super) async fn find(&mut self, tx: &mut PgConnection, audience: Audience) -> Result<&[Recipient], sqlx::Error> {
        Ok(match self.0.entry(audience) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(audience.recipients(tx).await?),
        })
    }
}
