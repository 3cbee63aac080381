//! Request bodies of orders and cart items.

use std::collections::HashSet;

use catalog_values::whole;
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::rules;
use crate::http::{body::objects, ids};

/// A new order: give either `items` or `cart_id`. The shop sets the prices and the total.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderInput {
    /// Products to order, each at most once.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "objects")]
    #[schema(min_items = 1, max_items = 100)]
    pub items: Option<Vec<OrderLineInput>>,
    /// Cart to order, with all its items.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "ids::optional")]
    pub cart_id: Option<Uuid>,
}

/// One product to order.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderLineInput {
    /// Product id.
    #[serde(deserialize_with = "ids::field")]
    #[garde(skip)]
    pub product_id: Uuid,
    /// Units.
    #[serde(deserialize_with = "whole::number")]
    #[garde(custom(rules::quantity))]
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub quantity: i64,
}

/// Where the items of an order come from.
pub enum OrderSource {
    /// All items of a cart.
    Cart(Uuid),
    /// Items of the request.
    Items(Vec<OrderLineInput>),
}

impl OrderInput {
    /// Validates the request.
    ///
    /// # Errors
    /// All violated rules.
    pub fn into_source(self) -> Result<OrderSource, garde::Report> {
        let mut report = garde::Report::new();
        let lines = match (self.items, self.cart_id) {
            (None, Some(cart_id)) => return Ok(OrderSource::Cart(cart_id)),
            (Some(lines), None) => lines,
            _ => {
                let why = "give either items, the products to order, or cart_id, the cart to order";
                report.append(garde::Path::empty(), garde::Error::new(why));
                return Err(report);
            }
        };
        let items = garde::Path::new("items");
        if let Err(error) = rules::item_count(lines.len()) {
            report.append(items, error);
            return Err(report);
        }
        for (index, line) in lines.iter().enumerate() {
            line.validate_into(&(), &mut || items.join(index), &mut report);
        }
        if let Some(index) = find_duplicate(&lines) {
            report.append(
                items.join(index).join("product_id"),
                garde::Error::new("the product is listed more than once: give it once, with the total quantity"),
            );
        }
        if report.is_empty() { Ok(OrderSource::Items(lines)) } else { Err(report) }
    }
}

/// Quantity of a product in a cart.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CartItemInput {
    /// New quantity; replaces the current one.
    #[serde(deserialize_with = "whole::number")]
    #[garde(custom(rules::quantity))]
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub quantity: i64,
}

/// Index of the first line that repeats the product of an earlier line.
fn find_duplicate(lines: &[OrderLineInput]) -> Option<usize> {
    let mut seen = HashSet::new();
    lines.iter().position(|line| !seen.insert(line.product_id))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::http::validate::field_errors;

    fn invalid_pointers(body: &Value) -> Vec<String> {
        let order: OrderInput = serde_json::from_value(body.clone()).unwrap();
        let errors = order.into_source().err().map(field_errors).unwrap_or_default();
        errors.into_iter().filter_map(|error| error.pointer).collect()
    }

    fn line(id: u128, quantity: i64) -> Value {
        json!({"product_id": Uuid::from_u128(id), "quantity": quantity})
    }

    #[test]
    fn quantities_range_from_one_to_a_million() {
        assert_eq!(invalid_pointers(&json!({"items": [line(1, 1), line(2, 1_000_000)]})), [""; 0]);
        let wrong = json!({"items": [line(1, 0), line(2, 5), line(3, -1), line(4, i64::MAX)]});
        assert_eq!(invalid_pointers(&wrong), ["/items/0/quantity", "/items/2/quantity", "/items/3/quantity"]);
    }

    #[test]
    fn a_product_is_listed_once_and_an_order_has_at_most_100_items() {
        assert_eq!(invalid_pointers(&json!({"items": [line(1, 1), line(2, 1), line(1, 2)]})), ["/items/2/product_id"]);
        assert_eq!(invalid_pointers(&json!({"items": []})), ["/items"]);
        let endless: Vec<_> = (0..10_000).map(|id| line(id, 1)).collect();
        assert_eq!(invalid_pointers(&json!({"items": endless})), ["/items"]);
    }

    #[test]
    fn an_item_is_an_object() {
        assert!(serde_json::from_value::<OrderInput>(json!({"items": [[Uuid::nil(), 1]]})).is_err());
    }

    #[test]
    fn an_order_has_either_a_cart_or_items() {
        assert_eq!(invalid_pointers(&json!({"cart_id": Uuid::nil()})), [""; 0]);
        for neither in [json!({}), json!({"cart_id": Uuid::nil(), "items": [line(1, 1)]})] {
            assert_eq!(invalid_pointers(&neither), [""]);
        }
    }

    #[test]
    fn fields_that_the_shop_sets_are_rejected() {
        for field in ["total", "status", "price", "currency", "customer_id"] {
            assert!(serde_json::from_value::<OrderInput>(json!({"items": [line(1, 1)], (field): "1"})).is_err(), "{field}");
            let mut line = line(1, 1);
            line[field] = json!("1");
            assert!(serde_json::from_value::<OrderInput>(json!({"items": [line]})).is_err(), "{field}");
        }
    }
}
