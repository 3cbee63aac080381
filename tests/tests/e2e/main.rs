//! Tests a shop on a real cluster with pods, Services and autoscalers. `make e2e` starts the cluster, applies the sample Catalog
//! and runs this.
//!
//! It is one test with many steps, because a shop takes a minute to start.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "in a test, a panic is the report of a failure")]

mod deletion;
mod faults;
mod kills;
mod orders;
mod reader;
mod rollout;
mod rotation;
mod scaling;
mod shop;
mod usage;
mod volume;

use std::time::Instant;

use shop::Shop;

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_survives_upgrades_faults_scaling_rotations_and_its_deletion() {
    let shop = Shop::connect().await;
    let steps = Steps::default();
    steps.run("products are imported through the Service, and the other admin gets one mail", usage::import(&shop)).await;
    steps.run("reads by several clients are counted exactly", usage::views(&shop)).await;
    steps.run("a change is mailed with the old and the new value", usage::change(&shop)).await;
    let rotation = steps.run("a new signing key is published, and old tokens stay valid", rotation::publish_a_key(&shop)).await;
    steps.run("a rollout of another image fails no request", rollout::image(&shop)).await;
    steps.run("an unknown image is reported, and no request fails", rollout::unknown_image(&shop)).await;
    steps.run("a crash loop, a quota and a scale to zero are reported while they last", faults::are_reported(&shop)).await;
    steps.run("killed pods are replaced, and no mail is lost", kills::each_pod(&shop)).await;
    let order = steps.run("an order scales the fulfiller up from zero", orders::confirm(&shop)).await;
    steps.run("a backlog of views scales the tracker up, and its end scales it down", scaling::tracker(&shop)).await;
    steps.run("CPU load scales the API up, and its end scales it down", scaling::api(&shop)).await;
    steps.run("a due order scales the fulfiller up from zero", orders::fulfil(&shop, order)).await;
    steps.run("a rotation of the database password fails no request", rotation::database_password(&shop)).await;
    steps.run("a deleted Secret of the database is recreated", rotation::deleted_database_password(&shop)).await;
    steps.run("the new key signs five minutes after its publication", rotation::new_key_signs(&shop, rotation)).await;
    let kept = steps.run("the deletion of a Catalog keeps volumes and generated Secrets", deletion::delete(&shop)).await;
    steps.run("a new Catalog of the same name has the same data", deletion::recreate(&shop, kept)).await;
    steps.run("a lost volume is reported, and the annotation starts an empty shop", volume::lose_and_abandon(&shop)).await;
}

/// Prints each step with its duration.
struct Steps(Instant);

impl Default for Steps {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Steps {
    async fn run<T>(&self, name: &str, step: impl Future<Output = T>) -> T {
        let started = Instant::now();
        eprintln!("{:>5.0} s  {name} …", self.0.elapsed().as_secs_f64());
        let result = step.await;
        eprintln!("         … took {:.0} s", started.elapsed().as_secs_f64());
        result
    }
}
