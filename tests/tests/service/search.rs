//! `contains`: case, accents and normalisation are ignored, and every character is literal.

use catalog_tests::{
    Api, Process, Shop,
    samples::{self, create},
    wait::{check, eventually},
};
use serde_json::json;
use sqlx::raw_sql;

/// Searches and returns the skus of the products.
async fn found(api: &Api, phrase: &str) -> Vec<String> {
    let query: String = form_urlencoded(phrase);
    let list = api.get(&format!("/v1/products?contains={query}&limit=200")).await.expect(200).json();
    let mut skus: Vec<_> = list["items"].as_array().unwrap().iter().map(|item| item["sku"].as_str().unwrap().to_owned()).collect();
    skus.sort_unstable();
    skus
}

fn form_urlencoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test]
async fn names_are_found_in_any_case_accent_and_normalisation() {
    let shop = Shop::api().await;
    let rows = [
        ("c11-a", "100% Wolle_Decke"),
        ("c11-b", "Größe STRASSE Tisch"),
        ("c11-c", "İstanbul Halı"),
        ("c11-d", "שולחן אלון"),
        ("c11-e", "Café Tisch"),
        ("c11-f", "Cafe\u{301} Tisch"),
        ("C11-F", "Other Tisch"),
        ("s-1", "Söderhamn"),
        ("s-2", "SODERHAMN"),
        ("s-3", "So\u{308}derhamn"),
    ];
    let items: Vec<_> =
        rows.iter().map(|(sku, name)| json!({"sku": sku, "name": name, "price": {"amount": "5.00", "currency": "EUR"}})).collect();
    // One is created through the API, the others by an import; both fold names.
    create(&shop.ada, &items[0]).await;
    let result = shop.ada.post("/v1/products/bulk", &json!({"items": items[1..]})).await.expect(200).json();
    assert_eq!(result["created"], rows.len() - 1, "{result}");
    let cases: [(&str, &[&str]); 18] = [
        ("söderhamn", &["s-1", "s-2", "s-3"]),
        ("SÖDERHAMN", &["s-1", "s-2", "s-3"]),
        ("soderhamn", &["s-1", "s-2", "s-3"]),
        ("so\u{308}der", &["s-1", "s-2", "s-3"]),
        ("GRÖSSE", &["c11-b"]),
        ("größe", &["c11-b"]),
        ("grosse", &["c11-b"]),
        ("straße", &["c11-b"]),
        ("istanbul", &["c11-c"]),
        ("İSTANBUL", &["c11-c"]),
        ("HALI", &["c11-c"]),
        ("שׁוּלְחָן", &["c11-d"]),
        ("café", &["c11-e", "c11-f"]),
        ("cafe", &["c11-e", "c11-f"]),
        ("100%", &["c11-a"]),
        ("wolle_decke", &["c11-a"]),
        ("wolle%decke", &[]),
        ("o_l", &[]),
    ];
    for (phrase, expected) in cases {
        assert_eq!(found(&shop.anyone, phrase).await, expected, "{phrase}");
    }
    // Skus differ by case.
    assert_eq!(shop.anyone.get("/v1/products/by-sku/C11-F").await.expect(200).json()["name"], "Other Tisch");
}

#[tokio::test]
async fn contains_needs_three_characters() {
    let shop = Shop::api().await;
    create(&shop.ada, &samples::plain("T-1")).await;
    for short in ["", "s", "st", "%", "_", "%_", "s\u{301}t\u{301}", "\u{301}\u{302}\u{303}\u{304}"] {
        let reply = shop.anyone.get(&format!("/v1/products?contains={}", form_urlencoded(short))).await;
        reply.problem(400, "invalid-parameters");
        assert_eq!(reply.pointers(), ["contains"], "{short}");
        assert!(reply.text().contains("at least 3 characters"), "{}", reply.text());
    }
    assert_eq!(found(&shop.anyone, "sto").await, ["T-1"]);
}

#[tokio::test]
async fn a_renamed_product_is_found_by_its_new_name_only() {
    let shop = Shop::api().await;
    let product = create(&shop.ada, &samples::plain("T-1")).await;
    shop.ada.patch(&product.path, &json!({"name": "Höcker"})).await.expect(200);
    assert_eq!(found(&shop.anyone, "hocker").await, ["T-1"]);
    assert_eq!(found(&shop.anyone, "stool").await, [""; 0]);
    let bulk = json!({"items": [{"sku": "T-1", "name": "Schemel", "price": {"amount": "1.00", "currency": "EUR"}}]});
    shop.ada.post("/v1/products/bulk", &bulk).await.expect(200);
    assert_eq!(found(&shop.anyone, "SCHEMEL").await, ["T-1"]);
}

/// Writes like a release without folded names does during a rolling upgrade.
#[tokio::test]
async fn names_written_by_the_previous_release_are_folded_soon() {
    let shop = Shop::builder().only_api().setting("DELETED_RETENTION", "4s").start().await;
    create(&shop.ada, &samples::plain("T-1")).await;
    raw_sql("UPDATE products.products SET name = 'Höcker', version = version + 1").execute(&shop.database).await.unwrap();
    raw_sql(
        "INSERT INTO products.products (id, sku, name, price, created_at, updated_at)
         VALUES (gen_random_uuid(), 'T-2', 'HOCKER', 1, now(), now())",
    )
    .execute(&shop.database)
    .await
    .unwrap();
    eventually("both are found", async || {
        let skus = found(&shop.anyone, "hocker").await;
        check(skus == ["T-1", "T-2"], || skus)
    })
    .await;
    assert_eq!(found(&shop.anyone, "stool").await, [""; 0], "the old name is still found");
}

#[tokio::test]
async fn a_migration_folds_existing_names() {
    let shop = Shop::builder().roles(&[]).start().await;
    raw_sql(
        "INSERT INTO products.products (id, sku, name, price, created_at, updated_at)
         SELECT gen_random_uuid(), 'T-' || n, 'Größe ' || n, 1, now(), now() FROM generate_series(1, 2500) n",
    )
    .execute(&shop.database)
    .await
    .unwrap();
    let mut migrate = Process::start(&["migrate"], shop.environment());
    assert!(migrate.ended().await.success(), "{}", migrate.report());
    let folded: i64 =
        sqlx::query_scalar("SELECT count(*) FROM products.products WHERE search_name LIKE 'grosse %' AND search_name_of = name")
            .fetch_one(&shop.database)
            .await
            .unwrap();
    assert_eq!(folded, 2500);
}
