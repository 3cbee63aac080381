//! Faults that a status has to admit: within ten seconds of what clients notice `Ready` isn't `True`, and `Degraded` names the cause
//! of every fault until it has ended.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use catalog_tests::{
    Api,
    wait::{self, holds},
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

use crate::shop::{NAME, PATIENCE, Shop};

/// How long the status may say that a shop works whose requests fail.
const LIMIT: Duration = Duration::from_secs(10);
/// How long a fault that no client notices may remain unreported: a container has to be started first.
const REPORTED_WITHIN: Duration = Duration::from_secs(30);
/// How often the shop and its status are looked at.
const LOOK: Duration = Duration::from_millis(200);

/// What a fault was like.
struct Measured {
    fault: &'static str,
    knew: Duration,
    healed: Duration,
    /// The longest time in which requests failed.
    failed: Duration,
    /// The longest time in which requests failed while `Ready` was `True`.
    dishonest: Duration,
}

/// Injects each fault, and prints what was measured.
pub async fn are_reported(shop: &Shop) {
    let measured = [crash_loop(shop).await, quota(shop).await, scale_to_zero(shop).await];
    eprintln!("         {:<18} {:>12} {:>9} {:>16} {:>16}", "fault", "status knew", "healed", "requests failed", "and Ready: True");
    for Measured { fault, knew, healed, failed, dishonest } in measured {
        let [knew, healed, failed, dishonest] = [knew, healed, failed, dishonest].map(|time| time.as_secs_f64());
        eprintln!("         {fault:<18} {knew:>10.1} s {healed:>7.1} s {failed:>14.1} s {dishonest:>14.1} s");
    }
}

/// A setting with which the API ends at once. Its pods before serve on.
async fn crash_loop(shop: &Shop) -> Measured {
    let env = async |env: Value| shop.patch(json!({"spec": {"api": {"env": env}}})).await;
    let begin = env(json!([{"name": "ACCESS_LOG_SAMPLE", "value": "everything"}]));
    let measured = Box::pin(measure(shop, "crash loop", "ACCESS_LOG_SAMPLE", begin, env(Value::Null))).await;
    assert_eq!(measured.failed, Duration::ZERO, "the pods of the spec before serve");
    measured
}

/// All pods of the API are deleted, and a quota lets no other ones be created.
async fn quota(shop: &Shop) -> Measured {
    let quotas = shop.kube::<ResourceQuota>();
    let begin = async {
        let quota = json!({"metadata": {"name": "no-pods"}, "spec": {"hard": {"pods": "0"}}});
        quotas.create(&PostParams::default(), &serde_json::from_value(quota).unwrap()).await.unwrap();
        wait::within(PATIENCE, "the quota is counted", async || {
            let status = quotas.get("no-pods").await.unwrap().status;
            holds(status.as_ref().is_some_and(|status| status.used.is_some()), || status.clone())
        })
        .await;
        for pod in shop.pods("api").await {
            shop.kube::<Pod>().delete(&pod.name_any(), &DeleteParams::default().grace_period(0)).await.unwrap();
        }
    };
    let end = async { drop(quotas.delete("no-pods", &DeleteParams::default()).await.unwrap()) };
    Box::pin(measure(shop, "quota", "exceeded quota: no-pods", begin, end)).await
}

/// `kubectl scale --replicas=0` of the Deployment that an autoscaler scales.
async fn scale_to_zero(shop: &Shop) -> Measured {
    let begin = async {
        let asked = PatchParams { field_manager: Some("kubectl".into()), ..PatchParams::default() };
        let scale = Patch::Merge(json!({"spec": {"replicas": 0}}));
        shop.kube::<Deployment>().patch_scale("shop-api", &asked, &scale).await.unwrap();
    };
    Box::pin(measure(shop, "scale to zero", "fewer replicas than the minimum of its autoscaler", begin, async {})).await
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
        holds(degraded["status"] == "True" && degraded["message"].as_str().is_some_and(|message| message.contains(cause)), || degraded)
    })
    .await;
    let knew = began.elapsed();
    end.await;
    let ended = Instant::now();
    wait::within(PATIENCE, &format!("the shop works after the {fault}"), async || {
        let [ready, degraded] = [condition(shop, "Ready").await, condition(shop, "Degraded").await];
        let is_reported = degraded["message"].as_str().is_some_and(|message| message.contains(cause));
        holds(ready["status"] == "True" && !is_reported && is_open(&shop.anyone).await, || (ready, degraded))
    })
    .await;
    let healed = ended.elapsed();
    shop.is_ready().await;
    let (failed, dishonest) = client.stop().await;
    assert!(dishonest <= LIMIT, "{fault}: requests failed for {dishonest:?} while the Catalog was ready");
    Measured { fault, knew, healed, failed, dishonest }
}

/// A condition, of whichever generation: the status says it now.
async fn condition(shop: &Shop, kind: &str) -> Value {
    let catalog = shop.catalogs().get(NAME).await.unwrap();
    let mut conditions = catalog.data["status"]["conditions"].as_array().cloned().unwrap_or_default().into_iter();
    conditions.find(|condition| condition["type"] == kind).unwrap_or_default()
}

async fn is_open(anyone: &Api) -> bool {
    let asked = tokio::time::timeout(Duration::from_secs(2), anyone.get("/v1/products?limit=1").attempt());
    asked.await.is_ok_and(|reply| reply.is_ok_and(|reply| reply.status == 200))
}

/// A client that reads again and again, and compares that with what the status says.
struct Client {
    stop: Arc<AtomicBool>,
    looks: JoinHandle<(Duration, Duration)>,
}

impl Client {
    fn start(shop: &Shop) -> Self {
        let (stop, catalogs, anyone) = (Arc::<AtomicBool>::default(), shop.catalogs(), Api::anonymous(&shop.anyone.base(), None));
        let asked = stop.clone();
        let looks = tokio::spawn(async move {
            let (mut failed, mut dishonest) = (Span::default(), Span::default());
            while !asked.load(Ordering::Relaxed) {
                let fails = !is_open(&anyone).await;
                let conditions = catalogs.get(NAME).await.unwrap().data["status"]["conditions"].take();
                let mut conditions = conditions.as_array().into_iter().flatten();
                let is_ready = conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
                failed.extend(fails);
                dishonest.extend(fails && is_ready);
                tokio::time::sleep(LOOK).await;
            }
            (failed.longest, dishonest.longest)
        });
        Self { stop, looks }
    }

    async fn stop(self) -> (Duration, Duration) {
        self.stop.store(true, Ordering::Relaxed);
        self.looks.await.unwrap()
    }
}

/// How long something has been so without a break, at most.
#[derive(Default)]
struct Span {
    since: Option<Instant>,
    longest: Duration,
}

impl Span {
    fn extend(&mut self, is_so: bool) {
        let now = Instant::now();
        self.since = is_so.then(|| self.since.unwrap_or(now));
        self.longest = self.longest.max(self.since.map_or(Duration::ZERO, |since| now - since));
    }
}
