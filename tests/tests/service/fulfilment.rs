//! Orders move on by themselves, once, whoever dies meanwhile.

use async_nats::{HeaderMap, jetstream::consumer::pull};
use catalog_tests::{
    Role::{Fulfiller, Notifier, Serve},
    Shop,
    buying::Whereabouts,
    wait::{eventually, holds, within},
};
use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt;
use serde_json::{Value, json};
use std::time::Duration;

use crate::buyer::{self, BUYER, STOCK, all_published, way};

fn at(entry: &Value) -> DateTime<Utc> {
    entry["at"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn an_order_is_confirmed_by_itself_and_fulfilled_after_the_delay() {
    let (mut shop, stool, buyer) = buyer::open(buyer::shop(&[Serve, Fulfiller], "1s")).await;
    let order = buyer.orders(&[&stool], "one").await;
    let order = buyer.waits_for(&order, "fulfilled").await;
    assert_eq!(way(&order), ["pending", "confirmed", "fulfilled"], "{order}");
    assert!(at(&order["history"][2]) - at(&order["history"][1]) >= TimeDelta::seconds(1), "{order}");
    assert!(order["history"].as_array().unwrap()[1..].iter().all(|entry| entry["by"] == "shop"), "{order}");
    shop.at_rest().await;
    for status in ["confirmed", "fulfilled"] {
        assert_eq!(shop.metric(Fulfiller, "orders_advanced_total", &[status]).await, Some(1.0), "{status}");
    }
}

#[tokio::test]
async fn an_order_that_somebody_else_works_on_as_its_event_comes_is_confirmed_right_after() {
    let (mut shop, stool, buyer) = buyer::open(buyer::shop(&[Serve], "1h")).await;
    let order = buyer.orders(&[&stool], "one").await;
    // Like an admin whose step is refused in the end.
    let mut other = shop.database.begin().await.unwrap();
    sqlx::query("SELECT FROM orders.orders WHERE id = $1::uuid FOR UPDATE").bind(&order).execute(&mut *other).await.unwrap();
    shop.open(Fulfiller).await;
    eventually("the fulfiller waits for the order", async || {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let waiting: i64 = sqlx::query_scalar(waiting).fetch_one(&shop.database).await.unwrap();
        holds(waiting > 0, || waiting)
    })
    .await;
    other.rollback().await.unwrap();
    buyer.waits_for(&order, "confirmed").await;
}

#[tokio::test]
async fn a_cancelled_order_is_not_confirmed_later() {
    let (mut shop, stool, buyer) = buyer::open(buyer::shop(&[Serve], "0s")).await;
    let cancelled = buyer.orders(&[&stool], "one").await;
    buyer.cancels(&cancelled).await;
    let marker = buyer.orders(&[&stool], "two").await;
    shop.open(Fulfiller).await;
    buyer.waits_for(&marker, "fulfilled").await;
    shop.at_rest().await;
    assert_eq!(way(&buyer.sees(&cancelled).await), ["pending", "cancelled"]);
}

/// Time passes for all orders that are confirmed.
async fn all_are_due(shop: &Shop) {
    sqlx::query("UPDATE orders.orders SET fulfil_at = now() WHERE status = 'confirmed'").execute(&shop.database).await.unwrap();
}

/// A customer's account is closed, by whom doesn't matter.
async fn close(shop: &Shop, account: &str) {
    let closed = sqlx::query("UPDATE identity.accounts SET is_active = false WHERE id = $1::uuid").bind(account);
    assert_eq!(closed.execute(&shop.database).await.unwrap().rows_affected(), 1);
}

async fn failed_for_want_of_a_customer(shop: &Shop, order: &str) {
    let order = shop.ada.get(&format!("/v1/orders/{order}")).await.expect(200).json();
    let last = order["history"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["status"], &last["reason"]), (&json!("failed"), &json!("the customer's account is closed")), "{order}");
}

#[tokio::test]
async fn a_confirmed_order_that_is_cancelled_in_time_is_not_fulfilled() {
    let (shop, stool, buyer) = buyer::open(buyer::shop(&[Serve, Fulfiller], "1h")).await;
    let order = buyer.orders(&[&stool], "one").await;
    buyer.waits_for(&order, "confirmed").await;
    buyer.cancels(&order).await;
    let marker = buyer.orders(&[&stool], "two").await;
    buyer.waits_for(&marker, "confirmed").await;
    all_are_due(&shop).await;
    buyer.waits_for(&marker, "fulfilled").await;
    shop.at_rest().await;
    assert_eq!(way(&buyer.sees(&order).await), ["pending", "confirmed", "cancelled"]);
    Whereabouts::of(&shop.database, &stool.id).await.adds_up_to(STOCK);
}

#[tokio::test]
async fn an_order_of_a_closed_account_fails_says_why_and_gives_its_stock_back() {
    let (mut shop, stool, buyer) = buyer::open(buyer::shop(&[Serve], "0s")).await;
    let order = buyer.orders(&[&stool], "one").await;
    close(&shop, &buyer.id).await;
    shop.open(Fulfiller).await;
    shop.at_rest().await;
    failed_for_want_of_a_customer(&shop, &order).await;
    let whereabouts = Whereabouts::of(&shop.database, &stool.id).await;
    whereabouts.adds_up_to(STOCK);
    assert_eq!(whereabouts.on_hand, STOCK);
}

#[tokio::test]
async fn a_confirmed_order_whose_account_is_closed_before_it_is_due_fails_too() {
    let (shop, stool, buyer) = buyer::open(buyer::shop(&[Serve, Fulfiller], "1h")).await;
    // All there is, so that what comes back is seen by everybody.
    sqlx::query("UPDATE products.stock SET on_hand = 1").execute(&shop.database).await.unwrap();
    let order = buyer.orders(&[&stool], "one").await;
    buyer.waits_for(&order, "confirmed").await;
    assert_eq!(shop.anyone.get(&stool.path).await.expect(200).json()["in_stock"], false);
    close(&shop, &buyer.id).await;
    all_are_due(&shop).await;
    within(Duration::from_secs(10), "the product can be bought again", async || {
        let product = shop.anyone.get(&stool.path).await.expect(200).json();
        holds(product["in_stock"] == true, || product)
    })
    .await;
    failed_for_want_of_a_customer(&shop, &order).await;
}

#[tokio::test]
async fn an_order_whose_event_is_lost_is_decided_all_the_same() {
    let (mut shop, stool, buyer) = buyer::open(buyer::shop(&[Serve], "0s")).await;
    let order = buyer.orders(&[&stool], "one").await;
    all_published(&shop).await;
    shop.stream("changes").await.purge().await.unwrap();
    sqlx::query("UPDATE orders.orders SET created_at = created_at - interval '2 minutes'").execute(&shop.database).await.unwrap();
    shop.open(Fulfiller).await;
    buyer.waits_for(&order, "fulfilled").await;
}

#[tokio::test]
async fn an_order_that_cannot_be_fulfilled_keeps_no_other_from_it() {
    let (mut shop, stool, buyer) = buyer::open(buyer::shop(&[Serve, Fulfiller], "1h").troubled()).await;
    let broken = buyer.orders(&[&stool], "one").await;
    buyer.waits_for(&broken, "confirmed").await;
    // What the next step wants to write is there already.
    let obstacle = "INSERT INTO orders.history (order_id, version, status, at, actor) VALUES ($1::uuid, 3, 'confirmed', now(), 'shop')";
    sqlx::query(obstacle).bind(&broken).execute(&shop.database).await.unwrap();
    let marker = buyer.orders(&[&stool], "two").await;
    buyer.waits_for(&marker, "confirmed").await;
    all_are_due(&shop).await;
    buyer.waits_for(&marker, "fulfilled").await;
    assert_eq!(buyer.sees(&broken).await["status"], "confirmed");
    sqlx::query("DELETE FROM orders.history WHERE order_id = $1::uuid AND version = 3")
        .bind(&broken)
        .execute(&shop.database)
        .await
        .unwrap();
    buyer.waits_for(&broken, "fulfilled").await;
    shop.at_rest().await;
    assert_eq!(shop.metric(Fulfiller, "orders_advanced_total", &["fulfilled"]).await, Some(2.0), "what failed is not counted");
}

#[tokio::test]
async fn killing_the_fulfiller_loses_no_order_and_mails_each_step_once() {
    let (mut shop, stool, buyer) = buyer::open(buyer::shop(&[Serve, Notifier, Fulfiller], "0s").troubled()).await;
    shop.open(Fulfiller).await;
    let mut orders = Vec::new();
    for round in 0..4 {
        for number in 0..5 {
            orders.push(buyer.orders(&[&stool], &format!("{round}-{number}")).await);
        }
        shop.kill_and_restart(Fulfiller).await;
    }
    for order in &orders {
        let order = buyer.waits_for(order, "fulfilled").await;
        assert_eq!(way(&order), ["pending", "confirmed", "fulfilled"], "{order}");
    }
    shop.at_rest().await;
    let mails = shop.inbox().mails_for(BUYER).await;
    for order in &orders {
        let mut steps: Vec<_> =
            mails.iter().filter(|mail| mail.mentions(order)).map(|mail| mail.subject.split(':').next().unwrap()).collect();
        steps.sort_unstable();
        assert_eq!(steps, ["Order confirmed", "Order fulfilled", "Order placed"], "{order}");
    }
    assert_eq!(mails.len(), 3 * orders.len());
}

#[tokio::test]
async fn a_new_order_told_again_changes_nothing() {
    let (mut shop, stool, buyer) = buyer::open(buyer::shop(&[Serve, Fulfiller], "0s").troubled()).await;
    let order = buyer.orders(&[&stool], "one").await;
    let before = buyer.waits_for(&order, "fulfilled").await;
    all_published(&shop).await;
    // As after a takeover by another relay, but under another id, so that JetStream takes it.
    let subject = format!("{}.changes.order.created", shop.prefix());
    let config = pull::Config { filter_subject: subject.clone(), ..Default::default() };
    let created =
        shop.stream("changes").await.create_consumer(config).await.unwrap().messages().await.unwrap().next().await.unwrap().unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Msg-Id", "again");
    let jetstream = shop.jetstream().await;
    jetstream.publish_with_headers(subject, headers, created.payload.clone()).await.unwrap().await.unwrap();
    // One that is no order at all is put aside.
    jetstream.publish(format!("{}.changes.order.created", shop.prefix()), "x".into()).await.unwrap().await.unwrap();
    shop.at_rest().await;
    assert_eq!(buyer.sees(&order).await, before);
    assert_eq!(shop.metric(Fulfiller, "consumer_messages_total", &["acknowledged"]).await, Some(2.0));
    assert_eq!(shop.metric(Fulfiller, "consumer_messages_total", &["dead_lettered"]).await, Some(1.0));
}

#[tokio::test]
async fn fulfillers_go_on_after_the_database_was_away() {
    let shop = buyer::shop(&[Serve, Fulfiller], "1s").private_postgres().troubled();
    let (mut shop, stool, buyer) = buyer::open(shop).await;
    let order = buyer.orders(&[&stool], "one").await;
    buyer.waits_for(&order, "confirmed").await;
    shop.postgres_mut().stop().await;
    shop.postgres_mut().start().await;
    let order = buyer.waits_for(&order, "fulfilled").await;
    assert_eq!(way(&order), ["pending", "confirmed", "fulfilled"], "{order}");
}
