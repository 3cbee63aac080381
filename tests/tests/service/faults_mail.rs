//! The mail server is busy, refuses or hangs up: nothing is lost, and only what is refused for good ends.

use catalog_tests::{
    Role, Shop, eventually,
    inbox::Mood,
    people::{GRACE, OWNER},
    samples::{self, create},
    wait::holds,
};
use serde_json::json;

async fn deliveries(shop: &Shop, state: &str) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM notifications.deliveries WHERE state = $1")
        .bind(state)
        .fetch_one(&shop.database)
        .await
        .unwrap()
}

async fn hire(shop: &Shop, username: &str) {
    let body = json!({"username": username, "email": format!("{username}@shop.test"), "password": "a passphrase of mine"});
    shop.owner.post("/v1/admins", &body).await.expect(201);
}

#[tokio::test]
async fn mail_waits_while_the_server_is_busy_or_defers_and_arrives_once() {
    for mood in [Mood::Busy, Mood::Defer] {
        let shop = Shop::builder().troubled().beside_another().start().await;
        shop.inbox().be(mood).await;
        let product = create(&shop.ada, &samples::product("T-1")).await;
        eventually("mail waits", async || {
            let waiting = deliveries(&shop, "pending").await;
            holds(waiting == 2, || waiting)
        })
        .await;
        shop.ada.patch(&product.path, &json!({"name": "While waiting"})).await.expect(200);
        eventually("the server was asked", async || {
            let log = shop.log_lines().join("\n");
            holds(log.contains("421") || log.contains("451"), || log)
        })
        .await;
        assert_eq!(shop.inbox().mails().await.len(), 0);
        shop.inbox().be(Mood::Normal).await;
        let mails = shop.inbox().at_least(4).await;
        shop.at_rest().await;
        assert_eq!(shop.inbox().mails().await.len(), 4, "{mails:#?}");
        assert_eq!((deliveries(&shop, "sent").await, deliveries(&shop, "refused").await), (4, 0));
    }
}

/// The crash between the server's answer and our note of it, as the server sees it.
#[tokio::test]
async fn a_mail_whose_receipt_got_lost_comes_again_under_the_same_message_id() {
    let shop = Shop::builder().troubled().start().await;
    shop.inbox().be(Mood::Drop).await;
    create(&shop.ada, &samples::product("T-1")).await;
    shop.inbox().at_least(2).await;
    shop.inbox().be(Mood::Normal).await;
    shop.at_rest().await;
    let mails = shop.inbox().mails().await;
    assert!(mails.len() > 2, "it came again: {mails:#?}");
    for address in [GRACE.1, OWNER.1] {
        let mut ids: Vec<_> = mails.iter().filter(|mail| mail.is_for(address)).map(|mail| mail.message_id.clone()).collect();
        ids.dedup();
        assert_eq!(ids.len(), 1, "{mails:#?}");
    }
    assert_eq!((deliveries(&shop, "sent").await, deliveries(&shop, "refused").await), (2, 0));
}

#[tokio::test]
async fn an_address_that_is_refused_for_good_ends_visibly_and_stops_nobody_else() {
    let mut shop = Shop::builder().troubled().start().await;
    hire(&shop, "refuse-me").await;
    create(&shop.ada, &samples::product("T-1")).await;
    shop.inbox().at_least(2).await;
    shop.at_rest().await;
    let mut to: Vec<_> = shop.inbox().mails().await.into_iter().flat_map(|mail| mail.to).collect();
    to.sort_unstable();
    assert_eq!(to, [GRACE.1, OWNER.1]);
    assert_eq!((deliveries(&shop, "sent").await, deliveries(&shop, "refused").await), (2, 1));
    eventually("the metrics show it", async || {
        let (_, metrics) = shop.ops(Role::Notifier, "/metrics").await;
        let line = metrics.lines().find(|line| line.contains("state=\"refused\"")).map(str::to_owned);
        holds(line.as_ref().is_some_and(|line| line.ends_with(" 1")), || line)
    })
    .await;
    let log = shop.log_lines().join("\n");
    assert!(log.contains("550"), "the server's answer is in the log");
}

#[tokio::test]
async fn an_address_that_is_busy_is_tried_again_and_delays_nobody_else() {
    let shop = Shop::builder().troubled().start().await;
    hire(&shop, "busy-one").await;
    let products: Vec<_> = (0..10).map(|number| samples::plain(&format!("B-{number}"))).collect();
    futures::future::join_all(products.iter().map(|body| create(&shop.ada, body))).await;
    let mails = shop.inbox().at_least(20).await;
    assert!(mails.iter().all(|mail| !mail.is_for("busy-one@shop.test")));
    // A mail arrives a moment before it is known to be sent.
    eventually("the others are pending", async || {
        let (pending, refused) = (deliveries(&shop, "pending").await, deliveries(&shop, "refused").await);
        holds((pending, refused) == (10, 0), || (pending, refused))
    })
    .await;
}

#[tokio::test]
async fn a_refusal_of_everything_is_final_for_each_mail_and_later_mails_go_out() {
    let shop = Shop::builder().troubled().start().await;
    shop.inbox().be(Mood::Refuse).await;
    let product = create(&shop.ada, &samples::product("T-1")).await;
    eventually("both are refused", async || {
        let refused = deliveries(&shop, "refused").await;
        holds(refused == 2, || refused)
    })
    .await;
    shop.inbox().be(Mood::Normal).await;
    shop.ada.patch(&product.path, &json!({"name": "Later"})).await.expect(200);
    shop.inbox().at_least(2).await;
    shop.at_rest().await;
    let mails = shop.inbox().mails().await;
    assert!(mails.len() == 2 && mails.iter().all(|mail| mail.mentions("Later")), "{mails:#?}");
}

#[tokio::test]
async fn mail_that_was_pending_when_the_notifier_died_is_sent_by_the_next() {
    let mut shop = Shop::builder().troubled().start().await;
    shop.inbox().be(Mood::Busy).await;
    for number in 0..5 {
        create(&shop.ada, &samples::plain(&format!("P-{number}"))).await;
    }
    eventually("all are pending", async || {
        let pending = deliveries(&shop, "pending").await;
        holds(pending == 10, || pending)
    })
    .await;
    shop.kill(Role::Notifier);
    shop.inbox().be(Mood::Normal).await;
    shop.open(Role::Notifier).await;
    shop.inbox().at_least(10).await;
    shop.at_rest().await;
    assert_eq!(shop.inbox().mails().await.len(), 10);
}

/// Waits until the notifier's report has such a line about the mail server. It stays ready.
async fn reports(shop: &mut Shop, sign: &str, text: &str) {
    eventually(&format!("the notifier reports {sign} {text}"), async || {
        let (status, report) = shop.ops(Role::Notifier, "/readyz?verbose").await;
        assert_eq!(status, 200, "mail that waits must not take the notifier away: {report}");
        let line = report.lines().find(|line| line.contains("mail server: ")).unwrap_or_default();
        holds(line.starts_with(&format!("{sign} mail server: ")) && line.contains(text), || report.clone())
    })
    .await;
}

#[tokio::test]
async fn the_notifier_reports_an_outage_of_the_mail_server_and_its_end_and_stays_ready() {
    let mut shop = Shop::builder().troubled().start().await;
    reports(&mut shop, "[+]", "ok").await;
    shop.inbox().be(Mood::Busy).await;
    create(&shop.ada, &samples::product("T-1")).await;
    reports(&mut shop, "[-]", "421").await;
    shop.kill_inbox();
    reports(&mut shop, "[-]", "refused").await;
    shop.restart_inbox().await;
    shop.inbox().at_least(2).await;
    reports(&mut shop, "[+]", "ok").await;
}

/// Another notifier has sent what was waiting.
#[tokio::test]
async fn a_notifier_without_mail_sees_that_the_server_is_available_again() {
    let mut shop = Shop::builder().troubled().start().await;
    shop.inbox().be(Mood::Busy).await;
    create(&shop.ada, &samples::product("T-1")).await;
    reports(&mut shop, "[-]", "421").await;
    eventually("nothing waits", async || {
        let sent = "UPDATE notifications.deliveries SET state = 'sent', finished_at = now() WHERE state = 'pending'";
        sqlx::query(sent).execute(&shop.database).await.unwrap();
        let waiting = deliveries(&shop, "pending").await;
        holds(waiting == 0, || waiting)
    })
    .await;
    reports(&mut shop, "[-]", "421").await;
    shop.inbox().be(Mood::Normal).await;
    reports(&mut shop, "[+]", "ok").await;
    assert_eq!(shop.inbox().mails().await.len(), 0);
}
