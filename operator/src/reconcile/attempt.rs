//! One attempt to reconcile a Catalog, from reading to pruning.

use catalog_logging::Chain;
use kube::ResourceExt;

use super::{
    Context,
    advance::advance,
    installation::relabel_claim,
    restore::{restore_after_rejection, restore_unapplied_objects},
};
use crate::{apply::Apply, crd::Catalog, dereference::Referenced, error::Error, live::Live, status::Outcome};

/// Reads, applies and, if necessary, restores the objects of a Catalog. Leaves their final state in `live`.
///
/// # Errors
/// If the API server rejects a request or is unavailable, or a name is taken.
pub async fn attempt(catalog: &Catalog, context: &Context, namespace: &str, live: &mut Live) -> Result<Outcome, Error> {
    let name = catalog.name_any();
    *live = Live::read(&context.client, namespace, &name).await?;
    if catalog.spec.paused {
        return Ok(Outcome::Paused);
    }
    relabel_claim(catalog, context, namespace, live).await?;
    let referenced = Referenced::read(&context.client, namespace, catalog).await?;
    let uid = catalog.uid().unwrap_or_default();
    let mut apply = Apply::new(&context.client, namespace, &name, &uid, live, context.now());
    let outcome = advance(catalog, &referenced, &mut apply, context).await;
    let outcome = match outcome {
        Ok(Outcome::Rejected(problems, _)) => {
            Ok(Outcome::Rejected(problems, Box::pin(restore_after_rejection(catalog, &referenced, &mut apply, context)).await.err()))
        }
        Ok(Outcome::Migrating { job, skipped }) => {
            Box::pin(restore_unapplied_objects(catalog, &referenced, &mut apply)).await.map(|()| Outcome::Migrating { job, skipped })
        }
        Err(error) if error.concerns_one_object() && !apply.is_complete() => {
            if let Err(other) = Box::pin(restore_unapplied_objects(catalog, &referenced, &mut apply)).await
                && context.limits.allow(&uid, "RestoreFailed")
            {
                tracing::warn!(error = %Chain(&other), "objects of the last applied spec not restored; retrying");
            }
            Err(error)
        }
        other => other,
    };
    for change in apply.changes() {
        context.publish_change(catalog, change).await;
    }
    outcome
}
