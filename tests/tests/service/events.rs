//! Events in `JetStream`: `CloudEvents`, in order, with everything a consumer needs.

use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use catalog_tests::{
    Role, Shop, eventually,
    samples::{self, create},
    wait::check,
};
use futures::StreamExt;
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use serde_json::{Value, json};

/// A published event.
struct Event {
    subject: String,
    headers: async_nats::HeaderMap,
    body: Value,
}

/// Reads the first `count` events of the shop.
async fn events(shop: &Shop, count: usize) -> Vec<Event> {
    let stream = shop.stream("changes").await;
    let config = pull::Config { deliver_policy: DeliverPolicy::All, ..Default::default() };
    let messages = stream.create_consumer(config).await.unwrap().messages().await.unwrap();
    let read = messages.take(count).map(|message| {
        let message = message.unwrap();
        Event {
            subject: message.subject.to_string(),
            headers: message.headers.clone().unwrap_or_default(),
            body: serde_json::from_slice(&message.payload).unwrap(),
        }
    });
    tokio::time::timeout(catalog_tests::wait::DEFAULT_TIMEOUT, read.collect()).await.expect("the events are published")
}

#[tokio::test]
async fn each_change_is_published_as_a_cloud_event() {
    let shop = Shop::api().await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let product = create(&shop.ada, &samples::product("T-1")).await;
    let patch = shop.grace.patch(&product.path, &json!({"name": "Renamed"})).header("x-request-id", "find-me").header("traceparent", trace);
    let after = patch.await.expect(200).json();
    shop.ada.delete(&product.path).await.expect(204);
    shop.ada.post_empty(&product.at("restore")).await.expect(200);
    let events = events(&shop, 4).await;

    let mut ids = std::collections::BTreeSet::new();
    for ((event, kind), version) in events.iter().zip(["created", "updated", "deleted", "restored"]).zip(1_i64..) {
        let body = &event.body;
        assert_eq!(event.subject, format!("{}.changes.product.{kind}", shop.prefix()));
        assert_eq!(body["specversion"], "1.0");
        assert_eq!(body["type"], format!("catalog.product.{kind}.v1"));
        assert_eq!(body["subject"], product.id.as_str());
        assert_eq!(body["datacontenttype"], "application/json");
        assert_eq!(body["data"]["version"], version);
        assert_eq!(body["data"]["product"]["id"], product.id.as_str());
        assert!(body["source"].is_string() && body["time"].is_string());
        assert_eq!(event.headers.get("Nats-Msg-Id").unwrap().as_str(), body["id"].as_str().unwrap());
        assert!(ids.insert(body["id"].to_string()));
    }
    let updated = &events[1];
    assert_eq!(updated.body["data"]["changes"], json!([{"field": "name", "old": "Bar table T-1", "new": "Renamed"}]));
    assert_eq!(updated.body["data"]["product"], after);
    assert_eq!(updated.body["data"]["actor"]["username"], "grace");
    assert_eq!(updated.body["data"]["actor"]["id"], shop.people.grace.id.as_str());
    assert_eq!(updated.headers.get("X-Request-Id").unwrap().as_str(), "find-me");
    assert!(updated.headers.get("traceparent").unwrap().as_str().contains("4bf92f3577b34da6a3ce929d0e0e4736"));
}

#[tokio::test]
async fn the_events_of_one_product_come_in_the_order_of_its_versions() {
    let mut shop = Shop::api().await;
    // A second relay that could overtake the first.
    shop.start_role(Role::Serve).await;
    let products = samples::create_many(&shop.ada, "O", 5).await;
    let edit = async |number: usize, path: &str| {
        for step in 0..20 {
            shop.ada.patch(path, &json!({"name": format!("Step {step} of {number}")})).await.expect(200);
        }
    };
    futures::future::join_all(products.iter().enumerate().map(|(number, product)| edit(number, &product.path))).await;
    // The import wrote an event for each product, and a summary, whose position is undefined.
    let mut stream = shop.stream("changes").await;
    let published = eventually("all events are published", async || {
        let left: i64 =
            sqlx::query_scalar("SELECT count(*) FROM events.outbox WHERE published_at IS NULL").fetch_one(&shop.database).await.unwrap();
        check(left == 0, || left)?;
        Ok::<_, i64>(stream.info().await.unwrap().state.messages)
    })
    .await;
    let events = events(&shop, usize::try_from(published).unwrap()).await;
    for product in &products {
        let of_product =
            events.iter().filter(|event| event.body["subject"] == product.id.as_str() && event.body["data"]["product"].is_object());
        let versions: Vec<i64> = of_product.map(|event| event.body["data"]["version"].as_i64().unwrap()).collect();
        assert_eq!(versions, (1..=21).collect::<Vec<_>>());
    }
}

/// Applying the events of a product gives the product, also after concurrent changes.
#[tokio::test]
async fn the_catalogue_can_be_rebuilt_from_its_events() {
    let mut shop = Shop::builder().only_api().setting("IMPORT_MAX_PER_ADMIN", "4").start().await;
    let first = shop.ada.clone();
    shop.start_role(Role::Serve).await;
    let second = shop.ada.clone();
    let skus: Vec<String> = (0..6).map(|number| format!("E-{number}")).collect();
    // Some requests fail: the sku is taken, or the product was deleted concurrently.
    let busy = async |admin: &catalog_tests::Api, seed: u64| {
        let mut random = SmallRng::seed_from_u64(seed);
        for step in 0..40 {
            let sku = &skus[random.random_range(0..skus.len())];
            let mut body = samples::plain(sku);
            body["name"] = json!(format!("{seed}.{step}"));
            let found = admin.get(&format!("/v1/products/by-sku/{sku}")).await;
            let path = found.json()["id"].as_str().map(|id| format!("/v1/products/{id}"));
            let reply = match (random.random_range(0..6), path) {
                (0, _) | (_, None) => admin.post("/v1/products", &body).await,
                (1, Some(path)) => admin.delete(&path).await,
                (2, Some(path)) => {
                    admin.delete(&path).await;
                    admin.post_empty(&format!("{path}/restore")).await
                }
                (3, _) => admin.post("/v1/products/bulk", &json!({"items": [body, samples::plain("E-0"), samples::plain("E-1")]})).await,
                (_, Some(path)) => admin.patch(&path, &json!({"name": body["name"]})).await,
            };
            assert!(matches!(reply.status, 200 | 201 | 204 | 404 | 409), "{}", reply.text());
        }
    };
    tokio::join!(busy(&first, 1), busy(&second, 2), busy(&second, 3), busy(&first, 4));

    let mut stream = shop.stream("changes").await;
    let published = eventually("all events are published", async || {
        let left: i64 =
            sqlx::query_scalar("SELECT count(*) FROM events.outbox WHERE published_at IS NULL").fetch_one(&shop.database).await.unwrap();
        check(left == 0, || left)?;
        Ok::<_, i64>(stream.info().await.unwrap().state.messages)
    })
    .await;
    let mut rebuilt: std::collections::BTreeMap<String, (i64, String, Value)> = std::collections::BTreeMap::new();
    for event in events(&shop, usize::try_from(published).unwrap()).await {
        let (kind, data) = (event.body["type"].as_str().unwrap().to_owned(), &event.body["data"]);
        if !data["product"].is_object() {
            continue;
        }
        let (id, version) = (data["product"]["id"].as_str().unwrap().to_owned(), data["version"].as_i64().unwrap());
        let before = rebuilt.get(&id).map_or(0, |(version, ..)| *version);
        assert_eq!(version, before + 1, "{kind} of {id}: no version is left out and none comes twice");
        rebuilt.insert(id, (version, kind, data["product"].clone()));
    }
    let mut living = 0;
    for (id, (_, kind, product)) in &rebuilt {
        let shown = shop.ada.get(&format!("/v1/products/{id}")).await;
        if kind.contains("deleted") {
            shown.problem(404, "not-found");
        } else {
            assert_eq!(&shown.expect(200).json(), product);
            living += 1;
        }
    }
    let list = shop.ada.get("/v1/products?limit=200").await.expect(200).json();
    assert_eq!(list["items"].as_array().unwrap().len(), living, "a product has no event");
}

#[tokio::test]
async fn malformed_messages_are_dead_lettered_with_the_reason() {
    let mut shop = Shop::builder().allow_error_logs().start().await;
    let jetstream = shop.jetstream().await;
    let prefix = shop.prefix().to_owned();
    let mut dead = shop.stream("dead").await;
    let mut sent = 0_u64;
    for subject in [format!("{prefix}.changes.product.updated"), format!("{prefix}.views")] {
        for payload in ["", "nonsense", "{}", "[1,2]", "{\"specversion\":\"1.0\",\"type\":\"catalog.product.updated.v99\",\"data\":{}}"] {
            jetstream.publish(subject.clone(), payload.into()).await.unwrap().await.unwrap();
            sent += 1;
        }
    }
    eventually("all of them are dead", async || {
        let messages = dead.info().await.unwrap().state.messages;
        check(messages >= sent, || messages)
    })
    .await;
    let first = dead.get_raw_message(1).await.unwrap();
    let reason = format!("{:?} {}", first.headers, String::from_utf8_lossy(&first.payload));
    assert!(reason.to_lowercase().contains("reason") || reason.to_lowercase().contains("error"), "{reason}");
    // Later messages are handled.
    let product = create(&shop.ada, &samples::plain("T-1")).await;
    shop.inbox().at_least(2).await;
    shop.anyone.get(&product.path).await.expect(200);
    shop.views_reach(&product.id, 1).await;
    shop.wait_until_idle().await;
    for role in [Role::Notifier, Role::Tracker] {
        let (_, metrics) = shop.ops(role, "/metrics").await;
        assert!(metrics.contains("dead"), "{role} has no metric of dead messages:\n{metrics}");
    }
}
