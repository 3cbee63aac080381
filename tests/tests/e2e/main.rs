//! A shop on a real cluster: real pods, Services, autoscalers. `make e2e` brings the cluster up, applies the sample Catalog and
//! runs this; nothing here is controllers.
//!
//! It is one story, told in order, because a shop takes a minute to come up: installed, used, upgraded, killed, bought
//! from, scaled, rotated, deleted, found again, and emptied.
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
async fn a_shop_is_used_upgraded_killed_scaled_rotated_deleted_and_found_again() {
    let shop = Shop::find().await;
    let told = Told::default();
    told.step("products are imported through the Service, and the other admin gets one mail", usage::import(&shop)).await;
    told.step("reads by several clients are counted exactly", usage::views(&shop)).await;
    told.step("a change is mailed with old and new", usage::change(&shop)).await;
    let rotation = told.step("a new signing key is published, and old tokens stay valid", rotation::publish_a_key(&shop)).await;
    told.step("an image change fails no request", rollout::image(&shop)).await;
    told.step("a wrong image is named, and hurts nobody", rollout::wrong_image(&shop)).await;
    told.step("a crash loop, a quota and a scale to zero are reported while they last", faults::are_reported(&shop)).await;
    told.step("killed pods come back, and lose nothing", kills::each_pod(&shop)).await;
    let order = told.step("a sleeping fulfiller is woken by an order", orders::confirm(&shop)).await;
    told.step("a backlog of views brings trackers, and its end takes them away", scaling::tracker(&shop)).await;
    told.step("CPU load brings API pods, and its end takes them away", scaling::api(&shop)).await;
    told.step("a sleeping fulfiller is woken by an order that is due", orders::fulfil(&shop, order)).await;
    told.step("the database password is rotated and no request fails", rotation::database_password(&shop)).await;
    told.step("a deleted database password is made true again", rotation::deleted_database_password(&shop)).await;
    told.step("the new key signs when it has been published for five minutes", rotation::new_key_signs(&shop, rotation)).await;
    let kept = told.step("a deleted Catalog leaves what its policy keeps", deletion::delete(&shop)).await;
    told.step("a Catalog of the same name finds the data", deletion::find_again(&shop, kept)).await;
    told.step("a lost volume is reported, and consent opens an empty shop", volume::lose_and_abandon(&shop)).await;
}

struct Told(Instant);

impl Default for Told {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Told {
    async fn step<T>(&self, what: &str, does: impl Future<Output = T>) -> T {
        let started = Instant::now();
        eprintln!("{:>5.0} s  {what} …", self.0.elapsed().as_secs_f64());
        let done = does.await;
        eprintln!("         … took {:.0} s", started.elapsed().as_secs_f64());
        done
    }
}
