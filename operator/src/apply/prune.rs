//! Deletes what the Catalog owned and no longer wants.

use kube::{
    ResourceExt,
    api::{DeleteParams, Preconditions},
};

use super::{
    Apply, describe,
    owner::{Owner, owner},
};
use crate::{error::Error, kinds::Kind};

impl Apply<'_> {
    /// Deletes what isn't among the applied any more. Claims and Secrets stay, as does what only looks like ours.
    ///
    /// # Errors
    /// At the first object that cannot be deleted.
    pub async fn prune(&mut self) -> Result<(), Error> {
        for (kind, name, preconditions) in self.unwanted() {
            let asked = DeleteParams::background().preconditions(preconditions);
            match self.api(kind).delete(&name, &asked).await {
                Ok(_) => {}
                // Gone already.
                Err(kube::Error::Api(status)) if status.is_not_found() => {}
                Err(source) => return Err(Error::api("delete", describe(kind, &name), source)),
            }
            self.live.remove(kind, &name);
        }
        Ok(())
    }

    /// In the reverse of the order in which things are applied: scaling before what it scales.
    fn unwanted(&self) -> Vec<(Kind, String, Preconditions)> {
        let mut unwanted: Vec<_> = self
            .live
            .all()
            .filter(|(kind, object)| !kind.is_kept() && object.metadata.deletion_timestamp.is_none())
            .filter(|(_, object)| owner(object, self.name, self.uid) == Owner::This)
            .map(|(kind, object)| (kind, object.name_any(), object))
            .filter(|(kind, name, _)| !self.wanted.iter().any(|(wanted, named)| (wanted, named) == (kind, name)))
            .map(|(kind, name, object)| {
                let preconditions = Preconditions { uid: object.uid(), resource_version: object.resource_version() };
                (kind, name, preconditions)
            })
            .collect();
        unwanted.reverse();
        unwanted
    }
}
