//! SIGKILL of any process: every committed change is published, and no view is counted twice.

use catalog_tests::{
    Role, Shop,
    people::{GRACE, OWNER},
    samples::create_many,
    wait::{check, eventually},
};
use serde_json::json;

use crate::traffic::{Traffic, assert_every_admin_was_notified_of_every_change, assert_every_view_is_counted_once, counted};

/// Kills a process of each of `roles` during traffic, one after the other, and restarts it. Asserts that every admin gets mail about every
/// confirmed change. Returns the shop, the confirmed changes, and the numbers of sent and of served reads.
async fn kill_and_assert_all_mail_arrives(roles: &[Role]) -> (Shop, Vec<String>, u64, u64) {
    let mut shop = Shop::builder().allow_error_logs().setting("ACCESS_LOG_SAMPLE", "1000").start().await;
    let products = create_many(&shop.ada, "K", 12).await;
    let traffic = Traffic::start(&shop, &products);
    for role in roles {
        traffic.wait_for_progress().await;
        if *role == Role::Serve {
            assert_few_views_are_lost(&shop).await;
        }
        shop.kill(*role);
        shop.start_role(*role).await;
    }
    traffic.wait_for_progress().await;
    let (confirmed, sent, served) = traffic.end().await;
    for address in [GRACE.1, OWNER.1] {
        shop.inbox().mail_about(address, confirmed.last().unwrap()).await;
    }
    shop.wait_until_idle().await;
    let mails = shop.inbox().mails().await;
    assert_every_admin_was_notified_of_every_change(&mails, &confirmed);
    (shop, confirmed, sent, served)
}

/// A killed API loses at most the views of some 50 ms.
async fn assert_few_views_are_lost(shop: &Shop) {
    let before = counted(shop).await;
    eventually("more views are counted", async || {
        let now = counted(shop).await;
        check(now >= before + 200, || (before, now))
    })
    .await;
}

#[tokio::test]
async fn killing_the_api_loses_no_committed_change_and_counts_no_view_twice() {
    let (shop, _, sent, served) = kill_and_assert_all_mail_arrives(&[Role::Serve; 4]).await;
    let counted = counted(&shop).await;
    // The views of the unpublished batch are lost, and the outcome of the last reads is unknown.
    assert!(counted <= sent, "{counted} views of {sent} reads");
    assert!(counted * 2 > served, "{counted} views of {served} reads: far more than a batch is lost");
}

#[tokio::test]
async fn killing_the_notifier_loses_no_mail_and_no_view() {
    let (shop, _, _, served) = kill_and_assert_all_mail_arrives(&[Role::Notifier; 4]).await;
    assert_every_view_is_counted_once(&shop, served).await;
}

#[tokio::test]
async fn killing_the_tracker_loses_no_view_and_counts_none_twice() {
    let (shop, _, _, served) = kill_and_assert_all_mail_arrives(&[Role::Tracker; 4]).await;
    assert_every_view_is_counted_once(&shop, served).await;
}

#[tokio::test]
async fn killing_all_processes_in_turn_loses_and_repeats_nothing() {
    let (shop, _, sent, _) =
        kill_and_assert_all_mail_arrives(&[Role::Notifier, Role::Serve, Role::Tracker, Role::Serve, Role::Notifier]).await;
    assert!(counted(&shop).await <= sent);
}

/// An interrupted import can be sent again, and its committed rows have a mail.
#[tokio::test]
async fn an_import_interrupted_by_a_kill_completes_when_sent_again() {
    // Makes housekeeping, which finishes abandoned imports, run every second.
    let mut shop = Shop::builder().allow_error_logs().setting("DELETED_RETENTION", "4s").start().await;
    let items: Vec<_> = (0..4000).map(|number| catalog_tests::samples::plain(&format!("I-{number:05}"))).collect();
    let body = json!({"items": items});
    let import = tokio::spawn(shop.ada.post("/v1/products/bulk", &body).attempt());
    eventually("some rows are in", async || {
        let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM products.products").fetch_one(&shop.database).await.unwrap();
        check(rows > 0 || import.is_finished(), || rows)
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
    // Each attempt changed something, and has one mail to each admin.
    let expected = if result["created"] == 4000 || result["created"] == 0 { 2 } else { 4 };
    let mails = shop.inbox().at_least(expected).await;
    assert!(mails.iter().all(|mail| mail.mentions("import")), "{mails:#?}");
}
