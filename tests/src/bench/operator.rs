//! Measures API requests, latency and memory of the operator's release binary on a real API server with an audit log.
//!
//! Fake controllers write the statuses of workloads, so migrations take no time.

mod process;
mod traffic;

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, ensure};
use catalog_operator::crd::Catalog;
use futures::{StreamExt, TryStreamExt, stream};
use kube::{
    Client,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use tokio::time::Instant;

use self::{process::Operator, traffic::Traffic};
use super::table::{grouped, median};
use crate::{
    control_plane::{ApiServer, FakeControllers, Namespace, definitions, specs},
    wait::{check, within},
};

/// The number of Catalogs, the number of their namespaces, and how many namespaces are filled concurrently. More would load the
/// API server with the readiness checks of this benchmark.
const CATALOGS: (u32, u32, usize) = (1_000, 25, 4);
/// Catalogs whose creation is timed.
const TIMED: u32 = 5;
/// How long writes are counted while nothing changes.
const IDLE_WINDOW: Duration = Duration::from_mins(1);
/// The time within which the Catalogs of a namespace must be ready.
const TIMEOUT: Duration = Duration::from_mins(20);
/// Targets for memory in MiB: with one Catalog, and with all.
const TARGETS: (f64, f64) = (30.0, 64.0);

struct Bench {
    operator: Operator,
    traffic: Traffic,
    client: Client,
    // Dropped in order: after the operator.
    _server: ApiServer,
}

/// Runs the benchmark and prints its results.
///
/// # Errors
/// If the operator ends, does not become idle, or writes while idle.
pub async fn run() -> anyhow::Result<()> {
    let server = ApiServer::start_audited().await;
    let client = server.client().await;
    definitions::install_keda(&client).await;
    let operator = Operator::start(&server)?;
    let mut bench = Bench { operator, traffic: Traffic::of(server.audit()), client, _server: server };
    bench.operator.ready().await;

    let mut times = Vec::new();
    for number in 0..TIMED {
        times.push(bench.time_creation().await?);
        if number == 0 {
            bench.memory("1 Catalog", TARGETS.0)?;
        }
    }
    let times: Vec<_> = times.iter().map(Duration::as_secs_f64).collect();
    println!("from apply to the last created object: {:.2} s, the median of {times:.2?} (target: below 1 s)", median(&times));
    bench.count_idle_calls().await?;

    let started = Instant::now();
    bench.create_many_catalogs().await?;
    let all = CATALOGS.0 + TIMED + 1;
    println!("{} more Catalogs were ready after {:.0} s", CATALOGS.0, started.elapsed().as_secs_f64());
    bench.memory(&format!("{} Catalogs", grouped(f64::from(all))), TARGETS.1)?;
    bench.traffic.reset();
    tokio::time::sleep(IDLE_WINDOW).await;
    let writes = bench.traffic.requests().iter().filter(|request| request.is_write()).count();
    println!("writes in {IDLE_WINDOW:?} without changes, with {} Catalogs: {writes} (target: 0)", grouped(f64::from(all)));
    bench.operator.still_runs()?;
    ensure!(writes == 0, "the operator writes although nothing has changed");
    Ok(())
}

impl Bench {
    /// Returns the time from the user's apply to the operator's last create, by the API server's clock.
    async fn time_creation(&mut self) -> anyhow::Result<Duration> {
        self.traffic.reset();
        let namespace = Namespace::with_client(self.client.clone(), "bench").await;
        namespace.apply(&shop("shop")).await?;
        wait_until_all_ready(&namespace).await;
        self.traffic.wait_until_idle().await?;
        let applied = self.traffic.requests().iter().find(|request| !request.by_operator).context("a Catalog was applied")?.at;
        let created =
            self.traffic.requests().iter().filter(|request| request.by_operator && request.code == 201 && request.resource != "events");
        let last = created.map(|request| request.at).max().context("objects were created")?;
        Ok(last.duration_since(applied).try_into()?)
    }

    /// Counts the calls of a reconcile that changes nothing, triggered by an annotation.
    async fn count_idle_calls(&mut self) -> anyhow::Result<()> {
        let namespace = Namespace::with_client(self.client.clone(), "bench").await;
        namespace.apply(&shop("shop")).await?;
        wait_until_all_ready(&namespace).await;
        self.traffic.wait_until_idle().await?;
        self.traffic.reset();
        let note = json!({"metadata": {"annotations": {"example.com/note": "reconcile"}}});
        namespace.api::<Catalog>().patch("shop", &PatchParams::default(), &Patch::Merge(note)).await?;
        self.traffic.wait_until_idle().await?;
        let mut calls = BTreeMap::<_, u32>::new();
        for request in self.traffic.requests().iter().filter(|request| request.is_by_reconcile() && request.namespace == namespace.name()) {
            *calls.entry(request.verb.as_str()).or_default() += 1;
        }
        let sum = calls.values().sum::<u32>();
        println!("API calls of a reconcile without changes: {sum} ({calls:?})");
        Ok(())
    }

    async fn create_many_catalogs(&mut self) -> anyhow::Result<()> {
        let (catalogs, namespaces, concurrency) = CATALOGS;
        let spread = stream::iter(0..namespaces).map(async |_| {
            let namespace = Namespace::with_client(self.client.clone(), "many").await;
            for number in 0..catalogs / namespaces {
                namespace.apply(&shop(&format!("shop-{number}"))).await?;
            }
            wait_until_all_ready(&namespace).await;
            anyhow::Ok(())
        });
        spread.buffer_unordered(concurrency).try_collect::<()>().await?;
        self.traffic.wait_until_no_writes().await
    }

    fn memory(&self, what: &str, target: f64) -> anyhow::Result<()> {
        let (now, peak) = self.operator.memory()?;
        println!("idle memory with {what}: {now:.1} MiB (target: {target} MiB; peak {peak:.1} MiB)");
        Ok(())
    }
}

fn shop(name: &str) -> Value {
    json!({"apiVersion": "catalog.rs/v1alpha1", "kind": "Catalog", "metadata": {"name": name}, "spec": specs::scaled()})
}

/// Runs the fake controllers until all Catalogs of the namespace are ready.
async fn wait_until_all_ready(namespace: &Namespace) {
    let controllers = FakeControllers::new(namespace);
    within(TIMEOUT, "all Catalogs are ready", async || {
        controllers.complete_all().await;
        let list = namespace.api::<Catalog>().list(&ListParams::default()).await.map_err(|error| error.to_string())?;
        let unready = list.items.iter().filter(|catalog| !is_ready(catalog)).count();
        check(unready == 0, || format!("{unready} of {} are not ready", list.items.len()))
    })
    .await;
}

fn is_ready(catalog: &Catalog) -> bool {
    let conditions = catalog.status.iter().flat_map(|status| &status.conditions);
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
