//! Orders are confirmed and fulfilled automatically, once each, despite outages.

use async_nats::{HeaderMap, jetstream::consumer::pull};
use catalog_tests::{
    Role::{Fulfiller, Notifier, Serve},
    Shop,
    buying::StockAudit,
    wait::{check, eventually, within},
};
use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt;
use serde_json::{Value, json};
use std::time::Duration;

use crate::buyer::{self, BUYER, STOCK, statuses, wait_until_published};

fn at(entry: &Value) -> DateTime<Utc> {
    entry["at"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn an_order_is_confirmed_automatically_and_fulfilled_after_the_delay() {
    let (mut shop, stool, buyer) = buyer::start(buyer::shop(&[Serve, Fulfiller], "1s")).await;
    let order = buyer.place_order(&[&stool], "one").await;
    let order = buyer.wait_for_status(&order, "fulfilled").await;
    assert_eq!(statuses(&order), ["pending", "confirmed", "fulfilled"], "{order}");
    assert!(at(&order["history"][2]) - at(&order["history"][1]) >= TimeDelta::seconds(1), "{order}");
    assert!(order["history"].as_array().unwrap()[1..].iter().all(|entry| entry["by"] == "shop"), "{order}");
    shop.wait_until_idle().await;
    for status in ["confirmed", "fulfilled"] {
        assert_eq!(shop.metric(Fulfiller, "orders_advanced_total", &[status]).await, Some(1.0), "{status}");
    }
}

#[tokio::test]
async fn an_order_that_is_locked_when_its_event_arrives_is_confirmed_afterwards() {
    let (mut shop, stool, buyer) = buyer::start(buyer::shop(&[Serve], "1h")).await;
    let order = buyer.place_order(&[&stool], "one").await;
    // Like a transaction of an admin that is rolled back.
    let mut other = shop.database.begin().await.unwrap();
    sqlx::query("SELECT FROM orders.orders WHERE id = $1::uuid FOR UPDATE").bind(&order).execute(&mut *other).await.unwrap();
    shop.start_role(Fulfiller).await;
    eventually("the fulfiller waits for the order", async || {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let waiting: i64 = sqlx::query_scalar(waiting).fetch_one(&shop.database).await.unwrap();
        check(waiting > 0, || waiting)
    })
    .await;
    other.rollback().await.unwrap();
    buyer.wait_for_status(&order, "confirmed").await;
}

#[tokio::test]
async fn a_cancelled_order_is_not_confirmed_later() {
    let (mut shop, stool, buyer) = buyer::start(buyer::shop(&[Serve], "0s")).await;
    let cancelled = buyer.place_order(&[&stool], "one").await;
    buyer.cancel_order(&cancelled).await;
    let marker = buyer.place_order(&[&stool], "two").await;
    shop.start_role(Fulfiller).await;
    buyer.wait_for_status(&marker, "fulfilled").await;
    shop.wait_until_idle().await;
    assert_eq!(statuses(&buyer.read_order(&cancelled).await), ["pending", "cancelled"]);
}

/// Makes all confirmed orders due.
async fn make_all_due(shop: &Shop) {
    sqlx::query("UPDATE orders.orders SET fulfil_at = now() WHERE status = 'confirmed'").execute(&shop.database).await.unwrap();
}

/// Closes the account of a customer.
async fn close_account(shop: &Shop, account: &str) {
    let closed = sqlx::query("UPDATE identity.accounts SET is_active = false WHERE id = $1::uuid").bind(account);
    assert_eq!(closed.execute(&shop.database).await.unwrap().rows_affected(), 1);
}

async fn assert_failed_with_closed_account(shop: &Shop, order: &str) {
    let order = shop.ada.get(&format!("/v1/orders/{order}")).await.expect(200).json();
    let last = order["history"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["status"], &last["reason"]), (&json!("failed"), &json!("the customer's account is closed")), "{order}");
}

#[tokio::test]
async fn an_order_cancelled_before_it_is_due_is_not_fulfilled() {
    let (shop, stool, buyer) = buyer::start(buyer::shop(&[Serve, Fulfiller], "1h")).await;
    let order = buyer.place_order(&[&stool], "one").await;
    buyer.wait_for_status(&order, "confirmed").await;
    buyer.cancel_order(&order).await;
    let marker = buyer.place_order(&[&stool], "two").await;
    buyer.wait_for_status(&marker, "confirmed").await;
    make_all_due(&shop).await;
    buyer.wait_for_status(&marker, "fulfilled").await;
    shop.wait_until_idle().await;
    assert_eq!(statuses(&buyer.read_order(&order).await), ["pending", "confirmed", "cancelled"]);
    StockAudit::read(&shop.database, &stool.id).await.assert_total(STOCK);
}

#[tokio::test]
async fn an_order_of_a_closed_account_fails_with_a_reason_and_returns_its_stock() {
    let (mut shop, stool, buyer) = buyer::start(buyer::shop(&[Serve], "0s")).await;
    let order = buyer.place_order(&[&stool], "one").await;
    close_account(&shop, &buyer.id).await;
    shop.start_role(Fulfiller).await;
    shop.wait_until_idle().await;
    assert_failed_with_closed_account(&shop, &order).await;
    let audit = StockAudit::read(&shop.database, &stool.id).await;
    audit.assert_total(STOCK);
    assert_eq!(audit.on_hand, STOCK);
}

#[tokio::test]
async fn a_confirmed_order_fails_if_its_account_is_closed_before_it_is_due() {
    let (shop, stool, buyer) = buyer::start(buyer::shop(&[Serve, Fulfiller], "1h")).await;
    // Orders the whole stock, so that its return is a change of availability.
    sqlx::query("UPDATE products.stock SET on_hand = 1").execute(&shop.database).await.unwrap();
    let order = buyer.place_order(&[&stool], "one").await;
    buyer.wait_for_status(&order, "confirmed").await;
    assert_eq!(shop.anyone.get(&stool.path).await.expect(200).json()["in_stock"], false);
    close_account(&shop, &buyer.id).await;
    make_all_due(&shop).await;
    within(Duration::from_secs(10), "the product can be bought again", async || {
        let product = shop.anyone.get(&stool.path).await.expect(200).json();
        check(product["in_stock"] == true, || product)
    })
    .await;
    assert_failed_with_closed_account(&shop, &order).await;
}

#[tokio::test]
async fn an_order_whose_event_is_lost_is_confirmed_later() {
    let (mut shop, stool, buyer) = buyer::start(buyer::shop(&[Serve], "0s")).await;
    let order = buyer.place_order(&[&stool], "one").await;
    wait_until_published(&shop).await;
    shop.stream("changes").await.purge().await.unwrap();
    sqlx::query("UPDATE orders.orders SET created_at = created_at - interval '2 minutes'").execute(&shop.database).await.unwrap();
    shop.start_role(Fulfiller).await;
    buyer.wait_for_status(&order, "fulfilled").await;
}

#[tokio::test]
async fn an_order_that_cannot_be_fulfilled_does_not_block_others() {
    let (mut shop, stool, buyer) = buyer::start(buyer::shop(&[Serve, Fulfiller], "1h").allow_error_logs()).await;
    let broken = buyer.place_order(&[&stool], "one").await;
    buyer.wait_for_status(&broken, "confirmed").await;
    // The history row that the transition would insert exists already.
    let obstacle = "INSERT INTO orders.history (order_id, version, status, at, actor) VALUES ($1::uuid, 3, 'confirmed', now(), 'shop')";
    sqlx::query(obstacle).bind(&broken).execute(&shop.database).await.unwrap();
    let marker = buyer.place_order(&[&stool], "two").await;
    buyer.wait_for_status(&marker, "confirmed").await;
    make_all_due(&shop).await;
    buyer.wait_for_status(&marker, "fulfilled").await;
    assert_eq!(buyer.read_order(&broken).await["status"], "confirmed");
    sqlx::query("DELETE FROM orders.history WHERE order_id = $1::uuid AND version = 3")
        .bind(&broken)
        .execute(&shop.database)
        .await
        .unwrap();
    buyer.wait_for_status(&broken, "fulfilled").await;
    shop.wait_until_idle().await;
    assert_eq!(shop.metric(Fulfiller, "orders_advanced_total", &["fulfilled"]).await, Some(2.0), "what failed is not counted");
}

#[tokio::test]
async fn killing_the_fulfiller_loses_no_order_and_mails_each_status_once() {
    let (mut shop, stool, buyer) = buyer::start(buyer::shop(&[Serve, Notifier, Fulfiller], "0s").allow_error_logs()).await;
    shop.start_role(Fulfiller).await;
    let mut orders = Vec::new();
    for round in 0..4 {
        for number in 0..5 {
            orders.push(buyer.place_order(&[&stool], &format!("{round}-{number}")).await);
        }
        shop.kill_and_restart(Fulfiller).await;
    }
    for order in &orders {
        let order = buyer.wait_for_status(order, "fulfilled").await;
        assert_eq!(statuses(&order), ["pending", "confirmed", "fulfilled"], "{order}");
    }
    shop.wait_until_idle().await;
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
async fn a_redelivered_new_order_changes_nothing() {
    let (mut shop, stool, buyer) = buyer::start(buyer::shop(&[Serve, Fulfiller], "0s").allow_error_logs()).await;
    let order = buyer.place_order(&[&stool], "one").await;
    let before = buyer.wait_for_status(&order, "fulfilled").await;
    wait_until_published(&shop).await;
    // Republished with another id, so that JetStream does not drop it as a duplicate.
    let subject = format!("{}.changes.order.created", shop.prefix());
    let config = pull::Config { filter_subject: subject.clone(), ..Default::default() };
    let created =
        shop.stream("changes").await.create_consumer(config).await.unwrap().messages().await.unwrap().next().await.unwrap().unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Msg-Id", "again");
    let jetstream = shop.jetstream().await;
    jetstream.publish_with_headers(subject, headers, created.payload.clone()).await.unwrap().await.unwrap();
    // A malformed message becomes a dead letter.
    jetstream.publish(format!("{}.changes.order.created", shop.prefix()), "x".into()).await.unwrap().await.unwrap();
    shop.wait_until_idle().await;
    assert_eq!(buyer.read_order(&order).await, before);
    assert_eq!(shop.metric(Fulfiller, "consumer_messages_total", &["acknowledged"]).await, Some(2.0));
    assert_eq!(shop.metric(Fulfiller, "consumer_messages_total", &["dead_lettered"]).await, Some(1.0));
}

#[tokio::test]
async fn fulfillers_recover_after_a_database_outage() {
    let shop = buyer::shop(&[Serve, Fulfiller], "1s").private_postgres().allow_error_logs();
    let (mut shop, stool, buyer) = buyer::start(shop).await;
    let order = buyer.place_order(&[&stool], "one").await;
    buyer.wait_for_status(&order, "confirmed").await;
    shop.postgres_mut().stop().await;
    shop.postgres_mut().start().await;
    let order = buyer.wait_for_status(&order, "fulfilled").await;
    assert_eq!(statuses(&order), ["pending", "confirmed", "fulfilled"], "{order}");
}
