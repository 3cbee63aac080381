//! Outages of NATS: requests are served, and no event is lost.

use catalog_tests::{
    Role, Shop,
    people::{GRACE, OWNER},
    samples::{self, create, create_many},
    wait::{check, eventually},
};
use serde_json::json;

async fn start_shop() -> Shop {
    Shop::builder().private_nats().allow_error_logs().start().await
}

#[tokio::test]
async fn requests_are_served_without_nats_and_their_events_arrive_after_the_outage() {
    let mut shop = start_shop().await;
    let before = create(&shop.ada, &samples::product("before")).await;
    shop.inbox().at_least(2).await;
    shop.anyone.get(&before.path).await.expect(200);
    shop.views_reach(&before.id, 1).await;
    shop.wait_until_idle().await;
    shop.inbox().clear().await;

    shop.nats_mut().stop().await;
    let during = create(&shop.ada, &samples::product("during")).await;
    for number in 0..5 {
        let name = format!("Name {number}");
        let patched = shop.ada.patch(&before.path, &json!({ "name": name })).await.expect(200).json();
        // No read is stale, with or without the cache.
        assert_eq!(shop.anyone.get(&before.path).await.expect(200).json(), patched);
        shop.anyone.get(&during.path).await.expect(200);
    }
    shop.ada.delete(&during.path).await.expect(204);
    shop.ada.post_empty(&during.at("restore")).await.expect(200);
    shop.ada.post("/v1/products/bulk", &json!({"items": [samples::plain("imported")]})).await.expect(200);
    shop.anyone.get("/v1/products").await.expect(200);
    assert_eq!(shop.views(&before.id).await, 1);
    for role in [Role::Serve, Role::Notifier, Role::Tracker] {
        assert_eq!(shop.ops(role, "/readyz").await.0, 200, "{role}: an outage must not make the process unready");
        assert_eq!(shop.ops(role, "/livez").await.0, 200, "{role}");
    }
    eventually("/readyz?verbose reports the outage", async || {
        let (_, verbose) = shop.ops(Role::Serve, "/readyz?verbose").await;
        check(verbose.contains("[-] nats"), || verbose)
    })
    .await;

    shop.nats_mut().start().await;
    // created, 5 × updated, deleted, restored, imported: each to two admins.
    let mails = shop.inbox().at_least(18).await;
    shop.wait_until_idle().await;
    assert_eq!(mails.len(), 18, "{mails:#?}");
    for address in [GRACE.1, OWNER.1] {
        for number in 0..5 {
            let name = format!("Name {number}");
            assert!(mails.iter().any(|mail| mail.is_for(address) && mail.mentions(&name)), "{address} got no mail about {name}");
        }
    }
    shop.views_reach(&before.id, 6).await;
    shop.views_reach(&during.id, 5).await;
    assert_eq!(shop.inbox().mails().await.len(), 18);
}

#[tokio::test]
async fn changes_survive_a_kill_of_the_api_during_an_outage_of_nats() {
    let mut shop = start_shop().await;
    shop.nats_mut().stop().await;
    let product = create(&shop.ada, &samples::product("T-1")).await;
    shop.kill(Role::Serve);
    shop.nats_mut().start().await;
    shop.start_role(Role::Serve).await;
    for address in [GRACE.1, OWNER.1] {
        shop.inbox().mail_about(address, "T-1").await;
    }
    shop.anyone.get(&product.path).await.expect(200);
}

#[tokio::test]
async fn without_nats_the_api_starts_and_workers_wait() {
    let mut shop = start_shop().await;
    let product = create(&shop.ada, &samples::product("T-1")).await;
    shop.inbox().at_least(2).await;
    shop.nats_mut().stop().await;
    for role in [Role::Serve, Role::Notifier, Role::Tracker] {
        shop.kill(role);
        shop.launch(role);
    }
    // The API serves requests without events.
    shop.wait_until_ready(Role::Serve).await;
    shop.anyone.get(&product.path).await.expect(200);
    shop.ada.patch(&product.path, &json!({"name": "Without NATS"})).await.expect(200);
    shop.nats_mut().start().await;
    for role in [Role::Notifier, Role::Tracker] {
        shop.wait_until_ready(role).await;
    }
    shop.inbox().mail_about(GRACE.1, "Without NATS").await;
    shop.views_reach(&product.id, 1).await;
}

#[tokio::test]
async fn views_are_buffered_up_to_a_limit_and_dropped_ones_are_counted() {
    let mut shop = Shop::builder()
        .roles(&[Role::Serve, Role::Tracker])
        .private_nats()
        .allow_error_logs()
        .setting("VIEWS_BUFFER_LIMIT", "50")
        .start()
        .await;
    let products = create_many(&shop.ada, "V", 2).await;
    shop.nats_mut().stop().await;
    for _ in 0..100 {
        for product in &products {
            shop.anyone.get(&product.path).await.expect(200);
        }
    }
    shop.nats_mut().start().await;
    let dropped = async |shop: &mut Shop| {
        let (_, metrics) = shop.ops(Role::Serve, "/metrics").await;
        let lines = metrics.lines().filter(|line| line.contains("views_dropped") && !line.starts_with('#'));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>()
    };
    let sum = async |shop: &Shop| shop.views(&products[0].id).await + shop.views(&products[1].id).await;
    let mut counted = 0;
    eventually("every view is counted or dropped", async || {
        counted = sum(&shop).await;
        #[allow(clippy::cast_precision_loss, reason = "small numbers")]
        let total = counted as f64 + dropped(&mut shop).await;
        check((total - 200.0).abs() < 0.1, || (counted, total))
    })
    .await;
    assert!((1..200).contains(&counted), "{counted} counted");
}
