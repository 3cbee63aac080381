//! Deleted streams and consumers are recreated, and no mail is sent twice.

use std::collections::HashMap;

use async_nats::jetstream::consumer::{AckPolicy, Consumer, pull};
use catalog_tests::{
    Process, Shop,
    people::GRACE,
    samples::{self, create},
    wait::{check, eventually},
};
use futures::{StreamExt, TryStreamExt};
use serde_json::json;

async fn exists(shop: &Shop, stream: &str) -> bool {
    shop.jetstream().await.get_stream(format!("{}_{stream}", shop.prefix())).await.is_ok()
}

#[tokio::test]
async fn the_streams_and_consumers_are_as_documented() {
    let shop = Shop::start().await;
    let days = |days: u64| std::time::Duration::from_secs(days * 86_400);
    for (name, age, subject) in [("changes", days(7), "changes.>"), ("views", days(3), "views"), ("dead", days(30), "dead.>")] {
        let stream = shop.stream(name).await;
        let config = &stream.cached_info().config;
        assert_eq!(config.max_age, age, "{name}");
        assert!(config.subjects.iter().all(|given| given.starts_with(shop.prefix()) && given.ends_with(subject)), "{:?}", config.subjects);
    }
    let changes = shop.stream("changes").await;
    assert_eq!(changes.cached_info().config.discard, async_nats::jetstream::stream::DiscardPolicy::New);
    for (stream, durable) in [("changes", "notifier"), ("changes", "fulfiller"), ("views", "tracker")] {
        let stream = shop.stream(stream).await;
        eventually("the consumer exists", async || {
            let names: Vec<String> = stream.consumer_names().try_collect().await.map_err(|_| Vec::new())?;
            check(names.iter().any(|name| name == durable), || names.clone())
        })
        .await;
    }
}

#[tokio::test]
async fn a_deleted_stream_of_changes_is_recreated_and_refilled_without_repeated_mail() {
    let shop = Shop::builder().allow_error_logs().start().await;
    let product = create(&shop.ada, &samples::product("T-1")).await;
    for number in 0..4 {
        shop.ada.patch(&product.path, &json!({"name": format!("Name {number}")})).await.expect(200);
    }
    shop.inbox().at_least(10).await;
    shop.wait_until_idle().await;
    shop.jetstream().await.delete_stream(format!("{}_changes", shop.prefix())).await.unwrap();
    eventually("the stream is back with what was published before", async || {
        let jetstream = shop.jetstream().await;
        let stream = jetstream.get_stream(format!("{}_changes", shop.prefix())).await.map_err(|error| error.to_string())?;
        let messages = stream.cached_info().state.messages;
        check(messages == 5, || format!("{messages} messages"))
    })
    .await;
    shop.ada.patch(&product.path, &json!({"name": "After the loss"})).await.expect(200);
    shop.inbox().mail_about(GRACE.1, "After the loss").await;
    shop.wait_until_idle().await;
    assert_eq!(shop.inbox().mails().await.len(), 12, "the replay repeated or lost mails");
}

#[tokio::test]
async fn changes_made_while_the_stream_is_missing_arrive() {
    let shop = Shop::builder().allow_error_logs().start().await;
    let product = create(&shop.ada, &samples::product("T-1")).await;
    shop.inbox().at_least(2).await;
    shop.jetstream().await.delete_stream(format!("{}_changes", shop.prefix())).await.unwrap();
    for number in 0..10 {
        shop.ada.patch(&product.path, &json!({"name": format!("Name {number}")})).await.expect(200);
    }
    shop.inbox().at_least(22).await;
    shop.wait_until_idle().await;
    assert_eq!(shop.inbox().mails().await.len(), 22);
}

#[tokio::test]
async fn handled_events_are_deleted_from_a_full_stream() {
    const CHANGES: usize = 60;
    let shop = Shop::builder().allow_error_logs().private_nats().start().await;
    let stream = shop.stream("changes").await;
    // About ten events fit.
    let small = async_nats::jetstream::stream::Config { max_bytes: 16 * 1024, ..stream.cached_info().config.clone() };
    shop.jetstream().await.update_stream(&small).await.unwrap();
    let product = create(&shop.ada, &samples::product("T-1")).await;
    for number in 0..CHANGES {
        shop.ada.patch(&product.path, &json!({"name": format!("Name {number}")})).await.expect(200);
    }
    shop.inbox().at_least(2 * (CHANGES + 1)).await;
    shop.wait_until_idle().await;
    let state = shop.stream("changes").await.cached_info().state.clone();
    assert!(state.first_sequence > 1 && state.last_sequence == CHANGES as u64 + 1, "{state:?}");
}

#[tokio::test]
async fn a_deleted_stream_of_views_is_recreated_and_views_are_counted_again() {
    let shop = Shop::builder().allow_error_logs().start().await;
    let product = create(&shop.ada, &samples::plain("T-1")).await;
    shop.anyone.get(&product.path).await.expect(200);
    shop.views_reach(&product.id, 1).await;
    shop.jetstream().await.delete_stream(format!("{}_views", shop.prefix())).await.unwrap();
    for _ in 0..5 {
        // Buffered until the stream exists again.
        shop.anyone.get(&product.path).await.expect(200);
    }
    shop.views_reach(&product.id, 6).await;
    assert!(exists(&shop, "views").await);
}

#[tokio::test]
async fn migrate_recreates_streams_which_keep_their_messages() {
    let shop = Shop::builder().roles(&[]).private_nats().start().await;
    let migrate = async || {
        let mut migrate = Process::start(&["migrate"], shop.environment());
        assert!(migrate.ended().await.success(), "{}", migrate.report());
    };
    migrate().await;
    let (jetstream, prefix) = (shop.jetstream().await, shop.prefix());
    for stream in ["changes", "views", "dead"] {
        jetstream.delete_stream(format!("{prefix}_{stream}")).await.unwrap();
    }
    migrate().await;
    jetstream.publish(format!("{prefix}.changes.product.kept"), "1".into()).await.unwrap().await.unwrap();
    assert_eq!(shop.stream("changes").await.cached_info().state.messages, 1);
}

/// The consumer of release 0.1, which filters by changes of products.
fn former_notifier(prefix: &str) -> pull::Config {
    pull::Config {
        durable_name: Some("notifier".into()),
        ack_policy: AckPolicy::Explicit,
        ack_wait: std::time::Duration::from_secs(12),
        max_ack_pending: 10_000,
        filter_subject: format!("{prefix}.changes.product.>"),
        metadata: HashMap::from([("catalog-revision".into(), "1".into())]),
        ..pull::Config::default()
    }
}

#[tokio::test]
async fn migrate_adds_orders_to_the_consumer_of_an_older_release_and_repeats_nothing() {
    let shop = Shop::builder().roles(&[]).private_nats().start().await;
    let migrate = async || {
        let mut migrate = Process::start(&["migrate"], shop.environment());
        assert!(migrate.ended().await.success(), "{}", migrate.report());
    };
    migrate().await;
    let (jetstream, prefix) = (shop.jetstream().await, shop.prefix());
    let stream = shop.stream("changes").await;
    for consumer in ["notifier", "fulfiller"] {
        assert!(stream.delete_consumer(consumer).await.unwrap().success);
    }
    let former = stream.create_consumer(former_notifier(prefix)).await.unwrap();
    for kind in ["product.handled", "product.waiting"] {
        jetstream.publish(format!("{prefix}.changes.{kind}"), "1".into()).await.unwrap().await.unwrap();
    }
    let handled = former.fetch().max_messages(1).messages().await.unwrap().next().await.unwrap().unwrap();
    handled.double_ack().await.unwrap();

    migrate().await;
    let mut notifier: Consumer<pull::Config> = stream.get_consumer("notifier").await.unwrap();
    let config = notifier.info().await.unwrap().config.clone();
    assert_eq!(config.filter_subjects, ["product", "order"].map(|of| format!("{prefix}.changes.{of}.>")));
    assert_eq!((config.filter_subject.as_str(), config.metadata["catalog-revision"].as_str()), ("", "2"));
    let mut fulfiller: Consumer<pull::Config> = stream.get_consumer("fulfiller").await.unwrap();
    for kind in ["order.created", "order.confirmed"] {
        jetstream.publish(format!("{prefix}.changes.{kind}"), "1".into()).await.unwrap().await.unwrap();
    }
    assert_eq!(fulfiller.info().await.unwrap().num_pending, 1, "only new orders are delivered");
    let messages = notifier.fetch().max_messages(9).messages().await.unwrap();
    let received: Vec<_> = messages.map(|message| message.unwrap().subject.to_string()).collect().await;
    assert_eq!(received, ["product.waiting", "order.created", "order.confirmed"].map(|kind| format!("{prefix}.changes.{kind}")));
    // Repeating it changes nothing.
    migrate().await;
}

#[tokio::test]
async fn deleted_consumers_are_recreated_and_repeat_nothing() {
    let shop = Shop::builder().allow_error_logs().start().await;
    let product = create(&shop.ada, &samples::plain("T-1")).await;
    shop.anyone.get(&product.path).await.expect(200);
    shop.inbox().at_least(2).await;
    shop.views_reach(&product.id, 1).await;
    shop.wait_until_idle().await;
    let jetstream = shop.jetstream().await;
    for (stream, consumer) in [("changes", "notifier"), ("views", "tracker")] {
        let stream = jetstream.get_stream(format!("{}_{stream}", shop.prefix())).await.unwrap();
        assert!(stream.delete_consumer(consumer).await.unwrap().success);
    }
    shop.ada.patch(&product.path, &json!({"name": "After the loss"})).await.expect(200);
    shop.anyone.get(&product.path).await.expect(200);
    shop.inbox().mail_about(GRACE.1, "After the loss").await;
    shop.views_reach(&product.id, 2).await;
    shop.wait_until_idle().await;
    assert_eq!(shop.inbox().mails().await.len(), 4);
}

#[tokio::test]
async fn two_shops_on_one_nats_receive_only_their_own_events() {
    let one = Shop::start().await;
    let two = Shop::builder().beside_another().start().await;
    let product = create(&one.ada, &samples::product("one")).await;
    one.anyone.get(&product.path).await.expect(200);
    create(&two.ada, &samples::product("two")).await;
    one.inbox().at_least(2).await;
    two.inbox().at_least(2).await;
    one.views_reach(&product.id, 1).await;
    one.wait_until_idle().await;
    two.wait_until_idle().await;
    for (shop, other) in [(&one, "two"), (&two, "one")] {
        let mails = shop.inbox().mails().await;
        assert_eq!(mails.len(), 2);
        assert!(mails.iter().all(|mail| !mail.subject.contains(other)), "{mails:#?}");
    }
}
