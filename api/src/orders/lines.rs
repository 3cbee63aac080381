//! Rows of `orders.lines`.

use catalog_values::Currency;
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

use super::OrderLine;
use crate::products::Money;

#[derive(Debug, Clone)]
pub(super) struct LineRow {
    pub order_id: Uuid,
    pub product_id: Uuid,
    pub sku: String,
    pub name: String,
    pub price: Decimal,
    pub quantity: i64,
    /// Units that were deducted from tracked stock.
    pub deducted: i64,
}

impl LineRow {
    pub(super) fn amount(&self) -> Decimal {
        self.price * Decimal::from(self.quantity)
    }

    pub(super) fn into_line(self, currency: Currency) -> OrderLine {
        OrderLine {
            line_total: Money::new(self.amount(), currency),
            product_id: self.product_id,
            sku: self.sku,
            name: self.name,
            price: Money::new(self.price, currency),
            quantity: self.quantity,
        }
    }
}

/// Reads the lines of orders, ordered by order and position.
pub(super) async fn read_lines(conn: &mut PgConnection, order_ids: &[Uuid]) -> Result<Vec<LineRow>, sqlx::Error> {
    sqlx::query!(
        "SELECT order_id, product_id, sku, name, price, quantity, taken FROM orders.lines WHERE order_id = ANY($1) ORDER BY order_id, position",
        order_ids,
    )
    .map(|row| LineRow {
        order_id: row.order_id,
        product_id: row.product_id,
        sku: row.sku,
        name: row.name,
        price: row.price,
        quantity: row.quantity,
        deducted: row.taken,
    })
    .fetch_all(conn)
    .await
}
