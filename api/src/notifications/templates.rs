//! Writes subjects and texts of mails.

mod order;

use chrono::{DateTime, Utc};
use minijinja::{Environment, Value, context};
use thiserror::Error;

use super::fields::{Field, format_changes, line};
use crate::products::{ImportSummary, ProductChange};

/// Longest name in a subject, in characters.
const MAX_NAME: usize = 80;
/// Longest name in a text, in characters.
const MAX_LONG_NAME: usize = 200;

/// A template that doesn't fit its values, which is a bug.
#[derive(Debug, Error)]
#[error("cannot render a mail template")]
pub(super) struct TemplateError(#[from] minijinja::Error);

/// An event of one product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProductEvent {
    Created,
    Updated,
    Deleted,
    Restored,
}

impl ProductEvent {
    const ALL: [Self; 4] = [Self::Created, Self::Updated, Self::Deleted, Self::Restored];

    fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
            Self::Restored => "restored",
        }
    }

    /// Reads a kind such as `product.created`.
    pub(super) fn from_kind(kind: &str) -> Option<Self> {
        let name = kind.strip_prefix("product.")?;
        Self::ALL.into_iter().find(|event| event.name() == name)
    }
}

/// The content of a mail, the same for every recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text {
    /// One line.
    pub subject: String,
    pub body: String,
}

pub(super) struct Templates {
    environment: Environment<'static>,
    public_url: String,
}

impl Templates {
    /// `public_url` has no trailing slash.
    pub(super) fn new(public_url: &str) -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
        for (name, source) in [
            ("created", include_str!("templates/created.txt")),
            ("updated", include_str!("templates/updated.txt")),
            ("deleted", include_str!("templates/deleted.txt")),
            ("restored", include_str!("templates/restored.txt")),
            ("imported", include_str!("templates/imported.txt")),
        ]
        .into_iter()
        .chain(order::SOURCES)
        {
            environment.add_template(name, source)?;
        }
        Ok(Self { environment, public_url: public_url.to_owned() })
    }

    /// Writes the mail about an event of one product.
    pub(super) fn product(&self, event: ProductEvent, change: &ProductChange, when: DateTime<Utc>) -> Result<Text, TemplateError> {
        let product = &change.product;
        let subject = format!("Product {}: {} ({})", event.name(), line(&product.name, MAX_NAME), line(&product.sku, MAX_NAME));
        let body = self.environment.get_template(event.name())?.render(context! {
            actor => line(&change.actor.username, MAX_LONG_NAME),
            name => line(&product.name, MAX_LONG_NAME),
            sku => line(&product.sku, MAX_LONG_NAME),
            price => line(&format!("{} {}", product.price.amount, product.price.currency), MAX_LONG_NAME),
            when => format_time(when),
            fields => format_changes(&change.changes).iter().map(field_value).collect::<Vec<Value>>(),
            link => format!("{}/v1/products/{}", self.public_url, product.id),
        })?;
        Ok(Text { subject, body })
    }

    /// Writes the mail about an import.
    pub(super) fn import(&self, summary: &ImportSummary, when: DateTime<Utc>) -> Result<Text, TemplateError> {
        let actor = line(&summary.actor.username, MAX_LONG_NAME);
        let subject = format!("Products imported: {} created, {} changed", summary.created, summary.updated);
        let body = self.environment.get_template("imported")?.render(context! {
            actor,
            when => format_time(when),
            created => summary.created,
            updated => summary.updated,
            unchanged => summary.unchanged,
            failed => summary.failed,
            link => format!("{}/v1/products", self.public_url),
        })?;
        Ok(Text { subject, body })
    }
}

fn field_value(field: &Field) -> Value {
    context! { name => &field.name, old => &field.old, new => &field.new, short => field.is_short() }
}

fn format_time(when: DateTime<Utc>) -> String {
    when.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::{
        events::Actor,
        products::{
            Money, Product,
            change::{FieldChange, differences},
        },
    };

    fn when() -> DateTime<Utc> {
        "2026-11-21T10:00:00Z".parse().unwrap()
    }

    fn table() -> Product {
        Product {
            id: Uuid::nil(),
            sku: "90420332".into(),
            name: "Bar table".into(),
            brand: None,
            description: Some("First line\nSecond line".into()),
            categories: vec!["Tables".into(), "Bar".into()],
            price: Money { amount: "19.90".into(), currency: "EUR".into() },
            url: None,
            released_on: None,
            attributes: BTreeMap::from([("color".into(), "red".into())]),
            in_stock: true,
            created_at: when(),
            updated_at: when(),
            version: 1,
        }
    }

    fn change(product: Product, changes: Vec<FieldChange>) -> ProductChange {
        ProductChange { product, changes, version: 2, actor: Actor { id: Uuid::max(), username: "root".into() }, import_id: None }
    }

    fn templates() -> Templates {
        Templates::new("https://shop.example").unwrap()
    }

    #[test]
    fn the_mail_about_a_new_product_has_all_its_fields() {
        let text = templates().product(ProductEvent::Created, &change(table(), differences(None, &table())), when()).unwrap();
        assert_eq!(text.subject, "Product created: Bar table (90420332)");
        assert_eq!(
            text.body,
            "root created the product \"Bar table\" (90420332) on 2026-11-21 10:00:00 UTC.\n\n\
             sku: 90420332\nname: Bar table\ndescription:\n  First line\n  Second line\ncategories: Tables, Bar\n\
             price: 19.90 EUR\nattributes.color: red\n\nhttps://shop.example/v1/products/00000000-0000-0000-0000-000000000000"
        );
    }

    #[test]
    fn the_mail_about_an_update_has_old_and_new_values() {
        let mut after = table();
        after.price.amount = "18.90".into();
        after.description = None;
        let changes = differences(Some(&table()), &after);
        let text = templates().product(ProductEvent::Updated, &change(after, changes), when()).unwrap();
        assert_eq!(text.subject, "Product updated: Bar table (90420332)");
        assert_eq!(
            text.body,
            "root changed the product \"Bar table\" (90420332) on 2026-11-21 10:00:00 UTC.\n\n\
             description:\n  old:\n    First line\n    Second line\n  new:\n    (none)\nprice: 19.90 EUR -> 18.90 EUR\n\n\
             https://shop.example/v1/products/00000000-0000-0000-0000-000000000000"
        );
    }

    #[test]
    fn the_mails_about_deletion_and_restoration_name_the_product() {
        for (event, verb) in [(ProductEvent::Deleted, "deleted"), (ProductEvent::Restored, "restored")] {
            let text = templates().product(event, &change(table(), Vec::new()), when()).unwrap();
            assert_eq!(text.subject, format!("Product {verb}: Bar table (90420332)"));
            assert!(text.body.starts_with(&format!("root {verb} the product \"Bar table\"")), "{}", text.body);
            assert!(text.body.contains("19.90 EUR") && text.body.contains("https://shop.example/v1/products/"), "{}", text.body);
        }
    }

    #[test]
    fn the_mail_about_an_import_has_its_counts() {
        let actor = Actor { id: Uuid::nil(), username: "root".into() };
        let summary = ImportSummary { import_id: Uuid::nil(), created: 3, updated: 2, unchanged: 5, failed: 1, actor };
        let text = templates().import(&summary, when()).unwrap();
        assert_eq!(text.subject, "Products imported: 3 created, 2 changed");
        assert!(text.body.contains("created: 3\nchanged: 2\nunchanged: 5\nrejected: 1\n"), "{}", text.body);
    }

    #[test]
    fn names_cannot_break_out_of_the_subject_or_of_their_line() {
        let mut product = table();
        product.name = format!("x\r\nBcc: eve@evil.example\r\n\r\n{}", "y".repeat(300));
        product.sku = "1\n2".into();
        let mut change = change(product, Vec::new());
        change.actor.username = "root\nand then".into();
        let text = templates().product(ProductEvent::Deleted, &change, when()).unwrap();
        assert!(!text.subject.contains(['\r', '\n']) && text.subject.chars().count() < 200, "{}", text.subject);
        assert_eq!(text.body.lines().count(), 5, "{}", text.body);
    }

    #[test]
    fn template_syntax_in_values_is_not_interpreted() {
        let mut product = table();
        product.name = "{{ link }}{% for %}<b>&".into();
        let text = templates().product(ProductEvent::Deleted, &change(product, Vec::new()), when()).unwrap();
        assert!(text.body.contains("\"{{ link }}{% for %}<b>&\""), "{}", text.body);
    }

    #[test]
    fn product_events_are_read_from_their_kind() {
        assert_eq!(ProductEvent::from_kind("product.restored"), Some(ProductEvent::Restored));
        for unknown in ["product.imported", "product.", "created", "order.created", "product.purged"] {
            assert_eq!(ProductEvent::from_kind(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn a_value_in_json_is_formatted() {
        let changes = vec![FieldChange { field: "price".into(), old: json!({"amount": "1", "currency": "EUR"}), new: json!(null) }];
        let text = templates().product(ProductEvent::Updated, &change(table(), changes), when()).unwrap();
        assert!(text.body.contains("\nprice: 1 EUR -> (none)\n"), "{}", text.body);
    }
}
