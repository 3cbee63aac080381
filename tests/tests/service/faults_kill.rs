//! Kill -9 of any process in the middle: no committed change goes unheard, no view is counted twice.

use catalog_tests::{
    Role, Shop,
    people::{GRACE, OWNER},
    samples::create_many,
    wait::{eventually, holds},
};
use serde_json::json;

use crate::traffic::{Traffic, counted, every_admin_was_notified_of_every_change, every_view_is_counted_once};

async fn kill_in_the_middle(roles: &[Role]) -> (Shop, Vec<String>, u64, u64) {
    let mut shop = Shop::builder().troubled().setting("ACCESS_LOG_SAMPLE", "1000").start().await;
    let products = create_many(&shop.ada, "K", 12).await;
    let traffic = Traffic::start(&shop, &products);
    for role in roles {
        traffic.goes_on().await;
        if *role == Role::Serve {
            more_views_are_counted_than_a_kill_takes(&shop).await;
        }
        shop.kill(*role);
        shop.open(*role).await;
    }
    traffic.goes_on().await;
    let (confirmed, asked, served) = traffic.end().await;
    for address in [GRACE.1, OWNER.1] {
        shop.inbox().mail_about(address, confirmed.last().unwrap()).await;
    }
    shop.at_rest().await;
    let mails = shop.inbox().mails().await;
    every_admin_was_notified_of_every_change(&mails, &confirmed);
    (shop, confirmed, asked, served)
}

/// A kill takes those that were collected within some 50 ms.
async fn more_views_are_counted_than_a_kill_takes(shop: &Shop) {
    let before = counted(shop).await;
    eventually("more views are counted", async || {
        let now = counted(shop).await;
        holds(now >= before + 200, || (before, now))
    })
    .await;
}

#[tokio::test]
async fn killing_the_api_loses_no_confirmed_change_and_counts_no_view_twice() {
    let (shop, _, asked, served) = kill_in_the_middle(&[Role::Serve; 4]).await;
    let counted = counted(&shop).await;
    // A kill takes the views of the batch that was being collected, and nobody knows of the very last reads.
    assert!(counted <= asked, "{counted} views of {asked} reads");
    assert!(counted * 2 > served, "{counted} views of {served} reads: far more than a batch is lost");
}

#[tokio::test]
async fn killing_the_notifier_loses_no_mail() {
    let (shop, _, _, served) = kill_in_the_middle(&[Role::Notifier; 4]).await;
    every_view_is_counted_once(&shop, served).await;
}

#[tokio::test]
async fn killing_the_tracker_loses_no_view_and_counts_none_twice() {
    let (shop, _, _, served) = kill_in_the_middle(&[Role::Tracker; 4]).await;
    every_view_is_counted_once(&shop, served).await;
}

#[tokio::test]
async fn killing_everything_in_turns_keeps_the_promises() {
    let (shop, _, asked, _) = kill_in_the_middle(&[Role::Notifier, Role::Serve, Role::Tracker, Role::Serve, Role::Notifier]).await;
    assert!(counted(&shop).await <= asked);
}

/// An import that dies half way can be sent again, and what it did was told.
#[tokio::test]
async fn an_import_cut_short_by_the_death_of_the_api_completes_when_sent_again() {
    // Housekeeping, which looks for imports that lost their process, comes round each second then.
    let mut shop = Shop::builder().troubled().setting("DELETED_RETENTION", "4s").start().await;
    let items: Vec<_> = (0..4000).map(|number| catalog_tests::samples::plain(&format!("I-{number:05}"))).collect();
    let body = json!({"items": items});
    let import = tokio::spawn(shop.ada.post("/v1/products/bulk", &body).attempt());
    eventually("some rows are in", async || {
        let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM products.products").fetch_one(&shop.database).await.unwrap();
        holds(rows > 0 || import.is_finished(), || rows)
    })
    .await;
    shop.kill_and_restart(Role::Serve).await;
    let _ = import.await;
    let result = shop.ada.post("/v1/products/bulk", &body).await.expect(200).json();
    let sum = |fields: &[&str]| fields.iter().map(|field| result[field].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum(&["created", "unchanged"]), sum(&["failed", "updated"])), (4000, 0), "{result}");
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM products.products").fetch_one(&shop.database).await.unwrap();
    assert_eq!(rows, 4000);
    let staged =
        async || sqlx::query_scalar::<_, i64>("SELECT count(*) FROM products.import_rows").fetch_one(&shop.database).await.unwrap();
    assert!(staged().await <= 4000);
    sqlx::query("UPDATE products.imports SET progressed_at = progressed_at - interval '2 minutes'").execute(&shop.database).await.unwrap();
    // Both attempts that changed something are told, once to each.
    let expected = if result["created"] == 4000 || result["created"] == 0 { 2 } else { 4 };
    let mails = shop.inbox().at_least(expected).await;
    assert!(mails.iter().all(|mail| mail.mentions("import")), "{mails:#?}");
}
