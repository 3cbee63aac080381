//! Amounts of CPU, memory and storage.

use std::{borrow::Cow, fmt};

use kube_quantity::{ParseQuantityError, ParsedQuantity};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};

/// How Kubernetes writes quantities (`resource.Quantity`; the pattern is the one of controller-gen, but for the sign:
/// nothing here can be less than nothing).
const PATTERN: &str = r"^\+?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$";

/// An amount of CPU, memory or storage, such as `500m`, `2` or `5Gi`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Quantity(pub String);

impl Quantity {
    /// What it amounts to: `1Gi` and `1024Mi` are the same.
    ///
    /// # Errors
    /// If it isn't a quantity.
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

/// `cpu: 2` is as good as `cpu: "2"`.
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

/// The schema of a volume's size. Whether the volume can have it depends on the claim: see `validate/volume.rs`.
pub(super) fn volume_size(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": 32,
        "x-kubernetes-validations": [
            {
                "rule": "isQuantity(self) && quantity(self).isGreaterThan(quantity('0'))",
                "message": "give a size such as 5Gi"
            },
            {
                // Far above any volume, since a volume that has grown by mistake cannot shrink.
                "rule": "!isQuantity(self) || quantity(self).compareTo(quantity('1Pi')) <= 0",
                "message": "give at most 1Pi"
            }
        ]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_texts_are_quantities() {
        let read: Vec<Quantity> = serde_norway::from_str("[2, 500m, 5Gi, '1.5']").unwrap();
        assert_eq!(read, ["2", "500m", "5Gi", "1.5"].map(Quantity::from));
    }

    #[test]
    fn spellings_of_one_amount_are_equal() {
        let amount = |text: &str| Quantity::from(text).amount().unwrap();
        assert_eq!(amount("1Gi"), amount("1024Mi"));
        assert_eq!(amount("1"), amount("1000m"));
        assert!(amount("1Gi") > amount("1G"));
        assert!(Quantity::from("much").amount().is_err());
    }
}
