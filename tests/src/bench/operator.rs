//! Measures the operator: the release binary on a real API server, whose audit log has its requests.
//!
//! Only the control plane runs. Fake controllers set the statuses of workloads, so migrations take no time.

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
    control_plane::{ApiServer, Namespace, Played, definitions, specs},
    wait::{holds, within},
};

/// Total number of Catalogs, number of their namespaces, and number of namespaces that are filled concurrently: more would only
/// keep the API server busy with polls.
const CATALOGS: (u32, u32, usize) = (1_000, 25, 4);
/// Number of Catalogs whose creation is timed.
const TIMED: u32 = 5;
/// Duration of the measurement at rest.
const REST: Duration = Duration::from_mins(1);
const TIMEOUT: Duration = Duration::from_mins(20);
/// MiB with one Catalog, and with all of them.
const AIMS: (f64, f64) = (30.0, 64.0);

struct Bench {
    operator: Operator,
    traffic: Traffic,
    client: Client,
    // After the operator: fields are dropped in order.
    _server: ApiServer,
}

/// Measures and prints.
///
/// # Errors
/// If the operator ends, or doesn't come to rest.
pub async fn run() -> anyhow::Result<()> {
    let server = ApiServer::audited().await;
    let client = server.client().await;
    definitions::install_keda(&client).await;
    let operator = Operator::start(&server)?;
    let mut bench = Bench { operator, traffic: Traffic::of(server.audit()), client, _server: server };
    bench.operator.ready().await;

    let mut times = Vec::new();
    for number in 0..TIMED {
        times.push(bench.time_creation().await?);
        if number == 0 {
            bench.memory("1 Catalog", AIMS.0)?;
        }
    }
    let times: Vec<_> = times.iter().map(Duration::as_secs_f64).collect();
    println!("from apply to the last created object: {:.2} s, the median of {times:.2?} (aim: below 1 s)", median(&times));
    bench.count_calls_at_rest().await?;

    let started = Instant::now();
    bench.create_many().await?;
    let all = CATALOGS.0 + TIMED + 1;
    println!("{} more Catalogs were ready after {:.0} s", CATALOGS.0, started.elapsed().as_secs_f64());
    bench.memory(&format!("{} Catalogs", grouped(f64::from(all))), AIMS.1)?;
    bench.traffic.begin();
    tokio::time::sleep(REST).await;
    let writes = bench.traffic.seen().iter().filter(|request| request.is_write()).count();
    println!("writes at rest in {REST:?}, with {} Catalogs: {writes} (aim: 0)", grouped(f64::from(all)));
    bench.operator.still_runs()?;
    ensure!(writes == 0, "the operator writes at rest");
    Ok(())
}

impl Bench {
    /// Measures the time from applying a Catalog to the operator's last create request, by the API server's clock.
    async fn time_creation(&mut self) -> anyhow::Result<Duration> {
        self.traffic.begin();
        let namespace = Namespace::with(self.client.clone(), "bench").await;
        namespace.apply(&shop("shop")).await?;
        all_ready(&namespace).await;
        self.traffic.rest().await?;
        let applied = self.traffic.seen().iter().find(|request| !request.by_operator).context("a Catalog was applied")?.at;
        let made = self.traffic.seen().iter().filter(|request| request.by_operator && request.code == 201 && request.resource != "events");
        let last = made.map(|request| request.at).max().context("objects were made")?;
        Ok(last.duration_since(applied).try_into()?)
    }

    /// Counts the requests of a reconcile without changes, which an annotation triggers.
    async fn count_calls_at_rest(&mut self) -> anyhow::Result<()> {
        let namespace = Namespace::with(self.client.clone(), "bench").await;
        namespace.apply(&shop("shop")).await?;
        all_ready(&namespace).await;
        self.traffic.rest().await?;
        self.traffic.begin();
        let note = json!({"metadata": {"annotations": {"example.com/note": "look"}}});
        namespace.api::<Catalog>().patch("shop", &PatchParams::default(), &Patch::Merge(note)).await?;
        self.traffic.rest().await?;
        let mut calls = BTreeMap::<_, u32>::new();
        for request in self.traffic.seen().iter().filter(|request| request.is_of_a_reconcile() && request.namespace == namespace.name()) {
            *calls.entry(request.verb.as_str()).or_default() += 1;
        }
        let sum = calls.values().sum::<u32>();
        println!("API calls of a reconcile that has nothing to do: {sum} ({calls:?})");
        Ok(())
    }

    async fn create_many(&mut self) -> anyhow::Result<()> {
        let (catalogs, namespaces, at_a_time) = CATALOGS;
        let spread = stream::iter(0..namespaces).map(async |_| {
            let namespace = Namespace::with(self.client.clone(), "many").await;
            for number in 0..catalogs / namespaces {
                namespace.apply(&shop(&format!("shop-{number}"))).await?;
            }
            all_ready(&namespace).await;
            anyhow::Ok(())
        });
        spread.buffer_unordered(at_a_time).try_collect::<()>().await?;
        self.traffic.rest_from_writes().await
    }

    fn memory(&self, what: &str, aim: f64) -> anyhow::Result<()> {
        let (now, most) = self.operator.memory()?;
        println!("idle memory with {what}: {now:.1} MiB (aim: {aim} MiB; {most:.1} MiB at most so far)");
        Ok(())
    }
}

fn shop(name: &str) -> Value {
    json!({"apiVersion": "catalog.rs/v1alpha1", "kind": "Catalog", "metadata": {"name": name}, "spec": specs::scaled()})
}

/// Runs fake controllers until all Catalogs of the namespace are ready.
async fn all_ready(namespace: &Namespace) {
    let played = Played::new(namespace);
    within(TIMEOUT, "all shops are ready", async || {
        played.everything_goes_well().await;
        let list = namespace.api::<Catalog>().list(&ListParams::default()).await.map_err(|error| error.to_string())?;
        let unready = list.items.iter().filter(|catalog| !is_ready(catalog)).count();
        holds(unready == 0, || format!("{unready} of {} aren't", list.items.len()))
    })
    .await;
}

fn is_ready(catalog: &Catalog) -> bool {
    let conditions = catalog.status.iter().flat_map(|status| &status.conditions);
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
