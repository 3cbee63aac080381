//! Creates a large number of expired carts and waits for their deletion.

use std::time::{Duration, Instant};

use sqlx::PgPool;

use crate::wait::{check, within};

/// The time within which the API must delete all carts.
const LIMIT: Duration = Duration::from_mins(20);

/// Creates expired carts with one unit each in one transaction, and returns the time of its commit.
///
/// # Errors
/// If a statement fails.
pub async fn create_expired(pool: &PgPool, count: i64) -> anyhow::Result<Instant> {
    let mut tx = pool.begin().await?;
    sqlx::query(
        "INSERT INTO orders.carts (id, customer_id, created_at, expires_at)
         SELECT gen_random_uuid(), gen_random_uuid(), now(), now() - interval '1 second' FROM generate_series(1, $1)",
    )
    .bind(count)
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "WITH carts AS (SELECT id, row_number() OVER () - 1 AS n FROM orders.carts),
              products AS (SELECT id, sku, name, price, row_number() OVER () - 1 AS n, count(*) OVER () AS all FROM products.products)
         INSERT INTO orders.cart_items (cart_id, product_id, sku, name, price, quantity, reserved, added_at)
         SELECT c.id, p.id, p.sku, p.name, p.price, 1, 1, now() FROM carts c JOIN products p ON p.n = c.n % p.all",
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "UPDATE products.stock s SET reserved = held.units
         FROM (SELECT product_id, count(*) AS units FROM orders.cart_items GROUP BY product_id) held WHERE held.product_id = s.product_id",
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Instant::now())
}

/// Waits until all carts are deleted, and returns the seconds since `started`.
///
/// # Errors
/// If a statement fails.
pub async fn wait_until_deleted(pool: &PgPool, started: Instant) -> anyhow::Result<f64> {
    within(LIMIT, "all carts are deleted", async || {
        let left: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM orders.carts)").fetch_one(pool).await.map_err(|e| e.to_string())?;
        check(!left, || "some carts remain".to_owned())
    })
    .await;
    Ok(started.elapsed().as_secs_f64())
}

/// Audits the stock: returns the units that are neither on hand nor sold, and the units that are still reserved.
///
/// # Errors
/// If the statement fails.
pub async fn audit_stock(pool: &PgPool) -> anyhow::Result<(i64, i64)> {
    Ok(sqlx::query_as(
        "SELECT (SELECT count(*) * $1 - sum(on_hand) FROM products.stock)::bigint
                + (SELECT coalesce(sum(delta), 0) FROM products.stock_movements)::bigint,
                (SELECT sum(reserved) FROM products.stock)::bigint",
    )
    .bind(super::UNITS)
    .fetch_one(pool)
    .await?)
}
