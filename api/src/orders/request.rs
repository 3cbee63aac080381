//! What customers ask for: an order of a cart, or of lines.

use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::rules;
use crate::http::{
    body::{objects, whole},
    ids,
};

/// What to order: give either `items` or `cart_id`. Prices and the total are the shop's.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewOrder {
    /// Products to order, each once.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "objects")]
    #[schema(min_items = 1, max_items = 100)]
    pub items: Option<Vec<NewLine>>,
    /// The cart to order, with everything in it.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "ids::optional")]
    pub cart_id: Option<Uuid>,
}

/// One product to order.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLine {
    /// Product.
    #[serde(deserialize_with = "ids::field")]
    #[garde(skip)]
    pub product_id: Uuid,
    /// Units.
    #[serde(deserialize_with = "whole::number")]
    #[garde(custom(rules::quantity))]
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub quantity: i64,
}

/// What a valid request asks for.
pub enum Wish {
    /// A cart.
    Cart(Uuid),
    /// Lines.
    Lines(Vec<NewLine>),
}

impl NewOrder {
    /// Checks the rules.
    ///
    /// # Errors
    /// Every broken one.
    pub fn check(self) -> Result<Wish, garde::Report> {
        let mut report = garde::Report::new();
        let wish = match (self.items, self.cart_id) {
            (None, Some(cart_id)) => return Ok(Wish::Cart(cart_id)),
            (Some(lines), None) => lines,
            _ => {
                let why = "give either items, the products to order, or cart_id, the cart to order";
                report.append(garde::Path::empty(), garde::Error::new(why));
                return Err(report);
            }
        };
        let items = garde::Path::new("items");
        if let Err(error) = rules::lines(&wish) {
            report.append(items, error);
            return Err(report);
        }
        for (index, line) in wish.iter().enumerate() {
            line.validate_into(&(), &mut || items.join(index), &mut report);
        }
        if let Some(index) = rules::doubled(&wish) {
            report.append(
                items.join(index).join("product_id"),
                garde::Error::new("this product is there twice: give its whole quantity once"),
            );
        }
        if report.is_empty() { Ok(Wish::Lines(wish)) } else { Err(report) }
    }
}

/// The units of one product in a cart.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Units {
    /// Units, in place of those that are in the cart.
    #[serde(deserialize_with = "whole::number")]
    #[garde(custom(rules::quantity))]
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub quantity: i64,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::http::validate::field_errors;

    fn complaints(body: &Value) -> Vec<String> {
        let order: NewOrder = serde_json::from_value(body.clone()).unwrap();
        let errors = order.check().err().map(field_errors).unwrap_or_default();
        errors.into_iter().filter_map(|error| error.pointer).collect()
    }

    fn line(id: u128, quantity: i64) -> Value {
        json!({"product_id": Uuid::from_u128(id), "quantity": quantity})
    }

    #[test]
    fn quantities_are_positive_and_not_absurd() {
        assert_eq!(complaints(&json!({"items": [line(1, 1), line(2, 1_000_000)]})), [""; 0]);
        let wrong = json!({"items": [line(1, 0), line(2, 5), line(3, -1), line(4, i64::MAX)]});
        assert_eq!(complaints(&wrong), ["/items/0/quantity", "/items/2/quantity", "/items/3/quantity"]);
    }

    #[test]
    fn a_product_comes_once_and_an_order_is_not_endless() {
        assert_eq!(complaints(&json!({"items": [line(1, 1), line(2, 1), line(1, 2)]})), ["/items/2/product_id"]);
        assert_eq!(complaints(&json!({"items": []})), ["/items"]);
        let endless: Vec<_> = (0..10_000).map(|id| line(id, 1)).collect();
        assert_eq!(complaints(&json!({"items": endless})), ["/items"]);
    }

    #[test]
    fn a_line_is_an_object() {
        assert!(serde_json::from_value::<NewOrder>(json!({"items": [[Uuid::nil(), 1]]})).is_err());
    }

    #[test]
    fn an_order_is_of_a_cart_or_of_lines() {
        assert_eq!(complaints(&json!({"cart_id": Uuid::nil()})), [""; 0]);
        for neither in [json!({}), json!({"cart_id": Uuid::nil(), "items": [line(1, 1)]})] {
            assert_eq!(complaints(&neither), [""]);
        }
    }

    #[test]
    fn what_the_shop_decides_cannot_be_sent() {
        for field in ["total", "status", "price", "currency", "customer_id"] {
            assert!(serde_json::from_value::<NewOrder>(json!({"items": [line(1, 1)], (field): "1"})).is_err(), "{field}");
            let mut line = line(1, 1);
            line[field] = json!("1");
            assert!(serde_json::from_value::<NewOrder>(json!({"items": [line]})).is_err(), "{field}");
        }
    }
}
