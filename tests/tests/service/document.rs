//! The OpenAPI document: it is the committed one, complete, and as strict as the code.

use std::path::PathBuf;

use catalog_tests::Shop;
use serde_json::Value;

#[tokio::test]
async fn the_openapi_document_is_the_committed_one_and_is_served() {
    let shop = Shop::api().await;
    let committed = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../api/openapi.json");
    let committed: Value = serde_json::from_slice(&std::fs::read(&committed).expect("api/openapi.json is committed")).unwrap();
    let contract = catalog_tests::shared::Shared::get().contract.document();
    assert!(committed == *contract, "api/openapi.json is stale: run `make generate` and read the difference");
    let served = shop.anyone.get("/openapi.json").await.expect(200).json();
    assert_eq!(served["paths"], contract["paths"]);
    assert!(contract["openapi"].as_str().unwrap().starts_with("3."));
    let docs = shop.anyone.get("/docs/").await.expect(200).text();
    assert!(docs.contains("swagger"), "{docs}");
}

#[tokio::test]
async fn every_documented_operation_is_described_and_names_its_errors() {
    let contract = catalog_tests::shared::Shared::get().contract.document().clone();
    for (path, operations) in contract["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap().iter().filter(|(name, _)| *name != "parameters") {
            let at = format!("{method} {path}");
            assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{at} has no summary");
            assert!(operation["tags"][0].is_string(), "{at} has no tag");
            assert!(operation["operationId"].is_string(), "{at} has no operation id");
            let responses = operation["responses"].as_object().unwrap();
            for (status, response) in responses.iter().filter(|(status, _)| status.as_str() >= "400") {
                assert!(response["content"]["application/problem+json"].is_object(), "{at} {status} is no problem document");
            }
            let secured = operation["security"].as_array().is_some_and(|all| all.iter().any(|one| one["bearer"].is_array()));
            assert!(!secured || responses.contains_key("401"), "{at} asks for a token and never says 401");
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
    let contract = catalog_tests::shared::Shared::get().contract.document().clone();
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
    let of_accounts = ["NewAdmin", "AdminPatch", "NewCustomer", "CustomerPatch", "SignIn", "RefreshToken"];
    let of_products = ["ProductInput", "BulkItem", "Money", "BulkPrice", "StockAdjustment"];
    let of_orders = ["NewOrder", "NewLine", "Units", "Cancellation", "OrderPatch"];
    for name in [&of_accounts[..], &of_products, &of_orders].concat() {
        for (field, schema) in contract["components"]["schemas"][name]["properties"].as_object().unwrap() {
            assert!(is_bounded(schema), "{name}.{field}: {schema}");
        }
    }
}
