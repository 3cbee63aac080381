//! Every way to damage a valid body, by the schemas of the OpenAPI document: the response is 422 with the pointer of every
//! damage and no other.

use std::collections::BTreeSet;

use catalog_tests::{
    Api, Shop,
    buying::{cart, last_segment, put, stocked},
    samples,
    shared::Shared,
};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

/// An operation with a valid body. Sending it would succeed.
struct Example {
    api: Api,
    method: Method,
    template: &'static str,
    path: String,
    body: Value,
}

/// One change that makes a body invalid.
#[derive(Debug, Clone)]
enum Damage {
    Missing(String),
    WrongType(String, Value),
    Unknown(String),
}

impl Damage {
    fn pointer(&self) -> &str {
        match self {
            Self::Missing(pointer) | Self::WrongType(pointer, _) | Self::Unknown(pointer) => pointer,
        }
    }

    fn apply(&self, body: &mut Value) {
        let (parent, name) = self.pointer().rsplit_once('/').unwrap();
        let parent = body.pointer_mut(parent).unwrap();
        match self {
            Self::Missing(_) => drop(parent.as_object_mut().unwrap().remove(name)),
            Self::WrongType(pointer, value) => *body.pointer_mut(pointer).unwrap() = value.clone(),
            Self::Unknown(_) => parent[name] = json!("x"),
        }
    }

    fn is_beside(&self, other: &Self) -> bool {
        let within = |a: &str, b: &str| format!("{a}/").starts_with(&format!("{b}/"));
        !within(self.pointer(), other.pointer()) && !within(other.pointer(), self.pointer())
    }
}

/// The schema without references and without its choice of null, and the types that it allows.
fn resolved(document: &Value, schema: &Value) -> (Value, Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        return resolved(document, document.pointer(reference.trim_start_matches('#')).unwrap());
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        if choices.iter().all(|choice| choice["type"] == "object") {
            return (merged(choices), vec!["object".into()]);
        }
        let (found, mut types) = resolved(document, choices.iter().find(|choice| choice["type"] != "null").unwrap());
        types.push("null".into());
        return (found, types);
    }
    let types = match &schema["type"] {
        Value::Array(types) => types.iter().map(|name| name.as_str().unwrap().to_owned()).collect(),
        one => vec![one.as_str().unwrap_or_default().to_owned()],
    };
    (schema.clone(), types)
}

/// Alternatives that differ in their required field, as one object with all of them. Which of them a body has is a rule about the
/// whole body, so that none is required and all can be null.
fn merged(choices: &[Value]) -> Value {
    let requires = |choice: &Value, name: &Value| choice["required"].as_array().unwrap().contains(name);
    let mut all = choices[0].clone();
    for choice in choices {
        for name in choice["required"].as_array().unwrap().iter().filter(|name| !choices.iter().all(|other| requires(other, name))) {
            let name = name.as_str().unwrap();
            let field = &choice["properties"][name];
            all["properties"][name] = json!({"oneOf": [field, {"type": "null"}]});
        }
    }
    all["required"].as_array_mut().unwrap().retain(|name| choices.iter().all(|choice| requires(choice, name)));
    all
}

fn damages(document: &Value, schema: &Value, value: &Value, at: &str) -> Vec<Damage> {
    let (schema, types) = resolved(document, schema);
    let mut found = Vec::new();
    if !at.is_empty() {
        let others = [("object", json!({})), ("array", json!([])), ("boolean", json!(true)), ("string", json!("x")), ("null", Value::Null)];
        let wrong = others.into_iter().filter(|(name, _)| !types.iter().any(|allowed| allowed == name));
        found.extend(wrong.map(|(_, value)| Damage::WrongType(at.to_owned(), value)));
    }
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let field = schema["properties"].get(name).unwrap_or(&schema["additionalProperties"]);
                found.extend(damages(document, field, value, &format!("{at}/{name}")));
            }
            let required = schema["required"].as_array().into_iter().flatten();
            found.extend(required.map(|name| Damage::Missing(format!("{at}/{}", name.as_str().unwrap()))));
            if schema["additionalProperties"] == false {
                found.push(Damage::Unknown(format!("{at}/usrname")));
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                found.extend(damages(document, &schema["items"], item, &format!("{at}/{index}")));
            }
        }
        _ => {}
    }
    found
}

async fn examples(shop: &Shop) -> Vec<Example> {
    let product = stocked(&shop.ada, "T-1", 100).await;
    let cart = cart(&shop.carol).await;
    put(&shop.carol, &cart, &product, 1).await.expect(200);
    let account = json!({"username": "fuzz", "email": "fuzz@shop.test", "password": "a passphrase of mine", "full_name": "F. Uzz"});
    let whole = json!({
        "sku": "T-2", "name": "Stool", "brand": "Oak", "description": "A stool", "categories": ["Stools"],
        "price": {"amount": "19.90", "currency": "EUR"}, "url": "/stool", "released_on": "2024-02-29", "attributes": {"colour": "red"},
        "quantity": 5
    });
    let (post, patch) = (Method::POST, Method::PATCH);
    let unknown = Uuid::now_v7();
    let grace = format!("/v1/admins/{}", shop.people.grace.id);
    let carts_item = "/v1/carts/{id}/items/{product_id}";
    let adjustments = "/v1/products/{id}/stock-adjustments";
    let line = json!({"product_id": product.id, "quantity": 1});
    let (admin, customer, anyone) = (&shop.ada, &shop.carol, &shop.anyone);
    let all = [
        (admin, &post, "/v1/admins", "/v1/admins".to_owned(), account.clone()),
        (admin, &patch, "/v1/admins/{id}", grace, account.clone()),
        (anyone, &post, "/v1/auth/login", "/v1/auth/login".into(), json!({"username": "fuzz", "password": "a passphrase of mine"})),
        (anyone, &post, "/v1/auth/refresh", "/v1/auth/refresh".into(), json!({"refresh_token": "x"})),
        (anyone, &post, "/v1/auth/logout", "/v1/auth/logout".into(), json!({"refresh_token": "x"})),
        (customer, &post, "/v1/carts", "/v1/carts".into(), json!({})),
        (customer, &Method::PUT, carts_item, format!("{cart}/items/{}", product.id), json!({"quantity": 1})),
        (anyone, &post, "/v1/customers", "/v1/customers".into(), account.clone()),
        (customer, &patch, "/v1/customers/me", "/v1/customers/me".into(), account),
        (customer, &post, "/v1/orders", "/v1/orders".into(), json!({"items": [line, {"product_id": unknown, "quantity": 2}]})),
        (customer, &post, "/v1/orders", "/v1/orders".into(), json!({"cart_id": last_segment(&cart)})),
        (admin, &patch, "/v1/orders/{id}", format!("/v1/orders/{unknown}"), json!({"status": "confirmed", "reason": "x"})),
        (customer, &post, "/v1/orders/{id}/cancel", format!("/v1/orders/{unknown}/cancel"), json!({"reason": "x"})),
        (admin, &post, "/v1/products", "/v1/products".into(), whole.clone()),
        (admin, &patch, "/v1/products/{id}", product.path.clone(), whole),
        (admin, &post, adjustments, product.at("stock-adjustments"), json!({"delta": 1, "reason": "x"})),
        (admin, &post, adjustments, product.at("stock-adjustments"), json!({"quantity": 1, "reason": "x"})),
    ];
    all.map(|(api, method, template, path, body)| Example { api: api.clone(), method: method.clone(), template, path, body }).into()
}

async fn assert_errors(example: &Example, damages: &[&Damage]) {
    let mut body = example.body.clone();
    for damage in damages {
        damage.apply(&mut body);
    }
    let call = example.api.request(example.method.clone(), &example.path).header("idempotency-key", Uuid::now_v7().to_string());
    let reply = call.json(&body).await;
    let problem = reply.problem(422, "invalid");
    let found: BTreeSet<_> = reply.pointers().into_iter().collect();
    let expected: BTreeSet<_> = damages.iter().map(|damage| format!("#{}", damage.pointer())).collect();
    assert_eq!(found, expected, "{} {} {damages:?}: {problem}", example.method, example.path);
    for error in problem["errors"].as_array().unwrap() {
        let detail = error["detail"].as_str().unwrap();
        for of_serde in ["invalid type", "invalid value", "missing field", "unknown variant", "expected", "`"] {
            assert!(!detail.contains(of_serde), "{detail}");
        }
    }
}

#[tokio::test]
async fn every_damage_of_every_body_is_reported_at_its_pointer_and_two_are_reported_together() {
    let shop = Shop::api().await;
    let document = Shared::get().contract.document();
    let mut remaining: BTreeSet<_> = operations_with_bodies(document).collect();
    for example in examples(&shop).await {
        let operation = &document["paths"][example.template][example.method.as_str().to_lowercase()];
        remaining.remove(&(example.method.as_str().to_lowercase(), example.template.to_owned()));
        let content = &operation["requestBody"]["content"];
        let schema = &content.get("application/json").unwrap_or(&content["application/merge-patch+json"])["schema"];
        let damages = damages(document, schema, &example.body, "");
        assert!(!damages.is_empty(), "{}", example.template);
        for (index, damage) in damages.iter().enumerate() {
            assert_errors(&example, &[damage]).await;
            // Every seventh pair: neighbours and distant ones, in different combinations for each damage.
            for other in damages[index + 1..].iter().skip(index % 7).step_by(7).filter(|other| damage.is_beside(other)) {
                assert_errors(&example, &[damage, other]).await;
            }
        }
    }
    // Rows of imports have a report of their own.
    assert_eq!(Vec::from_iter(remaining), [("post".to_owned(), "/v1/products/bulk".to_owned())]);
}

fn operations_with_bodies(document: &Value) -> impl Iterator<Item = (String, String)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths.flat_map(|(path, operations)| {
        let operations = operations.as_object().unwrap().iter().filter(|(_, operation)| operation["requestBody"].is_object());
        operations.map(|(method, _)| (method.clone(), path.clone()))
    })
}

#[tokio::test]
async fn broken_rules_are_reported_with_the_errors_of_the_structure() {
    let shop = Shop::api().await;
    let errors = async |api: &Api, method: Method, path: &str, body: Value| {
        let reply = api.request(method, path).header("idempotency-key", Uuid::now_v7().to_string()).json(&body).await;
        reply.problem(422, "invalid");
        reply.pointers().into_iter().collect::<BTreeSet<_>>()
    };
    let expected = |pointers: &[&str]| pointers.iter().map(|pointer| (*pointer).to_owned()).collect::<BTreeSet<_>>();
    let account = json!({"username": "with space", "email": 7, "fullname": "x"});
    let found = errors(&shop.anyone, Method::POST, "/v1/customers", account).await;
    assert_eq!(found, expected(&["#/username", "#/email", "#/password", "#/fullname"]));
    let product = samples::create(&shop.ada, &samples::plain("T-1")).await;
    let patch = json!({"name": "", "price": {"amount": "-1"}, "brand": 7, "attributes": {"": "empty"}});
    let found = errors(&shop.ada, Method::PATCH, &product.path, patch).await;
    assert_eq!(found, expected(&["#/name", "#/price/amount", "#/brand", "#/attributes"]));
    let lines = json!({"items": [{"product_id": product.id, "quantity": 0}, {"product_id": "7", "quantity": 1}]});
    let found = errors(&shop.carol, Method::POST, "/v1/orders", lines).await;
    assert_eq!(found, expected(&["#/items/0/quantity", "#/items/1/product_id"]));
}
