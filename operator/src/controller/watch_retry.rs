//! Independent watches: one failing doesn't pause the others. They recover within seconds, and report that they may have missed a
//! deletion.
//!
//! kube's controller merges all its watches and pauses all of them after an error of any one, for up to a minute
//! (`Controller::trigger_backoff`). The watch of a kind that isn't installed always fails, so in a quiet cluster without
//! KEDA every event would wait that long. Errors are therefore logged here and never reach the controller.

use std::{sync::Arc, time::Duration};

use backon::ExponentialBuilder;
use catalog_logging::Chain;
use futures::{Stream, StreamExt, TryStreamExt, future::ready, stream};
use kube::runtime::{
    utils::StreamBackoff,
    watcher::{self, Event, ExponentialBackoff},
};
use tokio::sync::Notify;

/// The API server ends a watch after this time, and kube resumes it from the same version. kube replaces a connection without data
/// after five seconds more, so this bounds for how long a dead connection delays events.
const WATCH_TIMEOUT_S: u32 = 15;
/// Shortest and longest pause after an error; jitter at most doubles it.
const BOUNDS: (Duration, Duration) = (Duration::from_millis(800), Duration::from_secs(5));

/// Returns the configuration of all watches, which selects all objects.
pub fn watch_config() -> watcher::Config {
    watcher::Config::default().timeout(WATCH_TIMEOUT_S)
}

/// Notifies when any watch had to list its objects again. Cheap to clone.
#[derive(Clone, Default)]
pub struct Relists(Arc<Notify>);

impl Relists {
    /// Stream with an item after one or several watches have listed their objects again.
    pub fn stream(&self) -> impl Stream<Item = ()> + Send + 'static {
        stream::unfold(self.0.clone(), |relisted| async move {
            relisted.notified().await;
            Some(((), relisted))
        })
    }
}

/// Restarts `watch` after errors, and returns its events. The first error of an outage is logged as a warning.
///
/// A list after an expired `resourceVersion` doesn't contain objects that were deleted in the meantime, and its objects are reported
/// before the store has them. `relists` is notified at its end, so that all Catalogs can be reconciled.
pub fn with_retry<K>(
    watch: impl Stream<Item = Result<Event<K>, watcher::Error>> + Send + 'static,
    kind: String,
    relists: &Relists,
) -> impl Stream<Item = Result<Event<K>, watcher::Error>> + Send + 'static
where
    K: Send + 'static,
{
    let backoff = ExponentialBuilder::new().with_min_delay(BOUNDS.0).with_max_delay(BOUNDS.1).with_jitter().without_max_times();
    // `Init` comes before the list is requested, so it must not reset the backoff.
    let progress = watch.try_filter(|event| ready(!matches!(event, Event::Init)));
    let (relists, mut is_listed, mut is_failing) = (relists.clone(), false, false);
    StreamBackoff::new(Box::pin(progress), ExponentialBackoff::from(backoff)).filter_map(move |item| {
        match &item {
            Ok(Event::InitDone) => {
                if is_listed {
                    relists.0.notify_one();
                }
                (is_listed, is_failing) = (true, false);
            }
            Ok(_) => is_failing = false,
            Err(error) => {
                log(&kind, error, is_failing);
                is_failing = true;
            }
        }
        ready(item.ok().map(Ok))
    })
}

fn log(kind: &str, error: &watcher::Error, is_failing: bool) {
    if is_missing(error) && kind == "Catalog" {
        tracing::warn!(error = %Chain(error), "CustomResourceDefinition missing; install the chart");
    } else if is_failing || is_missing(error) || is_expired(error) {
        // It was logged before, KEDA isn't installed, or the resource version has expired and the watch lists again.
        tracing::debug!(object_kind = kind, error = %Chain(error), "watch failed; retrying");
    } else {
        tracing::warn!(object_kind = kind, error = %Chain(error), "watch failed; retrying");
    }
}

/// Whether the kind isn't installed.
fn is_missing(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.code == 404)
}

/// Whether the API server no longer has the resource version of the watch.
fn is_expired(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::WatchError(status) if status.code == 410)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use k8s_openapi::api::core::v1::ConfigMap;

    use super::*;

    fn fails() -> Result<Event<ConfigMap>, watcher::Error> {
        Err(watcher::Error::NoResourceVersion)
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_pauses_only_its_own_watch_and_for_at_most_ten_seconds() {
        let relists = Relists::default();
        let failing = stream::iter((0..40).flat_map(|_| [Ok(Event::Init), fails()])).chain(stream::iter([Ok(Event::InitDone)]));
        let started = tokio::time::Instant::now();
        let events: Vec<_> = with_retry(failing, "Job".into(), &relists).collect().await;
        assert!(matches!(events[..], [Ok(Event::InitDone)]), "the controller would pause all watches after an error");
        let took = started.elapsed();
        assert!(took > Duration::from_secs(150) && took < Duration::from_secs(10) * 40, "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn every_list_except_the_first_notifies() {
        let relists = Relists::default();
        let mut notified = relists.stream().boxed();
        let once = || stream::iter([Ok(Event::<ConfigMap>::Init), Ok(Event::InitDone)]);
        let mut watch = with_retry(once().chain(once()), "Job".into(), &relists).boxed();
        watch.next().await;
        assert!(notified.next().now_or_never().is_none(), "the first list reconciles every Catalog anyway");
        watch.next().await;
        assert!(notified.next().now_or_never().is_some());
    }
}
