//! Reports as CSV (RFC 4180).

use catalog_values::characters;
use chrono::SecondsFormat;

use super::reports::{BucketViews, TopProduct};

/// Formats rows of the views report, after the header line if `header` is set.
///
/// # Errors
/// None in practice: writing to memory does not fail.
pub fn write_views(rows: &[BucketViews], header: bool) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    if header {
        writer.write_record(["product_id", "start", "views"])?;
    }
    for row in rows {
        let start = row.start.to_rfc3339_opts(SecondsFormat::Secs, true);
        writer.write_record([row.product_id.to_string(), start, row.views.to_string()])?;
    }
    into_bytes(writer)
}

/// Formats the report of the most viewed products.
///
/// # Errors
/// None in practice: writing to memory does not fail.
pub fn write_top_products(rows: &[TopProduct]) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["product_id", "sku", "name", "views"])?;
    for row in rows {
        let text = |text: &Option<String>| characters::escape_formula(text.as_deref().unwrap_or_default()).into_owned();
        writer.write_record([row.product_id.to_string(), text(&row.sku), text(&row.name), row.views.to_string()])?;
    }
    into_bytes(writer)
}

fn into_bytes(writer: csv::Writer<Vec<u8>>) -> Result<Vec<u8>, csv::Error> {
    writer.into_inner().map_err(|error| error.into_error().into())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn formulas_in_names_are_escaped_and_quotes_are_preserved() {
        let row = |name: &str| TopProduct { product_id: Uuid::nil(), sku: Some("+1".into()), name: Some(name.into()), views: 3 };
        let bytes = write_top_products(&[row("=HYPERLINK(\"http://x\",\"y\")"), row("Table, oak \"XL\"")]).unwrap();
        let rows: Vec<csv::StringRecord> = csv::Reader::from_reader(&*bytes).records().map(Result::unwrap).collect();
        assert_eq!(&rows[0][1], "'+1");
        assert_eq!(&rows[0][2], "'=HYPERLINK(\"http://x\",\"y\")");
        assert_eq!(&rows[1][2], "Table, oak \"XL\"");
    }

    #[test]
    fn a_deleted_product_has_empty_names() {
        let row = TopProduct { product_id: Uuid::nil(), sku: None, name: None, views: 3 };
        let text = String::from_utf8(write_top_products(&[row]).unwrap()).unwrap();
        assert_eq!(text, "product_id,sku,name,views\n00000000-0000-0000-0000-000000000000,,,3\n");
    }

    #[test]
    fn the_header_is_written_on_request() {
        let row = BucketViews { product_id: Uuid::nil(), start: "2026-11-21T00:00:00Z".parse().unwrap(), views: 2 };
        let text = |header| String::from_utf8(write_views(std::slice::from_ref(&row), header).unwrap()).unwrap();
        assert_eq!(text(true), format!("product_id,start,views\n{}", text(false)));
        assert_eq!(text(false), "00000000-0000-0000-0000-000000000000,2026-11-21T00:00:00Z,2\n");
    }
}
