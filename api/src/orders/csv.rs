//! Orders as CSV (RFC 4180), one row per order line, for accounting.

use catalog_values::characters;
use chrono::SecondsFormat;

use super::Order;

const HEADER: [&str; 11] =
    ["order_id", "created_at", "status", "customer_id", "product_id", "sku", "name", "price", "quantity", "line_total", "currency"];

/// Formats orders as CSV rows, after the header line if `header` is set.
///
/// # Errors
/// None in practice: writing to memory does not fail.
pub fn write_rows(orders: &[Order], header: bool) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    if header {
        writer.write_record(HEADER)?;
    }
    for order in orders {
        let created_at = order.created_at.to_rfc3339_opts(SecondsFormat::Micros, true);
        for line in &order.items {
            writer.write_record([
                &*order.id.to_string(),
                &created_at,
                order.status.as_str(),
                &order.customer_id.to_string(),
                &line.product_id.to_string(),
                &characters::escape_formula(&line.sku),
                &characters::escape_formula(&line.name),
                &line.price.amount,
                &line.quantity.to_string(),
                &line.line_total.amount,
                &line.line_total.currency,
            ])?;
        }
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}
