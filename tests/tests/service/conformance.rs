//! Conformance to RFCs.

use catalog_tests::{
    Shop,
    buying::{available, cart, last_segment, order, place, put, stocked},
    samples::{self, create},
};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn a_comma_inside_an_entity_tag_does_not_separate_tags() {
    // RFC 9110, sections 8.8.3 and 13.1.
    let shop = Shop::api().await;
    let product = create(&shop.ada, &samples::product("T-1")).await;
    let change = json!({"name": "Changed"});
    for stale in ["\"stale,*,x\"", "*, \"a\"", "\"a\", *", ""] {
        shop.ada.patch(&product.path, &change).header("if-match", stale).await.problem(412, "precondition-failed");
    }
    shop.anyone.get(&product.path).header("if-none-match", "\"a,*,b\"").await.expect(200);
    let listed = format!("\"a,b\", {}", product.etag);
    shop.anyone.get(&product.path).header("if-none-match", &listed).await.expect(304);
    shop.ada.patch(&product.path, &change).header("if-match", &listed).await.expect(200);
}

#[tokio::test]
async fn if_none_match_prevents_changes_and_deletion() {
    // RFC 9110, section 13.1.2.
    let shop = Shop::api().await;
    let product = create(&shop.ada, &samples::product("T-1")).await;
    for tags in ["*", product.etag.as_str()] {
        shop.ada.patch(&product.path, &json!({"name": "Changed"})).header("if-none-match", tags).await.problem(412, "precondition-failed");
        shop.ada.delete(&product.path).header("if-none-match", tags).await.problem(412, "precondition-failed");
    }
    shop.ada.delete(&product.path).header("if-none-match", "\"another\"").await.expect(204);
}

#[tokio::test]
async fn whole_numbers_may_have_a_fraction_of_zeros_or_an_exponent() {
    // JSON Schema 2020-12, validation, section 6.1.1.
    let shop = Shop::api().await;
    let product = stocked(&shop.ada, "T-1", 10).await;
    let send = |method: Method, path: &str, body: String| shop.carol.request(method, path).body("application/json", body);
    let cart = cart(&shop.carol).await;
    let filled = send(Method::PUT, &format!("{cart}/items/{}", product.id), r#"{"quantity": 2.0}"#.into()).await.expect(200).json();
    assert_eq!(filled["items"][0]["quantity"], 2);
    let body = format!(r#"{{"items": [{{"product_id": "{}", "quantity": 3e0}}]}}"#, product.id);
    let placed = send(Method::POST, "/v1/orders", body).header("idempotency-key", "one").await.expect(201).json();
    assert_eq!(placed["items"][0]["quantity"], 3);
    let adjust = |body: &'static str| shop.ada.request(Method::POST, &product.at("stock-adjustments")).body("application/json", body);
    adjust(r#"{"delta": 5.0, "reason": "found"}"#).await.expect(200);
    assert_eq!(available(&shop.anyone, &product).await, 10);
    adjust(r#"{"delta": -0, "reason": "nothing"}"#).await.problem(422, "invalid");
    let rows = "{\"sku\": \"T-1\", \"name\": \"Stool\", \"price\": {\"amount\": \"1\"}, \"quantity\": 7.0}\n";
    let import = shop.ada.request(Method::POST, "/v1/products/bulk").body("application/x-ndjson", rows).await.expect(200).json();
    assert_eq!((&import["updated"], available(&shop.anyone, &product).await), (&json!(1), 7));
    put(&shop.carol, &cart, &product, 1).await.expect(200);
    let half = send(Method::PUT, &format!("{cart}/items/{}", product.id), r#"{"quantity": 1.5}"#.into()).await.problem(422, "invalid");
    assert_eq!(half["errors"][0]["detail"], "quantity must be a whole number from 1 to 1000000, not 1.5");
}

#[tokio::test]
async fn a_pointer_is_written_as_a_uri_fragment() {
    // RFC 6901, section 6.
    let shop = Shop::api().await;
    let mut body = samples::plain("T-1");
    body["attributes"] = json!({"50% wool/ä": 1});
    let problem = shop.ada.post("/v1/products", &body).await.problem(422, "invalid");
    assert_eq!(problem["errors"][0]["pointer"], "#/attributes/50%25%20wool~1%C3%A4");
}

#[tokio::test]
async fn a_compressed_body_is_rejected_with_accept_encoding() {
    // RFC 9110, section 15.5.16.
    let shop = Shop::api().await;
    let send = |path: &str, encoding: &str| shop.ada.post(path, &samples::plain("T-1")).header("content-encoding", encoding);
    for path in ["/v1/products", "/v1/products/bulk", "/v1/auth/login"] {
        let rejected = send(path, "gzip").await;
        rejected.problem(415, "unsupported-media-type");
        assert_eq!(rejected.header("accept-encoding"), "identity");
    }
    send("/v1/products", "identity").await.expect(201);
}

#[tokio::test]
async fn an_id_must_be_a_uuid_with_hyphens() {
    // RFC 9562, section 4.
    let shop = Shop::api().await;
    let product = stocked(&shop.ada, "T-1", 10).await;
    let bare = product.id.replace('-', "");
    for id in [format!("%7B{}%7D", product.id), format!("urn:uuid:{}", product.id), bare.clone()] {
        shop.anyone.get(&format!("/v1/products/{id}")).await.problem(404, "not-found");
    }
    shop.ada.get(&format!("/v1/orders?customer_id={bare}")).await.problem(400, "invalid-parameters");
    let problem = place(&shop.carol, &json!({"items": [{"product_id": bare, "quantity": 1}]})).await.problem(422, "invalid");
    assert_eq!(problem["errors"][0]["pointer"], "#/items/0/product_id");
    let cart = cart(&shop.carol).await;
    put(&shop.carol, &cart, &product, 1).await.expect(200);
    let braced = format!("{{{}}}", last_segment(&cart));
    place(&shop.carol, &json!({"cart_id": braced})).await.problem(422, "invalid");
    shop.anyone.get(&format!("/v1/products/{}", product.id.to_uppercase())).await.expect(200);
}

#[tokio::test]
async fn reports_negotiate_their_media_type_with_vary() {
    // RFC 9110, sections 12.5.1, 12.5.5 and 8.3.1.
    let shop = Shop::api().await;
    for path in ["/v1/reports/top-products", "/v1/reports/views"] {
        for (accept, given) in [("Text/CSV", "text/csv"), ("text/*", "text/csv"), ("text/csv;Q=0.1, */*", "application/json")] {
            let reply = shop.ada.get(path).header("accept", accept).await.expect(200);
            assert!(reply.header("content-type").starts_with(given), "{path} {accept}: {:?}", reply.headers);
            assert_eq!(reply.header("vary"), "accept");
        }
    }
}

#[tokio::test]
async fn broken_json_after_an_unknown_field_is_malformed() {
    let shop = Shop::api().await;
    for body in ["[1", "{\"x\":", "{\"x\": 1} {}", "{\"x\": 1,}"] {
        shop.anyone.request(Method::POST, "/v1/auth/login").body("application/json", body).await.problem(400, "malformed");
    }
}

#[tokio::test]
async fn duplicate_parameters_and_headers_are_rejected() {
    let shop = Shop::api().await;
    let problem = shop.anyone.get("/v1/products?limit=1&q=x&limit=2").await.problem(400, "invalid-parameters");
    assert_eq!(problem["errors"], json!([{"parameter": "limit", "detail": "limit is a duplicate parameter; send it once"}]));
    let product = stocked(&shop.ada, "T-1", 10).await;
    let keys = order(&shop.carol, &[(&product, 1)]).header_again("idempotency-key", "another").await;
    assert_eq!(keys.problem(400, "invalid-parameters")["errors"][0]["parameter"], "Idempotency-Key");
    assert_eq!(shop.carol.get("/v1/orders").await.expect(200).json()["items"], Value::Array(Vec::new()));
}
