//! Watches Catalogs and the objects that they own or refer to, and reconciles a Catalog when one of these changes.

mod backoff;
mod triggers;
mod watch_retry;

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
    watch_retry::{Relists, watch_config, with_retry},
};
use crate::{
    crd::GuardedCatalog,
    error::Error,
    metrics::Metrics,
    reconcile::{Context, reconcile, report_unreadable},
};

/// State that all reconciles share.
struct Shared {
    context: Arc<Context>,
    metrics: Metrics,
    backoff: Backoff,
}

/// Reconciles Catalogs until the future is dropped, at most `concurrency` at a time.
pub async fn run(client: Client, metrics: Metrics, concurrency: u16) {
    let (reader, writer) = reflector::store();
    let relists = Relists::default();
    let catalogs = watcher(Api::<GuardedCatalog>::all(client.clone()), watch_config())
        .modify(|catalog| catalog.managed_fields_mut().clear())
        .reflect(writer);
    let catalogs = with_retry(catalogs, "Catalog".into(), &relists).applied_objects();
    let controller = Controller::for_stream(catalogs, reader).with_config(Config::default().concurrency(concurrency));
    let controller = triggers::add(controller, &client, &relists);
    metrics.set_store(controller.store());
    let context = Arc::new(Context::new(client));
    let controller = controller.reconcile_on(context.mail().changes());
    let shared = Arc::new(Shared { context, metrics, backoff: Backoff::default() });
    controller
        .run(reconcile_one, error_policy, shared.clone())
        .for_each(|end| {
            match &end {
                // The Catalog was deleted: forget its backoff, so that a new one of this name starts fresh.
                Err(ControllerError::ObjectNotFound(deleted)) => {
                    shared.backoff.reset(&deleted.clone().into_kind_unchecked(()));
                    shared.context.mail().forget(deleted.namespace.as_deref().unwrap_or_default(), &deleted.name);
                }
                // `with_retry` logs failed watches, and `error_policy` logs failed reconciles.
                Ok(_) | Err(ControllerError::QueueError(_) | ControllerError::ReconcilerFailed(..) | ControllerError::RunnerError(_)) => {}
            }
            ready(())
        })
        .await;
}

/// Returns the span with the fields of all log lines of a reconcile. At this level it passes every filter.
fn span(guarded: &GuardedCatalog) -> Span {
    let metadata = guarded.meta();
    tracing::error_span!("reconcile", namespace = metadata.namespace, name = metadata.name, generation = metadata.generation)
}

async fn reconcile_one(guarded: Arc<GuardedCatalog>, shared: Arc<Shared>) -> Result<Action, Error> {
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

/// Returns when to retry after a failed reconcile, and logs its error.
#[expect(clippy::needless_pass_by_value, reason = "the signature is kube's")]
fn error_policy(guarded: Arc<GuardedCatalog>, error: &Error, shared: Arc<Shared>) -> Action {
    let text = Chain(error).to_string();
    let Retry { pause, should_log } = shared.backoff.record_failure(ObjectRef::from_obj(&*guarded), &text, Instant::now());
    let (object_kind, object_name) = error.object().unzip();
    span(&guarded).in_scope(|| {
        let retry_after_s = pause.as_secs_f64();
        if should_log {
            tracing::warn!(error = text, reason = error.reason(), object_kind, object_name, retry_after_s, "reconcile failed; retrying");
        } else {
            tracing::debug!(error = text, reason = error.reason(), object_kind, object_name, retry_after_s, "reconcile failed; retrying");
        }
    });
    Action::requeue(pause)
}
