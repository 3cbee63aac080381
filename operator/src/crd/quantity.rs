//! Quantities of CPU, memory and storage.

use std::{borrow::Cow, fmt};

use kube_quantity::{ParseQuantityError, ParsedQuantity};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};

/// The pattern of controller-gen for `resource.Quantity`, without the minus sign: no quantity of a Catalog is negative.
const PATTERN: &str = r"^\+?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$";

/// A quantity of CPU, memory or storage, such as `500m`, `2` or `5Gi`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Quantity(pub String);

impl Quantity {
    /// Parses the quantity. `1Gi` and `1024Mi` are equal.
    ///
    /// # Errors
    /// If the text isn't a quantity.
    pub fn amount(&self) -> Result<ParsedQuantity, ParseQuantityError> {
        self.0.as_str().try_into()
    }
}

impl From<&str> for Quantity {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Accepts integers as well as strings: `cpu: 2` is the same as `cpu: "2"`.
impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Quantity;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a quantity such as 500m, 2 or 5Gi")
            }

            fn visit_i64<E>(self, number: i64) -> Result<Quantity, E> {
                Ok(Quantity(number.to_string()))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Quantity, E> {
                Ok(Quantity(number.to_string()))
            }

            fn visit_str<E>(self, text: &str) -> Result<Quantity, E> {
                Ok(Quantity(text.to_owned()))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Quantity {
    fn schema_name() -> Cow<'static, str> {
        "Quantity".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "x-kubernetes-int-or-string": true, "pattern": PATTERN, "maxLength": 32, "minimum": 0 })
    }
}

/// Returns the schema of a volume's size. Rules that depend on the existing claim are in `validate/volume.rs`.
pub(super) fn volume_size(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": 32,
        "x-kubernetes-validations": [
            {
                "rule": "isQuantity(self) && quantity(self).isGreaterThan(quantity('0'))",
                "message": "use a size such as 5Gi"
            },
            {
                // No real volume is that large. Reject typing errors, because a volume that has grown cannot shrink.
                "rule": "!isQuantity(self) || quantity(self).compareTo(quantity('1Pi')) <= 0",
                "message": "use a size of at most 1Pi"
            }
        ]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_strings_are_read_as_quantities() {
        let read: Vec<Quantity> = serde_norway::from_str("[2, 500m, 5Gi, '1.5']").unwrap();
        assert_eq!(read, ["2", "500m", "5Gi", "1.5"].map(Quantity::from));
    }

    #[test]
    fn quantities_are_compared_by_amount() {
        let amount = |text: &str| Quantity::from(text).amount().unwrap();
        assert_eq!(amount("1Gi"), amount("1024Mi"));
        assert_eq!(amount("1"), amount("1000m"));
        assert!(amount("1Gi") > amount("1G"));
        assert!(Quantity::from("much").amount().is_err());
    }
}
