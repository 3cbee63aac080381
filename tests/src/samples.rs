//! Sample products.

use serde_json::{Value, json};

use crate::api::{Api, Reply};

/// Returns a product with every field.
pub fn product(sku: &str) -> Value {
    json!({
        "sku": sku,
        "name": format!("Bar table {sku}"),
        "brand": "Nordviken",
        "description": "Bar table, black.\nFor two.",
        "categories": ["Bar furniture", "Tables & desks"],
        "price": {"amount": "995.50", "currency": "EUR"},
        "url": "https://shop.test/p/bar-table",
        "released_on": "2024-02-29",
        "attributes": {"colour": "black", "height": "105"},
    })
}

/// Returns a product with only the required fields.
pub fn plain(sku: &str) -> Value {
    json!({"sku": sku, "name": format!("Stool {sku}"), "price": {"amount": "10.00", "currency": "EUR"}})
}

/// A created product.
#[derive(Debug, Clone)]
pub struct Created {
    /// Product id.
    pub id: String,
    /// `/v1/products/{id}`.
    pub path: String,
    /// Entity tag.
    pub etag: String,
    /// Body of the response.
    pub body: Value,
}

impl Created {
    /// Returns the path of a subresource of the product.
    pub fn at(&self, below: &str) -> String {
        format!("{}/{below}", self.path)
    }
}

impl From<Reply> for Created {
    #[track_caller]
    fn from(reply: Reply) -> Self {
        let body = reply.json();
        let id = body["id"].as_str().expect("a product has an id").to_owned();
        Self { path: format!("/v1/products/{id}"), etag: reply.header("etag").to_owned(), id, body }
    }
}

/// Creates a product.
///
/// # Panics
/// If the request fails.
pub async fn create(admin: &Api, body: &Value) -> Created {
    admin.post("/v1/products", body).await.expect(201).into()
}

/// Creates `count` plain products in one bulk request, and returns them in the order of their numbers.
///
/// # Panics
/// If the request fails.
pub async fn create_many(admin: &Api, prefix: &str, count: usize) -> Vec<Created> {
    let items: Vec<_> = (0..count).map(|number| plain(&format!("{prefix}-{number:05}"))).collect();
    let result = admin.post("/v1/products/bulk", &json!({"items": items})).await.expect(200).json();
    assert_eq!(result["created"], count, "{result}");
    let mut products = Vec::new();
    for item in &items {
        let sku = item["sku"].as_str().unwrap_or_default();
        products.push(admin.get(&format!("/v1/products/by-sku/{sku}")).await.expect(200).into());
    }
    products
}
