//! The mail server is busy, rejects mails or closes connections: no mail is lost, and only permanent rejections are final.

use catalog_tests::{
    Role, Shop, eventually,
    inbox::SmtpMode,
    people::{GRACE, OWNER},
    samples::{self, create},
    wait::check,
};
use serde_json::json;

async fn deliveries(shop: &Shop, state: &str) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM notifications.deliveries WHERE state = $1")
        .bind(state)
        .fetch_one(&shop.database)
        .await
        .unwrap()
}

async fn add_admin(shop: &Shop, username: &str) {
    let body = json!({"username": username, "email": format!("{username}@shop.test"), "password": "a passphrase of mine"});
    shop.owner.post("/v1/admins", &body).await.expect(201);
}

#[tokio::test]
async fn mail_is_retried_while_the_server_is_busy_or_defers_and_arrives_once() {
    for mode in [SmtpMode::Busy, SmtpMode::Defer] {
        let shop = Shop::builder().allow_error_logs().beside_another().start().await;
        shop.inbox().set_mode(mode).await;
        let product = create(&shop.ada, &samples::product("T-1")).await;
        eventually("mail waits", async || {
            let waiting = deliveries(&shop, "pending").await;
            check(waiting == 2, || waiting)
        })
        .await;
        shop.ada.patch(&product.path, &json!({"name": "While waiting"})).await.expect(200);
        eventually("a delivery was attempted", async || {
            let log = shop.log_lines().join("\n");
            check(log.contains("421") || log.contains("451"), || log)
        })
        .await;
        assert_eq!(shop.inbox().mails().await.len(), 0);
        shop.inbox().set_mode(SmtpMode::Normal).await;
        let mails = shop.inbox().at_least(4).await;
        shop.wait_until_idle().await;
        assert_eq!(shop.inbox().mails().await.len(), 4, "{mails:#?}");
        assert_eq!((deliveries(&shop, "sent").await, deliveries(&shop, "refused").await), (4, 0));
    }
}

/// Like a crash of the notifier between the server's reply and the commit.
#[tokio::test]
async fn a_mail_whose_reply_was_lost_is_sent_again_with_the_same_message_id() {
    let shop = Shop::builder().allow_error_logs().start().await;
    shop.inbox().set_mode(SmtpMode::Drop).await;
    create(&shop.ada, &samples::product("T-1")).await;
    shop.inbox().at_least(2).await;
    shop.inbox().set_mode(SmtpMode::Normal).await;
    shop.wait_until_idle().await;
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
async fn a_permanently_rejected_address_is_reported_and_does_not_affect_others() {
    let mut shop = Shop::builder().allow_error_logs().start().await;
    add_admin(&shop, "refuse-me").await;
    create(&shop.ada, &samples::product("T-1")).await;
    shop.inbox().at_least(2).await;
    shop.wait_until_idle().await;
    let mut to: Vec<_> = shop.inbox().mails().await.into_iter().flat_map(|mail| mail.to).collect();
    to.sort_unstable();
    assert_eq!(to, [GRACE.1, OWNER.1]);
    assert_eq!((deliveries(&shop, "sent").await, deliveries(&shop, "refused").await), (2, 1));
    eventually("the metrics show it", async || {
        let (_, metrics) = shop.ops(Role::Notifier, "/metrics").await;
        let line = metrics.lines().find(|line| line.contains("state=\"refused\"")).map(str::to_owned);
        check(line.as_ref().is_some_and(|line| line.ends_with(" 1")), || line)
    })
    .await;
    let log = shop.log_lines().join("\n");
    assert!(log.contains("550"), "the server's answer is in the log");
}

#[tokio::test]
async fn a_temporarily_rejected_address_is_retried_without_delaying_others() {
    let shop = Shop::builder().allow_error_logs().start().await;
    add_admin(&shop, "busy-one").await;
    let products: Vec<_> = (0..10).map(|number| samples::plain(&format!("B-{number}"))).collect();
    futures::future::join_all(products.iter().map(|body| create(&shop.ada, body))).await;
    let mails = shop.inbox().at_least(20).await;
    assert!(mails.iter().all(|mail| !mail.is_for("busy-one@shop.test")));
    // A mail arrives before it is marked as sent.
    eventually("the others are pending", async || {
        let (pending, rejected) = (deliveries(&shop, "pending").await, deliveries(&shop, "refused").await);
        check((pending, rejected) == (10, 0), || (pending, rejected))
    })
    .await;
}

#[tokio::test]
async fn permanent_rejections_are_final_and_later_mails_are_sent() {
    let shop = Shop::builder().allow_error_logs().start().await;
    shop.inbox().set_mode(SmtpMode::Reject).await;
    let product = create(&shop.ada, &samples::product("T-1")).await;
    eventually("both are rejected", async || {
        let rejected = deliveries(&shop, "refused").await;
        check(rejected == 2, || rejected)
    })
    .await;
    shop.inbox().set_mode(SmtpMode::Normal).await;
    shop.ada.patch(&product.path, &json!({"name": "Later"})).await.expect(200);
    shop.inbox().at_least(2).await;
    shop.wait_until_idle().await;
    let mails = shop.inbox().mails().await;
    assert!(mails.len() == 2 && mails.iter().all(|mail| mail.mentions("Later")), "{mails:#?}");
}

#[tokio::test]
async fn mail_that_is_pending_when_the_notifier_is_killed_is_sent_by_the_next() {
    let mut shop = Shop::builder().allow_error_logs().start().await;
    shop.inbox().set_mode(SmtpMode::Busy).await;
    for number in 0..5 {
        create(&shop.ada, &samples::plain(&format!("P-{number}"))).await;
    }
    eventually("all are pending", async || {
        let pending = deliveries(&shop, "pending").await;
        check(pending == 10, || pending)
    })
    .await;
    shop.kill(Role::Notifier);
    shop.inbox().set_mode(SmtpMode::Normal).await;
    shop.start_role(Role::Notifier).await;
    shop.inbox().at_least(10).await;
    shop.wait_until_idle().await;
    assert_eq!(shop.inbox().mails().await.len(), 10);
}

/// Waits until the notifier's report has a line with these texts about the mail server. The notifier stays ready.
async fn reports(shop: &mut Shop, sign: &str, text: &str) {
    eventually(&format!("the notifier reports {sign} {text}"), async || {
        let (status, report) = shop.ops(Role::Notifier, "/readyz?verbose").await;
        assert_eq!(status, 200, "the notifier must stay ready while mail is pending: {report}");
        let line = report.lines().find(|line| line.contains("mail server: ")).unwrap_or_default();
        check(line.starts_with(&format!("{sign} mail server: ")) && line.contains(text), || report.clone())
    })
    .await;
}

#[tokio::test]
async fn the_notifier_reports_an_outage_of_the_mail_server_and_its_end_and_stays_ready() {
    let mut shop = Shop::builder().allow_error_logs().start().await;
    reports(&mut shop, "[+]", "ok").await;
    shop.inbox().set_mode(SmtpMode::Busy).await;
    create(&shop.ada, &samples::product("T-1")).await;
    reports(&mut shop, "[-]", "421").await;
    shop.kill_inbox();
    reports(&mut shop, "[-]", "refused").await;
    shop.restart_inbox().await;
    shop.inbox().at_least(2).await;
    reports(&mut shop, "[+]", "ok").await;
}

/// Another notifier has sent the pending mail.
#[tokio::test]
async fn a_notifier_without_mail_sees_that_the_server_is_available_again() {
    let mut shop = Shop::builder().allow_error_logs().start().await;
    shop.inbox().set_mode(SmtpMode::Busy).await;
    create(&shop.ada, &samples::product("T-1")).await;
    reports(&mut shop, "[-]", "421").await;
    eventually("nothing waits", async || {
        let sent = "UPDATE notifications.deliveries SET state = 'sent', finished_at = now() WHERE state = 'pending'";
        sqlx::query(sent).execute(&shop.database).await.unwrap();
        let waiting = deliveries(&shop, "pending").await;
        check(waiting == 0, || waiting)
    })
    .await;
    reports(&mut shop, "[-]", "421").await;
    shop.inbox().set_mode(SmtpMode::Normal).await;
    reports(&mut shop, "[+]", "ok").await;
    assert_eq!(shop.inbox().mails().await.len(), 0);
}
