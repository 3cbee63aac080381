//! Mail about orders: one for each transition, only to the customer.

use catalog_tests::{
    Role::{Fulfiller, Notifier, Serve},
    people::{ADA, GRACE, OWNER},
    samples::{create, plain},
};

use crate::buyer::{self, BUYER};

#[tokio::test]
async fn the_customer_gets_one_mail_for_each_transition_and_admins_none() {
    let (shop, stool, buyer) = buyer::start(buyer::shop(&[Serve, Notifier, Fulfiller], "1s")).await;
    let table = create(&shop.ada, &plain("T-1")).await;
    shop.inbox().at_least(4).await;
    shop.wait_until_idle().await;
    shop.inbox().clear().await;

    let order = buyer.place_order(&[&stool, &table], "one").await;
    buyer.wait_for_status(&order, "fulfilled").await;
    let mails = shop.inbox().at_least(3).await;
    shop.wait_until_idle().await;
    assert_eq!(shop.inbox().mails().await.len(), 3, "{mails:#?}");
    let short = order.rsplit('-').next().unwrap();
    for step in ["placed", "confirmed", "fulfilled"] {
        let sent: Vec<_> = mails.iter().filter(|mail| mail.subject == format!("Order {step}: 2 items ({short})")).collect();
        assert_eq!(sent.len(), 1, "{step}: {mails:#?}");
        assert_eq!(sent[0].to, [BUYER]);
        for part in ["1 x Stool S-1 (S-1): 10.00 EUR", "1 x Stool T-1 (T-1): 10.00 EUR", "Total: 20.00 EUR", &format!("/v1/orders/{order}")]
        {
            assert!(sent[0].text.contains(part), "{part} is missing: {:?}", sent[0]);
        }
    }
    for admin in [OWNER.1, ADA.1, GRACE.1] {
        assert!(shop.inbox().mails_for(admin).await.is_empty(), "{admin}");
    }
}

#[tokio::test]
async fn a_customer_who_cancels_an_order_gets_a_mail() {
    let (shop, stool, buyer) = buyer::start(buyer::shop(&[Serve, Notifier], "1s")).await;
    let order = buyer.place_order(&[&stool], "one").await;
    buyer.cancel_order(&order).await;
    let mail = shop.inbox().mail_about(BUYER, "Order cancelled: Stool S-1 (").await;
    assert!(mail.mentions(&order), "{mail:?}");
}

#[tokio::test]
async fn a_closed_account_gets_no_mail() {
    let (mut shop, stool, buyer) = buyer::start(buyer::shop(&[Serve, Notifier], "0s")).await;
    buyer.place_order(&[&stool], "one").await;
    shop.inbox().mail_about(BUYER, "Order placed").await;
    sqlx::query("UPDATE identity.accounts SET is_active = false WHERE id = $1::uuid")
        .bind(&buyer.id)
        .execute(&shop.database)
        .await
        .unwrap();
    shop.start_role(Fulfiller).await;
    shop.wait_until_idle().await;
    assert_eq!(shop.inbox().mails_for(BUYER).await.len(), 1);
}
