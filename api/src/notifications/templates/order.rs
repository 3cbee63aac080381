//! Mails to customers about their orders.

use chrono::{DateTime, Utc};
use minijinja::{Value, context};

use super::{MAX_LONG_NAME, MAX_NAME, TemplateError, Templates, Text, format_time};
use crate::{
    notifications::fields::line,
    orders::{Order, OrderLine, Status},
    products::Money,
};

/// Maximum number of order lines in a mail.
const MAX_ITEMS: usize = 100;
/// Longest reason, in characters.
const MAX_REASON: usize = 500;

/// Names and sources of the templates.
pub(super) const SOURCES: [(&str, &str); 6] = [
    ("order_created", include_str!("order_created.txt")),
    ("order_confirmed", include_str!("order_confirmed.txt")),
    ("order_fulfilled", include_str!("order_fulfilled.txt")),
    ("order_cancelled", include_str!("order_cancelled.txt")),
    ("order_failed", include_str!("order_failed.txt")),
    ("order_items", include_str!("order_items.txt")),
];

impl Templates {
    /// Writes the mail about an order that has reached a status.
    pub(in crate::notifications) fn order(&self, reached: Status, order: &Order, when: DateTime<Utc>) -> Result<Text, TemplateError> {
        let (verb, template) = match reached {
            Status::Pending => ("placed", "order_created"),
            Status::Confirmed => ("confirmed", "order_confirmed"),
            Status::Fulfilled => ("fulfilled", "order_fulfilled"),
            Status::Cancelled => ("cancelled", "order_cancelled"),
            Status::Failed => ("failed", "order_failed"),
        };
        let subject = format!("Order {verb}: {} ({})", summary(&order.items), short_id(order));
        let reason = order.history.iter().rev().find(|entry| entry.status == reached).and_then(|entry| entry.reason.as_deref());
        let body = self.environment.get_template(template)?.render(context! {
            id => short_id(order),
            when => format_time(when),
            items => order.items.iter().take(MAX_ITEMS).map(item_value).collect::<Vec<Value>>(),
            more => order.items.len().saturating_sub(MAX_ITEMS),
            total => price(&order.total),
            reason => reason.map(|reason| line(reason, MAX_REASON)),
            link => format!("{}/v1/orders/{}", self.public_url, order.id),
        })?;
        Ok(Text { subject, body })
    }
}

fn summary(items: &[OrderLine]) -> String {
    match items {
        [item] => line(&item.name, MAX_NAME),
        items => format!("{} items", items.len()),
    }
}

/// Returns the last group of the id. The first groups of a `UUIDv7` are a timestamp, and equal in orders of one minute.
fn short_id(order: &Order) -> String {
    let id = order.id.to_string();
    id.rsplit('-').next().unwrap_or_default().to_owned()
}

fn item_value(item: &OrderLine) -> Value {
    context! {
        quantity => item.quantity,
        name => line(&item.name, MAX_LONG_NAME),
        sku => line(&item.sku, MAX_LONG_NAME),
        total => price(&item.line_total),
    }
}

fn price(money: &Money) -> String {
    line(&format!("{} {}", money.amount, money.currency), MAX_LONG_NAME)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::orders::{HistoryEntry, OrderActor};

    fn when() -> DateTime<Utc> {
        "2026-11-25T10:00:00Z".parse().unwrap()
    }

    fn euros(amount: &str) -> Money {
        Money { amount: amount.into(), currency: "EUR".into() }
    }

    fn item(name: &str, sku: &str, quantity: i64, line_total: &str) -> OrderLine {
        let (name, sku) = (name.to_owned(), sku.to_owned());
        OrderLine { product_id: Uuid::nil(), sku, name, price: euros("1.00"), quantity, line_total: euros(line_total) }
    }

    fn order(status: Status, reason: Option<&str>, items: Vec<OrderLine>) -> Order {
        Order {
            id: "019ac000-0000-7000-8000-00c0ffee0000".parse().unwrap(),
            customer_id: Uuid::nil(),
            status,
            items,
            total: euros("49.80"),
            created_at: when(),
            updated_at: when(),
            history: vec![
                HistoryEntry { status: Status::Pending, at: when(), by: OrderActor::Customer, reason: None },
                HistoryEntry { status, at: when(), by: OrderActor::Shop, reason: reason.map(str::to_owned) },
            ],
        }
    }

    fn write_mail(order: &Order) -> Text {
        Templates::new("https://shop.example").unwrap().order(order.status, order, when()).unwrap()
    }

    #[test]
    fn the_mail_about_an_order_has_its_lines_and_total() {
        let items = vec![item("Bar table", "90420332", 2, "39.80"), item("Stool", "s-1", 1, "10.00")];
        let text = write_mail(&order(Status::Confirmed, None, items));
        assert_eq!(text.subject, "Order confirmed: 2 items (00c0ffee0000)");
        assert_eq!(
            text.body,
            "Your order 00c0ffee0000 was confirmed on 2026-11-25 10:00:00 UTC. It can still be cancelled until it is fulfilled.\n\n\
             2 x Bar table (90420332): 39.80 EUR\n1 x Stool (s-1): 10.00 EUR\nTotal: 49.80 EUR\n\n\
             https://shop.example/v1/orders/019ac000-0000-7000-8000-00c0ffee0000"
        );
    }

    #[test]
    fn every_status_has_a_mail() {
        for (status, verb) in [
            (Status::Pending, "placed"),
            (Status::Confirmed, "confirmed"),
            (Status::Fulfilled, "fulfilled"),
            (Status::Cancelled, "cancelled"),
            (Status::Failed, "failed"),
        ] {
            let text = write_mail(&order(status, None, vec![item("Stool", "s-1", 3, "30.00")]));
            assert_eq!(text.subject, format!("Order {verb}: Stool (00c0ffee0000)"));
            assert!(text.body.starts_with("Your order 00c0ffee0000 ") && text.body.contains(verb), "{}", text.body);
            assert!(text.body.contains("\n\n3 x Stool (s-1): 30.00 EUR\n") && !text.body.contains("Reason"), "{}", text.body);
        }
    }

    #[test]
    fn the_reason_is_in_the_mail() {
        let text = write_mail(&order(Status::Cancelled, Some("out of\nstools"), vec![item("Stool", "s-1", 3, "30.00")]));
        assert!(text.body.contains("\nTotal: 49.80 EUR\n\nReason: out of stools\n\nhttps://shop.example/v1/orders/"), "{}", text.body);
    }

    #[test]
    fn names_cannot_break_out_of_the_subject_or_of_their_line() {
        let name = format!("x\r\nBcc: eve@evil.example\r\n\r\n{{{{ link }}}}{}", "y".repeat(300));
        let text = write_mail(&order(Status::Pending, Some("no\r\nSubject: y"), vec![item(&name, "1\n2", 1, "1.00")]));
        assert!(!text.subject.contains(['\r', '\n']) && text.subject.chars().count() < 200, "{}", text.subject);
        assert_eq!(text.body.lines().count(), 8, "{}", text.body);
        assert!(text.body.contains("{{ link }}"), "{}", text.body);
    }

    #[test]
    fn the_mail_about_a_long_order_lists_the_first_lines() {
        let items = (0..130).map(|number| item(&format!("Stool {number}"), "s", 1, "1.00")).collect();
        let text = write_mail(&order(Status::Fulfilled, None, items));
        assert_eq!(text.subject, "Order fulfilled: 130 items (00c0ffee0000)");
        assert!(text.body.contains("Stool 99 ") && !text.body.contains("Stool 100"), "{}", text.body);
        assert!(text.body.contains("\nand 30 more\nTotal: "), "{}", text.body);
    }
}
