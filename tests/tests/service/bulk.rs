//! Bulk imports: upserts by sku, merging, counts, errors per row, atomic imports.

use catalog_tests::{
    Api, Reply, Shop,
    samples::{self, create},
};
use serde_json::{Value, json};

const BULK: &str = "/v1/products/bulk";

async fn import(admin: &Api, items: &[Value]) -> Value {
    let result = admin.post(BULK, &json!({"items": items})).await.expect(200).json();
    let mut fields: Vec<_> = result.as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["blank", "created", "errors", "failed", "more_errors", "more_warnings", "unchanged", "updated", "warnings"]);
    result
}

fn counts(result: &Value) -> [u64; 4] {
    ["created", "updated", "unchanged", "failed"].map(|field| result[field].as_u64().unwrap())
}

fn errors(result: &Value) -> Vec<(u64, String)> {
    let location = |error: &Value| (error["row"].as_u64().unwrap(), error["field"].as_str().unwrap_or_default().to_owned());
    result["errors"].as_array().unwrap().iter().map(location).collect()
}

async fn by_sku(shop: &Shop, sku: &str) -> Value {
    shop.ada.get(&format!("/v1/products/by-sku/{sku}")).await.expect(200).json()
}

async fn all_skus(shop: &Shop) -> Vec<String> {
    let list = shop.ada.get("/v1/products?limit=200&in_stock=any").await.expect(200).json();
    let mut skus: Vec<_> = list["items"].as_array().unwrap().iter().map(|item| item["sku"].as_str().unwrap().to_owned()).collect();
    skus.sort_unstable();
    skus
}

#[tokio::test]
async fn rows_create_update_or_leave_products_unchanged() {
    let shop = Shop::api().await;
    let first = [samples::product("A"), samples::product("B"), samples::plain("C")];
    assert_eq!(counts(&import(&shop.ada, &first).await), [3, 0, 0, 0]);
    assert_eq!(counts(&import(&shop.ada, &first).await), [0, 0, 3, 0], "the same rows again change nothing");
    let untouched = by_sku(&shop, "A").await;

    let mut changed = samples::product("B");
    changed["price"]["amount"] = json!("1.00");
    let second = [samples::product("A"), changed.clone(), samples::plain("D")];
    assert_eq!(counts(&import(&shop.grace, &second).await), [1, 1, 1, 0]);
    assert_eq!(by_sku(&shop, "A").await, untouched);
    let updated = by_sku(&shop, "B").await;
    assert_eq!((&updated["price"]["amount"], &updated["version"]), (&json!("1.00"), &json!(2)));
    assert_eq!(all_skus(&shop).await, ["A", "B", "C", "D"]);
}

#[tokio::test]
async fn an_absent_field_keeps_its_value_and_null_removes_it() {
    let shop = Shop::api().await;
    create(&shop.ada, &samples::product("A")).await;
    let row = json!({"sku": "A", "name": "Renamed", "price": {"amount": "1"}, "brand": null});
    assert_eq!(counts(&import(&shop.ada, &[row]).await), [0, 1, 0, 0]);
    let shown = by_sku(&shop, "A").await;
    assert_eq!(shown["name"], "Renamed");
    assert!(shown.get("brand").is_none_or(Value::is_null));
    assert_eq!(shown["categories"], samples::product("A")["categories"]);
    assert_eq!(shown["url"], samples::product("A")["url"]);
}

#[tokio::test]
async fn rows_of_one_sku_are_merged_and_their_categories_combined() {
    let shop = Shop::api().await;
    let row = |name: &str, categories: Value| {
        let mut row = samples::plain("A");
        row["name"] = json!(name);
        row["categories"] = categories;
        row
    };
    let rows =
        [row("First", json!(["chairs"])), samples::plain("B"), row("Second", json!(["bar", "chairs"])), row("Third", json!(["sale"]))];
    let result = import(&shop.ada, &rows).await;
    assert_eq!(result["created"], 2, "{result}");
    assert_eq!(result["failed"], 0, "{result}");
    let shown = by_sku(&shop, "A").await;
    assert_eq!(shown["name"], "Third", "the later row wins");
    let mut categories: Vec<_> = shown["categories"].as_array().unwrap().iter().map(|category| category.as_str().unwrap()).collect();
    categories.sort_unstable();
    assert_eq!(categories, ["bar", "chairs", "sale"]);
    assert_eq!(shown["version"], 1, "one product, one change");
    assert_eq!(import(&shop.ada, &rows).await["updated"], 0, "the same rows again change nothing");
}

#[tokio::test]
async fn invalid_rows_are_reported_by_number_and_field_and_the_others_are_imported() {
    let shop = Shop::api().await;
    let broken = |field: &str, value: Value| {
        let mut row = samples::plain(&format!("bad-{field}"));
        row[field] = value;
        row
    };
    let rows = [
        samples::plain("good-1"),
        broken("price", json!({"amount": "-1", "currency": "EUR"})),
        broken("name", json!("")),
        broken("colour", json!("red")),
        samples::plain("good-2"),
        broken("price", json!({"amount": "1", "currency": "USD"})),
        json!("not an object"),
        json!({"name": "No sku", "price": {"amount": "1"}}),
        broken("released_on", json!("23 May 2024")),
        broken("quantity", json!(-1)),
        broken("name", json!("x".repeat(201))),
        broken("description", json!("nul\u{0}")),
        samples::plain("good-3"),
    ];
    let result = import(&shop.ada, &rows).await;
    assert_eq!(counts(&result), [3, 0, 0, 10], "{result}");
    let errors = errors(&result);
    let rows: Vec<u64> = errors.iter().map(|(row, _)| *row).collect();
    assert_eq!(rows, [2, 3, 4, 6, 7, 8, 9, 10, 11, 12]);
    for (row, field) in
        [(2, "price"), (3, "name"), (6, "price"), (8, "sku"), (9, "released_on"), (10, "quantity"), (11, "name"), (12, "description")]
    {
        let given = &errors.iter().find(|(number, _)| *number == row).unwrap().1;
        assert!(given.starts_with(field), "row {row}: {given}");
    }
    for error in result["errors"].as_array().unwrap() {
        assert!(error["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{error}");
    }
    assert_eq!(all_skus(&shop).await, ["good-1", "good-2", "good-3"]);
}

#[tokio::test]
async fn an_atomic_import_with_an_invalid_row_imports_nothing() {
    let shop = Shop::api().await;
    let mut bad = samples::plain("B");
    bad["price"]["amount"] = json!("cheap");
    let atomic = format!("{BULK}?atomic=true");
    let reply = shop.ada.post(&atomic, &json!({"items": [samples::plain("A"), bad, samples::plain("C")]})).await;
    let problem = reply.problem(422, "invalid");
    assert!(
        problem["errors"].to_string().contains("1/price") || problem["errors"].to_string().contains('2'),
        "the row is named: {problem}"
    );
    assert_eq!(all_skus(&shop).await, Vec::<String>::new());
    let result = shop.ada.post(&atomic, &json!({"items": [samples::plain("A"), samples::plain("C")]})).await.expect(200).json();
    assert_eq!(counts(&result), [2, 0, 0, 0]);
    assert_eq!(all_skus(&shop).await, ["A", "C"]);
}

#[tokio::test]
async fn an_import_does_not_restore_deleted_products() {
    let shop = Shop::api().await;
    let deleted = create(&shop.ada, &samples::product("A")).await;
    shop.ada.delete(&deleted.path).await.expect(204);
    let result = import(&shop.ada, &[samples::product("A")]).await;
    assert_eq!(result["updated"], 0, "{result}");
    shop.anyone.get(&deleted.path).await.problem(404, "not-found");
    if result["created"] == 1 {
        assert_ne!(by_sku(&shop, "A").await["id"], deleted.id.as_str());
    } else {
        assert_eq!(result["failed"], 1, "{result}");
    }
}

#[tokio::test]
async fn an_empty_import_does_nothing() {
    let shop = Shop::api().await;
    assert_eq!(counts(&import(&shop.ada, &[]).await), [0, 0, 0, 0]);
    for (content_type, body) in [("application/x-ndjson", ""), ("text/csv", "sku,name,price\n")] {
        let result = shop.ada.request(reqwest::Method::POST, BULK).body(content_type, body).await.expect(200).json();
        assert_eq!(counts(&result), [0, 0, 0, 0], "{content_type}");
    }
}

#[tokio::test]
async fn thousands_of_rows_are_imported_and_counted() {
    let shop = Shop::api().await;
    let count = 3000_usize;
    let item = |number: usize| {
        let mut item = samples::product(&format!("M-{number:05}"));
        item["description"] = json!("Any number of words. ".repeat(20));
        item
    };
    let items: Vec<_> = (0..count).map(item).collect();
    let body = json!({"items": items});
    assert!(body.to_string().len() > 1024 * 1024, "larger than any other body may be");
    let result = shop.ada.post(BULK, &body).await.expect(200).json();
    assert_eq!(counts(&result), [3000, 0, 0, 0]);
    let stored: i64 = sqlx::query_scalar("SELECT count(*) FROM products.products").fetch_one(&shop.database).await.unwrap();
    assert_eq!(stored, 3000);
}

#[tokio::test]
async fn concurrent_imports_of_the_same_rows_store_each_product_once() {
    let shop = Shop::api().await;
    let rows: Vec<_> = (0..800).map(|number| samples::plain(&format!("S-{number:04}"))).collect();
    let reversed: Vec<_> = rows.iter().rev().cloned().collect();
    let (one, two) = tokio::join!(import(&shop.ada, &rows), import(&shop.grace, &reversed));
    let sum = |field: &str| one[field].as_u64().unwrap() + two[field].as_u64().unwrap();
    assert_eq!((sum("created"), sum("unchanged"), sum("updated"), sum("failed")), (800, 800, 0, 0), "{one} {two}");
    let stored: i64 = sqlx::query_scalar("SELECT count(*) FROM products.products").fetch_one(&shop.database).await.unwrap();
    assert_eq!(stored, 800);
}

#[tokio::test]
async fn an_import_invalidates_the_cache() {
    let shop = Shop::api().await;
    let product = create(&shop.ada, &samples::product("A")).await;
    shop.anyone.get(&product.path).await.expect(200);
    let mut changed = samples::product("A");
    changed["name"] = json!("Imported");
    import(&shop.ada, &[changed]).await;
    assert_eq!(shop.anyone.get(&product.path).await.expect(200).json()["name"], "Imported");
}

async fn atomic_with_key(shop: &Shop, key: &str, items: &[Value]) -> Reply {
    shop.ada.post(&format!("{BULK}?atomic=true"), &json!({"items": items})).header("idempotency-key", key).await
}

#[tokio::test]
async fn an_atomic_import_with_a_key_is_applied_once() {
    let shop = Shop::api().await;
    let rows = [samples::plain("A"), samples::plain("B")];
    let first = atomic_with_key(&shop, "import-1", &rows).await.expect(200);
    let again = atomic_with_key(&shop, "\"import-1\"", &rows).await.expect(200);
    assert_eq!(first.json(), again.json(), "the second response is not the stored one");
    assert_eq!((first.header("idempotent-replayed"), again.header("idempotent-replayed")), ("", "true"));
    assert_eq!(counts(&again.json()), [2, 0, 0, 0]);
    let other = atomic_with_key(&shop, "import-1", &rows[..1]).await;
    other.problem(422, "idempotency-key-reused");
    assert_eq!(counts(&atomic_with_key(&shop, "import-2", &rows).await.expect(200).json()), [0, 0, 2, 0]);
    // Only atomic imports accept a key.
    let plain = shop.ada.post(BULK, &json!({"items": rows})).header("idempotency-key", "import-3").await;
    assert_eq!(plain.status, 400, "{}", plain.text());
}

#[tokio::test]
async fn a_committed_import_succeeds_even_if_its_staged_rows_cannot_be_deleted() {
    let shop = Shop::api().await;
    let trigger = "CREATE FUNCTION products.reject() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'rejected'; END $$;
         CREATE TRIGGER reject BEFORE DELETE ON products.import_rows EXECUTE FUNCTION products.reject()";
    sqlx::raw_sql(trigger).execute(&shop.database).await.unwrap();
    let rows = [samples::plain("A")];
    let atomic = atomic_with_key(&shop, "import-1", &rows).await.expect(200);
    assert_eq!(counts(&atomic.json()), [1, 0, 0, 0]);
    assert_eq!(atomic_with_key(&shop, "import-1", &rows).await.expect(200).body, atomic.body);
    assert_eq!(counts(&import(&shop.ada, &[samples::plain("B")]).await), [1, 0, 0, 0]);
}

#[tokio::test]
async fn an_import_whose_staged_rows_were_lost_says_whether_rows_were_imported() {
    let shop = Shop::api().await;
    let trigger = "CREATE FUNCTION products.lose() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
         CREATE TRIGGER lose BEFORE INSERT ON products.import_rows FOR EACH ROW EXECUTE FUNCTION products.lose()";
    sqlx::raw_sql(trigger).execute(&shop.database).await.unwrap();
    for (query, part) in [("", "Committed rows stay"), ("?atomic=true", "Nothing was imported")] {
        let reply = shop.ada.post(&format!("{BULK}{query}"), &json!({"items": [samples::plain("A")]})).await;
        let problem = reply.problem(503, "unavailable");
        assert!(problem["detail"].as_str().unwrap().contains(part), "{problem}");
    }
}
