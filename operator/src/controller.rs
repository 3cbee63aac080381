//! Watches Catalogs and what they own or refer to, and reconciles whatever changed.

mod backoff;
mod retried;
mod triggers;

use std::{future::ready, sync::Arc};

use catalog_logging::Chain;
use futures::StreamExt;
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
use tokio::time::Instant;
use tracing::{Instrument, Span};

use self::{
    backoff::{Backoff, Retry},
    retried::{Relists, retried},
};
use crate::{
    crd::GuardedCatalog,
    error::Error,
    metrics::Metrics,
    reconcile::{Context, reconcile, report_unreadable},
};

/// What is shared by all reconciles.
struct Shared {
    context: Arc<Context>,
    metrics: Metrics,
    backoff: Backoff,
}

/// Reconciles until dropped, `concurrency` Catalogs at a time.
pub async fn run(client: Client, metrics: Metrics, concurrency: u16) {
    let (reader, writer) = reflector::store();
    let relists = Relists::default();
    let catalogs = watcher(Api::<GuardedCatalog>::all(client.clone()), retried::config())
        .modify(|catalog| catalog.managed_fields_mut().clear())
        .reflect(writer);
    let catalogs = retried(catalogs, "Catalog".into(), &relists).applied_objects();
    let controller = Controller::for_stream(catalogs, reader).with_config(Config::default().concurrency(concurrency));
    let controller = triggers::add(controller, &client, &relists);
    metrics.counts(controller.store());
    let context = Arc::new(Context::new(client));
    let controller = controller.reconcile_on(context.mail().changes());
    let shared = Arc::new(Shared { context, metrics, backoff: Backoff::default() });
    controller
        .run(one, retry, shared.clone())
        .for_each(|end| {
            match &end {
                // A later one of that name has nothing to do with its failures.
                Err(ControllerError::ObjectNotFound(gone)) => {
                    shared.backoff.reset(&gone.clone().into_kind_unchecked(()));
                    shared.context.mail().forget(gone.namespace.as_deref().unwrap_or_default(), &gone.name);
                }
                // Failed watches are logged where they are retried.
                Ok(_) | Err(ControllerError::QueueError(_) | ControllerError::ReconcilerFailed(..) | ControllerError::RunnerError(_)) => {}
            }
            ready(())
        })
        .await;
}

/// Every log line of a reconcile carries these fields. At this level the span passes every filter.
fn span(guarded: &GuardedCatalog) -> Span {
    let metadata = guarded.meta();
    tracing::error_span!("reconcile", namespace = metadata.namespace, name = metadata.name, generation = metadata.generation)
}

async fn one(guarded: Arc<GuardedCatalog>, shared: Arc<Shared>) -> Result<Action, Error> {
    let span = span(&guarded);
    reconcile_guarded(guarded, shared).instrument(span).await
}

async fn reconcile_guarded(guarded: Arc<GuardedCatalog>, shared: Arc<Shared>) -> Result<Action, Error> {
    let DeserializeGuard(Ok(catalog)) = &*guarded else {
        report_unreadable(&guarded, &shared.context).await?;
        shared.backoff.reset(&ObjectRef::from_obj(&*guarded));
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
fn retry(guarded: Arc<GuardedCatalog>, error: &Error, shared: Arc<Shared>) -> Action {
    let text = Chain(error).to_string();
    let Retry { pause, is_news } = shared.backoff.next(ObjectRef::from_obj(&*guarded), &text, Instant::now());
    let (object_kind, object_name) = error.object().unzip();
    span(&guarded).in_scope(|| {
        let retry_after_s = pause.as_secs_f64();
        if is_news {
            tracing::warn!(error = text, reason = error.reason(), object_kind, object_name, retry_after_s, "reconcile failed; retrying");
        } else {
            tracing::debug!(error = text, reason = error.reason(), object_kind, object_name, retry_after_s, "reconcile failed; retrying");
        }
    });
    Action::requeue(pause)
}
