//! The OpenAPI document: it is the committed one, complete, and as strict as the code.

use std::path::PathBuf;

use catalog_tests::{Shop, buying::stocked, openapi::OpenApi, shared::Shared};
use reqwest::Method;
use serde_json::Value;

#[tokio::test]
async fn the_openapi_document_is_the_committed_one_and_is_served() {
    let shop = Shop::api().await;
    let committed = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../api/openapi.json");
    let committed: Value = serde_json::from_slice(&std::fs::read(&committed).expect("api/openapi.json is committed")).unwrap();
    let contract = Shared::get().contract.document();
    assert!(committed == *contract, "api/openapi.json is stale: run `make generate` and read the difference");
    let served = shop.anyone.get("/openapi.json").await.expect(200).json();
    assert_eq!(served["paths"], contract["paths"]);
    assert!(contract["openapi"].as_str().unwrap().starts_with("3."));
    let docs = shop.anyone.get("/docs/").await.expect(200).text();
    assert!(docs.contains("swagger"), "{docs}");
}

#[tokio::test]
async fn every_documented_operation_is_described_and_names_its_errors() {
    let contract = &Shared::get().contract;
    for (path, operations) in contract.document()["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap().iter().filter(|(name, _)| *name != "parameters") {
            let at = format!("{method} {path}");
            assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{at} has no summary");
            assert!(operation["tags"][0].is_string(), "{at} has no tag");
            assert!(operation["operationId"].is_string(), "{at} has no operation id");
            let responses = operation["responses"].as_object().unwrap();
            for status in responses.keys().filter(|status| status.as_str() >= "400") {
                let response = contract.response(operation, status);
                assert!(response["content"]["application/problem+json"].is_object(), "{at} {status} is no problem document");
            }
            let secured = operation["security"].as_array().is_some_and(|all| all.iter().any(|one| one["bearer"].is_array()));
            assert!(!secured || responses.contains_key("401"), "{at} requires a token, but doesn't document 401");
            if !operation["requestBody"].is_null() {
                let of_bodies = ["413", "415"];
                assert!(
                    of_bodies.iter().all(|status| responses.contains_key(*status)),
                    "{at} takes a body and never says one of {of_bodies:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn every_string_of_a_request_has_documented_constraints() {
    let contract = Shared::get().contract.document().clone();
    let is_bounded = |schema: &Value| {
        let text = schema["type"].to_string().contains("string");
        !text || ["enum", "format", "maxLength", "pattern"].iter().any(|keyword| !schema[keyword].is_null())
    };
    // Lookups accept any sku, and conditions any entity tag.
    let free = |parameter: &&Value| parameter["name"] == "sku" || parameter["name"] == "If-None-Match";
    for (path, operations) in contract["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            for parameter in operation["parameters"].as_array().into_iter().flatten().filter(|parameter| !free(parameter)) {
                assert!(is_bounded(&parameter["schema"]), "{method} {path}: {parameter}");
                assert!(
                    !parameter["schema"]["type"].to_string().contains("null"),
                    "nothing sends null there: {method} {path}: {parameter}"
                );
            }
        }
    }
    let of_accounts = ["AdminInput", "AdminPatch", "CustomerInput", "CustomerPatch", "Credentials", "RefreshToken"];
    let of_products = ["ProductInput", "ImportRow", "Money", "ImportPrice"];
    let of_orders = ["OrderLineInput", "CartItemInput", "OrderCancellation", "OrderPatch"];
    for name in [&of_accounts[..], &of_products, &of_orders].concat() {
        for (field, schema) in contract["components"]["schemas"][name]["properties"].as_object().unwrap() {
            assert!(is_bounded(schema), "{name}.{field}: {schema}");
        }
    }
    for name in ["OrderInput", "StockAdjustment"] {
        for alternative in contract["components"]["schemas"][name]["oneOf"].as_array().unwrap() {
            for (field, schema) in alternative["properties"].as_object().unwrap() {
                assert!(is_bounded(schema), "{name}.{field}: {schema}");
            }
        }
    }
}

/// Every operation with its method and path.
fn operations(contract: &OpenApi) -> impl Iterator<Item = (&String, &String, &Value)> {
    let paths = contract.document()["paths"].as_object().unwrap().iter();
    paths.flat_map(|(path, operations)| operations.as_object().unwrap().iter().map(move |(method, operation)| (method, path, operation)))
}

#[tokio::test]
async fn every_example_matches_its_schema() {
    let contract = &Shared::get().contract;
    for (method, path, operation) in operations(contract) {
        let responses = operation["responses"].as_object().unwrap().keys().map(|status| contract.response(operation, status));
        for body in std::iter::once(&operation["requestBody"]).chain(responses) {
            for (media_type, body) in body["content"].as_object().into_iter().flatten().filter(|(name, _)| !name.ends_with("ndjson")) {
                let errors = contract.validation_errors(&body["schema"], &body["example"]);
                assert!(errors.is_empty(), "{method} {path} {media_type}: {errors:#?}\n{}", body["example"]);
            }
        }
    }
}

#[tokio::test]
async fn the_example_of_every_request_is_accepted_as_it_is() {
    let shop = Shop::api().await;
    let contract = &Shared::get().contract;
    let product = stocked(&shop.ada, "EXAMPLE", 5).await;
    for (method, path, operation) in operations(contract) {
        for (media_type, body) in operation["requestBody"]["content"].as_object().into_iter().flatten() {
            let example = body["example"].as_str().map_or_else(|| body["example"].to_string(), ToOwned::to_owned);
            let is_for_customers = operation["security"].to_string().contains("customer");
            let client = if is_for_customers { &shop.dave } else { &shop.ada };
            // Of a product, or of nothing: then the body is read and accepted before the 404.
            let path = path.replace("{id}", &product.id).replace("{product_id}", &product.id);
            let call = client.request(Method::from_bytes(method.to_uppercase().as_bytes()).unwrap(), &path);
            let reply = call.header("idempotency-key", "example").body(media_type, example).await;
            let is_unknown_product = reply.status == 422 && reply.json()["type"].as_str().unwrap().ends_with("/unknown-product");
            let is_accepted = reply.status < 300 || [401, 404, 409].contains(&reply.status) || is_unknown_product;
            assert!(is_accepted, "{method} {path} {media_type}: {} {}", reply.status, reply.text());
        }
    }
}
