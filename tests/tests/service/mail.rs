//! Mail to admins: every admin but the one who made a change gets one mail about it.

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

/// Returns the mails of one change by Ada, after all work is done.
async fn mails_of_the_change(shop: &Shop, count: usize) -> Vec<Mail> {
    shop.inbox().at_least(count).await;
    shop.wait_until_idle().await;
    let mails = shop.inbox().mails().await;
    assert_eq!(recipients(&mails), [GRACE.1, OWNER.1], "{mails:#?}");
    for mail in &mails {
        assert_eq!(mail.to.len(), 1, "a mail has several recipients: {mail:?}");
        assert!(mail.from.contains("catalog@shop.test"), "{mail:?}");
        assert!(mail.mentions(ADA.0), "the actor is missing: {mail:?}");
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
        for fragment in ["T-1", "Bar table T-1", "995.50"] {
            assert!(mail.mentions(fragment), "{fragment} is missing: {mail:?}");
        }
        assert!(mail.mentions(&product.id), "the link to the product is missing: {mail:?}");
    }

    let patch = json!({"name": "Low table", "price": {"amount": "450"}, "brand": null, "attributes": {"colour": "white"}});
    shop.ada.patch(&product.path, &patch).await.expect(200);
    for mail in mails_of_the_change(&shop, 2).await {
        for fragment in ["Bar table T-1", "Low table", "995.50", "450.00", "Nordviken", "black", "white"] {
            assert!(mail.mentions(fragment), "{fragment} (an old or new value) is missing: {mail:?}");
        }
        assert!(!mail.text.contains("For two."), "an unchanged field is in the mail: {mail:?}");
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
async fn requests_that_change_nothing_send_no_mail() {
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
    shop.wait_until_idle().await;
    let mails = shop.inbox().mails().await;
    assert_eq!(recipients(&mails), [GRACE.1, OWNER.1], "{mails:#?}");
    assert!(mails.iter().all(|mail| mail.mentions("At last")), "{mails:#?}");
}

#[tokio::test]
async fn the_mail_about_a_purged_product_says_that_it_was_deleted() {
    let shop = Shop::start().await;
    let product = create(&shop.ada, &samples::product("T-1")).await;
    mails_of_the_change(&shop, 2).await;
    shop.ada.delete(&format!("{}?purge=true", product.path)).await.expect(204);
    for mail in mails_of_the_change(&shop, 2).await {
        assert!(mail.mentions("deleted"), "{mail:?}");
    }
}

#[tokio::test]
async fn every_other_admin_gets_one_mail_about_an_import() {
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
async fn an_atomic_import_has_one_mail_as_well() {
    let shop = Shop::start().await;
    let items: Vec<_> = (0..700).map(|number| samples::plain(&format!("I-{number}"))).collect();
    shop.ada.post("/v1/products/bulk?atomic=true", &json!({"items": items})).await.expect(200);
    mails_of_the_change(&shop, 2).await;
}

#[tokio::test]
async fn deactivated_admins_get_no_mail_and_new_ones_do() {
    let shop = Shop::start().await;
    let grace = format!("/v1/admins/{}", shop.people.grace.id);
    shop.owner.delete(&grace).await.expect(204);
    let newcomer = json!({"username": "barbara", "email": "barbara@shop.test", "password": "a passphrase of mine"});
    shop.owner.post("/v1/admins", &newcomer).await.expect(201);
    create(&shop.ada, &samples::product("T-1")).await;
    shop.inbox().at_least(2).await;
    shop.wait_until_idle().await;
    assert_eq!(recipients(&shop.inbox().mails().await), ["barbara@shop.test", OWNER.1]);
}

#[tokio::test]
async fn fields_of_a_product_cannot_inject_mail_headers() {
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
async fn several_notifiers_send_each_mail_once() {
    let mut shop = Shop::start().await;
    shop.start_role(catalog_tests::Role::Notifier).await;
    shop.start_role(catalog_tests::Role::Serve).await;
    let products: Vec<_> = (0..30).map(|number| samples::plain(&format!("N-{number:02}"))).collect();
    futures::future::join_all(products.iter().map(|body| create(&shop.ada, body))).await;
    shop.inbox().at_least(60).await;
    shop.wait_until_idle().await;
    let mails = shop.inbox().mails().await;
    assert_eq!(mails.len(), 60);
    for address in [GRACE.1, OWNER.1] {
        for number in 0..30 {
            let sku = format!("N-{number:02}");
            assert_eq!(mails.iter().filter(|mail| mail.is_for(address) && mail.mentions(&sku)).count(), 1, "{sku} to {address}");
        }
    }
}
