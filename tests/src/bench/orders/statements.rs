//! The SQL statements of an order, from the query data in `.sqlx`, with the values of a real order.

use std::{fs, net::SocketAddr, path::Path};

use anyhow::{Context, ensure};
use serde_json::Value;
use sqlx::PgPool;

use crate::bench::numbered_products::{self, id_in_sql};

/// The values that a real order wrote.
pub struct Sample {
    customer_id: String,
    session_id: String,
    payload: String,
    headers: String,
    response: String,
    response_headers: String,
    sku: String,
    name: String,
    price: String,
}

impl Sample {
    /// Places an order of one product and reads the rows that it wrote.
    ///
    /// # Errors
    /// If the order is rejected, or a row cannot be read.
    pub async fn of(pool: &PgPool, address: SocketAddr, token: &str) -> anyhow::Result<Self> {
        let (_, claims) = crate::tokens::read(token);
        let body = format!(r#"{{"items":[{{"product_id":"{}","quantity":1}}]}}"#, numbered_products::id(1));
        let key = uuid::Uuid::now_v7().to_string();
        let request = reqwest::Client::new().post(format!("http://{address}/v1/orders")).bearer_auth(token);
        let reply = request.header("idempotency-key", &key).header("content-type", "application/json").body(body).send().await?;
        ensure!(reply.status() == 201, "{}", reply.text().await?);
        let order: Value = serde_json::from_str(&reply.text().await?)?;
        let (payload, headers): (String, String) =
            sqlx::query_as("SELECT payload, headers::text FROM events.outbox WHERE aggregate_id = $1::uuid")
                .bind(order["id"].as_str())
                .fetch_one(pool)
                .await?;
        let (response, response_headers): (String, String) =
            sqlx::query_as("SELECT convert_from(body, 'UTF8'), headers::text FROM http.idempotency_keys WHERE key = $1")
                .bind(&key)
                .fetch_one(pool)
                .await?;
        let text = |value: &Value| value.as_str().map(str::to_owned).context("text");
        let line = &order["items"][0];
        Ok(Self {
            customer_id: text(&claims["sub"])?,
            session_id: text(&claims["sid"])?,
            payload,
            headers,
            response,
            response_headers,
            sku: text(&line["sku"])?,
            name: text(&line["name"])?,
            price: text(&line["price"]["amount"])?,
        })
    }
}

/// Returns a pgbench script with the statements of an order of one of the first `products`.
///
/// # Errors
/// If the query data is missing.
pub fn script(sample: &Sample, products: u64) -> anyhow::Result<String> {
    // In a pgbench script, a colon starts a variable.
    let quoted = |text: &str| format!("E'{}'", text.replace('\\', r"\\").replace('\'', "''").replace(':', r"\x3a"));
    let uuid = |id: &str| format!("'{id}'::uuid");
    let order = "('01900000-0000-7000-9000-' || lpad(to_hex(:order::bigint), 12, '0'))::uuid";
    let key = "'bench-' || (:order::bigint)::text";
    let (customer, session, product) = (uuid(&sample.customer_id), uuid(&sample.session_id), id_in_sql(":product"));
    let one = |value: &str, of: &str| format!("ARRAY[{value}]::{of}[]");
    let products_array = one(&product, "uuid");
    let (route, now, hash) = ("'POST /v1/orders'", "now()", "sha256('a body of some length'::bytea)");
    let lock_name = format!("'{}/POST /v1/orders/' || (:order::bigint)::text", sample.customer_id);
    let event = "('01900000-0000-7000-a000-' || lpad(to_hex(:order::bigint), 12, '0'))::uuid";
    let offers = "SELECT id, sku, name, price, deleted_at,";
    let statements = [
        filled("FROM identity.sessions s JOIN identity.accounts a", &[&session, &customer])?,
        "BEGIN".to_owned(),
        filled("SELECT pg_try_advisory_xact_lock(hashtextextended", &[&lock_name])?,
        filled("FROM http.idempotency_keys\n", &[&customer, route, key])?,
        filled(offers, &[&products_array])?,
        filled(
            "INSERT INTO orders.orders (id,",
            &[
                order,
                &customer,
                &format!("{}::numeric", sample.price),
                now,
                &products_array,
                &one(&quoted(&sample.sku), "text"),
                &one(&quoted(&sample.name), "text"),
                &one(&sample.price, "numeric"),
                &one("1", "bigint"),
                &one("1", "bigint"),
            ],
        )?,
        filled(
            "INSERT INTO events.outbox (id, partition, aggregate_id, subject, headers, payload) VALUES",
            &[
                event,
                "(:order::bigint % 16)::smallint",
                order,
                "'order.created'",
                &format!("{}::jsonb", quoted(&sample.headers)),
                &quoted(&sample.payload),
            ],
        )?,
        filled(
            "INSERT INTO http.idempotency_keys",
            &[
                &customer,
                route,
                key,
                hash,
                "201::smallint",
                &format!("{}::jsonb", quoted(&sample.response_headers)),
                &format!("convert_to({}, 'UTF8')", quoted(&sample.response)),
                now,
            ],
        )?,
        filled(
            "WITH wanted AS",
            &[&products_array, &one("-1", "bigint"), &one("0", "bigint"), "'sale'", order, &customer, "NULL::text", now],
        )?,
        filled(offers, &[&products_array])?,
        "COMMIT".to_owned(),
    ];
    Ok(format!("\\set order random(1, 281474976710655)\n\\set product random(1, {products})\n{};\n", statements.join(";\n")))
}

/// Finds the only statement that contains `part`, and replaces its parameters by values.
fn filled(part: &str, values: &[&str]) -> anyhow::Result<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.sqlx");
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let data: Value = serde_json::from_slice(&fs::read(entry?.path())?)?;
        found.extend(data["query"].as_str().filter(|query| query.contains(part)).map(str::to_owned));
    }
    ensure!(found.len() == 1, "{} statements contain {part:?}, not one", found.len());
    // In reverse order, so that replacing $1 does not change $10.
    let statement =
        values.iter().enumerate().rev().fold(found.remove(0), |text, (index, value)| text.replace(&format!("${}", index + 1), value));
    Ok(statement.split_whitespace().collect::<Vec<_>>().join(" "))
}
