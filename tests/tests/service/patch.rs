//! Merge patches (RFC 7396), versions and `If-Match`.

use catalog_tests::{
    Api, Shop,
    samples::{self, Created, create},
};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use serde_json::{Map, Value, json};

#[tokio::test]
async fn a_patch_changes_only_the_fields_in_it() {
    let shop = Shop::api().await;
    let product = create(&shop.ada, &samples::product("T-1")).await;
    let patch = json!({"name": "New name", "price": {"amount": "5"}, "attributes": {"colour": "white", "width": "60"}});
    let reply = shop.grace.patch(&product.path, &patch).await.expect(200);
    let mut expected = product.body.clone();
    expected["name"] = json!("New name");
    expected["price"]["amount"] = json!("5.00");
    expected["attributes"] = json!({"colour": "white", "height": "105", "width": "60"});
    expected["version"] = json!(2);
    let shown = reply.json();
    assert!(shown["updated_at"].as_str() > product.body["updated_at"].as_str());
    expected["updated_at"] = shown["updated_at"].clone();
    assert_eq!(shown, expected);
    assert_ne!(reply.header("etag"), product.etag);
    let read = shop.anyone.get(&product.path).await.expect(200);
    assert_eq!((read.json(), read.header("etag")), (expected, reply.header("etag")));
}

#[tokio::test]
async fn both_media_types_of_a_patch_are_accepted() {
    let shop = Shop::api().await;
    let product = create(&shop.ada, &samples::plain("T-1")).await;
    for content_type in ["application/merge-patch+json", "application/json", "application/json; charset=utf-8", "Application/JSON"] {
        let patch = json!({"name": content_type}).to_string();
        let call = shop.ada.request(reqwest::Method::PATCH, &product.path).body(content_type, patch);
        assert_eq!(call.await.expect(200).json()["name"], content_type);
    }
}

#[tokio::test]
async fn null_removes_optional_fields_only() {
    let shop = Shop::api().await;
    let product = create(&shop.ada, &samples::product("T-1")).await;
    let patch =
        json!({"brand": null, "url": null, "released_on": null, "description": null, "attributes": {"colour": null, "unknown": null}});
    let shown = shop.ada.patch(&product.path, &patch).await.expect(200).json();
    for field in ["brand", "url", "released_on", "description"] {
        assert!(shown.get(field).is_none_or(Value::is_null), "{field}: {shown}");
    }
    assert_eq!(shown["attributes"], json!({"height": "105"}));
    for field in ["name", "sku", "price"] {
        shop.ada.patch(&product.path, &json!({ field: null })).await.problem(422, "invalid");
    }
    assert_eq!(shop.anyone.get(&product.path).await.expect(200).json(), shown);
}

#[tokio::test]
async fn a_patch_that_changes_nothing_makes_no_version() {
    let shop = Shop::api().await;
    let product = create(&shop.ada, &samples::product("T-1")).await;
    let whole: Map<String, Value> = samples::product("T-1").as_object().unwrap().clone();
    let nothing = [
        json!({}),
        Value::Object(whole),
        json!({"price": {"amount": "995.500"}}),
        json!({"attributes": {}}),
        json!({"attributes": {"unknown": null}}),
        json!({"name": product.body["name"]}),
    ];
    for patch in nothing {
        let reply = shop.ada.patch(&product.path, &patch).await.expect(200);
        assert_eq!((reply.json(), reply.header("etag")), (product.body.clone(), product.etag.as_str()), "{patch}");
    }
}

#[tokio::test]
async fn a_patch_honours_if_match() {
    let shop = Shop::api().await;
    let product = create(&shop.ada, &samples::product("T-1")).await;
    let second = shop.ada.patch(&product.path, &json!({"name": "Second"})).header("if-match", &product.etag).await.expect(200);
    let stale = [product.etag.clone(), "\"other\"".into(), format!("W/{}", second.header("etag")), "nonsense".into()];
    for given in stale {
        let reply = shop.grace.patch(&product.path, &json!({"name": "Lost update"})).header("if-match", &given).await;
        reply.problem(412, "precondition-failed");
    }
    let listed = format!("\"other\", {}", second.header("etag"));
    shop.ada.patch(&product.path, &json!({"name": "Third"})).header("if-match", listed).await.expect(200);
    shop.ada.patch(&product.path, &json!({"name": "Fourth"})).header("if-match", "*").await.expect(200);
    assert_eq!(shop.anyone.get(&product.path).await.expect(200).json()["version"], 4);
}

#[tokio::test]
async fn of_concurrent_patches_with_if_match_one_succeeds() {
    let shop = Shop::api().await;
    let product = create(&shop.ada, &samples::product("T-1")).await;
    let attempt = async |number: usize| {
        let patch = json!({"name": format!("Attempt {number}")});
        shop.ada.patch(&product.path, &patch).header("if-match", &product.etag).await
    };
    let replies = futures::future::join_all((0..8).map(attempt)).await;
    let won: Vec<_> = replies.iter().filter(|reply| reply.status == 200).collect();
    assert_eq!(won.len(), 1);
    for lost in replies.iter().filter(|reply| reply.status != 200) {
        lost.problem(412, "precondition-failed");
    }
    assert_eq!(shop.anyone.get(&product.path).await.expect(200).json(), won[0].json());
}

#[tokio::test]
async fn concurrent_patches_without_if_match_are_all_applied() {
    let shop = Shop::api().await;
    let product = create(&shop.ada, &samples::product("T-1")).await;
    let attempt = async |number: usize| {
        let patch = json!({"attributes": {format!("field{number}"): "set"}});
        shop.ada.patch(&product.path, &patch).await.expect(200)
    };
    futures::future::join_all((0..10).map(attempt)).await;
    let shown = shop.anyone.get(&product.path).await.expect(200).json();
    assert_eq!(shown["version"], 11);
    assert_eq!(shown["attributes"].as_object().unwrap().len(), 12, "{shown}");
}

#[tokio::test]
async fn a_product_can_move_to_a_free_sku_but_not_to_a_taken_one() {
    let shop = Shop::api().await;
    let first = create(&shop.ada, &samples::product("T-1")).await;
    create(&shop.ada, &samples::plain("T-2")).await;
    let reply = shop.ada.patch(&first.path, &json!({"sku": "T-2"})).await;
    reply.problem(409, "sku-taken");
    shop.ada.patch(&first.path, &json!({"sku": "T-3"})).await.expect(200);
    shop.anyone.get("/v1/products/by-sku/T-1").await.problem(404, "not-found");
    assert_eq!(shop.anyone.get("/v1/products/by-sku/T-3").await.expect(200).json()["id"], first.id.as_str());
}

#[tokio::test]
async fn read_only_fields_cannot_be_patched() {
    let shop = Shop::api().await;
    let product = create(&shop.ada, &samples::product("T-1")).await;
    for field in ["id", "version", "in_stock", "created_at", "updated_at", "views", "deleted_at", "nonsense"] {
        let reply = shop.ada.patch(&product.path, &json!({"name": "Half", field: 7})).await;
        reply.problem(422, "invalid");
    }
    for body in ["[]", "null", "7", "\"text\""] {
        let reply = shop.ada.request(reqwest::Method::PATCH, &product.path).body("application/json", body).await;
        assert!(matches!(reply.status, 400 | 422), "{body}: {}", reply.text());
    }
    assert_eq!(shop.anyone.get(&product.path).await.expect(200).json(), product.body);
}

/// The algorithm of RFC 7396, section 2.
fn merge(target: &Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else { return patch.clone() };
    let mut result = target.as_object().cloned().unwrap_or_default();
    for (name, value) in patch {
        if value.is_null() {
            result.remove(name);
        } else {
            result.insert(name.clone(), merge(result.get(name).unwrap_or(&Value::Null), value));
        }
    }
    Value::Object(result)
}

/// Patches that keep a valid product valid.
fn patches() -> impl Strategy<Value = Value> {
    fn optional<S: Strategy<Value = Value> + 'static>(value: S) -> impl Strategy<Value = Value> {
        prop_oneof![1 => Just(Value::Null), 3 => value]
    }
    let text = |pattern: &'static str| proptest::string::string_regex(pattern).unwrap().prop_map(Value::from);
    let attribute = optional(text("[a-zé🛋 ]{0,8}"));
    let fields = vec![
        ("name", text("[A-Za-zÅ][A-Za-z0-9 äöü]{0,20}").boxed()),
        ("brand", optional(text("[A-Z][a-z]{0,10}")).boxed()),
        ("description", optional(text("[a-z\n ]{1,40}")).boxed()),
        ("categories", prop::collection::btree_set("[a-z]{1,6}", 0..4).prop_map(|set| json!(set)).boxed()),
        ("price", (0_u32..1_000_000).prop_map(|cents| json!({"amount": format!("{}.{:02}", cents / 100, cents % 100)})).boxed()),
        ("url", optional(text("https://[a-z]{1,8}\\.test/[a-z0-9]{0,8}")).boxed()),
        (
            "released_on",
            optional((1990..2030_u32, 1..=12_u32, 1..=28_u32).prop_map(|(y, m, d)| json!(format!("{y}-{m:02}-{d:02}")))).boxed(),
        ),
        ("attributes", prop::collection::btree_map("[a-c]", attribute, 0..4).prop_map(|map| json!(map)).boxed()),
    ];
    let fields: Vec<_> = fields.into_iter().map(|(name, value)| prop::option::weighted(0.4, value).prop_map(move |v| (name, v))).collect();
    fields.prop_map(|fields| fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect::<Map<_, _>>().into())
}

async fn follows_the_model(admin: &Api, product: &Created, patch: &Value, model: &mut Value) {
    let expected = merge(model, patch);
    let before = admin.get(&product.path).await.expect(200).json();
    let shown = admin.patch(&product.path, patch).await.expect(200).json();
    let comparable = |document: &Value| {
        let keep = ["sku", "name", "brand", "description", "categories", "price", "url", "released_on", "attributes"];
        let fields = document.as_object().unwrap().iter().filter(|(name, value)| keep.contains(&name.as_str()) && !value.is_null());
        Value::Object(fields.map(|(name, value)| (name.clone(), value.clone())).collect())
    };
    assert_eq!(comparable(&shown), comparable(&expected), "after {patch}");
    let step = i64::from(comparable(&before) != comparable(&shown));
    assert_eq!(shown["version"].as_i64().unwrap(), before["version"].as_i64().unwrap() + step, "after {patch}");
    *model = expected;
}

#[tokio::test]
async fn a_series_of_patches_has_the_result_of_the_rfc_algorithm() {
    let shop = Shop::api().await;
    let mut runner = TestRunner::default();
    for number in 0..4 {
        let mut model = samples::product(&format!("M-{number}"));
        let product = create(&shop.ada, &model).await;
        for _ in 0..15 {
            let patch = patches().new_tree(&mut runner).unwrap().current();
            follows_the_model(&shop.ada, &product, &patch, &mut model).await;
        }
    }
}
