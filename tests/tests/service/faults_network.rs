//! Network faults: connections are closed, or stay open without data.

use std::time::Duration;

use catalog_tests::{
    Api, Process, Role, Shop,
    people::{ADA, GRACE, OWNER},
    samples::{self, create, create_many},
    wait::{check, eventually, within},
};
use serde_json::{Value, json};

use crate::traffic::{Traffic, assert_every_admin_was_notified_of_every_change, assert_every_view_is_counted_once};

async fn start_shop() -> Shop {
    Shop::builder().proxied().allow_error_logs().setting("ACCESS_LOG_SAMPLE", "1000").start().await
}

#[tokio::test]
async fn requests_to_an_unresponsive_database_time_out() {
    let shop = Shop::builder().only_api().proxied().allow_error_logs().start().await;
    let product = create(&shop.ada, &samples::product("T-1")).await;
    let unread = create(&shop.ada, &samples::product("T-2")).await;
    shop.network().postgres.freeze();
    let login = json!({"username": ADA.0, "password": ADA.2});
    let patch = json!({"name": "Lost"});
    let calls = [
        shop.anyone.get(&unread.path),
        shop.anyone.get("/v1/products"),
        shop.anyone.post("/v1/auth/login", &login),
        shop.ada.patch(&product.path, &patch),
        shop.ada.get("/v1/admins"),
        shop.ada.post("/v1/products/bulk", &json!({"items": [samples::plain("T-3")]})),
    ];
    let answers = futures::future::join_all(calls.map(IntoFuture::into_future));
    // Most wait three seconds. A request with a connection that was used within the last millisecond times out after thirty.
    let answers = tokio::time::timeout(Duration::from_secs(40), answers).await.expect("requests time out");
    for reply in answers {
        reply.problem(503, "unavailable");
    }
    shop.network().postgres.restore();
    eventually("reads are answered again", async || {
        let status = shop.anyone.get("/v1/products").await.status;
        check(status == 200, || status)
    })
    .await;
    eventually("writes are answered again", async || {
        let status = shop.ada.patch(&product.path, &json!({"name": "Back"})).await.status;
        check(status == 200, || status)
    })
    .await;
}

#[tokio::test]
async fn a_migration_times_out_at_an_unresponsive_server() {
    let shop = Shop::builder().only_api().proxied().allow_error_logs().start().await;
    shop.network().postgres.freeze();
    let mut migrate = Process::start(&["migrate"], shop.environment());
    let timed_out = |entry: &Value| entry["error"].as_str().is_some_and(|error| error.contains("no answer within")).then_some(());
    migrate.log().find("the connection times out", timed_out).await;
    shop.network().postgres.restore();
    assert!(migrate.ended().await.success(), "{}", migrate.report());
}

#[tokio::test]
async fn an_unresponsive_nats_never_causes_stale_prices() {
    let mut shop = Shop::builder().only_api().proxied().allow_error_logs().start().await;
    let other = Api::anonymous(&shop.anyone.base(), None);
    shop.start_role(Role::Serve).await;
    let product = create(&shop.ada, &samples::product("T-1")).await;
    eventually("both show it", async || {
        let seen = [other.get(&product.path).await.status, shop.anyone.get(&product.path).await.status];
        check(seen == [200, 200], || seen)
    })
    .await;
    shop.network().nats.freeze();
    for round in 0..3 {
        // Cached by the other process, while its cache is enabled.
        other.get(&product.path).await.expect(200);
        let price = format!("{round}.99");
        let changed = shop.ada.patch(&product.path, &json!({"price": {"amount": price}})).await.expect(200).json();
        // Two seconds without a reply, and some for a busy machine.
        within(Duration::from_secs(5), "the other API shows the new price", async || {
            let shown = other.get(&product.path).await.expect(200).json();
            check(shown == changed, || shown)
        })
        .await;
        for _ in 0..20 {
            assert_eq!(other.get(&product.path).await.expect(200).json(), changed, "an older version came back");
        }
    }
    shop.network().nats.restore();
    create(&shop.ada, &samples::product("T-2")).await;
    eventually("events flow again", async || {
        let left: i64 =
            sqlx::query_scalar("SELECT count(*) FROM events.outbox WHERE published_at IS NULL").fetch_one(&shop.database).await.unwrap();
        check(left == 0, || left)
    })
    .await;
    // Products that changed during the outage are not served from the cache.
    let latest = shop.ada.patch(&product.path, &json!({"name": "Latest"})).await.expect(200).json();
    within(Duration::from_secs(5), "the other API shows the latest", async || {
        let shown = other.get(&product.path).await.expect(200).json();
        check(shown == latest, || shown)
    })
    .await;
}

#[tokio::test]
async fn repeated_disconnections_from_nats_lose_and_repeat_nothing() {
    let shop = start_shop().await;
    let products = create_many(&shop.ada, "N", 10).await;
    let traffic = Traffic::start(&shop, &products);
    for round in 0..6 {
        traffic.wait_for_progress().await;
        if round % 2 == 0 {
            shop.network().nats.disconnect();
        } else {
            shop.network().nats.freeze();
        }
        traffic.wait_for_progress().await;
        shop.network().nats.restore();
    }
    traffic.wait_for_progress().await;
    let (confirmed, _, served) = traffic.end().await;
    for address in [GRACE.1, OWNER.1] {
        shop.inbox().mail_about(address, confirmed.last().unwrap()).await;
    }
    shop.wait_until_idle().await;
    let mails = shop.inbox().mails().await;
    assert_every_admin_was_notified_of_every_change(&mails, &confirmed);
    assert_every_view_is_counted_once(&shop, served).await;
    let mut ids: Vec<_> = mails.iter().map(|mail| mail.message_id.clone()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), mails.len(), "a mail came twice");
}

#[tokio::test]
async fn repeated_disconnections_from_the_database_lose_and_repeat_nothing() {
    let shop = start_shop().await;
    let products = create_many(&shop.ada, "D", 10).await;
    let traffic = Traffic::start(&shop, &products);
    for _ in 0..6 {
        traffic.wait_for_progress().await;
        shop.network().postgres.disconnect();
        eventually("the API notices", async || {
            let status = shop.anyone.get("/v1/products").await.status;
            check(status == 503, || status)
        })
        .await;
        shop.network().postgres.restore();
    }
    traffic.wait_for_progress().await;
    let (confirmed, _, served) = traffic.end().await;
    for address in [GRACE.1, OWNER.1] {
        shop.inbox().mail_about(address, confirmed.last().unwrap()).await;
    }
    shop.wait_until_idle().await;
    assert_every_admin_was_notified_of_every_change(&shop.inbox().mails().await, &confirmed);
    assert_every_view_is_counted_once(&shop, served).await;
}
