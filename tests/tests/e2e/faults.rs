//! Faults in the status: `Ready` isn't `True` for more than ten seconds while requests fail, and `Degraded` names the cause of every
//! fault until it has ended.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use catalog_tests::{
    Api,
    wait::{self, check},
};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Pod, ResourceQuota},
};
use kube::{
    ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tokio::{task::JoinHandle, time::Instant};

use crate::shop::{NAME, Shop, TIMEOUT};

/// How long `Ready` may be `True` while requests fail.
const STALE_LIMIT: Duration = Duration::from_secs(10);
/// How long a fault may be unreported. A crash loop is only visible after a container has started.
const REPORTED_WITHIN: Duration = Duration::from_secs(30);
/// Interval at which requests are sent and the status is read.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Times of one fault.
struct Measured {
    fault: &'static str,
    /// From the fault to its report in `Degraded`.
    reported: Duration,
    /// From the end of the fault to a ready shop.
    recovered: Duration,
    /// The longest time in which requests failed.
    failed: Duration,
    /// The longest time in which requests failed while `Ready` was `True`.
    stale: Duration,
}

/// Injects each fault, and prints the times.
pub async fn are_reported(shop: &Shop) {
    let measured = [crash_loop(shop).await, quota(shop).await, scale_to_zero(shop).await];
    eprintln!("         {:<18} {:>12} {:>11} {:>16} {:>16}", "fault", "reported", "recovered", "requests failed", "and Ready: True");
    for Measured { fault, reported, recovered, failed, stale } in measured {
        let [reported, recovered, failed, stale] = [reported, recovered, failed, stale].map(|time| time.as_secs_f64());
        eprintln!("         {fault:<18} {reported:>10.1} s {recovered:>9.1} s {failed:>14.1} s {stale:>14.1} s");
    }
}

/// Sets an invalid setting, with which new pods of the API exit. The previous pods keep serving.
async fn crash_loop(shop: &Shop) -> Measured {
    let env = async |env: Value| shop.patch(json!({"spec": {"api": {"env": env}}})).await;
    let begin = env(json!([{"name": "ACCESS_LOG_SAMPLE", "value": "everything"}]));
    let measured = Box::pin(measure(shop, "crash loop", "ACCESS_LOG_SAMPLE", begin, env(Value::Null))).await;
    assert_eq!(measured.failed, Duration::ZERO, "the previous pods serve");
    measured
}

/// Deletes all pods of the API under a quota that prevents the creation of new ones.
async fn quota(shop: &Shop) -> Measured {
    let quotas = shop.kube::<ResourceQuota>();
    let begin = async {
        let quota = json!({"metadata": {"name": "no-pods"}, "spec": {"hard": {"pods": "0"}}});
        quotas.create(&PostParams::default(), &serde_json::from_value(quota).unwrap()).await.unwrap();
        wait::within(TIMEOUT, "the quota is active", async || {
            let status = quotas.get("no-pods").await.unwrap().status;
            check(status.as_ref().is_some_and(|status| status.used.is_some()), || status.clone())
        })
        .await;
        for pod in shop.pods("api").await {
            shop.kube::<Pod>().delete(&pod.name_any(), &DeleteParams::default().grace_period(0)).await.unwrap();
        }
    };
    let end = async { drop(quotas.delete("no-pods", &DeleteParams::default()).await.unwrap()) };
    Box::pin(measure(shop, "quota", "exceeded quota: no-pods", begin, end)).await
}

/// Scales an autoscaled Deployment to zero, as `kubectl scale --replicas=0` does.
async fn scale_to_zero(shop: &Shop) -> Measured {
    let begin = async {
        let params = PatchParams { field_manager: Some("kubectl".into()), ..PatchParams::default() };
        let scale = Patch::Merge(json!({"spec": {"replicas": 0}}));
        shop.kube::<Deployment>().patch_scale("shop-api", &params, &scale).await.unwrap();
    };
    Box::pin(measure(shop, "scale to zero", "below the minimum of its autoscaler", begin, async {})).await
}

async fn measure(
    shop: &Shop,
    fault: &'static str,
    cause: &str,
    begin: impl Future<Output = ()>,
    end: impl Future<Output = ()>,
) -> Measured {
    let client = Client::start(shop);
    begin.await;
    let began = Instant::now();
    wait::within(REPORTED_WITHIN, &format!("Degraded names the {fault}"), async || {
        let degraded = condition(shop, "Degraded").await;
        check(degraded["status"] == "True" && degraded["message"].as_str().is_some_and(|message| message.contains(cause)), || degraded)
    })
    .await;
    let reported = began.elapsed();
    end.await;
    let ended = Instant::now();
    wait::within(TIMEOUT, &format!("the shop works after the {fault}"), async || {
        let [ready, degraded] = [condition(shop, "Ready").await, condition(shop, "Degraded").await];
        let is_reported = degraded["message"].as_str().is_some_and(|message| message.contains(cause));
        check(ready["status"] == "True" && !is_reported && is_open(&shop.anyone).await, || (ready, degraded))
    })
    .await;
    let recovered = ended.elapsed();
    shop.becomes_ready().await;
    let (failed, stale) = client.stop().await;
    assert!(stale <= STALE_LIMIT, "{fault}: requests failed for {stale:?} while the Catalog was ready");
    Measured { fault, reported, recovered, failed, stale }
}

/// The current value of a condition, whatever its observed generation is.
async fn condition(shop: &Shop, kind: &str) -> Value {
    let catalog = shop.catalogs().get(NAME).await.unwrap();
    let mut conditions = catalog.data["status"]["conditions"].as_array().cloned().unwrap_or_default().into_iter();
    conditions.find(|condition| condition["type"] == kind).unwrap_or_default()
}

async fn is_open(anyone: &Api) -> bool {
    let request = tokio::time::timeout(Duration::from_secs(2), anyone.get("/v1/products?limit=1").attempt());
    request.await.is_ok_and(|reply| reply.is_ok_and(|reply| reply.status == 200))
}

/// A client that sends requests continuously and compares their success with `Ready`.
struct Client {
    stop: Arc<AtomicBool>,
    task: JoinHandle<(Duration, Duration)>,
}

impl Client {
    fn start(shop: &Shop) -> Self {
        let (stop, catalogs, anyone) = (Arc::<AtomicBool>::default(), shop.catalogs(), Api::anonymous(&shop.anyone.base(), None));
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let (mut failed, mut stale) = (Span::default(), Span::default());
            while !stopped.load(Ordering::Relaxed) {
                let fails = !is_open(&anyone).await;
                let conditions = catalogs.get(NAME).await.unwrap().data["status"]["conditions"].take();
                let mut conditions = conditions.as_array().into_iter().flatten();
                let is_ready = conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
                failed.extend(fails);
                stale.extend(fails && is_ready);
                tokio::time::sleep(POLL_INTERVAL).await;
            }
            (failed.longest, stale.longest)
        });
        Self { stop, task }
    }

    async fn stop(self) -> (Duration, Duration) {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

/// The longest uninterrupted time in which a state held.
#[derive(Default)]
struct Span {
    since: Option<Instant>,
    longest: Duration,
}

impl Span {
    fn extend(&mut self, holds: bool) {
        let now = Instant::now();
        self.since = holds.then(|| self.since.unwrap_or(now));
        self.longest = self.longest.max(self.since.map_or(Duration::ZERO, |since| now - since));
    }
}
