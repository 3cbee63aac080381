//! Text is equal in every Unicode normalisation form.

use catalog_tests::{
    Shop,
    samples::{self, create},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use serde_json::{Value, json};
use unicode_normalization::UnicodeNormalization;

const FORMS: [fn(&str) -> String; 2] = [|text| text.nfc().collect(), |text| text.nfd().collect()];

fn in_url(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// A text in all its fields, each in the same form.
fn product(form: fn(&str) -> String, word: &str) -> Value {
    let text = form(word);
    json!({
        "sku": text, "name": text, "brand": text, "description": text, "categories": [text],
        "price": {"amount": "1.00", "currency": "EUR"}, "attributes": {(text.clone()): text},
    })
}

fn words(count: usize) -> Vec<String> {
    let mut runner = TestRunner::deterministic();
    // Letters that have two forms: Latin, Hangul, kana with voicing marks.
    let word = proptest::string::string_regex("[a-c]{1,3}[àéîõüçñśǘ각힣が]{1,4}[a-c]{0,3}").unwrap();
    (0..count).map(|number| format!("{}{number}", word.new_tree(&mut runner).unwrap().current())).collect()
}

#[tokio::test]
async fn a_product_is_found_by_text_in_every_normalisation_form() {
    let shop = Shop::api().await;
    for word in words(12) {
        let [nfc, nfd] = FORMS;
        assert_ne!(nfc(&word), nfd(&word));
        let created = create(&shop.ada, &product(nfd, &word)).await;
        for field in ["sku", "name", "brand", "description"] {
            assert_eq!(created.body[field], nfc(&word), "{field}");
        }
        assert_eq!((&created.body["categories"][0], &created.body["attributes"][nfc(&word)]), (&json!(nfc(&word)), &json!(nfc(&word))));
        for form in FORMS {
            let text = in_url(&form(&word));
            let shown = shop.anyone.get(&format!("/v1/products/by-sku/{text}")).await.expect(200).json();
            assert_eq!(shown["id"], created.id.as_str());
            for filter in ["contains", "brand", "category"] {
                let list = shop.anyone.get(&format!("/v1/products?{filter}={text}")).await.expect(200).json();
                assert_eq!(list["items"][0]["id"], created.id.as_str(), "{filter}");
            }
            // The other form, through every endpoint.
            shop.ada.post("/v1/products", &product(form, &word)).await.expect(409);
            let patched = shop.ada.patch(&created.path, &product(form, &word)).await.expect(200);
            assert_eq!(patched.header("etag"), created.etag, "nothing changed");
            let result = shop.ada.post("/v1/products/bulk", &json!({"items": [product(form, &word)]})).await.expect(200).json();
            assert_eq!(result["unchanged"], 1, "{result}");
            let text = form(&word);
            let csv =
                format!("sku,name,brand,description,categories,price,attributes.{text}\n{text},{text},{text},{text},{text},1.00,{text}\n");
            let result = shop.ada.request(reqwest::Method::POST, "/v1/products/bulk").body("text/csv", csv).await.expect(200).json();
            assert_eq!(result["unchanged"], 1, "{result}");
        }
        // Escapes are characters like others.
        let escaped: String = nfd(&word).encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
        let body = format!("{{\"brand\": \"{escaped}\"}}");
        let patched = shop.ada.request(reqwest::Method::PATCH, &created.path).body("application/json", body).await.expect(200);
        assert_eq!(patched.header("etag"), created.etag);
        // Removed by its name in the other form.
        shop.ada.patch(&created.path, &json!({"attributes": {(nfd(&word)): null}})).await.expect(200);
        assert_eq!(shop.anyone.get(&created.path).await.expect(200).json()["attributes"], json!({}));
    }
}

#[tokio::test]
async fn two_forms_of_one_name_are_the_same_name_twice() {
    let shop = Shop::api().await;
    let mut body = samples::plain("A");
    body["attributes"] = json!({"farbt\u{f6}ne": "1", "farbto\u{308}ne": "2"});
    shop.ada.post("/v1/products", &body).await.problem(422, "invalid");
    let result = shop.ada.post("/v1/products/bulk", &json!({"items": [body]})).await.expect(200).json();
    assert_eq!(result["failed"], 1, "{result}");
    let csv = "sku,name,price,attributes.\u{f6},attributes.o\u{308}\nA,B,1,1,2\n";
    shop.ada.request(reqwest::Method::POST, "/v1/products/bulk").body("text/csv", csv).await.problem(422, "invalid");
    let mut body = samples::plain("A");
    body["categories"] = json!(["\u{f6}", "o\u{308}"]);
    shop.ada.post("/v1/products", &body).await.problem(422, "invalid");
}

#[tokio::test]
async fn lengths_are_those_of_the_normalised_text() {
    let shop = Shop::api().await;
    let mut body = samples::plain("A");
    body["name"] = json!("o\u{308}".repeat(200));
    assert_eq!(create(&shop.ada, &body).await.body["name"], "ö".repeat(200));
    body["name"] = json!("o\u{308}".repeat(201));
    shop.ada.post("/v1/products", &body).await.problem(422, "invalid");
}

#[tokio::test]
async fn a_password_is_the_same_in_every_form() {
    let shop = Shop::api().await;
    for (number, word) in ["Schlüsselwörter", "ｐａｓｓｗｏｒｔ１２３", "ﬁsh and chips"].into_iter().enumerate() {
        let username = format!("person{number}");
        let nfd: String = word.nfd().collect();
        let new = json!({"username": username, "email": format!("{username}@home.test"), "password": nfd, "full_name": nfd});
        let customer = shop.anyone.post("/v1/customers", &new).await.expect(201).json();
        assert_eq!(customer["full_name"], word.nfc().collect::<String>());
        for typed in [word.to_owned(), nfd.clone(), word.nfkc().collect()] {
            shop.anyone.post("/v1/auth/login", &json!({"username": username, "password": typed})).await.expect(200);
        }
        shop.anyone.post("/v1/auth/login", &json!({"username": username, "password": format!("{word}x")})).await.expect(401);
    }
}

#[tokio::test]
async fn stored_text_is_normalised_by_the_migration_except_skus_that_would_collide() {
    const MIGRATION: &str = include_str!("../../../api/migrations/20261130000005_normalized_text.sql");
    let shop = Shop::api().await;
    let store = async |sku: &str, deleted: bool| {
        let id = create(&shop.ada, &samples::plain("raw")).await.id;
        sqlx::query(
            "UPDATE products.products SET sku = $2, name = $2, categories = ARRAY['z', $2, normalize($2, NFC)], deleted_at = CASE WHEN $3 THEN now() END,
                 attributes = jsonb_build_object($2::text, '\"' || $2) WHERE id = $1::uuid",
        )
        .bind(&id)
        .bind(sku)
        .bind(deleted)
        .execute(&shop.database)
        .await
        .unwrap();
        id
    };
    let alone = store("alo\u{302}ne", false).await;
    let ascii = store("ascii", false).await;
    let (deleted, composed, decomposed) =
        (store("sa\u{302}me", true).await, store("s\u{e2}me", false).await, store("sa\u{302}me", false).await);
    // Two other spellings of one letter, of which neither is the normalised one.
    let twins = [store("\u{1eb9}\u{302}", false).await, store("\u{ea}\u{323}", false).await];
    for _ in 0..2 {
        sqlx::raw_sql(MIGRATION).execute(&shop.database).await.unwrap();
    }
    let sku = async |id: &str| {
        let row = sqlx::query_as::<_, (String, i64, String, Vec<String>, String)>(
            "SELECT sku, version, name, categories, attributes::text FROM products.products WHERE id = $1::uuid",
        )
        .bind(id);
        row.fetch_one(&shop.database).await.unwrap()
    };
    let (stored, version, name, categories, attributes) = sku(&alone).await;
    assert_eq!((&*stored, version, &*name), ("al\u{f4}ne", 3, "al\u{f4}ne"));
    assert_eq!((categories, &*attributes), (vec!["z".into(), "al\u{f4}ne".into()], "{\"al\u{f4}ne\": \"\\\"al\u{f4}ne\"}"));
    assert_eq!(sku(&ascii).await.1, 1, "what is in NFC isn't written");
    assert_eq!(sku(&deleted).await.0, "s\u{e2}me");
    assert_eq!(
        (&*sku(&composed).await.0, &*sku(&decomposed).await.0),
        ("s\u{e2}me", "sa\u{302}me"),
        "which one is meant, an admin decides"
    );
    assert_eq!(sku(&decomposed).await.2, "s\u{e2}me", "its other text is normalised");
    assert_eq!([&*sku(&twins[0]).await.0, &*sku(&twins[1]).await.0], ["\u{1eb9}\u{302}", "\u{ea}\u{323}"]);
}
