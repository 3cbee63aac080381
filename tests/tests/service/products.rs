//! Single products: create, read, delete, restore, purge.

use catalog_tests::{
    Shop,
    buying::stocked,
    eventually,
    samples::{self, Created, create},
    shared::PUBLIC_URL,
    wait::check,
};
use serde_json::{Value, json};

#[tokio::test]
async fn a_created_product_is_returned_by_reads() {
    let shop = Shop::api().await;
    let given = samples::product("T-1");
    let reply = shop.ada.post("/v1/products", &given).await.expect(201);
    let shown = reply.json();
    for (field, value) in given.as_object().unwrap() {
        assert_eq!(&shown[field], value, "{field}");
    }
    assert_eq!((&shown["version"], &shown["in_stock"]), (&json!(1), &json!(true)));
    assert_eq!(shown["created_at"], shown["updated_at"]);
    assert!(shown["created_at"].as_str().unwrap().ends_with('Z'), "times are UTC: {shown}");
    let id: uuid::Uuid = shown["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(id.get_version_num(), 7);
    for absent in ["views", "quantity"] {
        assert!(shown.get(absent).is_none(), "{absent} must not be in a product: it changes without a new ETag");
    }
    assert_eq!(reply.header("location"), format!("{PUBLIC_URL}/v1/products/{id}"));
    let created = Created::from(reply);
    for path in [created.path.clone(), "/v1/products/by-sku/T-1".to_owned()] {
        let read = shop.anyone.get(&path).await.expect(200);
        assert_eq!(read.json(), shown, "{path}");
        assert_eq!(read.header("etag"), created.etag, "{path}");
        assert_eq!(read.header("cache-control"), "private, no-cache");
        assert_eq!(read.header("content-type"), "application/json");
    }
}

#[tokio::test]
async fn absent_optional_fields_stay_absent() {
    let shop = Shop::api().await;
    let product = create(&shop.ada, &samples::plain("T-1")).await;
    for absent in ["brand", "description", "url", "released_on"] {
        assert!(product.body.get(absent).is_none_or(Value::is_null), "{absent}: {}", product.body);
    }
    assert_eq!((&product.body["categories"], &product.body["attributes"]), (&json!([]), &json!({})));
}

#[tokio::test]
async fn text_of_any_script_is_stored_unchanged() {
    let shop = Shop::api().await;
    let mut given = samples::product("größe-№5-寿司");
    given["name"] = json!("Łóżko  «Sova» 🛏\u{fe0f} – ‏مقعد");
    given["description"] = json!("line\r\n\ttab \u{1f469}\u{200d}\u{1f680} </script> '; DROP TABLE products; -- %s {{name}} \\");
    given["attributes"] = json!({"clé": "valeur", "a.b": "c/d~e", "": ""});
    given["attributes"].as_object_mut().unwrap().remove("");
    let product = create(&shop.ada, &given).await;
    let read = shop.anyone.get(&product.path).await.expect(200).json();
    for field in ["sku", "name", "description", "attributes"] {
        assert_eq!(read[field], given[field]);
    }
    let by_sku = shop.anyone.get("/v1/products/by-sku/gr%C3%B6%C3%9Fe-%E2%84%965-%E5%AF%BF%E5%8F%B8").await.expect(200).json();
    assert_eq!(by_sku["id"], product.id.as_str());
}

#[tokio::test]
async fn a_sku_may_contain_characters_that_paths_must_escape() {
    let shop = Shop::api().await;
    for (sku, path) in [("a/b", "a%2Fb"), ("50%", "50%25"), ("q?x=1", "q%3Fx=1"), ("#1", "%231"), ("...", "..."), ("restore", "restore")] {
        let product = create(&shop.ada, &samples::plain(sku)).await;
        let read = shop.anyone.get(&format!("/v1/products/by-sku/{path}")).await.expect(200).json();
        assert_eq!(read["id"], product.id.as_str(), "{sku}");
    }
}

#[tokio::test]
async fn a_price_is_shown_with_the_decimals_of_its_currency() {
    let shop = Shop::api().await;
    for (given, shown) in
        [("0", "0.00"), ("0.1", "0.10"), ("19.90", "19.90"), ("007", "7.00"), ("999999999.99", "999999999.99"), ("5.000", "5.00")]
    {
        let mut body = samples::plain(&format!("P-{given}"));
        body["price"]["amount"] = json!(given);
        let product = create(&shop.ada, &body).await;
        assert_eq!(product.body["price"], json!({"amount": shown, "currency": "EUR"}), "{given}");
    }
    let yen = Shop::builder().only_api().setting("CURRENCY", "JPY").beside_another().start().await;
    let mut body = samples::plain("Y-1");
    body["price"] = json!({"amount": "1500", "currency": "JPY"});
    assert_eq!(create(&yen.ada, &body).await.body["price"]["amount"], "1500");
    body["price"]["amount"] = json!("1500.5");
    body["sku"] = json!("Y-2");
    let reply = yen.ada.post("/v1/products", &body).await;
    reply.problem(422, "invalid");
}

#[tokio::test]
async fn a_taken_sku_is_a_conflict() {
    let shop = Shop::api().await;
    let first = create(&shop.ada, &samples::product("T-1")).await;
    let reply = shop.grace.post("/v1/products", &samples::plain("T-1")).await;
    reply.problem(409, "sku-taken");
    assert_eq!(reply.pointers(), ["#/sku"]);
    let list = shop.anyone.get("/v1/products").await.expect(200).json();
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    assert_eq!(list["items"][0]["id"], first.id.as_str());
    // Skus are compared exactly.
    create(&shop.ada, &samples::plain("t-1")).await;
}

#[tokio::test]
async fn concurrent_creates_of_one_sku_create_one_product() {
    let shop = Shop::api().await;
    let body = samples::plain("contested");
    let replies = futures::future::join_all((0..8).map(|_| async { shop.ada.post("/v1/products", &body).await })).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 201).count(), 1);
    for reply in replies.iter().filter(|reply| reply.status != 201) {
        reply.problem(409, "sku-taken");
    }
}

#[tokio::test]
async fn a_current_copy_is_answered_with_304() {
    let shop = Shop::api().await;
    let product = create(&shop.ada, &samples::product("T-1")).await;
    assert!(product.etag.starts_with('"') && product.etag.len() > 2, "a strong entity tag: {}", product.etag);
    let matching = [product.etag.clone(), format!("W/{}", product.etag), format!("\"other\", {}", product.etag), "*".to_owned()];
    for given in matching {
        let reply = shop.anyone.get(&product.path).header("if-none-match", &given).await.expect(304);
        assert!(reply.body.is_empty());
        assert_eq!(reply.header("etag"), product.etag);
        assert_eq!(reply.header("cache-control"), "private, no-cache");
        shop.anyone.get("/v1/products/by-sku/T-1").header("if-none-match", &given).await.expect(304);
    }
    for given in ["\"other\"", "\"\"", "nonsense"] {
        shop.anyone.get(&product.path).header("if-none-match", given).await.expect(200);
    }
    shop.ada.patch(&product.path, &json!({"name": "Another"})).await.expect(200);
    let reply = shop.anyone.get(&product.path).header("if-none-match", &product.etag).await.expect(200);
    assert_ne!(reply.header("etag"), product.etag);
}

#[tokio::test]
async fn head_returns_the_headers_of_get() {
    let shop = Shop::api().await;
    let product = create(&shop.ada, &samples::product("T-1")).await;
    let get = shop.anyone.get(&product.path).await.expect(200);
    let head = shop.anyone.head(&product.path).await.expect(200);
    assert!(head.body.is_empty());
    for header in ["etag", "cache-control", "content-type", "content-length"] {
        assert_eq!(head.header(header), get.header(header), "{header}");
    }
    shop.anyone.head(&product.path).header("if-none-match", &product.etag).await.expect(304);
    shop.anyone.head("/v1/products/019aa3f0-0000-7000-8000-000000000000").await.expect(404);
}

#[tokio::test]
async fn a_deleted_product_is_in_no_read_and_can_be_restored() {
    let shop = Shop::api().await;
    let mut body = samples::product("T-1");
    body["quantity"] = json!(3);
    let product = create(&shop.ada, &body).await;
    shop.anyone.get(&product.path).await.expect(200);
    shop.ada.delete(&product.path).await.expect(204);

    for path in [product.path.clone(), product.at("stock"), "/v1/products/by-sku/T-1".to_owned()] {
        shop.anyone.get(&path).await.problem(404, "not-found");
    }
    shop.anyone.get(&product.path).header("if-none-match", &product.etag).await.problem(404, "not-found");
    shop.ada.get(&product.path).await.problem(404, "not-found");
    shop.ada.patch(&product.path, &json!({"name": "Ghost"})).await.problem(404, "not-found");
    shop.ada.delete(&product.path).await.problem(404, "not-found");
    let list = shop.anyone.get("/v1/products?in_stock=any").await.expect(200).json();
    assert_eq!(list["items"], json!([]));

    let restored = shop.ada.post_empty(&product.at("restore")).await.expect(200);
    assert_ne!(restored.header("etag"), product.etag, "the version has changed");
    let restored = restored.json();
    for field in ["id", "sku", "name", "price", "categories", "attributes", "created_at"] {
        assert_eq!(restored[field], product.body[field], "{field}");
    }
    assert_eq!(shop.anyone.get(&product.path).await.expect(200).json(), restored);
    assert_eq!(shop.anyone.get(&product.at("stock")).await.expect(200).json()["quantity"], 3);
}

#[tokio::test]
async fn restoring_a_product_that_is_not_deleted_changes_nothing() {
    let shop = Shop::api().await;
    let product = create(&shop.ada, &samples::product("T-1")).await;
    let same = shop.ada.post_empty(&product.at("restore")).await.expect(200);
    assert_eq!(same.json(), product.body);
    assert_eq!(same.header("etag"), product.etag);
}

#[tokio::test]
async fn a_product_cannot_be_restored_while_its_sku_is_taken() {
    let shop = Shop::api().await;
    let first = create(&shop.ada, &samples::product("T-1")).await;
    shop.ada.delete(&first.path).await.expect(204);
    let second = create(&shop.ada, &samples::plain("T-1")).await;
    assert_ne!(second.id, first.id);
    shop.ada.post_empty(&first.at("restore")).await.problem(409, "sku-taken");
    shop.anyone.get(&first.path).await.problem(404, "not-found");
    assert_eq!(shop.anyone.get("/v1/products/by-sku/T-1").await.expect(200).json()["id"], second.id.as_str());
    // It can be restored once the sku is free again.
    shop.ada.patch(&second.path, &json!({"sku": "T-2"})).await.expect(200);
    shop.ada.post_empty(&first.at("restore")).await.expect(200);
}

#[tokio::test]
async fn a_purged_product_cannot_be_restored() {
    let shop = Shop::api().await;
    let living = create(&shop.ada, &samples::product("T-1")).await;
    shop.ada.delete(&format!("{}?purge=true", living.path)).await.expect(204);
    shop.anyone.get(&living.path).await.problem(404, "not-found");
    shop.ada.post_empty(&living.at("restore")).await.problem(404, "not-found");

    let deleted = create(&shop.ada, &samples::product("T-2")).await;
    shop.ada.delete(&deleted.path).await.expect(204);
    shop.ada.delete(&format!("{}?purge=true", deleted.path)).await.expect(204);
    shop.ada.post_empty(&deleted.at("restore")).await.problem(404, "not-found");

    let kept = create(&shop.ada, &samples::product("T-3")).await;
    shop.ada.delete(&format!("{}?purge=maybe", kept.path)).await.problem(400, "invalid-parameters");
    shop.ada.delete(&format!("{}?purge=false", kept.path)).await.expect(204);
    shop.ada.post_empty(&kept.at("restore")).await.expect(200);
}

#[tokio::test]
async fn deleted_products_are_purged_after_the_retention() {
    let shop = Shop::builder().only_api().setting("DELETED_RETENTION", "1s").start().await;
    let kept = create(&shop.ada, &samples::product("kept")).await;
    let deleted = stocked(&shop.ada, "gone", 10).await;
    shop.ada.delete(&deleted.path).await.expect(204);
    eventually("its row is purged", async || {
        let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM products.products").fetch_one(&shop.database).await.unwrap();
        check(rows == 1, || rows)
    })
    .await;
    shop.ada.post_empty(&deleted.at("restore")).await.problem(404, "not-found");
    shop.anyone.get(&kept.path).await.expect(200);
    let ledger = shop.ada.get(&deleted.at("stock-movements")).await.expect(200).json();
    let last = &ledger["items"][0];
    assert_eq!((&last["kind"], &last["delta"], &last["actor_id"]), (&json!("purge"), &json!(-10), &Value::Null), "the purge has no actor");
}

#[tokio::test]
async fn a_delete_honours_if_match() {
    let shop = Shop::api().await;
    let product = create(&shop.ada, &samples::product("T-1")).await;
    let current = shop.grace.patch(&product.path, &json!({"name": "Changed meanwhile"})).await.expect(200);
    shop.ada.delete(&product.path).header("if-match", &product.etag).await.problem(412, "precondition-failed");
    shop.anyone.get(&product.path).await.expect(200);
    shop.ada.delete(&product.path).header("if-match", current.header("etag")).await.expect(204);
}

#[tokio::test]
async fn only_admins_change_products() {
    let shop = Shop::api().await;
    let product = create(&shop.ada, &samples::product("T-1")).await;
    shop.anyone.post("/v1/products", &samples::plain("T-2")).await.problem(401, "token-missing");
    shop.anyone.patch(&product.path, &json!({"name": "Mine"})).await.problem(401, "token-missing");
    shop.anyone.delete(&product.path).await.problem(401, "token-missing");
    shop.anyone.delete(&format!("{}?purge=true", product.path)).await.problem(401, "token-missing");
    shop.anyone.post_empty(&product.at("restore")).await.problem(401, "token-missing");
    shop.anyone.post("/v1/products/bulk", &json!({"items": [samples::plain("T-3")]})).await.problem(401, "token-missing");
    shop.anyone.get(&product.at("views")).await.problem(401, "token-missing");
    let list = shop.anyone.get("/v1/products").await.expect(200).json();
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    assert_eq!(shop.anyone.get(&product.path).await.expect(200).json(), product.body);
}

#[tokio::test]
async fn unknown_products_are_not_found() {
    let shop = Shop::api().await;
    for id in ["019aa3f0-0000-7000-8000-000000000000", "42", "%20", "null", "019AA3F0", "%C3%A4"] {
        let path = format!("/v1/products/{id}");
        shop.anyone.get(&path).await.problem(404, "not-found");
        shop.anyone.get(&format!("{path}/stock")).await.problem(404, "not-found");
        shop.ada.get(&format!("{path}/views")).await.problem(404, "not-found");
        shop.ada.patch(&path, &json!({"name": "x"})).await.problem(404, "not-found");
        shop.ada.delete(&path).await.problem(404, "not-found");
        shop.ada.post_empty(&format!("{path}/restore")).await.problem(404, "not-found");
    }
    shop.anyone.get("/v1/products/by-sku/nothing").await.problem(404, "not-found");
    let long = "x".repeat(5000);
    shop.anyone.get(&format!("/v1/products/by-sku/{long}")).await.problem(404, "not-found");
}
