//! Mail to the admins: everyone but the one who did it hears of every change, once.

use catalog_tests::{
    Mail, Shop,
    people::{ADA, GRACE, OWNER},
    samples::{self, create},
};
use serde_json::json;

fn recipients(mails: &[Mail]) -> Vec<String> {
    let mut all: Vec<_> = mails.iter().flat_map(|mail| mail.to.clone()).collect();
    all.sort_unstable();
    all
}

/// The mails of one change by Ada, once everything is at rest.
async fn mails_of_the_change(shop: &Shop, count: usize) -> Vec<Mail> {
    shop.inbox().at_least(count).await;
    shop.at_rest().await;
    let mails = shop.inbox().mails().await;
    assert_eq!(recipients(&mails), [GRACE.1, OWNER.1], "{mails:#?}");
    for mail in &mails {
        assert_eq!(mail.to.len(), 1, "one recipient per mail: {mail:?}");
        assert!(mail.from.contains("catalog@shop.test"), "{mail:?}");
        assert!(mail.mentions(ADA.0), "who did it: {mail:?}");
    }
    assert_ne!(mails[0].message_id, mails[1].message_id);
    shop.inbox().clear().await;
    mails
}

#[tokio::test]
async fn each_change_is_one_mail_to_every_admin_but_the_one_who_made_it() {
    let shop = Shop::start().await;
    let product = create(&shop.ada, &samples::product("T-1")).await;
    for mail in mails_of_the_change(&shop, 2).await {
        for told in ["T-1", "Bar table T-1", "995.50"] {
            assert!(mail.mentions(told), "{told} is missing: {mail:?}");
        }
        assert!(mail.mentions(&product.id), "a link to the product: {mail:?}");
    }

    let patch = json!({"name": "Low table", "price": {"amount": "450"}, "brand": null, "attributes": {"colour": "white"}});
    shop.ada.patch(&product.path, &patch).await.expect(200);
    for mail in mails_of_the_change(&shop, 2).await {
        for told in ["Bar table T-1", "Low table", "995.50", "450.00", "Nordviken", "black", "white"] {
            assert!(mail.mentions(told), "old and new: {told} is missing: {mail:?}");
        }
        assert!(!mail.text.contains("For two."), "what did not change is not told: {mail:?}");
    }

    shop.ada.delete(&product.path).await.expect(204);
    for mail in mails_of_the_change(&shop, 2).await {
        assert!(mail.mentions("deleted") && mail.mentions("T-1"), "{mail:?}");
    }

    shop.ada.post_empty(&product.at("restore")).await.expect(200);
    for mail in mails_of_the_change(&shop, 2).await {
        assert!(mail.mentions("restored") && mail.mentions("T-1"), "{mail:?}");
    }
}

#[tokio::test]
async fn what_changes_nothing_mails_nobody() {
    let shop = Shop::start().await;
    let product = create(&shop.ada, &samples::product("T-1")).await;
    shop.inbox().at_least(2).await;
    shop.inbox().clear().await;
    shop.ada.patch(&product.path, &json!({})).await.expect(200);
    shop.ada.patch(&product.path, &samples::product("T-1")).await.expect(200);
    shop.ada.patch(&product.path, &json!({"price": {"amount": "995.5"}})).await.expect(200);
    shop.ada.patch(&product.path, &json!({"quantity": 4})).await.expect(200);
    shop.ada.patch(&product.path, &json!({"quantity": 0})).await.expect(200);
    shop.ada.post_empty(&product.at("restore")).await.expect(200);
    shop.ada.patch(&product.path, &json!({"name": ""})).await.expect(422);
    shop.ada.post("/v1/products", &samples::product("T-1")).await.expect(409);
    shop.ada.post("/v1/products/bulk", &json!({"items": [samples::product("T-1")]})).await.expect(200);
    shop.anyone.get(&product.path).await.expect(200);
    // The marker.
    shop.ada.patch(&product.path, &json!({"name": "At last"})).await.expect(200);
    shop.inbox().at_least(2).await;
    shop.at_rest().await;
    let mails = shop.inbox().mails().await;
    assert_eq!(recipients(&mails), [GRACE.1, OWNER.1], "{mails:#?}");
    assert!(mails.iter().all(|mail| mail.mentions("At last")), "{mails:#?}");
}

#[tokio::test]
async fn a_product_that_is_purged_alive_is_told_as_deleted() {
    let shop = Shop::start().await;
    let product = create(&shop.ada, &samples::product("T-1")).await;
    mails_of_the_change(&shop, 2).await;
    shop.ada.delete(&format!("{}?purge=true", product.path)).await.expect(204);
    for mail in mails_of_the_change(&shop, 2).await {
        assert!(mail.mentions("deleted"), "{mail:?}");
    }
}

#[tokio::test]
async fn an_import_is_one_summary_to_every_other_admin() {
    let shop = Shop::start().await;
    create(&shop.ada, &samples::plain("I-0")).await;
    shop.inbox().at_least(2).await;
    shop.inbox().clear().await;
    let mut items: Vec<_> = (0..1500).map(|number| samples::plain(&format!("I-{number}"))).collect();
    items.push(json!({"sku": "broken"}));
    items[0]["name"] = json!("Changed by the import");
    let result = shop.ada.post("/v1/products/bulk", &json!({"items": items})).await.expect(200).json();
    assert_eq!((&result["created"], &result["updated"], &result["failed"]), (&json!(1499), &json!(1), &json!(1)), "{result}");
    for mail in mails_of_the_change(&shop, 2).await {
        assert!(mail.mentions("1499") || mail.mentions("1,499"), "how many: {mail:?}");
    }
}

#[tokio::test]
async fn an_atomic_import_is_one_summary_too() {
    let shop = Shop::start().await;
    let items: Vec<_> = (0..700).map(|number| samples::plain(&format!("I-{number}"))).collect();
    shop.ada.post("/v1/products/bulk?atomic=true", &json!({"items": items})).await.expect(200);
    mails_of_the_change(&shop, 2).await;
}

#[tokio::test]
async fn admins_who_left_hear_nothing_and_those_who_came_do() {
    let shop = Shop::start().await;
    let grace = format!("/v1/admins/{}", shop.people.grace.id);
    shop.owner.delete(&grace).await.expect(204);
    let newcomer = json!({"username": "barbara", "email": "barbara@shop.test", "password": "a passphrase of mine"});
    shop.owner.post("/v1/admins", &newcomer).await.expect(201);
    create(&shop.ada, &samples::product("T-1")).await;
    shop.inbox().at_least(2).await;
    shop.at_rest().await;
    assert_eq!(recipients(&shop.inbox().mails().await), ["barbara@shop.test", OWNER.1]);
}

#[tokio::test]
async fn what_is_written_into_a_product_cannot_write_mail() {
    let shop = Shop::start().await;
    let mut body = samples::product("T-1");
    body["name"] = json!("Tisch „Größe“ \u{200f}🛋 Bcc: all@shop.test ".to_owned() + &"lang ".repeat(30));
    body["description"] = json!("first\r\n.\r\nQUIT\r\nRCPT TO:<evil@shop.test>\r\n\r\nSubject: Forged\n.\n..dots");
    create(&shop.ada, &body).await;
    let mails = mails_of_the_change(&shop, 2).await;
    for mail in mails {
        assert!(mail.mentions("Größe"), "{mail:?}");
        assert!(!mail.subject.contains("Forged") && !mail.subject.contains('\n'), "{mail:?}");
        if mail.text.contains("QUIT") {
            assert!(mail.text.contains("..dots") && !mail.text.contains("...dots"), "dots are stuffed and unstuffed: {mail:?}");
        }
    }
}

#[tokio::test]
async fn several_notifiers_share_the_work_without_telling_twice() {
    let mut shop = Shop::start().await;
    shop.open(catalog_tests::Role::Notifier).await;
    shop.open(catalog_tests::Role::Serve).await;
    let products: Vec<_> = (0..30).map(|number| samples::plain(&format!("N-{number:02}"))).collect();
    futures::future::join_all(products.iter().map(|body| create(&shop.ada, body))).await;
    shop.inbox().at_least(60).await;
    shop.at_rest().await;
    let mails = shop.inbox().mails().await;
    assert_eq!(mails.len(), 60);
    for address in [GRACE.1, OWNER.1] {
        for number in 0..30 {
            let sku = format!("N-{number:02}");
            assert_eq!(mails.iter().filter(|mail| mail.is_for(address) && mail.mentions(&sku)).count(), 1, "{sku} to {address}");
        }
    }
}
