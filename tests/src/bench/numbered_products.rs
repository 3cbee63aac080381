//! Numbered sample products whose ids are derived from their numbers.

use std::net::SocketAddr;

use sqlx::PgPool;

/// The start of every id; the rest is the number in hexadecimal.
const ID_PREFIX: &str = "01900000-0000-7000-8000-";
const DIGITS: usize = 12;

/// Returns an SQL expression for the id of the product with the number `number`, itself an expression.
pub fn id_in_sql(number: &str) -> String {
    format!("('{ID_PREFIX}' || lpad(to_hex(({number})::int), {DIGITS}, '0'))::uuid")
}

/// Returns a GET request of a product. [`set_product`] changes its number in place.
pub fn request(number: u64, host: SocketAddr) -> Vec<u8> {
    let request = format!("GET /v1/products/{ID_PREFIX}{number:012x} HTTP/1.1\r\nhost: {host}\r\naccept: */*\r\nuser-agent: bench\r\n\r\n");
    request.into_bytes()
}

/// Returns the id of a product.
pub fn id(number: u64) -> String {
    format!("{ID_PREFIX}{number:012x}")
}

/// Returns a POST request that orders one unit of a product with an idempotency key.
pub fn order(number: u64, host: SocketAddr, token: &str, key: u128) -> Vec<u8> {
    let body = format!(r#"{{"items":[{{"product_id":"{}","quantity":1}}]}}"#, id(number));
    let head = format!(
        "POST /v1/orders HTTP/1.1\r\nhost: {host}\r\naccept: */*\r\nuser-agent: bench\r\nauthorization: Bearer {token}\r\n\
         idempotency-key: {key:032x}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    (head + &body).into_bytes()
}

/// Changes the product in a request from [`request`].
pub fn set_product(request: &mut [u8], mut number: u64) {
    let start = "GET /v1/products/".len() + ID_PREFIX.len();
    for digit in request[start..start + DIGITS].iter_mut().rev() {
        *digit = b"0123456789abcdef"[usize::try_from(number & 15).unwrap_or_default()];
        number >>= 4;
    }
}

/// Inserts `count` products, numbered from 1, and then vacuums the database and writes a checkpoint.
///
/// # Errors
/// If a statement fails.
pub async fn stock(pool: &PgPool, count: u64) -> Result<(), sqlx::Error> {
    put(pool, 1, count).await?;
    sqlx::raw_sql("VACUUM ANALYZE").execute(pool).await?;
    sqlx::raw_sql("CHECKPOINT").execute(pool).await?;
    Ok(())
}

/// Inserts products with the numbers from `first` to `last`.
///
/// # Errors
/// If the statement fails.
pub async fn put(pool: &PgPool, first: u64, last: u64) -> Result<(), sqlx::Error> {
    let statement = format!(
        "INSERT INTO products.products (id, sku, name, brand, description, categories, price, url, released_on, attributes,
             created_at, updated_at, search_name, search_name_of)
         SELECT {}, 'B-' || n, 'Bar table no. ' || n, 'Nordviken',
             'Bar table, black-brown, 140x80 cm. You sit comfortably thanks to the footrest. Solid wood is a durable natural material.',
             ARRAY['Bar furniture', 'Tables & desks'], (n % 5000)::numeric / 10, 'https://shop.example/p/bar-table-' || n, '2024-02-29',
             jsonb_build_object('designer', 'Francis Cayouette', 'depth', '80', 'height', '105', 'width', '140'), now(), now(),
             'bar table no. ' || n, 'Bar table no. ' || n
         FROM generate_series({first}, {last}) n",
        id_in_sql("n")
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(pool).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_with_a_changed_product_equals_a_new_request() {
        let host = SocketAddr::from(([127, 0, 0, 1], 80));
        let mut changed = request(1, host);
        set_product(&mut changed, 0xfe_dcba);
        assert_eq!(changed, request(0xfe_dcba, host));
    }
}
