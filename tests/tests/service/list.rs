//! Lists: their items, default filters and rejected parameters.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use catalog_tests::{
    Shop,
    samples::{self, create, create_many},
};
use serde_json::{Value, json};

#[tokio::test]
async fn an_empty_catalogue_is_an_empty_page() {
    let shop = Shop::api().await;
    let reply = shop.anyone.get("/v1/products").await.expect(200);
    assert_eq!(reply.json(), json!({"items": [], "next_cursor": null}));
    assert_eq!(reply.header("link"), "");
}

#[tokio::test]
async fn a_page_has_fifty_items_by_default() {
    let shop = Shop::api().await;
    create_many(&shop.ada, "L", 210).await;
    for (query, count) in [("", 50), ("?limit=1", 1), ("?limit=200", 200), ("?limit=51", 51)] {
        let page = shop.anyone.get(&format!("/v1/products{query}")).await.expect(200).json();
        assert_eq!(page["items"].as_array().unwrap().len(), count, "{query}");
        assert!(page["next_cursor"].is_string(), "{query}");
        let fields: Vec<_> = page.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["items", "next_cursor"], "a page must not have a total, which would need a count");
    }
}

#[tokio::test]
async fn a_page_of_long_products_ends_early_and_all_pages_are_complete() {
    let shop = Shop::api().await;
    let items: Vec<_> = (0..30)
        .map(|number| {
            let mut item = samples::plain(&format!("L-{number:02}"));
            item["attributes"] =
                (0..50).map(|name| (format!("a{name}"), json!("x".repeat(2000)))).collect::<serde_json::Map<_, _>>().into();
            item
        })
        .collect();
    for items in items.chunks(5) {
        shop.ada.post("/v1/products/bulk", &json!({"items": items})).await.expect(200);
    }
    let mut path = "/v1/products?limit=200&sort=name".to_owned();
    let mut found = Vec::new();
    loop {
        let reply = shop.anyone.get(&path).await.expect(200);
        assert!(reply.text().len() < (1 << 20) + 200_000, "{} bytes", reply.text().len());
        let page = reply.json();
        let items = page["items"].as_array().unwrap();
        assert!(items.len() < 12, "{} items of 100 KB", items.len());
        found.extend(items.iter().map(|item| item["sku"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/products?limit=200&sort=name&cursor={cursor}");
    }
    let all: Vec<_> = (0..30).map(|number| format!("L-{number:02}")).collect();
    assert_eq!(found, all);
}

#[tokio::test]
async fn items_have_the_product_its_quantity_and_its_views() {
    let shop = Shop::api().await;
    let mut body = samples::product("T-1");
    body["quantity"] = json!(4);
    let product = create(&shop.ada, &body).await;
    let untracked = create(&shop.ada, &samples::plain("T-2")).await;
    let list = shop.anyone.get("/v1/products").await.expect(200).json();
    let item = &list["items"][0];
    for (field, value) in product.body.as_object().unwrap() {
        assert_eq!(&item[field], value, "{field}");
    }
    assert_eq!((&item["quantity"], &item["views"]), (&json!(4), &json!(0)));
    assert_eq!(list["items"][1]["id"], untracked.id.as_str());
    assert_eq!(list["items"][1]["quantity"], Value::Null);
}

#[tokio::test]
async fn sold_out_products_are_not_listed_by_default() {
    let shop = Shop::api().await;
    for (sku, quantity) in [("none", Some(0)), ("one", Some(1)), ("untracked", None)] {
        let mut body = samples::plain(sku);
        if let Some(quantity) = quantity {
            body["quantity"] = json!(quantity);
        }
        create(&shop.ada, &body).await;
    }
    let listed = async |query: &str| {
        let list = shop.anyone.get(&format!("/v1/products{query}")).await.expect(200).json();
        list["items"].as_array().unwrap().iter().map(|item| item["sku"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(listed("").await, ["one", "untracked"]);
    assert_eq!(listed("?in_stock=any").await, ["none", "one", "untracked"]);
}

#[tokio::test]
async fn invalid_parameters_are_rejected_by_name() {
    let shop = Shop::api().await;
    let cases = [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=-1", "limit"),
        ("limit=1.5", "limit"),
        ("limit=99999999999999999999", "limit"),
        ("limit=", "limit"),
        ("limit=ten", "limit"),
        ("sort=colour", "sort"),
        ("sort=", "sort"),
        ("sort=--name", "sort"),
        ("sort=Name", "sort"),
        ("price_min=cheap", "price_min"),
        ("price_min=-1", "price_min"),
        ("price_max=1e9", "price_max"),
        ("price_max=", "price_max"),
        ("before=yesterday", "before"),
        ("before=2024-02-30", "before"),
        ("after=2024-1-1T00:00", "after"),
        ("in_stock=perhaps", "in_stock"),
        ("cursor=", "cursor"),
        ("cursor=nonsense", "cursor"),
    ];
    for (query, parameter) in cases {
        let reply = shop.anyone.get(&format!("/v1/products?{query}")).await;
        reply.problem(400, "invalid-parameters");
        assert_eq!(reply.pointers(), [parameter], "{query}: {}", reply.text());
    }
    for query in
        ["colour=red", "limit=1&limit=2", "contains=%00", "brand=a%00b", "category=%00", "LIMIT=1", "contains=%FF%FE", "cursor=%FF"]
    {
        let reply = shop.anyone.get(&format!("/v1/products?{query}")).await;
        reply.problem(400, "invalid-parameters");
    }
    let long = "x".repeat(4000);
    for name in ["contains", "brand", "category", "cursor"] {
        let reply = shop.anyone.get(&format!("/v1/products?{name}={long}")).await;
        reply.problem(400, "invalid-parameters");
        assert_eq!(reply.pointers(), [name]);
    }
}

#[tokio::test]
async fn a_cursor_is_valid_only_for_its_own_list() {
    let shop = Shop::api().await;
    create_many(&shop.ada, "C", 5).await;
    let page = shop.anyone.get("/v1/products?sort=name&limit=2").await.expect(200).json();
    let cursor = page["next_cursor"].as_str().unwrap();
    shop.anyone.get(&format!("/v1/products?sort=name&limit=2&cursor={cursor}")).await.expect(200);
    for sort in ["-name", "price", "created_at", "views"] {
        let reply = shop.anyone.get(&format!("/v1/products?sort={sort}&cursor={cursor}")).await;
        reply.problem(400, "invalid-parameters");
        assert_eq!(reply.pointers(), ["cursor"]);
    }
    shop.anyone.get(&format!("/v1/products?cursor={cursor}")).await.problem(400, "invalid-parameters");
}

#[tokio::test]
async fn a_tampered_cursor_gives_a_page_or_a_problem() {
    let shop = Shop::api().await;
    create_many(&shop.ada, "C", 5).await;
    for sort in ["name", "price", "created_at", "-views"] {
        let page = shop.anyone.get(&format!("/v1/products?sort={sort}&limit=2")).await.expect(200).json();
        let cursor = page["next_cursor"].as_str().unwrap().to_owned();
        let mut tampered: Vec<String> = (0..cursor.len()).map(|cut| cursor[..cut].to_owned()).collect();
        for at in 0..cursor.len() {
            let mut bytes = cursor.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'x' } else { b'A' };
            tampered.push(String::from_utf8(bytes).unwrap());
        }
        tampered.push(format!("{cursor}AAAA"));
        tampered.push(format!("{cursor}="));
        // If the cursor is readable, changes its fields.
        let readable = BASE64_URL_SAFE_NO_PAD.decode(&cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        for (from, to) in
            [("C-0000", "\\u0000"), ("Stool", "\\u0000"), ("10", "1e999"), ("10", "-99999999999999999999999"), ("202", "999999")]
        {
            if let Some(changed) = readable.as_ref().map(|text| text.replacen(from, to, 1)) {
                tampered.push(BASE64_URL_SAFE_NO_PAD.encode(changed));
            }
        }
        for cursor in tampered {
            let reply = shop.anyone.get(&format!("/v1/products?sort={sort}&cursor={cursor}")).await;
            assert!(matches!(reply.status, 200 | 400), "{cursor}: {} {}", reply.status, reply.text());
        }
    }
}
