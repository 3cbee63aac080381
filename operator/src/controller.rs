//! Watches Catalogs and what they own or refer to, and reconciles whatever changed.

mod backoff;
mod triggers;

use std::{future::ready, sync::Arc};

use catalog_logging::Chain;
use futures::{StreamExt, TryStreamExt};
use kube::{
    Api, Client, Resource, ResourceExt,
    core::DeserializeGuard,
    runtime::{
        Controller, WatchStreamExt,
        controller::{Action, Config, Error as ControllerError},
        reflector::{self, ObjectRef},
        watcher,
    },
};
use tracing::{Instrument, Span};

use self::backoff::Backoff;
use crate::{
    crd::Catalog,
    error::Error,
    metrics::Metrics,
    reconcile::{Context, reconcile},
};

/// A Catalog as it was read: one that cannot be understood doesn't stop the watch of the others.
pub type Guarded = DeserializeGuard<Catalog>;

/// What is shared by all reconciles.
struct Shared {
    context: Arc<Context>,
    metrics: Metrics,
    backoff: Backoff,
}

/// Reconciles until dropped, `concurrency` Catalogs at a time.
pub async fn run(client: Client, metrics: Metrics, concurrency: u16) {
    let (reader, writer) = reflector::store();
    let catalogs = watcher(Api::<Guarded>::all(client.clone()), watcher::Config::default())
        .default_backoff()
        .inspect_err(|error| {
            if is_missing(error) {
                tracing::warn!(error = %Chain(error), "CustomResourceDefinition missing; install the chart");
            }
        })
        .modify(|catalog| catalog.managed_fields_mut().clear())
        .reflect(writer)
        .applied_objects();
    let controller = Controller::for_stream(catalogs, reader).with_config(Config::default().concurrency(concurrency));
    let controller = triggers::add(controller, &client);
    metrics.counts(controller.store());
    let shared = Arc::new(Shared { context: Arc::new(Context::new(client)), metrics, backoff: Backoff::default() });
    controller
        .run(one, retry, shared.clone())
        .for_each(|end| {
            match &end {
                // A later one of that name has nothing to do with its failures.
                Err(ControllerError::ObjectNotFound(gone)) => shared.backoff.reset(&gone.clone().into_kind_unchecked(())),
                // KEDA isn't installed; of Catalogs it was said above.
                Err(ControllerError::QueueError(error)) if is_missing(error) => {}
                Err(ControllerError::QueueError(error)) => tracing::warn!(error = %Chain(error), "watch failed; retrying"),
                Ok(_) | Err(ControllerError::ReconcilerFailed(..) | ControllerError::RunnerError(_)) => {}
            }
            ready(())
        })
        .await;
}

/// A kind that isn't installed has no path.
fn is_missing(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.code == 404)
}

/// Every log line of a reconcile carries these fields. At this level the span passes every filter.
fn span(guarded: &Guarded) -> Span {
    let metadata = guarded.meta();
    tracing::error_span!("reconcile", namespace = metadata.namespace, name = metadata.name, generation = metadata.generation)
}

async fn one(guarded: Arc<Guarded>, shared: Arc<Shared>) -> Result<Action, Error> {
    let span = span(&guarded);
    reconcile_guarded(guarded, shared).instrument(span).await
}

async fn reconcile_guarded(guarded: Arc<Guarded>, shared: Arc<Shared>) -> Result<Action, Error> {
    let DeserializeGuard(Ok(catalog)) = &*guarded else {
        tracing::error!("Catalog not readable; its definition may be newer than this operator");
        return Ok(Action::await_change());
    };
    let measured = shared.metrics.start();
    let result = reconcile(Arc::new(catalog.clone()), shared.context.clone()).await;
    measured.end(&result);
    if result.is_ok() {
        shared.backoff.reset(&ObjectRef::from_obj(&*guarded));
    }
    result
}

/// Called after a reconcile that didn't come to its end.
#[expect(clippy::needless_pass_by_value, reason = "the signature is kube's")]
fn retry(guarded: Arc<Guarded>, error: &Error, shared: Arc<Shared>) -> Action {
    let pause = shared.backoff.next(ObjectRef::from_obj(&*guarded));
    let (object_kind, object_name) = error.object().unzip();
    span(&guarded).in_scope(|| {
        let retry_after_s = pause.as_secs_f64();
        tracing::warn!(error = %Chain(error), reason = error.reason(), object_kind, object_name, retry_after_s, "reconcile failed; retrying");
    });
    Action::requeue(pause)
}
